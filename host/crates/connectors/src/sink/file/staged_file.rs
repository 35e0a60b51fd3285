//! A hidden file on its way: bytes go in, and it becomes durable, or leaves no trace.

use std::fs::File;
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;

use super::place::sync_names;
use super::staging::Ending;
use crate::sink::pending_bytes::{PendingBytes, in_words};

/// A file that is removed again unless it was sealed.
pub(super) struct StagedFile {
    name: String,
    path: PathBuf,
    /// `None` once all bytes are written and the file was closed.
    bytes: Option<PendingBytes<File>>,
    /// Of all bytes that went in, written yet or not.
    length: u64,
    /// The last bytes that went in.
    end: Vec<u8>,
    sealed: bool,
}

impl StagedFile {
    /// Makes the file.
    ///
    /// # Errors
    /// `Retry` if the disk is full, `Fatal` for what does not pass.
    pub(super) fn create(directory: &Path, name: String) -> Result<Self, PortError> {
        let path = directory.join(&name);
        let shown = format!("`{}`", path.display());
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| in_words(&shown, &error))?;
        fail::fail_point!("file-sink-staged-created");
        Ok(Self { name, path, bytes: Some(PendingBytes::new(file, shown)), length: 0, end: Vec::new(), sealed: false })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// How what went in ends.
    pub(super) fn ending(&self) -> Ending {
        Ending::of(&self.end)
    }

    /// Lets `add` append bytes.
    ///
    /// # Errors
    /// `Retry` or `Fatal` if the disk takes none; then `add` was not called.
    ///
    /// # Panics
    /// If the file was closed.
    pub(super) fn append<T>(&mut self, add: impl FnOnce(&mut Vec<u8>) -> T) -> Result<T, PortError> {
        let room = self.bytes.as_mut().expect("nothing goes into a closed file").room()?;
        let before = room.len();
        let added = add(room);
        self.length += (room.len() - before) as u64;
        keep_last(&mut self.end, &room[before..]);
        Ok(added)
    }

    /// Hands everything to the operating system.
    ///
    /// # Errors
    /// `Retry` if the disk is full, `Fatal` for what does not pass.
    pub(super) fn write_out(&mut self) -> Result<(), PortError> {
        self.bytes.as_mut().map_or(Ok(()), PendingBytes::write_out)
    }

    /// Writes everything and closes the file, which keeps its length and its name.
    ///
    /// # Errors
    /// As for [`Self::write_out`].
    pub(super) fn close(&mut self) -> Result<(), PortError> {
        self.write_out()?;
        self.bytes = None;
        Ok(())
    }

    /// Brings the file and its name to the disk. From then on it stays.
    ///
    /// # Errors
    /// `Retry` if the disk is full. `Fatal` for what does not pass; that includes a disk that could not keep what it had
    /// taken, since the system forgets such bytes and would say the next time that all is well.
    pub(super) fn seal(&mut self) -> Result<(), PortError> {
        self.close()?;
        fail::fail_point!("file-sink-staged-written");
        let synced = File::open(&self.path).and_then(|file| file.sync_all());
        let synced = synced.and_then(|()| sync_names(self.path.parent().unwrap_or(Path::new("."))));
        synced.map_err(|error| PortError::fatal(format!("cannot write `{}`: {error}", self.path.display())))?;
        self.sealed = true;
        fail::fail_point!("file-sink-staged-sealed");
        Ok(())
    }
}

/// Appends bytes, and keeps the last ones.
fn keep_last(end: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(Ending::MOST)..];
    end.drain(..(end.len() + bytes.len()).saturating_sub(Ending::MOST));
    end.extend_from_slice(bytes);
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        if !self.sealed {
            // No checkpoint can name it. If it cannot be removed, the next attempt tries again.
            std::fs::remove_file(&self.path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_bytes_are_kept_however_they_come() {
        let all: Vec<u8> = (0..3 * Ending::MOST).map(|number| (number % 251) as u8).collect();
        for step in [1, 7, Ending::MOST - 1, Ending::MOST, Ending::MOST + 1, all.len()] {
            let (mut end, mut came) = (Vec::new(), 0);
            for bytes in all.chunks(step) {
                keep_last(&mut end, bytes);
                came += bytes.len();
                assert_eq!(end, all[came.saturating_sub(Ending::MOST)..came], "{step} at a time");
            }
        }
    }
}
