//! How the runtime gets concrete parts without knowing any: the host's wiring implements this.

use std::sync::Arc;

use gristmill_dataflow::document::{KeyBy, SinkSpec, SourceSpec};
use gristmill_types::{Descriptor, JobId, KeyGroupRange, MaxParallelism, NodeId, Parallelism, RunId, SubtaskIndex};

use crate::clock::Clock;
use crate::dead_letters::DeadLetterStore;
use crate::error::PortError;
use crate::format::KeySelector;
use crate::signal::Signal;
use crate::sink::Sink;
use crate::source::SourceReader;
use crate::state::StateBackend;

/// Which subtask of which node of which job a part is made for.
#[derive(Debug, Clone)]
pub struct PartContext {
    /// The job.
    pub job: JobId,
    /// Which run of it.
    pub run: RunId,
    /// The node.
    pub node: NodeId,
    /// Which subtask.
    pub subtask: SubtaskIndex,
    /// Of how many.
    pub parallelism: Parallelism,
    /// Key groups of the job.
    pub max_parallelism: MaxParallelism,
    /// Raised when the job is cancelled: whatever the part waits for is given up then, with an error of kind `Retry`.
    pub cancelled: Signal,
}

impl PartContext {
    /// The key groups that the subtask owns.
    #[must_use]
    pub fn key_groups(&self) -> KeyGroupRange {
        self.max_parallelism.owned_by(self.subtask, self.parallelism)
    }
}

/// Makes the parts of a job.
///
/// # Errors
/// Every function: why the part cannot be had, and what to do about it.
#[expect(clippy::missing_errors_doc, reason = "one sentence above serves all")]
pub trait Parts: Send + Sync {
    /// Opens the reader of one subtask of a source.
    fn source(&self, context: &PartContext, spec: &SourceSpec) -> Result<Box<dyn SourceReader>, PortError>;
    /// Opens the writer of one subtask of a sink.
    fn sink(&self, context: &PartContext, spec: &SinkSpec) -> Result<Box<dyn Sink>, PortError>;
    /// Makes a finder of keys.
    fn key_selector(&self, key_by: &KeyBy) -> Result<Box<dyn KeySelector>, PortError>;
    /// Opens the state of one subtask of an operator.
    fn state(&self, context: &PartContext, descriptor: &Descriptor) -> Result<Box<dyn StateBackend>, PortError>;
    /// Where dead letters go.
    fn dead_letters(&self) -> Arc<dyn DeadLetterStore>;
    /// Where time comes from.
    fn clock(&self) -> Arc<dyn Clock>;
}
