//! How the runtime gets concrete parts without knowing any: the host's wiring implements this.

use std::path::Path;
use std::sync::Arc;

use gristmill_checkpoint::{FileRef, SavepointFolder, SplitPosition};
use gristmill_dataflow::document::{CheckpointSpec, KeyBy, SinkSpec, SourceSpec};
use gristmill_types::{
    AttemptId, Descriptor, JobId, KeyGroupRange, MaxParallelism, NodeId, Parallelism, RunId, SubtaskIndex,
};

use crate::checkpoint_store::{CheckpointStore, FileStore};
use crate::clock::Clock;
use crate::crash::{CrashStore, NoCrashes};
use crate::dead_letters::DeadLetterStore;
use crate::error::PortError;
use crate::format::KeySelector;
use crate::signal::Signal;
use crate::sink::{Committer, Sink};
use crate::source::SourceReader;
use crate::state::{StateBackend, StateMerger, StateReader};

/// Which subtask of which node of which job a part is made for.
#[derive(Debug, Clone)]
pub struct PartContext {
    /// The job.
    pub job: JobId,
    /// Which run of it.
    pub run: RunId,
    /// Which attempt of the run.
    pub attempt: AttemptId,
    /// The node.
    pub node: NodeId,
    /// Which subtask.
    pub subtask: SubtaskIndex,
    /// Of how many.
    pub parallelism: Parallelism,
    /// Key groups of the job.
    pub max_parallelism: MaxParallelism,
    /// Which backend of the subtask's state: zero, or more for those that swaps put beside it in this attempt.
    pub layer: u32,
    /// Raised when the attempt is over: whatever the part waits for is given up then, with an error of kind `Retry`.
    pub cancelled: Signal,
}

impl PartContext {
    /// The key groups that the subtask owns.
    #[must_use]
    pub fn key_groups(&self) -> KeyGroupRange {
        self.max_parallelism.owned_by(self.subtask, self.parallelism)
    }
}

/// What a source had taken in and nobody had read, as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredTail {
    /// Where it is.
    pub file: FileRef,
    /// Events in it.
    pub events: u64,
}

/// How urgent the work of a background thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Urgency {
    /// A checkpoint waits for it.
    Soon,
    /// Nobody waits for it.
    Whenever,
}

/// Makes the parts of a job.
///
/// # Errors
/// Every function: why the part cannot be had, and what to do about it.
#[expect(clippy::missing_errors_doc, reason = "one sentence above serves all")]
pub trait Parts: Send + Sync {
    /// Opens the reader of one subtask of a source. Splits that stand among the positions, which are those of all
    /// subtasks, are read on from there; `None`: this is the beginning.
    fn source(
        &self,
        context: &PartContext,
        spec: &SourceSpec,
        resume: Option<&[SplitPosition]>,
    ) -> Result<Box<dyn SourceReader>, PortError>;
    /// Stores what a source of a job that runs has taken in and nobody has read, from these positions on, so that a
    /// savepoint can carry it with it: all of it that was acknowledged when this was asked. `None` if the source has
    /// nothing that is kept nowhere else. Blocks.
    fn tail(
        &self,
        _job: &JobId,
        _run: RunId,
        _source: &NodeId,
        _spec: &SourceSpec,
        _stands: &[SplitPosition],
        _to: &dyn FileStore,
    ) -> Result<Option<StoredTail>, PortError> {
        Ok(None)
    }
    /// Lays such a file where the source of another run finds it when it is opened at the same positions. Once that has
    /// been opened, it changes nothing. Blocks.
    fn adopt_tail(&self, _job: &JobId, _run: RunId, _source: &NodeId, _tail: &Path) -> Result<(), PortError> {
        Ok(())
    }
    /// Opens the writer of one subtask of a sink, to go on from its [`Sink::position`]; `None`: this is the beginning.
    fn sink(&self, context: &PartContext, spec: &SinkSpec, resume: Option<&[u8]>) -> Result<Box<dyn Sink>, PortError>;
    /// What commits the output of a sink, if the sink is transactional. The subtask of the context is the first.
    fn committer(
        &self,
        context: &PartContext,
        spec: &SinkSpec,
        files: &Arc<dyn FileStore>,
    ) -> Result<Option<Box<dyn Committer>>, PortError>;
    /// Makes a finder of keys.
    fn key_selector(&self, key_by: &KeyBy) -> Result<Box<dyn KeySelector>, PortError>;
    /// Opens the state of one subtask of an operator, empty.
    fn state(
        &self,
        context: &PartContext,
        descriptor: &Descriptor,
        spec: &CheckpointSpec,
    ) -> Result<Box<dyn StateBackend>, PortError>;
    /// What reads files of state, entry by entry.
    fn state_reader(&self) -> Arc<dyn StateReader>;
    /// What merges files of state in the background.
    fn state_merger(&self) -> Arc<dyn StateMerger>;
    /// Names this host to people who read the chain of a job.
    fn host(&self) -> String;
    /// Where checkpoints are kept.
    fn checkpoint_store(&self) -> Arc<dyn CheckpointStore>;
    /// The files of a run in that store, as an attempt sees them.
    fn files(&self, job: &JobId, run: RunId, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError>;
    /// The files of a savepoint in that store, for an attempt that writes it or starts from it.
    fn savepoint_files(&self, folder: &SavepointFolder, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError>;
    /// Where dead letters go.
    fn dead_letters(&self) -> Arc<dyn DeadLetterStore>;
    /// Where calls that ended in a fault are kept; nowhere, unless somebody says where.
    fn crashes(&self) -> Arc<dyn CrashStore> {
        Arc::new(NoCrashes)
    }
    /// Where time comes from.
    fn clock(&self) -> Arc<dyn Clock>;
    /// Called by a thread that works in the background, on itself: it stands back behind those that work on the stream.
    fn stand_back(&self, _urgency: Urgency) {}
    /// How long the calling thread has worked so far, its waits for a core left out; `None` if nobody counts that.
    fn worked(&self) -> Option<std::time::Duration> {
        None
    }
}
