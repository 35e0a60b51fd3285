//! The contract on bare bindings, and a well-behaved operator for the guests of this folder to depart from.
//!
//! A guest here implements [`Operator`], overrides what it does differently, and ends with `contract::export!(It);`. One
//! that rewrites state implements [`Migration`] too, and ends with `contract::export_migration!(It);` as well; one that shows
//! it, [`Inspection`] and `contract::export_inspection!(It);`.
//! Made from `wit/` alone; knows neither the SDK nor the host.

#![warn(missing_docs)]

pub mod bindings;

pub mod column;

pub mod count;

pub mod tally;

pub use bindings::export;
pub use bindings::exports::gristmill::operator::{guest, processor};
pub use bindings::gristmill::operator::types::{
    Batch, Call, Clock, Column, Context, Descriptor, Emission, Failure, InputSpec, Mapped, Outcome, OutputSpec,
    Rejection, Rows, StateKind, StateScope, StateSpec,
};
pub use bindings::gristmill::operator::{log, metrics, state};
pub use bindings::inspections::export_inspection;
pub use bindings::inspections::exports::gristmill::operator::inspection::{self, Shown, Stored};
pub use bindings::migrations::export_migration;
pub use bindings::migrations::exports::gristmill::operator::migration::{self, Entries};

/// An operator that does nothing wrong: one un-keyed input `in`, one output `out`, every row let through.
pub trait Operator {
    /// What it says of itself.
    fn describe() -> Descriptor {
        descriptor()
    }

    /// Takes its parameters, JSON text.
    fn open(_parameters: String) -> Result<(), Failure> {
        Ok(())
    }

    /// Handles a batch of the only input.
    fn process(events: Batch) -> Result<Outcome, Failure> {
        let _ = events;
        Ok(emit(Rows::All))
    }
}

/// One that rewrites what another version has stored.
pub trait Migration {
    /// Rewrites a page from one version to another.
    fn migrate(from: u32, to: u32, page: Entries) -> Result<Entries, Failure>;
}

impl<T: Migration> migration::Guest for T {
    fn migrate(_state: String, from: u32, _kind: StateKind, to: u32, page: Entries) -> Result<Entries, Failure> {
        T::migrate(from, to, page)
    }
}

/// One that shows its state to people.
pub trait Inspection {
    /// An entry as JSON.
    fn render(entry: Stored) -> Result<Shown, String>;

    /// The bytes of an entry that is given as JSON.
    fn parse(entry: Shown) -> Result<Stored, String>;
}

impl<T: Inspection> inspection::Guest for T {
    fn render(_state: String, _version: u32, entry: Stored) -> Result<Shown, String> {
        T::render(entry)
    }

    fn parse(_state: String, _version: u32, entry: Shown) -> Result<Stored, String> {
        T::parse(entry)
    }
}

impl<T: Operator> guest::Guest for T {
    fn describe() -> Descriptor {
        T::describe()
    }

    fn open(parameters: String, _context: Context) -> Result<(), Failure> {
        T::open(parameters)
    }
}

impl<T: Operator> processor::Guest for T {
    fn process(_call: Call, _input: u32, events: Batch) -> Result<Outcome, Failure> {
        T::process(events)
    }
}

/// One un-keyed input `in`, one output `out`, nothing else.
pub fn descriptor() -> Descriptor {
    Descriptor {
        inputs: vec![InputSpec { name: "in".into(), keyed: false }],
        outputs: vec![OutputSpec { name: "out".into(), keeps_key: false }],
        states: vec![],
        timers: vec![],
        metrics: vec![],
        parameters_schema: "{}".into(),
        capabilities: vec![],
        annotations: vec![],
    }
}

/// As [`descriptor`], with a keyed input, an output that keeps the key, and one keyed state of each kind given.
pub fn keyed_descriptor(states: &[(&str, StateKind)]) -> Descriptor {
    let mut descriptor = descriptor();
    descriptor.inputs[0].keyed = true;
    descriptor.outputs[0].keeps_key = true;
    descriptor.states = states
        .iter()
        .map(|(name, kind)| StateSpec {
            name: (*name).into(),
            kind: *kind,
            scope: StateScope::Keyed,
            version: 1,
            ttl_ms: None,
            ttl_clock: Clock::EventTime,
        })
        .collect();
    descriptor
}

/// As [`descriptor`], with one parameter, a whole number.
pub fn descriptor_with(parameter: &str, default: u64) -> Descriptor {
    let schema = serde_json::json!({
        "type": "object",
        "additionalProperties": false,
        "properties": { parameter: { "type": "integer", "minimum": 0, "default": default } },
    });
    Descriptor { parameters_schema: schema.to_string(), ..descriptor() }
}

/// The parameter of [`descriptor_with`]; the host has checked it and filled in its default.
pub fn parameter(parameters: &str, name: &str) -> Result<u64, Failure> {
    serde_json::from_str::<serde_json::Value>(parameters)
        .ok()
        .and_then(|parameters| parameters.get(name)?.as_u64())
        .ok_or_else(|| Failure::Fatal(format!("parameter `{name}` is missing from `{parameters}`")))
}

/// These rows to the first output, none rejected.
pub fn emit(rows: Rows) -> Outcome {
    Outcome { emissions: vec![Emission { port: 0, rows }], rejections: vec![] }
}

/// The rows whose value contains this text.
pub fn rows_with(text: &str, events: &Batch) -> Vec<u32> {
    let holds = |value: &[u8]| value.windows(text.len()).any(|part| part == text.as_bytes());
    let rows = column::iter(&events.values).enumerate();
    rows.filter(|(_, value)| value.is_some_and(holds)).map(|(row, _)| row as u32).collect()
}
