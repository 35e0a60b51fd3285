//! Native twins: the guests' operators, compiled into the host and run by the same engine.

use std::sync::Arc;

use gristmill_ports::module_registry::{Admission, ModuleRegistry, PrepareOptions, Prepared, Refusal};
use gristmill_ports::{Call, Operator, OperatorContext, OperatorFactory, StateBackend};
use gristmill_types::descriptor::{ClockKind, InputSpec, OutputSpec, StateKind, StateScope, StateSpec};
use gristmill_types::{
    CallFailure, Column, Descriptor, Emission, EventBatch, InputIndex, Outcome, PortIndex, Rows, StateIndex,
};

/// A registry whose modules are the twins; the bytes of a module are its name.
pub(crate) struct Twins;

impl ModuleRegistry for Twins {
    fn admit(&self, bytes: &[u8]) -> Result<Admission, Refusal> {
        Err(no_twin(bytes))
    }

    fn prepare(&self, bytes: &[u8], options: &PrepareOptions) -> Result<Prepared, Refusal> {
        let factory = match bytes {
            b"filter" => Twin { descriptor: descriptor(false), make: |settings| Box::new(Filter::new(settings)) },
            b"keyed-count" => Twin { descriptor: descriptor(true), make: |_| Box::new(KeyedCount) },
            other => return Err(no_twin(other)),
        };
        let parameters = options.parameters.clone().unwrap_or_default().to_string();
        Ok(Prepared { factory: Arc::new(factory), parameters })
    }
}

fn no_twin(name: &[u8]) -> Refusal {
    let message = format!("there is no native twin `{}`", String::from_utf8_lossy(name));
    Refusal { code: "no-twin".to_owned(), message, details: Vec::new() }
}

struct Twin {
    descriptor: Descriptor,
    make: fn(&serde_json::Value) -> Box<dyn Operator>,
}

impl OperatorFactory for Twin {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn open(&self, context: OperatorContext) -> Result<Box<dyn Operator>, CallFailure> {
        let settings =
            serde_json::from_str(&context.parameters).map_err(|error| CallFailure::Fatal(error.to_string()))?;
        Ok((self.make)(&settings))
    }
}

fn descriptor(keyed: bool) -> Descriptor {
    let count = StateSpec {
        name: "count".to_owned(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        version: 1,
        ttl_ms: None,
        ttl_clock: ClockKind::EventTime,
    };
    Descriptor {
        inputs: vec![InputSpec { name: "in".to_owned(), keyed }],
        outputs: vec![OutputSpec { name: "out".to_owned(), keeps_key: true }],
        states: if keyed { vec![count] } else { Vec::new() },
        ..Descriptor::default()
    }
}

fn emitted(rows: Rows) -> Outcome {
    Outcome { emissions: vec![Emission { port: PortIndex(0), rows }], ..Outcome::default() }
}

/// Keeps events whose byte at a place is a letter.
struct Filter {
    offset: usize,
    letter: u8,
}

impl Filter {
    fn new(settings: &serde_json::Value) -> Self {
        let letter = settings["letter"].as_str().and_then(|letter| letter.bytes().next());
        Self {
            offset: settings["offset"].as_u64().expect("the benchmark gives an offset") as usize,
            letter: letter.expect("the benchmark gives a letter"),
        }
    }
}

impl Operator for Filter {
    fn process(
        &mut self,
        _: &Call,
        _: InputIndex,
        events: &EventBatch,
        _: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        let values = events.values();
        let passes = |row: &u32| values.bytes_of(*row as usize).get(self.offset) == Some(&self.letter);
        Ok(emitted(Rows::Selected((0..events.len() as u32).filter(passes).collect())))
    }
}

/// Counts events by key and emits the count of each event's key so far, as the guest does.
struct KeyedCount;

impl Operator for KeyedCount {
    fn process(
        &mut self,
        _: &Call,
        _: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        let broken = |error: gristmill_ports::state::StateError| CallFailure::Fatal(error.to_string());
        let rows: Vec<u32> = (0..events.len() as u32).collect();
        let read = state.get(StateIndex(0), &rows).map_err(broken)?;
        let mut counts: Vec<u64> = read.values.iter().map(decoded).collect();
        let mut last_row = vec![0; counts.len()];
        let mut values = Column::with_capacity(rows.len(), 8 * rows.len());
        for (row, slot) in rows.iter().zip(&read.slots) {
            let count = &mut counts[*slot as usize];
            *count += 1;
            last_row[*slot as usize] = *row;
            values.push(Some(&count.to_le_bytes()));
        }
        let mut written = Column::with_capacity(counts.len(), 8 * counts.len());
        counts.iter().for_each(|count| written.push(Some(&count.to_le_bytes())));
        state.put(StateIndex(0), &last_row, &written).map_err(broken)?;
        Ok(emitted(Rows::Mapped { rows, values }))
    }
}

fn decoded(value: Option<&[u8]>) -> u64 {
    value.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_le_bytes)
}
