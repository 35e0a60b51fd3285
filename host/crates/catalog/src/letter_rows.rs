//! What the store knows of dead letters beside their files: which were replayed, how far each run is decided, which
//! letters are forgotten.

use std::ops::{Range, RangeInclusive};

use gristmill_ports::PortError;
use gristmill_ports::dead_letters::Epoch;
use gristmill_types::{CheckpointId, JobId, RunId};

use crate::store::{DECIDED, FORGOTTEN, REPLAYED, REPLAYED_IN, Store};

/// What became of the letters of a job.
pub(crate) struct LetterFates {
    /// For each run of which a row was written, the highest decided checkpoint.
    pub(crate) decided: Vec<(RunId, CheckpointId)>,
    /// Numbers of forgotten letters. No two ranges overlap.
    pub(crate) forgotten: Vec<Range<u64>>,
}

/// All rows of a job in a table of two-part keys.
fn of_job(job: &JobId) -> RangeInclusive<(&str, u64)> {
    (job.as_str(), 0)..=(job.as_str(), u64::MAX)
}

impl Store {
    pub(crate) fn letter_fates(&self, job: &JobId) -> Result<LetterFates, PortError> {
        self.read(|transaction| {
            let (mut decided, mut forgotten) = (Vec::new(), Vec::new());
            for row in transaction.open_table(DECIDED)?.range(of_job(job))? {
                let (key, checkpoint) = row?;
                decided.push((RunId(key.value().1), CheckpointId(checkpoint.value())));
            }
            for row in transaction.open_table(FORGOTTEN)?.range(of_job(job))? {
                let (key, end) = row?;
                forgotten.push(key.value().1..end.value());
            }
            Ok(LetterFates { decided, forgotten })
        })
    }

    pub(crate) fn set_decided(&self, job: &JobId, run: RunId, checkpoint: CheckpointId) -> Result<(), PortError> {
        self.write(|transaction| {
            transaction.open_table(DECIDED)?.insert((job.as_str(), run.0), checkpoint.0)?;
            Ok(())
        })
    }

    /// The run goes on behind `checkpoint` (zero: from its beginning), which is decided: letters that were not forgotten
    /// before are (ascending), with the marks on them, and marks of later epochs of the run are no more. All or nothing.
    pub(crate) fn go_back(
        &self,
        job: &JobId,
        run: RunId,
        checkpoint: CheckpointId,
        forgotten: &[Range<u64>],
    ) -> Result<(), PortError> {
        self.write(|transaction| {
            transaction.open_table(DECIDED)?.insert((job.as_str(), run.0), checkpoint.0)?;
            let mut rows = transaction.open_table(FORGOTTEN)?;
            for range in forgotten {
                rows.insert((job.as_str(), range.start), range.end)?;
            }
            let is_forgotten = |number| {
                let range = forgotten.get(forgotten.partition_point(|range| range.end <= number));
                range.is_some_and(|range| range.contains(&number))
            };
            let stays = |(_, number): (&str, u64), (of, after): (u64, u64)| {
                !is_forgotten(number) && (of != run.0 || after < checkpoint.0)
            };
            Ok(transaction.open_table(REPLAYED_IN)?.retain_in(of_job(job), stays)?)
        })
    }

    pub(crate) fn mark_replayed(&self, job: &JobId, epoch: Epoch, numbers: &[u64]) -> Result<(), PortError> {
        self.write(|transaction| {
            let mut replayed = transaction.open_table(REPLAYED_IN)?;
            for &number in numbers {
                replayed.insert((job.as_str(), number), (epoch.run.0, epoch.after.0))?;
            }
            Ok(())
        })
    }

    pub(crate) fn is_replayed(&self, job: &JobId, number: u64) -> Result<bool, PortError> {
        self.read(|transaction| {
            let key = (job.as_str(), number);
            Ok(transaction.open_table(REPLAYED_IN)?.get(key)?.is_some()
                || transaction.open_table(REPLAYED)?.get(key)?.is_some())
        })
    }

    /// Forgets which letters of a job were replayed.
    pub(crate) fn delete_marks(&self, job: &JobId) -> Result<(), PortError> {
        self.write(|transaction| {
            transaction.open_table(REPLAYED_IN)?.retain_in(of_job(job), |_, _| false)?;
            Ok(transaction.open_table(REPLAYED)?.retain_in(of_job(job), |_, ()| false)?)
        })
    }

    /// Forgets which letters of a job were replayed from number `end` on; writes nothing if none was.
    pub(crate) fn delete_marks_from(&self, job: &JobId, end: u64) -> Result<(), PortError> {
        let behind = || (job.as_str(), end)..=(job.as_str(), u64::MAX);
        let is_marked = self.read(|transaction| {
            Ok(transaction.open_table(REPLAYED_IN)?.range(behind())?.next().is_some()
                || transaction.open_table(REPLAYED)?.range(behind())?.next().is_some())
        })?;
        if !is_marked {
            return Ok(());
        }
        self.write(|transaction| {
            transaction.open_table(REPLAYED_IN)?.retain_in(behind(), |_, _| false)?;
            Ok(transaction.open_table(REPLAYED)?.retain_in(behind(), |_, ()| false)?)
        })
    }

    /// Forgets what became of the letters of a job.
    pub(crate) fn delete_fates(&self, job: &JobId) -> Result<(), PortError> {
        self.write(|transaction| {
            transaction.open_table(DECIDED)?.retain_in(of_job(job), |_, _| false)?;
            Ok(transaction.open_table(FORGOTTEN)?.retain_in(of_job(job), |_, _| false)?)
        })
    }
}
