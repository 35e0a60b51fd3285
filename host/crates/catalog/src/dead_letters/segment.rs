//! One segment: a file of frames, named by the number of its first letter.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;
use gristmill_ports::dead_letters::Epoch;
use gristmill_types::{CheckpointId, DeadLetter, RunId};

use super::frame::{self, Frame};
use super::numbers::Numbers;
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
    /// How many letters it has, forgotten ones with them.
    letters: u64,
    /// How long it is.
    pub(super) bytes: u64,
    /// Where letters `first`, `first + INDEX_STEP` … begin.
    index: Vec<u64>,
    /// For each run, a checkpoint behind which it has no letters here but forgotten ones.
    newest: BTreeMap<RunId, CheckpointId>,
}

/// A letter as it lies in a segment.
pub(super) struct Entry {
    /// Its number.
    pub(super) number: u64,
    /// Where it begins, in bytes.
    at: u64,
    /// How long it is.
    pub(super) bytes: u64,
    /// When it was set aside; `None` if by a host that knew no checkpoints.
    pub(super) epoch: Option<Epoch>,
    record: Vec<u8>,
}

/// The name of a segment; names sort as their numbers do.
pub(super) fn file_name(first: u64) -> String {
    format!("{first:020}.log")
}

impl Segment {
    fn new(dir: &Path, first: u64) -> Self {
        let path = dir.join(file_name(first));
        Self { path, first, letters: 0, bytes: 0, index: Vec::new(), newest: BTreeMap::new() }
    }

    /// A new, empty segment.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub(super) fn create(dir: &Path, first: u64) -> Result<Self, PortError> {
        let segment = Self::new(dir, first);
        File::create(&segment.path).map_err(cannot("make", &segment.path))?;
        Ok(segment)
    }

    /// Reads a segment through. A broken frame at its end is cut off if `repair` is said: the last append was cut short by
    /// a crash and never acknowledged.
    ///
    /// # Errors
    /// If the disk refuses, or a frame is broken and may not be cut off: no crash breaks one that others follow.
    pub(super) fn open(dir: &Path, first: u64, repair: bool, forgotten: &Numbers) -> Result<Self, PortError> {
        let mut segment = Self::new(dir, first);
        let file = File::open(&segment.path).map_err(cannot("read", &segment.path))?;
        let length = file.metadata().map_err(cannot("read", &segment.path))?.len();
        let mut input = BufReader::with_capacity(1 << 16, file);
        loop {
            match frame::read(&mut input, length - segment.bytes).map_err(cannot("read", &segment.path))? {
                Frame::Whole { bytes, epoch, .. } => {
                    let epoch = epoch.filter(|_| !forgotten.contains(segment.end()));
                    segment.count(bytes, epoch);
                }
                Frame::End => return Ok(segment),
                Frame::Broken if repair => {
                    segment.cut_tail()?;
                    return Ok(segment);
                }
                Frame::Broken => return Err(segment.damaged(segment.bytes)),
            }
        }
    }

    /// Cuts off what stands behind the whole frames, which is the beginning of one.
    fn cut_tail(&self) -> Result<(), PortError> {
        let mut tail = Vec::new();
        let mut file = File::open(&self.path).map_err(cannot("read", &self.path))?;
        let read = file.seek(SeekFrom::Start(self.bytes)).and_then(|_| file.read_to_end(&mut tail));
        read.map_err(cannot("read", &self.path))?;
        match frame::whole_behind(&tail) {
            None => self.cut_back(),
            Some(behind) => Err(self.damaged_before(self.bytes + behind as u64)),
        }
    }

    /// One past the number of its last letter.
    pub(super) fn end(&self) -> u64 {
        self.first + self.letters
    }

    /// No letter of the run stands here behind this checkpoint, unless it is forgotten; `None` if none at all.
    pub(super) fn newest(&self, run: RunId) -> Option<CheckpointId> {
        self.newest.get(&run).copied()
    }

    fn count(&mut self, frame_bytes: u64, epoch: Option<Epoch>) {
        if self.letters.is_multiple_of(INDEX_STEP) {
            self.index.push(self.bytes);
        }
        self.letters += 1;
        self.bytes += frame_bytes;
        if let Some(Epoch { run, after }) = epoch {
            let newest = self.newest.entry(run).or_insert(after);
            *newest = after.max(*newest);
        }
    }

    /// Appends frames of one epoch as one write and one fsync. `frame_bytes` are the lengths of the frames in `frames`.
    ///
    /// # Errors
    /// If the disk refuses; the segment is then as before.
    pub(super) fn append(&mut self, epoch: Epoch, frames: &[u8], frame_bytes: &[u64]) -> Result<(), PortError> {
        let written = OpenOptions::new().append(true).open(&self.path).and_then(|mut file| {
            file.write_all(frames)?;
            file.sync_data()
        });
        if let Err(error) = written {
            self.cut_back()?;
            return Err(cannot("write", &self.path)(error));
        }
        frame_bytes.iter().for_each(|&bytes| self.count(bytes, Some(epoch)));
        Ok(())
    }

    /// Cuts the file back to its whole frames.
    fn cut_back(&self) -> Result<(), PortError> {
        let file = OpenOptions::new().write(true).open(&self.path).map_err(cannot("repair", &self.path))?;
        file.set_len(self.bytes).and_then(|()| file.sync_all()).map_err(cannot("repair", &self.path))
    }

    /// Notes that all letters that the run left here from epoch `from` on are forgotten.
    pub(super) fn forgot(&mut self, run: RunId, from: CheckpointId) {
        match from.0.checked_sub(1) {
            None => drop(self.newest.remove(&run)),
            Some(last) => {
                self.newest.entry(run).and_modify(|newest| *newest = CheckpointId(last).min(*newest));
            }
        }
    }

    /// Cuts off the letters from number `end` on, which are forgotten; one that would be empty is removed. Says whether
    /// it was.
    ///
    /// # Errors
    /// If the disk refuses, or a frame was damaged since it was written.
    pub(super) fn cut_off(&mut self, end: u64) -> Result<bool, PortError> {
        if end <= self.first {
            fs::remove_file(&self.path).map_err(cannot("remove", &self.path))?;
            return Ok(true);
        }
        let mut at = self.bytes;
        self.read_from(end, |entry| {
            at = entry.at;
            Ok(false)
        })?;
        self.bytes = at;
        self.letters = end - self.first;
        self.index.truncate(self.letters.div_ceil(INDEX_STEP) as usize);
        self.cut_back()?;
        Ok(false)
    }

    /// Reads letters from number `from` on, as long as `take` says so.
    ///
    /// # Errors
    /// If the disk refuses, a frame was damaged since it was written, or `take` fails.
    pub(super) fn read_from(
        &self,
        from: u64,
        mut take: impl FnMut(Entry) -> Result<bool, PortError>,
    ) -> Result<(), PortError> {
        let step = (from - self.first) / INDEX_STEP;
        let Some(&start) = self.index.get(step as usize) else { return Ok(()) };
        let mut file = File::open(&self.path).map_err(cannot("read", &self.path))?;
        file.seek(SeekFrom::Start(start)).map_err(cannot("read", &self.path))?;
        let mut input = BufReader::with_capacity(1 << 16, file);
        let (mut number, mut at) = (self.first + step * INDEX_STEP, start);
        while number < self.end() {
            let frame = frame::read(&mut input, self.bytes - at).map_err(cannot("read", &self.path))?;
            let Frame::Whole { epoch, record, bytes } = frame else { return Err(self.damaged(at)) };
            if number >= from && !take(Entry { number, at, bytes, epoch, record })? {
                return Ok(());
            }
            number += 1;
            at += bytes;
        }
        Ok(())
    }

    /// The letter of an entry.
    ///
    /// # Errors
    /// If this host does not understand it.
    pub(super) fn letter(&self, entry: &Entry) -> Result<DeadLetter, PortError> {
        record::decode(&entry.record).map_err(cannot("read a letter of", &self.path))
    }

    /// The end is damaged, and letters follow that were acknowledged. What is to be given up, a person decides.
    fn damaged_before(&self, next: u64) -> PortError {
        let (path, at, number) = (self.path.display(), self.bytes, self.end());
        PortError::fatal(format!(
            "the dead letters in `{path}` are damaged at byte {at}, and others follow at byte {next}; put the file back from \
             a copy, or give up those from number {number} on by cutting it there: truncate -s {at} {path}"
        ))
    }

    fn damaged(&self, at: u64) -> PortError {
        PortError::fatal(format!(
            "the dead letters in `{}` are damaged at byte {at}; put the file back from a copy, or delete the job's dead \
             letters",
            self.path.display()
        ))
    }
}
