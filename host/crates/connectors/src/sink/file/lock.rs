//! One writer at a time for a file: the hidden file `.NAME.lock` beside it is locked while there is one, and says who.
//!
//! Not the file itself, which is replaced by another under the same name. A lock ends with the host, however it ends.
//!
//! An attempt is not kept out by an earlier attempt of its own run: one that was stopped for long still holds its lock,
//! and what it would still do is harmless. The two stage under names of their own, and only what is decided is committed.

use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use gristmill_ports::parts::PartContext;

use super::place::in_words;

/// How often somebody else may take the lock file away while it is being locked.
const MOST_TRIES: usize = 100;

/// The right to write a file, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    /// Who writes: the same for all attempts of a run.
    writer: String,
    /// `None` while an earlier attempt holds the lock.
    held: Option<File>,
}

impl Lock {
    /// Takes the right to write this file.
    ///
    /// # Errors
    /// Why it is not to be had, and what to do about it.
    pub(super) fn of(target: &Path, context: &PartContext) -> Result<Self, String> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let writer = format!("{}/{}/{}/{}", context.job, context.run, context.node, context.subtask);
        let mut lock = Self { path: target.with_file_name(format!(".{name}.lock")), writer, held: None };
        lock.take()?;
        Ok(lock)
    }

    /// Tries again to get what an earlier attempt held, if one did.
    pub(super) fn renew(&mut self) {
        if self.held.is_none() {
            // Whatever keeps it back now may be gone the next time; meanwhile the file is written all the same.
            self.take().ok();
        }
    }

    fn take(&mut self) -> Result<(), String> {
        for _ in 0..MOST_TRIES {
            let opened = File::options().write(true).create(true).truncate(false).open(&self.path);
            let mut file = opened.map_err(|error| in_words(&error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if self.is_of_an_earlier_attempt() => return Ok(()),
                Err(TryLockError::WouldBlock) => return Err(taken()),
                // There are file systems without locks: nobody can be kept out there.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(in_words(&error)),
            }
            // Whoever held it before may have removed its name in the meantime: then this lock keeps nobody out.
            let is_there = |there: std::fs::Metadata| file.metadata().is_ok_and(|ours| ours.ino() == there.ino());
            if self.path.metadata().is_ok_and(is_there) {
                let said = file.set_len(0).and_then(|()| file.write_all(self.writer.as_bytes()));
                said.map_err(|error| in_words(&error))?;
                self.held = Some(file);
                return Ok(());
            }
        }
        Err(taken())
    }

    fn is_of_an_earlier_attempt(&self) -> bool {
        std::fs::read_to_string(&self.path).is_ok_and(|writer| writer == self.writer)
    }
}

fn taken() -> String {
    "another sink, job or program is writing it; wait for it to end, or choose another path".to_owned()
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.held.is_some() {
            // While it is still locked, so that nobody else's is removed. If it stays, it is in nobody's way.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use gristmill_types::{AttemptId, RunId};

    use super::*;
    use crate::fixture::part;

    fn attempt(run: u64, attempt: u64) -> PartContext {
        PartContext { run: RunId(run), attempt: AttemptId(attempt), ..part("out") }
    }

    #[test]
    fn a_file_has_one_writer_and_then_another_and_nothing_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let target = directory.path().join("out");
        // As after a crash: the name is left, the lock is not.
        std::fs::write(directory.path().join(".out.lock"), "somebody").expect("written");
        let first = Lock::of(&target, &attempt(1, 1)).expect("free");
        let error = Lock::of(&target, &attempt(2, 2)).expect_err("taken");
        assert!(error.contains("another sink, job or program is writing it"), "{error}");
        drop(first);
        drop(Lock::of(&target, &attempt(2, 2)).expect("free again"));
        assert_eq!(directory.path().read_dir().expect("readable").count(), 0);
    }

    #[test]
    fn an_attempt_that_does_not_wake_up_keeps_its_successor_from_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let target = directory.path().join("out");
        let stopped = Lock::of(&target, &attempt(1, 1)).expect("free");
        let mut successor = Lock::of(&target, &attempt(1, 2)).expect("the same run");
        successor.renew();
        assert!(Lock::of(&target, &attempt(2, 3)).is_err(), "the first still keeps strangers out");
        drop(stopped);
        successor.renew();
        assert!(Lock::of(&target, &attempt(2, 3)).is_err(), "and then the second does");
        drop(successor);
        Lock::of(&target, &attempt(2, 3)).expect("nobody writes");
    }
}
