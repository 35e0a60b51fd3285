//! What a bundle holds.

use gristmill_types::descriptor::StateKind;
use gristmill_types::failure::GuestFault;
use gristmill_types::{EventBatch, InputIndex, JobId, ModuleHash, NodeId, RunId, Watermark};
use serde::{Deserialize, Serialize};

use crate::crash::name::CrashName;
use crate::operator::{Call, InstanceRecord};

/// A call that ended in a fault.
///
/// Made again on a fresh instance opened as `instance` says, it sees the same events, state, clocks and random numbers. What it
/// does not see is the memory of an instance that had handled calls before: [`InstanceRecord::calls`] tells whether it had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CrashBundle {
    /// The job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// The operator.
    pub operator: NodeId,
    /// The module that ran in it.
    pub module: ModuleHash,
    /// When it happened, in milliseconds since the epoch by the host's clock.
    pub at_ms: i64,
    /// How the call ended.
    pub fault: GuestFault,
    /// What the instance was opened with.
    pub instance: InstanceRecord,
    /// The call.
    pub call: CallRecord,
    /// The input that the events came in by.
    pub input: InputIndex,
    /// The events of the call.
    pub events: EventBatch,
    /// What was kept for their keys before the call, state by state.
    pub states: Vec<StateBefore>,
    /// What of that is not here, in words: it did not fit, or could not be read.
    pub left_out: Vec<String>,
    /// The bytes of the module, where they were at hand when the bundle was given away.
    pub code: Option<Vec<u8>>,
}

/// What stood still during the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// The input's watermark, in milliseconds since the epoch.
    pub watermark_ms: i64,
    /// The wall clock, in milliseconds since the epoch.
    pub processing_time_ms: i64,
    /// Of the state.
    pub state_generation: u64,
}

impl From<Call> for CallRecord {
    fn from(call: Call) -> Self {
        let Call { watermark, processing_time_ms, state_generation } = call;
        Self { watermark_ms: watermark.0, processing_time_ms, state_generation }
    }
}

impl From<CallRecord> for Call {
    fn from(record: CallRecord) -> Self {
        let CallRecord { watermark_ms, processing_time_ms, state_generation } = record;
        Self { watermark: Watermark(watermark_ms), processing_time_ms, state_generation }
    }
}

/// One state of the operator, as far as the call could see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateBefore {
    /// Its name.
    pub state: String,
    /// Its shape.
    pub kind: StateKind,
    /// The version of its schema.
    pub version: u32,
    /// What was in it, key by key; lists in their order.
    pub entries: Vec<EntryBefore>,
}

/// An entry of a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryBefore {
    /// The event's key.
    pub key: Vec<u8>,
    /// The key within the map; `None` for values and lists.
    pub map_key: Option<Vec<u8>>,
    /// The value.
    pub value: Vec<u8>,
}

impl CrashBundle {
    /// Its name: the same for every crash of a module with the same fault in the same place.
    #[must_use]
    pub fn name(&self) -> CrashName {
        let GuestFault { kind, message, backtrace } = &self.fault;
        CrashName::of(&self.operator, self.module, kind.as_str(), message, backtrace)
    }
}
