//! Dead letters in memory.

use std::collections::BTreeSet;
use std::sync::Mutex;

use gristmill_ports::PortError;
use gristmill_ports::dead_letters::{DeadLetterStore, Epoch, KeptLetter};
use gristmill_types::{CheckpointId, DeadLetter, JobId, RunId};

/// Keeps the letters of one job.
#[derive(Default)]
pub(crate) struct Letters {
    kept: Mutex<Vec<DeadLetter>>,
    /// Behind which checkpoint each stands.
    after: Mutex<Vec<CheckpointId>>,
    replayed: Mutex<BTreeSet<u64>>,
    /// Why nothing can be kept, if so.
    full: Option<String>,
}

impl Letters {
    /// A store that can keep nothing, for this reason.
    pub(crate) fn full(why: &str) -> Self {
        Self { full: Some(why.to_owned()), ..Self::default() }
    }

    pub(crate) fn all(&self) -> Vec<DeadLetter> {
        self.kept.lock().unwrap().clone()
    }

    /// The checkpoint behind which each stands.
    pub(crate) fn after(&self) -> Vec<CheckpointId> {
        self.after.lock().unwrap().clone()
    }

    /// Kind and value of each.
    pub(crate) fn briefly(&self) -> Vec<(String, String)> {
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).unwrap();
        self.all().into_iter().map(|letter| (letter.reason.kind, text(letter.value))).collect()
    }
}

impl DeadLetterStore for Letters {
    fn append(&self, _: &JobId, epoch: Epoch, letters: &[DeadLetter]) -> Result<(), PortError> {
        if let Some(why) = &self.full {
            return Err(PortError::fatal(why.clone()));
        }
        self.kept.lock().unwrap().extend_from_slice(letters);
        self.after.lock().unwrap().extend(letters.iter().map(|_| epoch.after));
        Ok(())
    }

    fn decided(&self, _: &JobId, _: RunId, _: CheckpointId) -> Result<(), PortError> {
        Ok(())
    }

    fn abort_behind(&self, _: &JobId, _: RunId, _: Option<CheckpointId>) -> Result<(), PortError> {
        Ok(())
    }

    fn page(&self, _: &JobId, from: u64, limit: usize) -> Result<Vec<KeptLetter>, PortError> {
        let letters = (from..).zip(self.all().into_iter().skip(from as usize)).take(limit);
        Ok(letters.map(|(number, letter)| KeptLetter { number, letter, is_decided: true }).collect())
    }

    fn count(&self, _: &JobId) -> Result<u64, PortError> {
        Ok(self.kept.lock().unwrap().len() as u64)
    }

    fn mark_replayed(&self, _: &JobId, _: Epoch, numbers: &[u64]) -> Result<(), PortError> {
        self.replayed.lock().unwrap().extend(numbers);
        Ok(())
    }

    fn is_replayed(&self, _: &JobId, number: u64) -> Result<bool, PortError> {
        Ok(self.replayed.lock().unwrap().contains(&number))
    }

    fn delete(&self, _: &JobId) -> Result<(), PortError> {
        self.kept.lock().unwrap().clear();
        Ok(())
    }
}
