//! Files that are being written: in a folder of their own, renamed to their place when they are whole and last.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

/// The folder for what is under way. Its name is none that a path in the store can have.
#[derive(Debug)]
pub(super) struct Incoming {
    folder: PathBuf,
}

impl Incoming {
    /// Opens the folder and removes what a crash has left there.
    ///
    /// Whoever writes a file has it locked, and the lock ends with the process: what another host is writing at this
    /// moment stays.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let folder = root.join(".incoming");
        fs::create_dir_all(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            // It may go at any moment: its writer is done with it.
            let Ok(file) = File::open(&path) else { continue };
            match file.try_lock() {
                Ok(()) => drop(fs::remove_file(&path)),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
        Ok(Self { folder })
    }

    /// The folder.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file aside. Its bytes last; it is gone when the value is dropped before it is put in its place.
    pub(super) fn write(&self, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<NamedTempFile> {
        let mut aside = self.locked()?;
        fill(aside.as_file_mut())?;
        aside.as_file().sync_all()?;
        Ok(aside)
    }

    /// A file of our own. A host that opens the folder before it is locked takes it for one that a crash has left.
    fn locked(&self) -> io::Result<NamedTempFile> {
        loop {
            let aside = NamedTempFile::new_in(&self.folder)?;
            aside.as_file().lock()?;
            if aside.path().try_exists()? {
                return Ok(aside);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn whoever_opens_the_folder_leaves_what_others_are_writing() {
        let dir = tempfile::tempdir().unwrap();
        let incoming = Incoming::open(dir.path()).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    Incoming::open(dir.path()).unwrap();
                }
            });
            for number in 0..1000 {
                let aside = incoming.write(|file| file.write_all(b"whole")).unwrap();
                let kept = aside.persist(dir.path().join(number.to_string()));
                is_over.store(kept.is_err() || number == 999, Ordering::Relaxed);
                kept.unwrap();
            }
        });
    }
}
