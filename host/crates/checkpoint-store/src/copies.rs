//! Copies on this machine of files that are stored elsewhere, so that they need not be fetched again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use gristmill_checkpoint::FileRef;

/// A folder of copies. When a file was last wanted is its time of modification, which outlasts the process.
#[derive(Debug)]
pub(crate) struct Copies {
    folder: PathBuf,
    most_bytes: u64,
    /// What was wanted within this time may be about to be opened, and stays.
    at_least: Duration,
    /// Held while one is touched and while some are removed: none goes between its touch and its use.
    guard: Mutex<()>,
}

impl Copies {
    /// Opens the folder, making it if there is none.
    pub(crate) fn open(folder: PathBuf, most_bytes: u64, at_least: Duration) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, most_bytes, at_least, guard: Mutex::new(()) })
    }

    fn place_of(&self, file: &FileRef) -> PathBuf {
        self.folder.join(format!("{}-{:016x}-{}", file.attempt, file.number, file.hash))
    }

    /// The copy of a file, if there is one, which stays for a while from now on.
    pub(crate) fn get(&self, file: &FileRef) -> io::Result<Option<PathBuf>> {
        let _held = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.place_of(file);
        match File::open(&place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                opened?.set_modified(SystemTime::now())?;
                Ok(Some(place))
            }
        }
    }

    /// Takes a whole file over as a copy; those that were not wanted for longest go for it.
    pub(crate) fn keep(&self, file: &FileRef, from: &Path) -> io::Result<PathBuf> {
        let _held = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.place_of(file);
        File::open(from)?.set_modified(SystemTime::now())?;
        fs::rename(from, &place)?;
        let _ = self.make_room(); // what cannot go now goes when the next one comes
        Ok(place)
    }

    /// Removes a copy that turned out to be no good.
    pub(crate) fn remove(&self, file: &FileRef) -> io::Result<()> {
        match fs::remove_file(self.place_of(file)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn make_room(&self) -> io::Result<()> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            found.push((metadata.modified()?, metadata.len(), entry.path()));
        }
        found.sort_unstable();
        let mut bytes: u64 = found.iter().map(|(_, bytes, _)| bytes).sum();
        let now = SystemTime::now();
        for (wanted, its_bytes, path) in found {
            let is_recent = now.duration_since(wanted).is_ok_and(|age| age < self.at_least);
            if bytes <= self.most_bytes || is_recent {
                break;
            }
            fs::remove_file(path)?;
            bytes -= its_bytes;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gristmill_checkpoint::FileHash;
    use gristmill_types::AttemptId;

    use super::*;

    /// Keeps ten bytes that are wanted so many hours ago.
    fn keep(copies: &Copies, dir: &Path, content: &[u8; 10], hours_ago: u64) -> FileRef {
        let file = FileRef { attempt: AttemptId(1), number: 0, hash: FileHash::of(content), bytes: 10 };
        let from = dir.join("from");
        fs::write(&from, content).unwrap();
        let place = copies.keep(&file, &from).unwrap();
        let wanted = SystemTime::now() - Duration::from_secs(hours_ago * 3600);
        File::open(place).unwrap().set_modified(wanted).unwrap();
        file
    }

    #[test]
    fn the_copies_that_were_not_wanted_for_longest_go_first_and_recent_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let copies = Copies::open(dir.path().join("copies"), 25, Duration::from_secs(600)).unwrap();
        let oldest = keep(&copies, dir.path(), b"0123456789", 3);
        let older = keep(&copies, dir.path(), b"1123456789", 2);
        assert!(copies.get(&oldest).unwrap().is_some(), "wanted again, it is the newest");
        let third = keep(&copies, dir.path(), b"2123456789", 0);
        assert!(copies.get(&older).unwrap().is_none());
        let fourth = keep(&copies, dir.path(), b"3123456789", 0);
        for recent in [oldest, third, fourth] {
            assert!(copies.get(&recent).unwrap().is_some(), "the bound waits for what may be in use");
        }
    }
}
