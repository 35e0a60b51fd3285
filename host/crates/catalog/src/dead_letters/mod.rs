//! Dead letters on disk: a folder for each job, append-only segments in it.
//!
//! An append is one write and one fsync, whatever the number of letters. A job's letters are behind a lock of their
//! own, so that a job with many never holds up another.

mod frame;
mod segment;
mod log;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gristmill_ports::PortError;
use gristmill_types::{DeadLetter, JobId};

use self::log::JobLog;
use crate::trouble::cannot;

/// The folder `dead-letters` of the data directory.
pub(crate) struct DeadLetterFiles {
    dir: PathBuf,
    /// Bytes on disk that the letters of one job may take.
    limit: u64,
    /// Jobs whose letters were asked for since the start. None is taken out: a job has one log, and one lock.
    jobs: Mutex<HashMap<JobId, Arc<Mutex<JobLog>>>>,
}

impl DeadLetterFiles {
    /// Opens the folder, making it if there is none. The letters of one job may take `limit` bytes on disk.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn open(data_dir: &Path, limit: u64) -> Result<Self, PortError> {
        let dir = data_dir.join("dead-letters");
        fs::create_dir_all(&dir).map_err(cannot("make the directory", &dir))?;
        Ok(Self { dir, limit, jobs: Mutex::default() })
    }

    /// Adds letters behind all others of the job; durable when this returns.
    ///
    /// # Errors
    /// If the disk refuses, or the job has no room left; then none is kept.
    pub(crate) fn append(&self, job: &JobId, letters: &[DeadLetter]) -> Result<(), PortError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.with(job, |log| log.append(letters, self.limit))
    }

    pub(crate) fn page(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<(u64, DeadLetter)>, PortError> {
        self.with(job, |log| log.page(from, limit))
    }

    pub(crate) fn count(&self, job: &JobId) -> Result<u64, PortError> {
        self.with(job, |log| Ok(log.count()))
    }

    /// Forgets all letters of the job, damaged ones too.
    pub(crate) fn delete(&self, job: &JobId) -> Result<(), PortError> {
        self.log_of(job).lock().unwrap_or_else(PoisonError::into_inner).delete()
    }

    fn log_of(&self, job: &JobId) -> Arc<Mutex<JobLog>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mutex::new(JobLog::new(&self.dir, job)));
        Arc::clone(jobs.entry(job.clone()).or_insert_with(new))
    }

    /// Acts on the log of a job, opening it if it is the first time.
    fn with<T>(&self, job: &JobId, act: impl FnOnce(&mut JobLog) -> Result<T, PortError>) -> Result<T, PortError> {
        let log = self.log_of(job);
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        log.open()?;
        act(&mut log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_job_refuses_more_instead_of_dropping_it() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|id| id.parse().unwrap());
        let files = DeadLetterFiles::open(dir.path(), 300).unwrap();
        let letter = frame::tests::letter();
        files.append(&a, &vec![letter.clone(); 3]).unwrap();
        let large = DeadLetter { value: Some(vec![0; 300]), ..letter.clone() };
        let refusal = files.append(&a, &[letter.clone(), large]).unwrap_err().message;
        assert!(refusal.starts_with("job `a` has 3 dead letters, which take "), "{refusal}");
        assert!(refusal.contains(" of 300 bytes, and 2 more do not fit; replay what can be replayed"), "{refusal}");
        assert_eq!(files.count(&a), Ok(3), "all or none");
        files.append(&b, std::slice::from_ref(&letter)).unwrap();
        files.delete(&a).unwrap();
        files.append(&a, &[letter]).unwrap();
    }
}
