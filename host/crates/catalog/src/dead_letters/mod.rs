//! Dead letters on disk: a folder for each job, append-only segments in it, and rows about them in the store.
//!
//! An append is one write and one fsync, whatever the number of letters. A job's letters are behind a lock of their
//! own, so that a job with many never holds up another.

mod numbers;
mod frame;
mod segment;
mod log;
mod letters;

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gristmill_ports::PortError;
use gristmill_ports::dead_letters::Epoch;
use gristmill_types::{DeadLetter, JobId};

use self::letters::{JobLetters, Opened};
use crate::store::Store;
use crate::trouble::cannot;

/// The folder `dead-letters` of the data directory.
pub(crate) struct DeadLetterFiles {
    dir: PathBuf,
    store: Arc<Store>,
    /// Bytes on disk that the letters of one job may take.
    limit: u64,
    /// Jobs whose letters were asked for since the start. None is taken out: a job has one log, and one lock.
    jobs: Mutex<HashMap<JobId, Arc<Mutex<JobLetters>>>>,
}

impl DeadLetterFiles {
    /// Opens the folder, making it if there is none. The letters of one job may take `limit` bytes on disk.
    ///
    /// # Errors
    /// If it cannot be made.
    pub(crate) fn open(data_dir: &Path, store: Arc<Store>, limit: u64) -> Result<Self, PortError> {
        let dir = data_dir.join("dead-letters");
        fs::create_dir_all(&dir).map_err(cannot("make the directory", &dir))?;
        Ok(Self { dir, store, limit, jobs: Mutex::default() })
    }

    /// Adds letters behind all others of the job; durable when this returns.
    ///
    /// # Errors
    /// If the disk refuses, or the job has no room left; then none is kept.
    pub(crate) fn append(&self, job: &JobId, epoch: Epoch, letters: &[DeadLetter]) -> Result<(), PortError> {
        if letters.is_empty() {
            return Ok(());
        }
        self.with(job, |of_job| of_job.append(epoch, letters, self.limit))
    }

    /// Acts on the letters of a job, reading them if it is the first time.
    ///
    /// # Errors
    /// If they cannot be read, or the action fails.
    pub(crate) fn with<T>(
        &self,
        job: &JobId,
        act: impl FnOnce(&mut Opened) -> Result<T, PortError>,
    ) -> Result<T, PortError> {
        act(self.of(job).lock().unwrap_or_else(PoisonError::into_inner).opened()?)
    }

    /// Forgets all letters of the job, damaged ones too.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(crate) fn delete(&self, job: &JobId) -> Result<(), PortError> {
        self.of(job).lock().unwrap_or_else(PoisonError::into_inner).delete()
    }

    fn of(&self, job: &JobId) -> Arc<Mutex<JobLetters>> {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Mutex::new(JobLetters::new(&self.dir, Arc::clone(&self.store), job)));
        Arc::clone(jobs.entry(job.clone()).or_insert_with(new))
    }
}

#[cfg(test)]
mod tests {
    use super::frame::tests::{EPOCH, letter};
    use super::*;

    #[test]
    fn a_full_job_refuses_more_instead_of_dropping_it() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|id| id.parse().unwrap());
        let files = DeadLetterFiles::open(dir.path(), Arc::new(Store::open(dir.path()).unwrap()), 350).unwrap();
        let letter = letter();
        files.append(&a, EPOCH, &vec![letter.clone(); 3]).unwrap();
        let large = DeadLetter { value: Some(vec![0; 350]), ..letter.clone() };
        let refusal = files.append(&a, EPOCH, &[letter.clone(), large]).unwrap_err().message;
        assert!(refusal.starts_with("job `a` has 3 dead letters, which take "), "{refusal}");
        assert!(refusal.contains(" of 350 bytes, and 2 more do not fit; replay what can be replayed"), "{refusal}");
        assert_eq!(files.with(&a, |letters| Ok(letters.count())), Ok(3), "all or none");
        files.append(&b, EPOCH, std::slice::from_ref(&letter)).unwrap();
        files.delete(&a).unwrap();
        files.append(&a, EPOCH, &[letter]).unwrap();
    }
}
