//! A registry of one module, which passes events on: `poison` it calls a bad record, until it is told that the poison is
//! gone; `log …` it logs as well.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use gristmill_ports::module_registry::{
    Admission, CacheUse, ModuleForm, ModuleRegistry, PrepareOptions, Prepared, Refusal,
};
use gristmill_ports::telemetry::LogLevel;
use gristmill_ports::{Call, Operator, OperatorContext, OperatorFactory, StateBackend};
use gristmill_types::descriptor::{InputSpec, OutputSpec};
use gristmill_types::{
    CallFailure, Descriptor, Emission, EventBatch, InputIndex, ModuleHash, Outcome, PortIndex, Rows,
};
use serde_json::json;

/// The bytes of a module.
pub(crate) const WASM: &[u8] = b"\0asm one";

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
            descriptor: descriptor(),
            warnings: Vec::new(),
        })
    }

    fn prepare(&self, _: &[u8], options: &PrepareOptions) -> Result<Prepared, Refusal> {
        let mut parameters = options.parameters.clone().unwrap_or(json!({}));
        if let Some(wrong) = parameters.get("wrong") {
            return Err(Refusal {
                code: "bad-parameters".to_owned(),
                message: format!("{wrong} is not a number"),
                details: Vec::new(),
            });
        }
        parameters["limit"] = json!(10);
        let factory = Arc::new(Pass { cured: Arc::clone(&self.cured), descriptor: descriptor() });
        Ok(Prepared { factory, parameters: parameters.to_string() })
    }
}

fn descriptor() -> Descriptor {
    Descriptor {
        inputs: vec![InputSpec { name: "in".to_owned(), keyed: false }],
        outputs: vec![OutputSpec { name: "out".to_owned(), keeps_key: true }],
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
        Ok(Box::new(Passing { cured: Arc::clone(&self.cured), context }))
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
