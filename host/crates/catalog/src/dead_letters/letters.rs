//! The dead letters of one job: a log of them, and which of them count.
//!
//! A letter counts once its run has decided a checkpoint behind its epoch. The highest decided checkpoint of a run is
//! written down only when that changes what a letter is: a checkpoint of a job without undecided letters costs nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_ports::PortError;
use gristmill_ports::dead_letters::{Epoch, KeptLetter};
use gristmill_types::{CheckpointId, DeadLetter, JobId, RunId};

use super::log::{self, Log};
use super::numbers::Numbers;
use crate::letter_rows::LetterFates;
use crate::store::Store;

/// Before any checkpoint.
const BEGINNING: CheckpointId = CheckpointId(0);

/// All that is kept of the letters of a job.
pub(super) struct JobLetters {
    job: JobId,
    dir: PathBuf,
    store: Arc<Store>,
    /// `None` until somebody asked.
    opened: Option<Opened>,
}

/// What [`JobLetters::opened`] gives.
pub(crate) struct Opened {
    job: JobId,
    store: Arc<Store>,
    log: Log,
    decided: BTreeMap<RunId, Decided>,
}

/// The highest decided checkpoint of a run.
#[derive(Clone, Copy)]
struct Decided {
    /// That this process was told of.
    told: CheckpointId,
    /// That is written down.
    written: CheckpointId,
}

impl Default for Decided {
    fn default() -> Self {
        Self { told: BEGINNING, written: BEGINNING }
    }
}

impl JobLetters {
    /// Letters that are not looked at yet, in a folder of `parent`.
    pub(super) fn new(parent: &Path, store: Arc<Store>, job: &JobId) -> Self {
        Self { job: job.clone(), dir: parent.join(job.as_str()), store, opened: None }
    }

    /// The letters, read if that was not done yet.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(super) fn opened(&mut self) -> Result<&mut Opened, PortError> {
        if self.opened.is_none() {
            let LetterFates { decided, forgotten } = self.store.letter_fates(&self.job)?;
            let mut numbers = Numbers::default();
            forgotten.into_iter().for_each(|range| numbers.insert(range));
            let log = Log::open(&self.dir, &self.job, numbers)?;
            // Of letters that were cut off: they would hide the next letters of their numbers.
            self.store.delete_marks_from(&self.job, log.next_number())?;
            let decided = decided.into_iter().map(|(run, written)| (run, Decided { told: written, written })).collect();
            self.opened = Some(Opened { job: self.job.clone(), store: Arc::clone(&self.store), log, decided });
        }
        Ok(self.opened.as_mut().expect("it was just opened if it was not"))
    }

    /// Forgets all letters, damaged ones too; numbers begin with zero again.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn delete(&mut self) -> Result<(), PortError> {
        self.opened = None;
        // Marks first: a mark that outlived its letter would hide the next letter of that number. What is forgotten
        // last: without it, forgotten letters that are still there would be back.
        self.store.delete_marks(&self.job)?;
        log::remove(&self.dir)?;
        self.store.delete_fates(&self.job)
    }
}

/// # Errors
/// Every function: if the disk refuses, or a letter is damaged.
impl Opened {
    fn decided_of(&self, run: RunId) -> Decided {
        self.decided.get(&run).copied().unwrap_or_default()
    }

    /// Writes down how far a run is decided.
    fn write_decided(&mut self, run: RunId, checkpoint: CheckpointId) -> Result<(), PortError> {
        fail::fail_point!("dead-letters-decided");
        self.store.set_decided(&self.job, run, checkpoint)?;
        self.decided.insert(run, Decided { told: checkpoint, written: checkpoint });
        Ok(())
    }

    /// Adds letters, which may take `limit` bytes in all; durable when this returns.
    pub(super) fn append(&mut self, epoch: Epoch, letters: &[DeadLetter], limit: u64) -> Result<(), PortError> {
        let Decided { told, written } = self.decided_of(epoch.run);
        // Letters of a subtask that was slower than its checkpoint.
        if (written..told).contains(&epoch.after) {
            self.write_decided(epoch.run, told)?;
        }
        self.log.append(epoch, letters, limit)
    }

    /// Everything of epochs of the run before this checkpoint counts.
    pub(crate) fn decided(&mut self, run: RunId, checkpoint: CheckpointId) -> Result<(), PortError> {
        let Decided { told, written } = self.decided_of(run);
        if checkpoint <= told {
            return Ok(());
        }
        if self.log.newest(run).is_some_and(|newest| newest >= written) {
            return self.write_decided(run, checkpoint);
        }
        self.decided.insert(run, Decided { told: checkpoint, written });
        Ok(())
    }

    /// The run goes on from a checkpoint, which with that is its highest decided one, or from its beginning: its letters
    /// and marks of later epochs are forgotten.
    pub(crate) fn go_back(&mut self, run: RunId, restored: Option<CheckpointId>) -> Result<(), PortError> {
        let to = restored.unwrap_or(BEGINNING);
        if self.log.next_number() == 0 {
            let written = self.decided_of(run).written;
            self.decided.insert(run, Decided { told: to, written });
            return Ok(());
        }
        let found = self.log.of_epochs(run, to)?;
        self.store.go_back(&self.job, run, to, &found)?;
        self.decided.insert(run, Decided { told: to, written: to });
        fail::fail_point!("dead-letters-forgotten");
        self.log.forget(run, to, found)
    }

    /// Letters from number `from` on: at most `limit`, and fewer if they are very large, but one if there is one.
    pub(crate) fn page(&self, from: u64, limit: usize) -> Result<Vec<KeptLetter>, PortError> {
        let mut page = Vec::new();
        self.log.page(from, limit, |number, epoch, letter| {
            // A host that knew no checkpoints counted its letters at once.
            let is_decided = epoch.is_none_or(|epoch| epoch.after < self.decided_of(epoch.run).told);
            page.push(KeptLetter { number, letter, is_decided });
        })?;
        Ok(page)
    }

    /// How many letters there are.
    pub(crate) fn count(&self) -> u64 {
        self.log.count()
    }

    /// Marks letters as replayed. One that was forgotten meanwhile is passed over.
    ///
    /// # Errors
    /// Also if no letter ever had one of the numbers; then none is marked.
    pub(crate) fn mark_replayed(&self, epoch: Epoch, numbers: &[u64]) -> Result<(), PortError> {
        let next = self.log.next_number();
        if let Some(strange) = numbers.iter().find(|number| **number >= next) {
            let text = format!("job `{}` has no dead letter of number {strange}; the next will be {next}", self.job);
            return Err(PortError::fatal(text));
        }
        let there: Vec<u64> = numbers.iter().copied().filter(|number| !self.log.is_forgotten(*number)).collect();
        fail::fail_point!("dead-letters-replayed");
        self.store.mark_replayed(&self.job, epoch, &there)
    }

    /// Whether a letter was replayed.
    pub(crate) fn is_replayed(&self, number: u64) -> Result<bool, PortError> {
        self.store.is_replayed(&self.job, number)
    }
}
