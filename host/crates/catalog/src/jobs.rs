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

#[cfg(test)]
mod tests {
    use gristmill_ports::catalog::{JobState, Origin, PendingDocument, PendingSwap};
    use gristmill_types::{ModuleHash, RunId};

    use super::*;
    use crate::record::decode;

    #[test]
    fn golden_bytes_of_this_host_and_of_hosts_that_knew_no_runs_or_folders() {
        let before = "{\"id\":\"a\",\"document\":{\"version\":1},\"modules\":[],\"state\":\"RUNNING\",\"cause\":null,\
                      \"created_ms\":1,\"changed_ms\":2,\"final_report\":null";
        let record = JobRecord {
            id: "a".parse().unwrap(),
            document: serde_json::json!({"version": 1}),
            modules: Vec::new(),
            state: JobState::Running,
            cause: None,
            created_ms: 1,
            changed_ms: 2,
            final_report: None,
            accepted: None,
            run: None,
            newest: None,
            base: None,
            origin: None,
            swap: None,
            pending: None,
        };
        assert_eq!(decode(format!("\x02{before}}}").as_bytes()), Ok(record.clone()));
        let record = JobRecord { run: Some(RunId(u64::MAX)), ..record };
        let bytes = format!("\x02{before},\"run\":\"ffffffffffffffff\"}}");
        assert_eq!(encode_json(&record), bytes.as_bytes());
        assert_eq!(decode(bytes.as_bytes()), Ok(record.clone()));
        let record = JobRecord { base: Some("/srv/jobs".to_owned()), ..record };
        let bytes = format!("\x02{before},\"run\":\"ffffffffffffffff\",\"base\":\"/srv/jobs\"}}");
        assert_eq!(encode_json(&record), bytes.as_bytes());
        assert_eq!(decode(bytes.as_bytes()), Ok(record.clone()));
        let origin =
            Origin { job: "b".parse().unwrap(), name: "before".to_owned(), dropped: ["op.sum".to_owned()].into() };
        let record = JobRecord { base: None, origin: Some(origin), ..record };
        let bytes = format!(
            "\x02{before},\"run\":\"ffffffffffffffff\",\"origin\":{{\"job\":\"b\",\"name\":\"before\",\"dropped\":[\"op.sum\"]}}}}"
        );
        assert_eq!(encode_json(&record), bytes.as_bytes());
        assert_eq!(decode(bytes.as_bytes()), Ok(record.clone()));
        let swap = PendingSwap {
            operation: "op-1".to_owned(),
            operator: "op".parse().unwrap(),
            module: ModuleHash([0; 32]),
            document: serde_json::json!({"version": 1}),
            canary: None,
        };
        let record = JobRecord { origin: None, swap: Some(swap), ..record };
        let bytes = format!(
            "\x02{before},\"run\":\"ffffffffffffffff\",\"swap\":{{\"operation\":\"op-1\",\"operator\":\"op\",\"module\":\"{}\",\"document\":{{\"version\":1}}}}}}",
            "0".repeat(64)
        );
        assert_eq!(encode_json(&record), bytes.as_bytes());
        assert_eq!(decode(bytes.as_bytes()), Ok(record.clone()));
        let pending = PendingDocument {
            operation: "op-2".to_owned(),
            document: serde_json::json!({"version": 1}),
            modules: vec![("op".to_owned(), ModuleHash([0; 32]))],
        };
        let record = JobRecord { swap: None, pending: Some(pending), ..record };
        let bytes = format!(
            "\x02{before},\"run\":\"ffffffffffffffff\",\"pending\":{{\"operation\":\"op-2\",\"document\":{{\"version\":1}},\"modules\":[[\"op\",\"{}\"]]}}}}",
            "0".repeat(64)
        );
        assert_eq!(encode_json(&record), bytes.as_bytes());
        assert_eq!(decode(bytes.as_bytes()), Ok(record));
    }
}
