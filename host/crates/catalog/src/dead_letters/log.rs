//! The letters of one job as they lie on disk: its segments, in order, and which of the numbers are forgotten.
//!
//! Knows epochs, and not which of them are decided.

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;
use gristmill_ports::dead_letters::Epoch;
use gristmill_types::{CheckpointId, DeadLetter, JobId, RunId};

use super::frame;
use super::numbers::Numbers;
use super::segment::{Segment, file_name};
use crate::data_dir::sync_dir;
use crate::trouble::cannot;

/// A segment that has reached this length gets no more letters.
const SEGMENT_BYTES: u64 = 16 << 20;

/// A page ends early rather than hold more than this.
const PAGE_BYTES: u64 = 64 << 20;

/// The log of one job.
#[derive(Debug)]
pub(super) struct Log {
    job: JobId,
    dir: PathBuf,
    segments: Vec<Segment>,
    forgotten: Numbers,
}

impl Log {
    /// Reads the log in a folder, which need not be there, repairs the end of the last segment, and gives back the room
    /// of forgotten letters.
    ///
    /// # Errors
    /// If the disk refuses, or a letter is damaged that was acknowledged.
    pub(super) fn open(dir: &Path, job: &JobId, forgotten: Numbers) -> Result<Self, PortError> {
        let mut log = Self { job: job.clone(), dir: dir.to_owned(), segments: Vec::new(), forgotten };
        let firsts = first_numbers(dir)?;
        for (place, &first) in firsts.iter().enumerate() {
            let segment = Segment::open(dir, first, place + 1 == firsts.len(), &log.forgotten)?;
            let next = log.segments.last().map_or(0, Segment::end);
            if first < next || !log.forgotten.covers(next..first) {
                return Err(log.gap(next, first));
            }
            log.segments.push(segment);
        }
        log.give_back_room()?;
        Ok(log)
    }

    fn gap(&self, expected: u64, found: u64) -> PortError {
        PortError::fatal(format!(
            "in the dead letters of job `{}`, number {expected} should come next and {found} does: a file of `{}` is \
             missing or cut short; put it back from a copy, or delete the job's dead letters",
            self.job,
            self.dir.display()
        ))
    }

    /// How many letters there are.
    pub(super) fn count(&self) -> u64 {
        let live = |segment: &Segment| {
            let numbers = segment.first..segment.end();
            numbers.end - numbers.start - self.forgotten.within(numbers)
        };
        self.segments.iter().map(live).sum()
    }

    /// The number of the next letter.
    pub(super) fn next_number(&self) -> u64 {
        self.segments.last().map_or(0, Segment::end).max(self.forgotten.end())
    }

    /// Whether a letter was forgotten.
    pub(super) fn is_forgotten(&self, number: u64) -> bool {
        self.forgotten.contains(number)
    }

    /// No letter of the run stands behind this checkpoint; `None` if there is none at all.
    pub(super) fn newest(&self, run: RunId) -> Option<CheckpointId> {
        self.segments.iter().filter_map(|segment| segment.newest(run)).max()
    }

    /// Adds letters; all are durable when this returns, or none is kept.
    ///
    /// # Errors
    /// If the disk refuses, or the log would grow over `limit` bytes.
    pub(super) fn append(&mut self, epoch: Epoch, letters: &[DeadLetter], limit: u64) -> Result<(), PortError> {
        let (mut frames, mut frame_bytes) = (Vec::new(), Vec::with_capacity(letters.len()));
        for letter in letters {
            let before = frames.len();
            frame::write(epoch, letter, &mut frames).map_err(cannot("keep dead letters in", &self.dir))?;
            frame_bytes.push((frames.len() - before) as u64);
        }
        let bytes: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        if bytes + frames.len() as u64 > limit {
            return Err(PortError::fatal(format!(
                "job `{}` has {} dead letters, which take {bytes} of {limit} bytes, and {} more do not fit; replay what \
                 can be replayed and delete the job's dead letters",
                self.job,
                self.count(),
                letters.len()
            )));
        }
        self.last_segment()?.append(epoch, &frames, &frame_bytes)?;
        fail::fail_point!("dead-letters-kept");
        Ok(())
    }

    /// The segment to append to; a new one if the last is full, or was cut because its last letters are forgotten.
    fn last_segment(&mut self) -> Result<&mut Segment, PortError> {
        let next = self.next_number();
        if self.segments.last().is_none_or(|last| last.bytes >= SEGMENT_BYTES || last.end() != next) {
            fs::create_dir_all(&self.dir).map_err(cannot("make the directory", &self.dir))?;
            self.segments.push(Segment::create(&self.dir, next)?);
            sync_dir(&self.dir)?;
            sync_dir(self.dir.parent().expect("the folder of a job lies in `dead-letters`"))?;
        }
        Ok(self.segments.last_mut().expect("one was just pushed if there was none"))
    }

    /// Takes letters from number `from` on: at most `limit`, and fewer if they are very large, but one if there is one.
    ///
    /// # Errors
    /// If the disk refuses, or a letter is damaged.
    pub(super) fn page(
        &self,
        from: u64,
        limit: usize,
        mut take: impl FnMut(u64, Option<Epoch>, DeadLetter),
    ) -> Result<(), PortError> {
        let (mut taken, mut bytes) = (0, 0);
        let holder = self.segments.partition_point(|segment| segment.end() <= from);
        for segment in &self.segments[holder..] {
            if taken >= limit || bytes >= PAGE_BYTES {
                break;
            }
            segment.read_from(from.max(segment.first), |entry| {
                if !self.forgotten.contains(entry.number) {
                    taken += 1;
                    bytes += entry.bytes;
                    take(entry.number, entry.epoch, segment.letter(&entry)?);
                }
                Ok(taken < limit && bytes < PAGE_BYTES)
            })?;
        }
        Ok(())
    }

    /// The letters that a run set aside in epochs from `from` on, without those that are forgotten already.
    ///
    /// # Errors
    /// If the disk refuses, or a letter is damaged.
    pub(super) fn of_epochs(&self, run: RunId, from: CheckpointId) -> Result<Vec<Range<u64>>, PortError> {
        let mut found = Vec::<Range<u64>>::new();
        for segment in self.segments.iter().filter(|segment| segment.newest(run) >= Some(from)) {
            segment.read_from(segment.first, |entry| {
                let is_meant = entry.epoch.is_some_and(|epoch| epoch.run == run && epoch.after >= from);
                if is_meant && !self.forgotten.contains(entry.number) {
                    match found.last_mut().filter(|last| last.end == entry.number) {
                        Some(last) => last.end += 1,
                        None => found.push(entry.number..entry.number + 1),
                    }
                }
                Ok(true)
            })?;
        }
        Ok(found)
    }

    /// Forgets what [`Self::of_epochs`] found, and gives its room back where it can be cut off.
    ///
    /// # Errors
    /// If the disk refuses; the letters are forgotten all the same.
    pub(super) fn forget(&mut self, run: RunId, from: CheckpointId, found: Vec<Range<u64>>) -> Result<(), PortError> {
        found.into_iter().for_each(|range| self.forgotten.insert(range));
        self.segments.iter_mut().for_each(|segment| segment.forgot(run, from));
        self.give_back_room()
    }

    /// Cuts forgotten letters off the ends of segments. What a job sets aside again after each failure would fill the
    /// disk otherwise.
    fn give_back_room(&mut self) -> Result<(), PortError> {
        let mut place = 0;
        while let Some(segment) = self.segments.get_mut(place) {
            let last = segment.end().checked_sub(1).filter(|last| *last >= segment.first);
            let cut = last.and_then(|last| self.forgotten.around(last));
            match cut {
                Some(cut) if segment.cut_off(cut.start)? => {
                    self.segments.remove(place);
                    sync_dir(&self.dir)?;
                }
                Some(_) | None => place += 1,
            }
        }
        Ok(())
    }
}

/// The first numbers of the segments in a folder, ascending; none if there is no folder.
fn first_numbers(dir: &Path) -> Result<Vec<u64>, PortError> {
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(cannot("read", dir)(error)),
    };
    let mut firsts = Vec::new();
    for file in files {
        let name = file.map_err(cannot("read", dir))?.file_name();
        firsts.extend(name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok()));
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// Removes the log in a folder, damaged or not.
///
/// # Errors
/// If the disk refuses.
pub(super) fn remove(dir: &Path) -> Result<(), PortError> {
    // The last segment first, so that a crash in the middle leaves letters from zero on and no gap.
    for first in first_numbers(dir)?.into_iter().rev() {
        let path = dir.join(file_name(first));
        fs::remove_file(&path).map_err(cannot("remove", &path))?;
    }
    match fs::remove_dir_all(dir) {
        Ok(()) => sync_dir(dir.parent().expect("the folder of a job lies in `dead-letters`")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(cannot("remove", dir)(error)),
    }
}
