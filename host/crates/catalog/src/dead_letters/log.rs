//! The dead letters of one job: its segments, in order.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;
use gristmill_types::{DeadLetter, JobId};

use super::frame;
use super::segment::Segment;
use crate::data_dir::sync_dir;
use crate::trouble::cannot;

/// A segment that has reached this length gets no more letters.
const SEGMENT_BYTES: u64 = 16 << 20;

/// A page ends early rather than hold more than this.
const PAGE_BYTES: u64 = 64 << 20;

/// The log of one job.
#[derive(Debug)]
pub(super) struct JobLog {
    job: JobId,
    dir: PathBuf,
    /// `None` until the folder was looked at.
    segments: Option<Vec<Segment>>,
}

impl JobLog {
    /// A log that is not opened yet.
    pub(super) fn new(parent: &Path, job: &JobId) -> Self {
        Self { job: job.clone(), dir: parent.join(job.as_str()), segments: None }
    }

    /// Looks at the folder, if that was not done yet, and repairs the end of the last segment.
    ///
    /// # Errors
    /// If the disk refuses, or a letter is damaged that was acknowledged.
    pub(super) fn open(&mut self) -> Result<(), PortError> {
        if self.segments.is_none() {
            let firsts = self.first_numbers()?;
            let open = |(place, &first)| Segment::open(&self.dir, first, place + 1 == firsts.len());
            let segments = firsts.iter().enumerate().map(open).collect::<Result<Vec<_>, _>>()?;
            let mut next = 0;
            for segment in &segments {
                if segment.first != next {
                    return Err(self.gap(next, segment.first));
                }
                next += segment.letters;
            }
            self.segments = Some(segments);
        }
        Ok(())
    }

    fn gap(&self, expected: u64, found: u64) -> PortError {
        PortError::fatal(format!(
            "in the dead letters of job `{}`, number {expected} should come next and {found} does: a file of `{}` is \
             missing or cut short; put it back from a copy, or delete the job's dead letters",
            self.job,
            self.dir.display()
        ))
    }

    /// The first numbers of the segments in the folder, ascending; none if there is no folder.
    fn first_numbers(&self) -> Result<Vec<u64>, PortError> {
        let files = match fs::read_dir(&self.dir) {
            Ok(files) => files,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(cannot("read", &self.dir)(error)),
        };
        let mut firsts = Vec::new();
        for file in files {
            let name = file.map_err(cannot("read", &self.dir))?.file_name();
            firsts.extend(name.to_str().and_then(|name| name.strip_suffix(".log")?.parse::<u64>().ok()));
        }
        firsts.sort_unstable();
        Ok(firsts)
    }

    fn segments(&self) -> &[Segment] {
        self.segments.as_deref().unwrap_or_default()
    }

    /// How many letters there are.
    pub(super) fn count(&self) -> u64 {
        self.segments().last().map_or(0, |last| last.first + last.letters)
    }

    /// Adds letters; all are durable when this returns, or none is kept.
    ///
    /// # Errors
    /// If the disk refuses, or the log would grow over `limit` bytes.
    pub(super) fn append(&mut self, letters: &[DeadLetter], limit: u64) -> Result<(), PortError> {
        let (mut frames, mut frame_bytes) = (Vec::new(), Vec::with_capacity(letters.len()));
        for letter in letters {
            let before = frames.len();
            frame::write(letter, &mut frames).map_err(cannot("keep dead letters in", &self.dir))?;
            frame_bytes.push((frames.len() - before) as u64);
        }
        let bytes: u64 = self.segments().iter().map(|segment| segment.bytes).sum();
        if bytes + frames.len() as u64 > limit {
            return Err(PortError::fatal(format!(
                "job `{}` has {} dead letters, which take {bytes} of {limit} bytes, and {} more do not fit; replay what \
                 can be replayed and delete the job's dead letters",
                self.job,
                self.count(),
                letters.len()
            )));
        }
        self.last_segment()?.append(&frames, &frame_bytes)
    }

    /// The segment to append to, a new one if the last is full.
    fn last_segment(&mut self) -> Result<&mut Segment, PortError> {
        let count = self.count();
        let segments = self.segments.get_or_insert_default();
        if segments.last().is_none_or(|last| last.bytes >= SEGMENT_BYTES) {
            fs::create_dir_all(&self.dir).map_err(cannot("make the directory", &self.dir))?;
            segments.push(Segment::create(&self.dir, count)?);
            sync_dir(&self.dir)?;
            sync_dir(self.dir.parent().expect("the folder of a job lies in `dead-letters`"))?;
        }
        Ok(segments.last_mut().expect("one was just pushed if there was none"))
    }

    /// Letters from number `from` on: at most `limit`, and fewer if they are very large, but one if there is one.
    ///
    /// # Errors
    /// If the disk refuses, or a letter is damaged.
    pub(super) fn page(&self, from: u64, limit: usize) -> Result<Vec<(u64, DeadLetter)>, PortError> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        let segments = self.segments();
        let holder = segments.partition_point(|segment| segment.first + segment.letters <= from);
        for segment in &segments[holder..] {
            if page.len() >= limit || bytes >= PAGE_BYTES {
                break;
            }
            segment.read_from(from.max(segment.first), |number, letter, frame_bytes| {
                bytes += frame_bytes;
                page.push((number, letter));
                page.len() < limit && bytes < PAGE_BYTES
            })?;
        }
        Ok(page)
    }

    /// Forgets all letters; numbers begin with zero again.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn delete(&mut self) -> Result<(), PortError> {
        self.segments = None;
        // The last segment first, so that a crash in the middle leaves letters from zero on and no gap.
        for first in self.first_numbers()?.into_iter().rev() {
            let path = self.dir.join(super::segment::file_name(first));
            fs::remove_file(&path).map_err(cannot("remove", &path))?;
        }
        match fs::remove_dir_all(&self.dir) {
            Ok(()) => sync_dir(self.dir.parent().expect("the folder of a job lies in `dead-letters`")),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(cannot("remove", &self.dir)(error)),
        }
    }
}
