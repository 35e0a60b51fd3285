//! Jobs in the store.

use gristmill_ports::PortError;
use gristmill_ports::catalog::JobRecord;
use gristmill_types::JobId;
use redb::ReadableTable;

use crate::record::encode_json;
use crate::store::{JOBS, Store, decoded};

impl Store {
    pub(crate) fn put_job(&self, job: &JobRecord) -> Result<(), PortError> {
        self.write(|transaction| {
            transaction.open_table(JOBS)?.insert(job.id.as_str(), encode_json(job).as_slice())?;
            Ok(())
        })
    }

    pub(crate) fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        self.read(|transaction| {
            let bytes = transaction.open_table(JOBS)?.get(id.as_str())?;
            bytes.map(|bytes| decoded(&format!("job `{id}`"), bytes.value())).transpose()
        })
    }

    pub(crate) fn jobs(&self) -> Result<Vec<JobRecord>, PortError> {
        self.read(|transaction| {
            let jobs = transaction.open_table(JOBS)?;
            jobs.iter()?
                .map(|entry| {
                    let (id, bytes) = entry?;
                    decoded(&format!("job `{}`", id.value()), bytes.value())
                })
                .collect()
        })
    }

    pub(crate) fn delete_job(&self, id: &JobId) -> Result<bool, PortError> {
        self.write(|transaction| Ok(transaction.open_table(JOBS)?.remove(id.as_str())?.is_some()))
    }
}
