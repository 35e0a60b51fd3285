//! What a module says of itself: ports, states, parameters. Mirrors `descriptor` of `wit/operator.wit`.

use serde::{Deserialize, Serialize};

use crate::id::{InputIndex, PortIndex, StateIndex};

/// How a state is shaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateKind {
    /// One byte string per key.
    Value,
    /// A growing list of byte strings per key.
    AppendList,
    /// A map of byte strings per key, ordered by its keys' bytes.
    OrderedMap,
    /// The accumulators of a window function.
    Accumulator,
}

/// Whose state it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateScope {
    /// Each key's own.
    Keyed,
    /// The same for all subtasks.
    Broadcast,
}

/// By which clock something expires or fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockKind {
    /// The events' own time.
    EventTime,
    /// The wall clock of the host.
    ProcessingTime,
}

/// One state of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSpec {
    /// Unique in the module; the lasting identity is (job, operator, name).
    pub name: String,
    /// Its shape.
    pub kind: StateKind,
    /// Whose it is.
    pub scope: StateScope,
    /// The version of its schema.
    pub version: u32,
    /// Milliseconds after which an entry that was not written again is gone.
    pub ttl_ms: Option<u64>,
    /// The clock of `ttl_ms`.
    pub ttl_clock: ClockKind,
}

/// One timer of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerSpec {
    /// Unique in the module.
    pub name: String,
    /// Its clock.
    pub clock: ClockKind,
}

/// One input of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputSpec {
    /// Unique in the module.
    pub name: String,
    /// Whether events must come keyed.
    pub keyed: bool,
}

/// One output port of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutputSpec {
    /// Unique in the module.
    pub name: String,
    /// Whether events leave under the key under which they came.
    pub keeps_key: bool,
}

/// All that a module declares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Inputs, in the order of their indices.
    pub inputs: Vec<InputSpec>,
    /// Output ports, in the order of their indices.
    pub outputs: Vec<OutputSpec>,
    /// States, in the order of their indices.
    pub states: Vec<StateSpec>,
    /// Timers, in the order of their indices.
    pub timers: Vec<TimerSpec>,
    /// Names of metrics, in the order of their indices.
    pub metrics: Vec<String>,
    /// JSON Schema 2020-12 of the parameters; empty for none.
    pub parameters_schema: String,
    /// Abilities beyond the declared states and timers.
    pub capabilities: Vec<String>,
    /// Free text pairs: a place for what a later version may want to say.
    pub annotations: Vec<(String, String)>,
}

impl Descriptor {
    /// The input of this name.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<InputIndex> {
        self.inputs.iter().position(|input| input.name == name).map(|at| InputIndex(at as u32))
    }

    /// The output port of this name.
    #[must_use]
    pub fn output(&self, name: &str) -> Option<PortIndex> {
        self.outputs.iter().position(|output| output.name == name).map(|at| PortIndex(at as u32))
    }

    /// The state at this index.
    #[must_use]
    pub fn state(&self, index: StateIndex) -> Option<&StateSpec> {
        self.states.get(index.at())
    }

    /// Whether the operator touches keyed state.
    #[must_use]
    pub fn is_stateful(&self) -> bool {
        self.states.iter().any(|state| state.scope == StateScope::Keyed)
    }
}
