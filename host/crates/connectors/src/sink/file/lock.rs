//! One writer at a time for a file: the hidden file `.NAME.lock` beside it is locked while there is one.
//!
//! Not the file itself, which is replaced by another under the same name. A lock ends with the host, however it ends.

use std::fs::{File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::place::in_words;

/// How often somebody else may take the lock file away while it is being locked.
const MOST_TRIES: usize = 100;

/// The right to write a file, until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the right to write this file.
    ///
    /// # Errors
    /// Why it is not to be had, and what to do about it.
    pub(super) fn of(target: &Path) -> Result<Self, String> {
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = target.with_file_name(format!(".{name}.lock"));
        for _ in 0..MOST_TRIES {
            let opened = File::options().write(true).create(true).truncate(false).open(&path);
            let file = opened.map_err(|error| in_words(&error))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(taken()),
                // There are file systems without locks: nobody can be kept out there.
                Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(in_words(&error)),
            }
            // Whoever held it before may have removed its name in the meantime: then this lock keeps nobody out.
            let is_there = |there: std::fs::Metadata| file.metadata().is_ok_and(|ours| ours.ino() == there.ino());
            if path.metadata().is_ok_and(is_there) {
                return Ok(Self { path, _file: file });
            }
        }
        Err(taken())
    }
}

fn taken() -> String {
    "another sink, job or program is writing it; wait for it to end, or choose another path".to_owned()
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still locked, so that nobody else's is removed. If it stays, it is in nobody's way.
        std::fs::remove_file(&self.path).ok();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_writer_and_then_another_and_nothing_is_left() {
        let directory = tempfile::tempdir().expect("a directory");
        let target = directory.path().join("out");
        // As after a crash: the name is left, the lock is not.
        std::fs::write(directory.path().join(".out.lock"), "").expect("written");
        let first = Lock::of(&target).expect("free");
        assert!(Lock::of(&target).expect_err("taken").contains("another sink, job or program is writing it"));
        drop(first);
        drop(Lock::of(&target).expect("free again"));
        assert_eq!(directory.path().read_dir().expect("readable").count(), 0);
    }
}
