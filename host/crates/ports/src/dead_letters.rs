//! Where dead letters are kept.

use gristmill_types::{DeadLetter, JobId};

use crate::error::PortError;

/// Keeps dead letters, in order, for each job.
///
/// # Errors
/// Every function: `Fatal` if the store cannot be read or written.
#[expect(clippy::missing_errors_doc, reason = "one sentence above serves all")]
pub trait DeadLetterStore: Send + Sync {
    /// Adds letters behind all others of the job. Called from the threads of subtasks.
    fn append(&self, job: &JobId, letters: &[DeadLetter]) -> Result<(), PortError>;
    /// Letters from number `from` on (counted from zero), at most `limit`, each with its number.
    fn page(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<(u64, DeadLetter)>, PortError>;
    /// How many there are.
    fn count(&self, job: &JobId) -> Result<u64, PortError>;
    /// Marks letters as replayed, so that they are not replayed again.
    fn mark_replayed(&self, job: &JobId, numbers: &[u64]) -> Result<(), PortError>;
    /// Whether a letter was replayed.
    fn is_replayed(&self, job: &JobId, number: u64) -> Result<bool, PortError>;
    /// Forgets all letters of a job.
    fn delete(&self, job: &JobId) -> Result<(), PortError>;
}
