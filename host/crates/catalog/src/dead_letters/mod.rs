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

/// Bytes on disk that the dead letters of one job may take.
const DEFAULT_LIMIT: u64 = 1 << 30;

/// The folder `dead-letters` of the data directory.
pub(crate) struct DeadLetterFiles {
    dir: PathBuf,
    limit: u64,
    /// Jobs whose letters were asked for since the start. None is taken out: a job has one log, and one lock.
    jobs: Mutex<HashMap<JobId, Arc<Mutex<JobLog>>>>,
}

impl DeadLetterFiles {
    /// Opens the folder, making it if there is none.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, PortError> {
        let dir = data_dir.join("dead-letters");
        fs::create_dir_all(&dir).map_err(cannot("make the directory", &dir))?;
        Ok(Self { dir, limit: DEFAULT_LIMIT, jobs: Mutex::default() })
    }

    /// Bytes on disk that the dead letters of one job may take from now on.
    pub(crate) fn set_limit(&mut self, bytes: u64) {
        self.limit = bytes;
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
