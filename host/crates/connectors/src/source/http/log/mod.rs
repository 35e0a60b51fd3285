//! The log of posted events: a folder of segments, each a file.
//!
//! Events are numbered from zero, and a segment is named by its first. Only the last segment is added to. It ends where
//! the log does; every other ends where the next begins, whatever stands behind that: leavings of an append that failed,
//! and was told to have failed. At the end of the last segment half a frame may stand, since the host went down while it was
//! written: it was never acknowledged, and is cut off. Anything else that cannot be read is damage, and is told.

mod frame;
mod segment_header;
mod segment;
mod log_reader;
mod tail;

use std::io;
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;

pub(super) use self::frame::{Group, LoggedOffer};
use self::frame::{Payload, write_group};
pub(super) use self::log_reader::LogReader;
use self::log_reader::damaged;
use self::segment::{Next, OpenSegment, SegmentReader, beginning_of, clear_unfinished, first_of, path_of, sync_folder};
pub(super) use self::tail::{adopt, write_tail};
use super::keys::{Keys, Remembered};

/// Bytes of a segment, about.
const SEGMENT: u64 = 32 << 20;

/// A log that is written.
pub(super) struct Log {
    folder: PathBuf,
    /// Ascending.
    segments: Vec<Segment>,
    /// The last of the segments, unless it was given up.
    open: Option<OpenSegment>,
    /// The number of the next event.
    next: u64,
    segment_bytes: u64,
    /// Frames on their way to the disk.
    buffer: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    /// The number of its first event.
    first: u64,
    /// Bytes of its events.
    events: u64,
}

impl Log {
    /// Opens the log in this folder, which is made if it is not there, and the keys that were used in it. `most_bytes` is
    /// what the log is to hold at most: it consists of several segments even then.
    ///
    /// # Errors
    /// `Retry` if the disk refuses, `Fatal` if the log is damaged.
    pub(super) fn open(folder: &Path, root: &Path, most_bytes: u64) -> Result<(Self, Keys), PortError> {
        let refused = |error: io::Error| PortError::retry(format!("cannot use `{}`: {error}", folder.display()));
        make(folder, root).map_err(refused)?;
        clear_unfinished(folder).map_err(refused)?;
        let mut segments = list(folder).map_err(refused)?;
        let segment_bytes = SEGMENT.min(most_bytes / 4);
        let mut keys = Keys::of_log(most_bytes);
        let (mut open, mut next) = (None, 0);
        if let Some(last) = segments.last_mut() {
            let mut reader = SegmentReader::open(folder, last.first)?;
            next = recover(&mut reader, &mut keys)?;
            let path = path_of(folder, last.first);
            let reopened = OpenSegment::reopen(&path, reader.header.salt, reader.bytes).map_err(refused)?;
            last.events = reopened.events();
            open = Some(reopened);
        }
        Ok((Self { folder: folder.to_owned(), segments, open, next, segment_bytes, buffer: Vec::new() }, keys))
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The number of the first event that is still there.
    pub(super) fn first(&self) -> u64 {
        self.segments.first().map_or(0, |segment| segment.first)
    }

    /// The number that the next event will have.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Bytes of the events in it. What else it takes on the disk, keys above all, is no reason to refuse events: no
    /// checkpoint lets go of it.
    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.events).sum()
    }

    /// Adds offers; they are durable when this returns. `keys` are those that are in the log; asked for when a segment
    /// begins.
    ///
    /// # Errors
    /// If the disk refuses; then nothing was added, and the next append tries anew.
    pub(super) fn append(
        &mut self,
        offers: Vec<LoggedOffer>,
        arrived_ms: i64,
        keys: impl FnOnce() -> Vec<Remembered>,
    ) -> io::Result<Group> {
        let is_full = self.open.as_ref().is_some_and(|open| open.events() >= self.segment_bytes);
        if is_full || self.open.is_none() {
            self.begin_segment(&keys())?;
        }
        let open = self.open.as_mut().expect("a segment was begun");
        let group = Group { first: self.next, arrived_ms, offers };
        self.buffer.clear();
        write_group(open.salt, &group, &mut self.buffer);
        if let Err(error) = open.append(&self.buffer) {
            self.open = None;
            return Err(error);
        }
        self.note_size();
        self.next += group.events();
        Ok(group)
    }

    /// Removes the segments in which no event has this number or a higher one; the last stays, unless it has grown and is
    /// of no use any more either.
    ///
    /// # Errors
    /// If the disk refuses; what was not removed is removed another time.
    pub(super) fn forget_before(&mut self, oldest: u64, keys: impl FnOnce() -> Vec<Remembered>) -> io::Result<()> {
        let has_grown = self.open.as_ref().is_some_and(|open| open.events() >= self.segment_bytes / 2);
        if oldest >= self.next && has_grown {
            self.begin_segment(&keys())?;
        }
        while self.segments.get(1).is_some_and(|second| second.first <= oldest) {
            std::fs::remove_file(path_of(&self.folder, self.segments[0].first))?;
            self.segments.remove(0);
            fail::fail_point!("ingest-log-trimmed");
        }
        Ok(())
    }

    fn begin_segment(&mut self, keys: &[Remembered]) -> io::Result<()> {
        self.open = None;
        let open = OpenSegment::create(&self.folder, self.next, keys)?;
        // One without events, which was given up, has the same name.
        self.segments.retain(|segment| segment.first != self.next);
        self.segments.push(Segment { first: self.next, events: open.events() });
        self.open = Some(open);
        Ok(())
    }

    fn note_size(&mut self) {
        if let (Some(segment), Some(open)) = (self.segments.last_mut(), &self.open) {
            segment.events = open.events();
        }
    }

    /// A reader of the events from this number up to those that come later; `None` if there are none.
    pub(super) fn read_from(&self, next: u64) -> Option<LogReader> {
        let at = self.segments.iter().rposition(|segment| segment.first <= next)?;
        let firsts = || self.segments[at..].iter().map(|segment| segment.first).collect();
        (next < self.next).then(|| LogReader::new(&self.folder, firsts(), next..self.next))
    }
}

/// Makes the folder, and makes it durable that it is there.
fn make(folder: &Path, root: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let above = folder.ancestors().take_while(|above| above.starts_with(root));
    above.filter(|above| !above.as_os_str().is_empty()).try_for_each(sync_folder)
}

fn list(folder: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in folder.read_dir()? {
        let entry = entry?;
        if let Some(first) = entry.file_name().to_str().and_then(first_of) {
            let events = entry.metadata()?.len().saturating_sub(beginning_of(&entry.path())?);
            segments.push(Segment { first, events });
        }
    }
    segments.sort_unstable_by_key(|segment| segment.first);
    Ok(segments)
}

/// Finds the end of the last segment, and the keys of the whole log. Gives the number of the next event.
fn recover(reader: &mut SegmentReader, keys: &mut Keys) -> Result<u64, PortError> {
    let mut next = reader.header.first;
    loop {
        match reader.next()? {
            Next::Frame(Payload::Keys(before)) => before.into_iter().for_each(|key| keys.remember(key)),
            Next::Frame(Payload::Group(group)) if group.first == next => {
                next += group.events();
                group.remembered().for_each(|key| keys.remember(key));
            }
            Next::Frame(Payload::Group(_)) => return Err(damaged(reader)),
            Next::End => return Ok(next),
            Next::Broken if reader.has_more_behind()? => return Err(damaged(reader)),
            Next::Broken => return Ok(next),
        }
    }
}

impl Group {
    /// How many events it has.
    fn events(&self) -> u64 {
        self.offers.iter().map(|offer| offer.events.len() as u64).sum()
    }

    /// The keys of its offers.
    pub(super) fn remembered(&self) -> impl Iterator<Item = Remembered> + '_ {
        self.offers.iter().filter_map(|offer| {
            let events = super::keys::KeyHash::of_events(&offer.events);
            Some(Remembered { key: offer.key?, events, at_ms: self.arrived_ms })
        })
    }
}

#[cfg(test)]
mod tests;
