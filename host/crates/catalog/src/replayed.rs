//! Which dead letters were replayed: marks in the store.

use gristmill_ports::PortError;
use gristmill_types::JobId;

use crate::store::{REPLAYED, Store};

impl Store {
    pub(crate) fn mark_replayed(&self, job: &JobId, numbers: &[u64]) -> Result<(), PortError> {
        self.write(|transaction| {
            let mut replayed = transaction.open_table(REPLAYED)?;
            for &number in numbers {
                replayed.insert((job.as_str(), number), ())?;
            }
            Ok(())
        })
    }

    pub(crate) fn is_replayed(&self, job: &JobId, number: u64) -> Result<bool, PortError> {
        self.read(|transaction| Ok(transaction.open_table(REPLAYED)?.get((job.as_str(), number))?.is_some()))
    }

    /// Forgets the marks of a job.
    pub(crate) fn forget_replayed(&self, job: &JobId) -> Result<(), PortError> {
        self.write(|transaction| {
            let of_job = (job.as_str(), 0)..=(job.as_str(), u64::MAX);
            Ok(transaction.open_table(REPLAYED)?.retain_in(of_job, |_, ()| false)?)
        })
    }
}
