//! What is told of a shadow.

use gristmill_types::{CheckpointId, EventBatch, ModuleHash, NodeId, PortIndex, SubtaskIndex};
use serde::{Deserialize, Serialize};

/// What a shadow may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShadowPolicy {
    /// Bytes of events that may wait for it, all subtasks together. One more, and it is over.
    pub room_bytes: usize,
    /// Calls that may wait for it, in each subtask.
    pub room_calls: usize,
    /// Differences that are kept as samples, all subtasks together.
    pub samples: usize,
}

impl Default for ShadowPolicy {
    fn default() -> Self {
        Self { room_bytes: 256 << 20, room_calls: 1 << 16, samples: 20 }
    }
}

/// How far a shadow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShadowStage {
    /// It waits for the checkpoint that its state begins with.
    Waiting,
    /// It gets what the operator gets.
    Following,
    /// It runs no more; what it found stays.
    Over,
}

impl ShadowStage {
    /// The stage in a word, as serde writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Following => "following",
            Self::Over => "over",
        }
    }
}

/// What a shadow has found so far.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowReport {
    /// Beside which operator it runs.
    pub operator: NodeId,
    /// The module that runs in the operator.
    pub primary: ModuleHash,
    /// The module that runs in the shadow.
    pub shadow: ModuleHash,
    /// How far it is.
    pub stage: ShadowStage,
    /// Why it is over.
    pub cause: Option<String>,
    /// The checkpoint that its state began with.
    pub from: Option<CheckpointId>,
    /// All subtasks together.
    pub counts: ShadowCounts,
    /// How its calls failed, by kind.
    pub failures: Vec<ShadowFailure>,
    /// The first differences.
    pub samples: Vec<ShadowSample>,
    /// Calls of the operator that wait for it.
    pub waiting_calls: usize,
    /// Bytes of their events.
    pub waiting_bytes: usize,
}

/// What was laid side by side. Output events are compared by port, key, value and time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShadowCounts {
    /// Calls that took effect in the operator and in the shadow.
    pub calls: u64,
    /// Events that these calls got.
    pub events: u64,
    /// Events that left the operator by these calls.
    pub compared: u64,
    /// Those that left the shadow with another value, key or time.
    pub differing: u64,
    /// Those that did not leave the shadow.
    pub missing: u64,
    /// Events that left the shadow only.
    pub extra: u64,
    /// Rows that only one of both refused.
    pub rejections_differing: u64,
    /// Calls that took effect in the operator and failed in the shadow.
    pub failed_calls: u64,
    /// Events that these calls got.
    pub failed_events: u64,
    /// Nanoseconds of the operator's calls, by the clock on the wall.
    pub primary_ns: u64,
    /// Nanoseconds of the shadow's calls, of its thread alone where the system tells.
    pub shadow_ns: u64,
    /// Memory of the shadow's guests, at its highest; nothing where they do not tell.
    pub memory_bytes: u64,
    /// Bytes of the shadow's state.
    pub state_bytes: u64,
}

impl ShadowCounts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.events += other.events;
        self.compared += other.compared;
        self.differing += other.differing;
        self.missing += other.missing;
        self.extra += other.extra;
        self.rejections_differing += other.rejections_differing;
        self.failed_calls += other.failed_calls;
        self.failed_events += other.failed_events;
        self.primary_ns += other.primary_ns;
        self.shadow_ns += other.shadow_ns;
        self.memory_bytes += other.memory_bytes;
        self.state_bytes += other.state_bytes;
    }
}

/// One kind of failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowFailure {
    /// As dead letters have it: `bad-record`, `trap`, `deadline`.
    pub kind: String,
    /// So many calls failed so.
    pub calls: u64,
    /// How the first of them failed.
    pub message: String,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowSample {
    /// In which subtask.
    pub subtask: SubtaskIndex,
    /// Through which port.
    pub port: PortIndex,
    /// The event that led to it, if that is known.
    pub input: Option<ShadowEvent>,
    /// What left the operator; nothing if the shadow's is extra.
    pub primary: Option<ShadowEvent>,
    /// What left the shadow; nothing if it is missing there.
    pub shadow: Option<ShadowEvent>,
}

/// An event of a sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShadowEvent {
    /// Its event time, milliseconds since the epoch.
    pub timestamp: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; only the beginning of a long one.
    pub value: Option<Vec<u8>>,
}

/// Bytes of a key or a value that a sample keeps.
const SAMPLED_BYTES: usize = 1024;

impl ShadowEvent {
    pub(crate) fn new(timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Self {
        let cut = |bytes: &[u8]| bytes[..bytes.len().min(SAMPLED_BYTES)].to_vec();
        Self { timestamp, key: key.map(cut), value: value.map(cut) }
    }

    pub(crate) fn of_row(events: &EventBatch, row: usize) -> Self {
        Self::new(events.timestamps()[row], events.keys().get(row), events.values().get(row))
    }
}
