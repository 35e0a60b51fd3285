//! Reading a log from an event on, while it is written on.

use std::ops::Range;
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;

use super::frame::{Group, Payload};
use super::segment::{Next, SegmentReader};

/// Reads a part of a log, while it is written on.
pub(in crate::source::http) struct LogReader {
    folder: PathBuf,
    /// The first event of each segment that is left, the current one first.
    segments: Vec<u64>,
    /// The number of the next event, and of the first that is not read.
    next: u64,
    until: u64,
    current: Option<SegmentReader>,
}

impl LogReader {
    /// Of the events of these numbers, in the segments that begin with these.
    pub(super) fn new(folder: &Path, segments: Vec<u64>, numbers: Range<u64>) -> Self {
        Self { folder: folder.to_owned(), segments, next: numbers.start, until: numbers.end, current: None }
    }

    /// The next group, without its events before the first that was asked for. `None`: there is none.
    ///
    /// # Errors
    /// `Retry` if the disk refuses, `Fatal` if the log is damaged.
    pub(in crate::source::http) fn next_group(&mut self) -> Result<Option<Group>, PortError> {
        while self.next < self.until {
            if self.segments.get(1).is_some_and(|following| *following <= self.next) {
                self.segments.remove(0);
                self.current = None;
            }
            let reader = match &mut self.current {
                Some(reader) => reader,
                None => self.current.insert(SegmentReader::open(&self.folder, self.segments[0])?),
            };
            let expected = self.next;
            let frame = reader.next().and_then(|next| match next {
                // Numbers are missing.
                Next::Frame(Payload::Group(group)) if group.first > expected => Err(damaged(reader)),
                Next::Frame(frame) => Ok(frame),
                Next::End | Next::Broken => Err(damaged(reader)),
            });
            match frame {
                Ok(Payload::Keys(_)) => {}
                Ok(Payload::Group(group)) => {
                    if let Some(group) = self.not_read_of(group) {
                        return Ok(Some(group));
                    }
                }
                Err(error) => {
                    // The next try reads the segment anew, and passes over what was read of it.
                    self.current = None;
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// The part of a group that was not read yet, if any.
    fn not_read_of(&mut self, group: Group) -> Option<Group> {
        let end = group.first + group.events();
        let read = self.next.saturating_sub(group.first);
        (end > self.next).then(|| {
            self.next = end;
            group.behind(read)
        })
    }
}

impl Group {
    /// The group without so many of its first events.
    fn behind(mut self, mut events: u64) -> Self {
        self.first += events;
        for offer in &mut self.offers {
            let gone = events.min(offer.events.len() as u64);
            offer.events.drain(..gone as usize);
            events -= gone;
        }
        self
    }
}

/// The log ends in a way that no crash explains.
pub(super) fn damaged(reader: &SegmentReader) -> PortError {
    PortError::fatal(format!(
        "the log of posted events cannot be read on: {}; events that were acknowledged would be lost, so put the file back \
         from a copy, or run the job anew without it",
        reader.broken_place()
    ))
}
