//! A registry of one module, which passes events on: `poison` it calls a bad record, until it is told that the poison is
//! gone; `log …` it logs as well. And of another, which keeps state.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use gristmill_ports::inspection::{Inspected, ShownEntry, StoredEntry};
use gristmill_ports::module_registry::{
    Admission, CacheUse, ModuleForm, ModuleRegistry, PrepareOptions, Prepared, Refusal,
};
use gristmill_ports::telemetry::LogLevel;
use gristmill_ports::{Call, Inspector, Operator, OperatorContext, OperatorFactory, StateBackend};
use gristmill_types::descriptor::{ClockKind, InputSpec, OutputSpec, StateKind, StateScope, StateSpec};
use gristmill_types::{
    CallFailure, Column, Descriptor, Emission, EventBatch, InputIndex, ModuleHash, Outcome, PortIndex, Rows, StateIndex,
};
use serde_json::{Value, json};

/// The bytes of a module.
pub(crate) const WASM: &[u8] = b"\0asm one";

/// The bytes of a module that keeps state, and shows its list in words of its own.
pub(crate) const KEEPS: &[u8] = b"\0asm keeps";

/// Other bytes of a module.
pub(crate) fn wasm(seed: u32) -> Vec<u8> {
    [b"\0asm ", &seed.to_le_bytes()[..]].concat()
}

#[derive(Default)]
pub(crate) struct FakeRegistry {
    pub(crate) admitted: AtomicU32,
    pub(crate) cured: Arc<AtomicBool>,
}

impl ModuleRegistry for FakeRegistry {
    fn admit(&self, bytes: &[u8]) -> Result<Admission, Refusal> {
        if !bytes.starts_with(b"\0asm") {
            return Err(Refusal {
                code: "not-wasm".to_owned(),
                message: "this is not Wasm: build for wasm32-unknown-unknown and upload the .wasm file".to_owned(),
                details: Vec::new(),
            });
        }
        let before = self.admitted.fetch_add(1, Ordering::SeqCst);
        Ok(Admission {
            hash: ModuleHash(blake3::hash(bytes).into()),
            form: ModuleForm::Component,
            size_bytes: bytes.len() as u64,
            cache: if before == 0 { CacheUse::Miss } else { CacheUse::Hit },
            compile_ms: 0,
            exports: Vec::new(),
            imports: Vec::new(),
            descriptor: descriptor(bytes),
            warnings: Vec::new(),
        })
    }

    fn prepare(&self, bytes: &[u8], options: &PrepareOptions) -> Result<Prepared, Refusal> {
        let mut parameters = options.parameters.clone().unwrap_or(json!({}));
        if let Some(wrong) = parameters.get("wrong") {
            return Err(Refusal {
                code: "bad-parameters".to_owned(),
                message: format!("{wrong} is not a number"),
                details: Vec::new(),
            });
        }
        parameters["limit"] = json!(10);
        let factory = Arc::new(Pass { cured: Arc::clone(&self.cured), descriptor: descriptor(bytes) });
        Ok(Prepared { factory, parameters: parameters.to_string() })
    }
}

fn descriptor(bytes: &[u8]) -> Descriptor {
    let keeps = bytes == KEEPS;
    let kinds = [("last", StateKind::Value), ("all", StateKind::AppendList), ("seen", StateKind::OrderedMap)];
    let state = |(name, kind): (&str, StateKind)| StateSpec {
        name: name.to_owned(),
        kind,
        scope: StateScope::Keyed,
        version: 1,
        ttl_ms: None,
        ttl_clock: ClockKind::ProcessingTime,
    };
    Descriptor {
        inputs: vec![InputSpec { name: "in".to_owned(), keyed: keeps }],
        outputs: vec![OutputSpec { name: "out".to_owned(), keeps_key: true }],
        states: kinds.into_iter().filter(|_| keeps).map(state).collect(),
        ..Descriptor::default()
    }
}

struct Pass {
    cured: Arc<AtomicBool>,
    descriptor: Descriptor,
}

impl OperatorFactory for Pass {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn open(&self, context: OperatorContext) -> Result<Box<dyn Operator>, CallFailure> {
        if self.descriptor.states.is_empty() {
            return Ok(Box::new(Passing { cured: Arc::clone(&self.cured), context }));
        }
        Ok(Box::new(Keeping))
    }

    fn inspector(&self, _: OperatorContext) -> Result<Option<Box<dyn Inspector>>, CallFailure> {
        Ok((!self.descriptor.states.is_empty()).then(|| Box::new(InCapitals) as _))
    }
}

struct Passing {
    cured: Arc<AtomicBool>,
    context: OperatorContext,
}

impl Operator for Passing {
    fn process(
        &mut self,
        _: &Call,
        _: InputIndex,
        events: &EventBatch,
        _: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        for value in events.values().iter().flatten() {
            if value == b"poison" && !self.cured.load(Ordering::SeqCst) {
                return Err(CallFailure::BadRecord("it is poison".to_owned()));
            }
            if value.starts_with(b"log ") {
                self.context.log.line(LogLevel::Info, None, &String::from_utf8_lossy(value));
            }
        }
        let emissions = vec![Emission { port: PortIndex(0), rows: Rows::All }];
        Ok(Outcome { emissions, ..Outcome::default() })
    }
}

/// Keeps of `key:text` the text, in each of its states.
struct Keeping;

impl Operator for Keeping {
    fn process(
        &mut self,
        _: &Call,
        _: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        for (row, value) in (0..).zip(events.values().iter()) {
            let text = value.and_then(|value| value.split(|byte| *byte == b':').nth(1)).unwrap_or_default();
            let texts = Column::from_iter([Some(text)]);
            let kept = state
                .put(StateIndex(0), &[row], &texts)
                .and_then(|()| state.list_append(StateIndex(1), &[row], &texts))
                .and_then(|()| state.map_put(StateIndex(2), &[row], &texts, &Column::from_iter([Some(&b"1"[..])])));
            kept.map_err(|error| CallFailure::Host(error.to_string()))?;
        }
        let emissions = vec![Emission { port: PortIndex(0), rows: Rows::All }];
        Ok(Outcome { emissions, ..Outcome::default() })
    }
}

/// Shows the items of the list as `{"item": …}`, in capitals, and refuses to speak of anything else.
struct InCapitals;

impl Inspector for InCapitals {
    fn render(&mut self, of: Inspected<'_>, entry: &StoredEntry) -> Result<ShownEntry, CallFailure> {
        let value = String::from_utf8_lossy(entry.value.as_deref().unwrap_or_default()).to_uppercase();
        match of.state {
            "all" => Ok(ShownEntry { name: None, value: Some(json!({"item": value}).to_string()) }),
            other => Err(CallFailure::BadRecord(format!("`{other}` has no words"))),
        }
    }

    fn parse(&mut self, of: Inspected<'_>, entry: &ShownEntry) -> Result<StoredEntry, CallFailure> {
        let read = |json: &String| serde_json::from_str::<Value>(json).ok().map(|json| json["item"].clone());
        match (of.state, entry.value.as_ref().and_then(read)) {
            ("all", Some(Value::String(item))) => {
                Ok(StoredEntry { name: None, value: Some(item.to_lowercase().into_bytes()) })
            }
            ("all", _) => Err(CallFailure::BadRecord("an item is `{\"item\": TEXT}`".to_owned())),
            (other, _) => Err(CallFailure::BadRecord(format!("`{other}` has no words"))),
        }
    }
}
