//! Where events go.

use gristmill_checkpoint::coordinator::Staged;
use gristmill_checkpoint::{CommitPermit, Committable};
use gristmill_types::{AttemptId, CheckpointId, EventBatch};

use crate::checkpoint_store::FileStore;
use crate::error::PortError;

/// Writes the events of one subtask. Driven by one thread.
pub trait Sink: Send {
    /// Takes events; may keep them in a bounded buffer until [`Self::flush`]. Returns the rows that it can never write,
    /// ascending; all others were taken.
    ///
    /// # Errors
    /// `Retry`: nothing of this batch was taken; the caller hands over the same batch again after a backoff. `Fatal`:
    /// the job fails.
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError>;

    /// Brings everything taken so far out of the host. Called when the input pauses, and at its end.
    ///
    /// # Errors
    /// As for [`Self::write`]; what was not flushed is kept for the next try.
    fn flush(&mut self) -> Result<(), PortError>;

    /// Cuts here: all that was taken before belongs to the checkpoint, nothing taken later does. Quick: the stream stands
    /// still meanwhile; what takes long is left to the [`StagedOutput`].
    ///
    /// A sink that is not transactional has nothing to stage: it flushes, so that nothing before the cut is lost, and
    /// what comes after it may be written twice.
    ///
    /// # Errors
    /// As for [`Self::write`].
    fn pre_commit(&mut self, _checkpoint: CheckpointId) -> Result<Option<Box<dyn StagedOutput>>, PortError> {
        self.flush()?;
        Ok(None)
    }

    /// What the writer must know to go on behind the last [`Self::pre_commit`]; handed to [`crate::Parts::sink`] when the
    /// job goes on from there.
    fn position(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Ends the sink after the last flush: closes files, gives a summary for the job's report where there is one.
    ///
    /// # Errors
    /// As for [`Self::write`].
    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError>;
}

/// Output that was cut off by a checkpoint, on its way to be durable.
pub trait StagedOutput: Send {
    /// Makes it durable, and still invisible; says how it is to be committed. Called off the subtask's thread.
    ///
    /// # Errors
    /// `Retry` to be called again after a backoff; `Fatal`: the attempt fails.
    fn seal(&mut self, files: &dyn FileStore) -> Result<Vec<Staged>, PortError>;
}

/// Makes staged output of one sink visible. Driven by one thread, for all subtasks of the sink.
pub trait Committer: Send {
    /// Makes it visible; durable when this returns. May be called again for what is visible already, by this host or by
    /// another: source and target both missing means done.
    ///
    /// # Errors
    /// `Retry` to be called again after a backoff; `Fatal`: the attempt fails, and the next one tries again.
    fn commit(&mut self, permit: &CommitPermit, committable: &Committable) -> Result<(), PortError>;

    /// An attempt begins: what attempts that claimed the run before it have staged, and is not decided, was never and
    /// will never be, and is thrown away.
    ///
    /// Only attempts that are named count. An attempt that is slow to begin may have a successor already, whose staged
    /// output looks just as undecided to it.
    ///
    /// # Errors
    /// As for [`Self::commit`].
    fn abort_all_but(&mut self, decided: &[Committable], earlier: &[AttemptId]) -> Result<(), PortError>;
}

/// An event that a sink can never write, however often it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// Its row in the batch.
    pub row: u32,
    /// Why.
    pub reason: String,
}

/// What a sink took in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SinkSummary {
    /// Events.
    pub events: u64,
    /// Bytes of values.
    pub bytes: u64,
    /// The wrapping sum of the XXH3 of each value: the same for the same events in any order.
    pub checksum: u64,
}
