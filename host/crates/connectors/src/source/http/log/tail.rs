//! A part of a log as one segment, and a segment as the beginning of a log.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;

use super::frame::write_group;
use super::segment::{OpenSegment, clear_unfinished, lay_down, path_of};
use super::{LogReader, list, make};
use crate::source::http::keys::Remembered;

/// Bytes of frames that are written at once.
const AT_ONCE: usize = 4 << 20;

/// Writes the events of these numbers as a segment into a folder of its own, behind all keys. The log may be written on
/// meanwhile, and must keep these events. Gives the segment's path.
///
/// # Errors
/// `Retry` if the disk refuses; `Fatal` if the log is damaged.
pub(in crate::source::http) fn write_tail(
    log: &Path,
    numbers: Range<u64>,
    keys: &[Remembered],
    into: &Path,
) -> Result<PathBuf, PortError> {
    let refused = |error: io::Error| PortError::retry(format!("cannot use `{}`: {error}", into.display()));
    std::fs::create_dir_all(into).map_err(refused)?;
    let mut segment = OpenSegment::create(into, numbers.start, keys).map_err(refused)?;
    let segments = list(log).map_err(refused)?;
    let firsts = segments.iter().map(|segment| segment.first);
    // The one in which the first event stands, and those behind it.
    let before = firsts.clone().filter(|first| *first <= numbers.start).count().saturating_sub(1);
    let mut reader = LogReader::new(log, firsts.skip(before).collect(), numbers.clone());
    let mut frames = Vec::new();
    while let Some(mut group) = reader.next_group()? {
        // They stand at the beginning, for all events that came under them: some of these may have been read.
        group.offers.iter_mut().for_each(|offer| offer.key = None);
        write_group(segment.salt, &group, &mut frames);
        if frames.len() >= AT_ONCE {
            segment.append(&frames).map_err(refused)?;
            frames.clear();
        }
    }
    segment.append(&frames).map_err(refused)?;
    Ok(path_of(into, numbers.start))
}

/// Begins a log with a segment from elsewhere, unless it has begun.
///
/// # Errors
/// `Retry` if the disk refuses; `Fatal` if the file is no segment.
pub(in crate::source::http) fn adopt(folder: &Path, root: &Path, segment: &Path) -> Result<(), PortError> {
    let refused = |error: io::Error| PortError::retry(format!("cannot use `{}`: {error}", folder.display()));
    make(folder, root).map_err(refused)?;
    clear_unfinished(folder).map_err(refused)?;
    if !list(folder).map_err(refused)?.is_empty() {
        return Ok(());
    }
    lay_down(folder, segment)
}
