//! Where dead letters are kept.

use gristmill_types::{CheckpointId, DeadLetter, JobId, RunId};
use serde::{Deserialize, Serialize};

use crate::error::PortError;

/// When something happened, in the order of checkpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Epoch {
    /// In which run.
    pub run: RunId,
    /// Behind the barrier of this checkpoint, as the subtask saw it: it belongs to the first decided checkpoint with a
    /// higher number. Zero: before any.
    pub after: CheckpointId,
}

/// A letter as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptLetter {
    /// Counts the job's letters from zero; those of aborted epochs leave gaps.
    pub number: u64,
    /// The letter.
    pub letter: DeadLetter,
    /// It belongs to a checkpoint that is decided. Until then it goes away if the job goes back.
    pub is_decided: bool,
}

/// Keeps dead letters, in order, for each job: a two-phase sink like any other. Letters, and marks on them, are durable
/// at once and count from when a checkpoint is decided that has their epoch.
///
/// # Errors
/// Every function: `Fatal` if the store cannot be read or written.
#[expect(clippy::missing_errors_doc, reason = "one sentence above serves all")]
pub trait DeadLetterStore: Send + Sync {
    /// Adds letters behind all others of the job. Called from the threads of subtasks.
    fn append(&self, job: &JobId, epoch: Epoch, letters: &[DeadLetter]) -> Result<(), PortError>;
    /// A checkpoint is decided: everything of earlier epochs of its run counts.
    fn decided(&self, job: &JobId, run: RunId, checkpoint: CheckpointId) -> Result<(), PortError>;
    /// The run goes on from this checkpoint, or from its beginning: what it did behind it is forgotten.
    fn abort_behind(&self, job: &JobId, run: RunId, restored: Option<CheckpointId>) -> Result<(), PortError>;
    /// Letters from number `from` on (counted from zero), at most `limit`.
    fn page(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<KeptLetter>, PortError>;
    /// How many there are.
    fn count(&self, job: &JobId) -> Result<u64, PortError>;
    /// Marks letters as replayed, so that they are not replayed again.
    fn mark_replayed(&self, job: &JobId, epoch: Epoch, numbers: &[u64]) -> Result<(), PortError>;
    /// Whether a letter was replayed.
    fn is_replayed(&self, job: &JobId, number: u64) -> Result<bool, PortError>;
    /// Forgets all letters of a job.
    fn delete(&self, job: &JobId) -> Result<(), PortError>;
}
