//! The host's parts, with dead letters counted as a mistake of the benchmark.

use std::path::PathBuf;
use std::sync::Arc;

use gristmill::clock::SystemClock;
use gristmill::wiring::HostParts;
use gristmill_ports::PortError;
use gristmill_ports::dead_letters::{DeadLetterStore, Epoch, KeptLetter};
use gristmill_types::{CheckpointId, DeadLetter, JobId, RunId};

/// The parts that `gristmill run` would use.
pub(crate) fn host_parts() -> HostParts {
    HostParts::new(PathBuf::from("."), Arc::new(NoLetters), Arc::new(SystemClock::default()))
}

/// A benchmark has no bad events.
struct NoLetters;

impl DeadLetterStore for NoLetters {
    fn append(&self, _: &JobId, _: Epoch, letters: &[DeadLetter]) -> Result<(), PortError> {
        Err(PortError::fatal(format!("a benchmark set an event aside: {}", letters[0].reason.message)))
    }
    fn decided(&self, _: &JobId, _: RunId, _: CheckpointId) -> Result<(), PortError> {
        Ok(())
    }
    fn abort_behind(&self, _: &JobId, _: RunId, _: Option<CheckpointId>) -> Result<(), PortError> {
        Ok(())
    }
    fn page(&self, _: &JobId, _: u64, _: usize) -> Result<Vec<KeptLetter>, PortError> {
        Ok(Vec::new())
    }
    fn count(&self, _: &JobId) -> Result<u64, PortError> {
        Ok(0)
    }
    fn mark_replayed(&self, _: &JobId, _: Epoch, _: &[u64]) -> Result<(), PortError> {
        Ok(())
    }
    fn is_replayed(&self, _: &JobId, _: u64) -> Result<bool, PortError> {
        Ok(false)
    }
    fn delete(&self, _: &JobId) -> Result<(), PortError> {
        Ok(())
    }
}
