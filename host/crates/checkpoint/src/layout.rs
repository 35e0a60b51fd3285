//! Where the records and files of a run lie in checkpoint storage. A law of the storage format.
//!
//! ```text
//! jobs/{job}/{run}/chain/{slot}                       claims and checkpoints, in slots that are filled once
//! jobs/{job}/{run}/files/{attempt}/{number}-{hash}    pages, state, staged output
//! savepoints/{job}/{name}/savepoint                   the record of a savepoint; without it there is none
//! savepoints/{job}/{name}/files/{attempt}/{number}-{hash}
//! ```

use gristmill_types::{JobId, RunId};

use crate::chain::Slot;
use crate::file::FileRef;
use crate::savepoint::RECORD;

/// The folder of one run. Paths are relative, with `/` between their parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder {
    prefix: String,
}

impl RunFolder {
    /// The folder of a run.
    #[must_use]
    pub fn new(job: &JobId, run: RunId) -> Self {
        Self { prefix: format!("{}/{run}", Self::of_job(job)) }
    }

    /// What holds the folders of all runs of a job.
    #[must_use]
    pub fn of_job(job: &JobId) -> String {
        format!("jobs/{job}")
    }

    /// The folder itself.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The folder of the chain.
    #[must_use]
    pub fn chain(&self) -> String {
        format!("{}/chain", self.prefix)
    }

    /// A slot of the chain.
    #[must_use]
    pub fn slot(&self, slot: Slot) -> String {
        format!("{}/chain/{slot}", self.prefix)
    }

    /// The slot that a path names.
    #[must_use]
    pub fn slot_of(path: &str) -> Option<Slot> {
        let name = path.rsplit('/').next()?;
        let is_slot = name.len() == 20 && name.bytes().all(|byte| byte.is_ascii_digit());
        if is_slot { name.parse().ok().map(Slot) } else { None }
    }

    /// The folder of all files.
    #[must_use]
    pub fn files(&self) -> String {
        format!("{}/files", self.prefix)
    }

    /// A file.
    #[must_use]
    pub fn file(&self, file: &FileRef) -> String {
        file_in(&self.files(), file)
    }
}

/// A file in the folder that holds those of a run or a savepoint.
#[must_use]
pub fn file_in(files: &str, file: &FileRef) -> String {
    format!("{files}/{file}")
}

/// The folder of one savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointFolder {
    prefix: String,
}

impl SavepointFolder {
    /// The folder of a savepoint.
    #[must_use]
    pub fn new(job: &JobId, name: &str) -> Self {
        Self { prefix: format!("{}/{name}", Self::of_job(job)) }
    }

    /// What holds all savepoints of a job.
    #[must_use]
    pub fn of_job(job: &JobId) -> String {
        format!("savepoints/{job}")
    }

    /// The folder itself.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The record.
    #[must_use]
    pub fn record(&self) -> String {
        format!("{}/{RECORD}", self.prefix)
    }

    /// The folder of all files.
    #[must_use]
    pub fn files(&self) -> String {
        format!("{}/files", self.prefix)
    }

    /// A file.
    #[must_use]
    pub fn file(&self, file: &FileRef) -> String {
        file_in(&self.files(), file)
    }
}

#[cfg(test)]
mod tests {
    use gristmill_types::AttemptId;

    use super::*;
    use crate::file::FileHash;

    #[test]
    fn golden_paths() {
        let folder = RunFolder::new(&"orders".parse().unwrap(), RunId(0x2a));
        assert_eq!(folder.slot(Slot(7)), "jobs/orders/000000000000002a/chain/00000000000000000007");
        let file = FileRef { attempt: AttemptId(1), number: 3, hash: FileHash([0xab; 32]), bytes: 9 };
        let hash = "ab".repeat(32);
        assert_eq!(
            folder.file(&file),
            format!("jobs/orders/000000000000002a/files/0000000000000001/0000000000000003-{hash}")
        );
        assert_eq!(RunFolder::slot_of(&folder.slot(Slot(7))), Some(Slot(7)));
        let savepoint = SavepointFolder::new(&"orders".parse().unwrap(), "before-2");
        assert_eq!(savepoint.record(), "savepoints/orders/before-2/savepoint");
        assert_eq!(
            savepoint.file(&file),
            format!("savepoints/orders/before-2/files/0000000000000001/0000000000000003-{hash}")
        );
        for no_slot in ["jobs/orders/x/chain/.tmp", "jobs/orders/x/chain/+0000000000000000007", ""] {
            assert_eq!(RunFolder::slot_of(no_slot), None, "{no_slot}");
        }
    }
}
