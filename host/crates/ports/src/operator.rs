//! Operators, wherever their code runs.

use std::sync::Arc;
use std::time::Duration;

use gristmill_types::{
    CallFailure, Descriptor, EventBatch, InputIndex, JobId, KeyGroupRange, MaxParallelism, NodeId, Outcome,
    Parallelism, SubtaskIndex, Watermark,
};
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::inspection::Inspector;
use crate::migration::Migrator;
use crate::signal::Signal;
use crate::state::StateBackend;
use crate::telemetry::GuestLog;

/// What stays the same during one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// The input's watermark.
    pub watermark: Watermark,
    /// Wall clock, milliseconds since the epoch; stands still during the call.
    pub processing_time_ms: i64,
    /// Changes whenever cached reads of state have become void.
    pub state_generation: u64,
}

/// One subtask's instance of an operator. Driven by one thread, which is not a tokio worker.
pub trait Operator: Send {
    /// Handles a batch, never an empty one. Writes go into the open call of `state`; the caller commits them if this
    /// returns `Ok`, and rolls them back otherwise.
    ///
    /// `state` is borrowed as a box, so that an implementation may move it elsewhere for the length of the call; it
    /// must be back in its place on return.
    ///
    /// A call ends soon after [`OperatorContext::interrupt`] was raised.
    ///
    /// The outcome is checked: its ports and rows exist, selected rows ascend strictly, created columns are even, no
    /// row is both rejected and emitted.
    ///
    /// # Errors
    /// How the call failed. After [`CallFailure::Fault`] the next call finds a fresh instance.
    fn process(
        &mut self,
        call: &Call,
        input: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure>;

    /// What the instance of the last call was opened with, also if that call ended it; `None` if calls of this operator
    /// cannot be made again elsewhere.
    fn record(&self) -> Option<InstanceRecord> {
        None
    }

    /// Bytes of memory that an instance has taken at most so far; `None` if nobody counts them.
    fn peak_memory(&self) -> Option<u64> {
        None
    }
}

/// What an instance was opened with, for whoever opens another that behaves as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// Which subtask.
    pub subtask: SubtaskIndex,
    /// Of how many.
    pub parallelism: Parallelism,
    /// Key groups of the job.
    pub max_parallelism: MaxParallelism,
    /// As in [`OperatorContext`].
    pub keys_in_place: bool,
    /// As in [`OperatorContext`].
    pub parameters: String,
    /// The [`OperatorContext::seed`] with which the first instance that is opened draws the same random numbers.
    pub seed: u64,
    /// The wall clock when it was opened, in milliseconds since the epoch.
    pub opened_ms: i64,
    /// Calls that it had handled before the last one. What they left in its memory is not recorded.
    pub calls: u64,
    /// Its limits.
    pub limits: InstanceLimits,
    /// What its module declares.
    pub descriptor: Descriptor,
}

/// The bounds of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceLimits {
    /// Linear memory, in bytes.
    pub memory_bytes: u64,
    /// How long one call may take.
    pub call: Duration,
    /// Bytes that one call may return or hand to imports.
    pub output_bytes: u64,
    /// Bytes of log lines in one second.
    pub log_bytes: u64,
}

/// Makes the instances of one operator of one job: a module, prepared.
pub trait OperatorFactory: Send + Sync {
    /// What the module declares.
    fn descriptor(&self) -> &Descriptor;

    /// Makes and opens the instance of one subtask.
    ///
    /// # Errors
    /// What the module's `open` said, or why it could not be called.
    fn open(&self, context: OperatorContext) -> Result<Box<dyn Operator>, CallFailure>;

    /// Whether [`Self::migrator`] gives one.
    fn migrates(&self) -> bool {
        false
    }

    /// Makes an instance that rewrites what other versions have written; `None` if the module cannot.
    ///
    /// # Errors
    /// Why it could not be made.
    fn migrator(&self, _context: OperatorContext) -> Result<Option<Box<dyn Migrator>>, CallFailure> {
        Ok(None)
    }

    /// Makes an instance that shows state to people; `None` if the module cannot.
    ///
    /// # Errors
    /// Why it could not be made.
    fn inspector(&self, _context: OperatorContext) -> Result<Option<Box<dyn Inspector>>, CallFailure> {
        Ok(None)
    }
}

/// What an instance is told, and handed, when it opens.
#[derive(Clone)]
pub struct OperatorContext {
    /// The job.
    pub job: JobId,
    /// The operator.
    pub operator: NodeId,
    /// Which subtask.
    pub subtask: SubtaskIndex,
    /// Of how many.
    pub parallelism: Parallelism,
    /// Key groups of the job.
    pub max_parallelism: MaxParallelism,
    /// The key groups of this subtask; created keys of a `keeps-key` port must lie in them.
    pub key_groups: KeyGroupRange,
    /// Whether all events that come in stand in the subtask of their key; only then do `keeps-key` ports keep anything.
    pub keys_in_place: bool,
    /// Parameters as JSON, checked and with defaults filled in; `{}` if there are none.
    pub parameters: String,
    /// The same as the job's document has them, placeholders in place: what may be stored, since secrets never are. `None`:
    /// they hold none.
    pub written_parameters: Option<String>,
    /// Where log lines go.
    pub log: Arc<dyn GuestLog>,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
    /// Seed of the guest's random numbers; another for each subtask and each run.
    pub seed: u64,
    /// Tells that the job is over; calls then end soon.
    pub interrupt: Signal,
}
