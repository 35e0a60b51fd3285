//! One segment: a file of frames, named by the number of its first letter.

use std::fs::{File, OpenOptions};
use std::io::{BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;
use gristmill_types::DeadLetter;

use super::frame::{self, Frame};
use crate::record;
use crate::trouble::cannot;

/// Every so many letters the segment remembers where one begins: a page reads over at most that many.
const INDEX_STEP: u64 = 256;

/// A segment. Frames before `bytes` are whole.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    /// The number of its first letter.
    pub(super) first: u64,
    /// How many letters it has.
    pub(super) letters: u64,
    /// How long it is.
    pub(super) bytes: u64,
    /// Where letters `first`, `first + INDEX_STEP` … begin.
    index: Vec<u64>,
}

/// The name of a segment; names sort as their numbers do.
pub(super) fn file_name(first: u64) -> String {
    format!("{first:020}.log")
}

impl Segment {
    /// A new, empty segment.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub(super) fn create(dir: &Path, first: u64) -> Result<Self, PortError> {
        let path = dir.join(file_name(first));
        File::create(&path).map_err(cannot("make", &path))?;
        Ok(Self { path, first, letters: 0, bytes: 0, index: Vec::new() })
    }

    /// Reads a segment through. A broken frame and what follows it is cut off if `repair` is said: the last append was
    /// cut short by a crash and never acknowledged.
    ///
    /// # Errors
    /// If the disk refuses, or a frame is broken and may not be cut off.
    pub(super) fn open(dir: &Path, first: u64, repair: bool) -> Result<Self, PortError> {
        let path = dir.join(file_name(first));
        let mut segment = Self { path, first, letters: 0, bytes: 0, index: Vec::new() };
        let file = File::open(&segment.path).map_err(cannot("read", &segment.path))?;
        let length = file.metadata().map_err(cannot("read", &segment.path))?.len();
        let mut input = BufReader::with_capacity(1 << 16, file);
        loop {
            match frame::read(&mut input, length - segment.bytes).map_err(cannot("read", &segment.path))? {
                Frame::Whole { bytes, .. } => segment.count(bytes),
                Frame::End => return Ok(segment),
                Frame::Broken if repair => {
                    segment.cut_back()?;
                    return Ok(segment);
                }
                Frame::Broken => return Err(segment.damaged(segment.bytes)),
            }
        }
    }

    fn count(&mut self, frame_bytes: u64) {
        if self.letters.is_multiple_of(INDEX_STEP) {
            self.index.push(self.bytes);
        }
        self.letters += 1;
        self.bytes += frame_bytes;
    }

    /// Appends frames as one write and one fsync. `frame_bytes` are the lengths of the frames in `frames`.
    ///
    /// # Errors
    /// If the disk refuses; the segment is then as before.
    pub(super) fn append(&mut self, frames: &[u8], frame_bytes: &[u64]) -> Result<(), PortError> {
        let written = OpenOptions::new().append(true).open(&self.path).and_then(|mut file| {
            file.write_all(frames)?;
            file.sync_data()
        });
        if let Err(error) = written {
            self.cut_back()?;
            return Err(cannot("write", &self.path)(error));
        }
        frame_bytes.iter().for_each(|&bytes| self.count(bytes));
        Ok(())
    }

    /// Cuts the file back to its whole frames.
    fn cut_back(&self) -> Result<(), PortError> {
        let file = OpenOptions::new().write(true).open(&self.path).map_err(cannot("repair", &self.path))?;
        file.set_len(self.bytes).and_then(|()| file.sync_all()).map_err(cannot("repair", &self.path))
    }

    /// Reads letters from number `from` on, as long as `take` takes them; it is told each one's number and frame bytes.
    ///
    /// # Errors
    /// If the disk refuses, or a frame was damaged since it was written.
    pub(super) fn read_from(
        &self,
        from: u64,
        mut take: impl FnMut(u64, DeadLetter, u64) -> bool,
    ) -> Result<(), PortError> {
        let step = (from - self.first) / INDEX_STEP;
        let Some(&start) = self.index.get(step as usize) else { return Ok(()) };
        let mut file = File::open(&self.path).map_err(cannot("read", &self.path))?;
        file.seek(SeekFrom::Start(start)).map_err(cannot("read", &self.path))?;
        let mut input = BufReader::with_capacity(1 << 16, file);
        let (mut number, mut at) = (self.first + step * INDEX_STEP, start);
        while number < self.first + self.letters {
            let frame = frame::read(&mut input, self.bytes - at).map_err(cannot("read", &self.path))?;
            let Frame::Whole { record, bytes } = frame else { return Err(self.damaged(at)) };
            if number >= from {
                let letter = record::decode(&record).map_err(cannot("read a letter of", &self.path))?;
                if !take(number, letter, bytes) {
                    return Ok(());
                }
            }
            number += 1;
            at += bytes;
        }
        Ok(())
    }

    fn damaged(&self, at: u64) -> PortError {
        PortError::fatal(format!(
            "the dead letters in `{}` are damaged at byte {at}; put the file back from a copy, or delete the job's dead \
             letters",
            self.path.display()
        ))
    }
}
