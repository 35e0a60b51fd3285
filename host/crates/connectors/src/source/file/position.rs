//! Where the reading of one file stands, and how a file is known again.
//!
//! A file may have grown since, and is then read on. One that was cut short or begins otherwise is another file under the
//! same name, and no position holds in it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use gristmill_checkpoint::SplitPosition;
use gristmill_ports::PortError;
use gristmill_types::NodeId;
use xxhash_rust::xxh3::xxh3_64;

use crate::source::position::{PositionWriter, read_position};

const VERSION: u8 = 1;

const FINISHED: u8 = 1;
const WITHIN_A_LONG_LINE: u8 = 2;
const REPLAYED: u8 = 4;

/// Bytes at the beginning of a file by which it is known.
const HEAD: usize = 1024;

/// Before which record of a file the reading stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The byte at which it begins, in the unpacked stream.
    pub(super) offset: u64,
    /// Line ends before it.
    pub(super) lines: u64,
    /// Records before it, undecodable ones included.
    pub(super) records: u64,
    /// It is no record, but the rest of a line that was given as too long.
    pub(super) within_a_long_line: bool,
}

/// By what a file is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    /// Bytes that it had on the disk.
    pub(super) bytes: u64,
    /// So many bytes at its beginning,
    head_bytes: u32,
    /// and their XXH3.
    head: u64,
}

/// Where the reading of one file stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FilePosition {
    /// All of it was read.
    pub(super) finished: bool,
    pub(super) place: Place,
    pub(super) identity: Identity,
    /// How far in event time its subtask's replay had come.
    pub(super) replayed_to: Option<i64>,
}

impl Identity {
    /// What an open file is known by. Leaves it at its beginning.
    pub(super) fn of(file: &mut File) -> io::Result<Self> {
        let bytes = file.metadata()?.len();
        let head_bytes = bytes.min(HEAD as u64) as u32;
        let head = hash_of_head(file, head_bytes)?.unwrap_or_default();
        Ok(Self { bytes, head_bytes, head })
    }

    /// Whether this is the file that is there now, grown or not.
    ///
    /// # Errors
    /// In what it differs, as the rest of a sentence that names the file.
    pub(super) fn check(&self, file: &mut File) -> Result<(), String> {
        let unreadable = |error: io::Error| format!("cannot be read: {error}");
        let bytes = file.metadata().map_err(unreadable)?.len();
        if bytes < self.bytes {
            return Err(format!("had {} bytes when it was read and has {bytes} now: it was cut short", self.bytes));
        }
        if hash_of_head(file, self.head_bytes).map_err(unreadable)? != Some(self.head) {
            return Err("begins otherwise than when it was read: it was replaced".to_owned());
        }
        Ok(())
    }
}

/// The hash of so many first bytes, if there are so many.
fn hash_of_head(file: &mut File, bytes: u32) -> io::Result<Option<u64>> {
    let mut head = Vec::with_capacity(HEAD);
    file.rewind()?;
    file.take(u64::from(bytes)).read_to_end(&mut head)?;
    file.seek(SeekFrom::Start(0))?;
    Ok((head.len() == bytes as usize).then(|| xxh3_64(&head)))
}

impl FilePosition {
    pub(super) fn encode(&self, split: &str) -> SplitPosition {
        let Self { finished, place, identity, replayed_to } = self;
        let flag = |is_set: bool, flag: u8| if is_set { flag } else { 0 };
        let flags = flag(*finished, FINISHED)
            | flag(place.within_a_long_line, WITHIN_A_LONG_LINE)
            | flag(replayed_to.is_some(), REPLAYED);
        PositionWriter::new(VERSION)
            .u8(flags)
            .u64(place.offset)
            .u64(place.lines)
            .u64(place.records)
            .u64(identity.bytes)
            .u32(identity.head_bytes)
            .u64(identity.head)
            .i64(replayed_to.unwrap_or_default())
            .of(split)
    }

    /// # Errors
    /// `Fatal` if it is none of a file.
    pub(super) fn decode(node: &NodeId, position: &SplitPosition) -> Result<Self, PortError> {
        read_position(node, position, VERSION, |numbers| {
            let flags = numbers.u8().filter(|flags| *flags <= (FINISHED | WITHIN_A_LONG_LINE | REPLAYED))?;
            let is_set = |flag: u8| flags & flag != 0;
            let (offset, lines, records) = (numbers.u64()?, numbers.u64()?, numbers.u64()?);
            let place = Place { offset, lines, records, within_a_long_line: is_set(WITHIN_A_LONG_LINE) };
            let identity = Identity { bytes: numbers.u64()?, head_bytes: numbers.u32()?, head: numbers.u64()? };
            let replayed_to = Some(numbers.i64()?).filter(|_| is_set(REPLAYED));
            Some(Self { finished: is_set(FINISHED), place, identity, replayed_to })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_positions() {
        let node: NodeId = "files".parse().expect("an id");
        let place = Place { offset: 0x0102, lines: 7, records: 6, within_a_long_line: true };
        let identity = Identity { bytes: 9, head_bytes: 8, head: 0x0a0b };
        let mut position = FilePosition { finished: false, place, identity, replayed_to: Some(-2) };
        let encoded = position.encode("data/a.csv");
        let wanted = [
            &[1, 6, 2, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0][..],
            &[9, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0x0b, 0x0a, 0, 0, 0, 0, 0, 0],
            &[254, 255, 255, 255, 255, 255, 255, 255],
        ];
        assert_eq!((encoded.split.as_str(), encoded.position.as_slice()), ("data/a.csv", &wanted.concat()[..]));
        assert_eq!(FilePosition::decode(&node, &encoded), Ok(position));
        (position.finished, position.replayed_to) = (true, None);
        assert_eq!(FilePosition::decode(&node, &position.encode("x")), Ok(position));
    }

    #[test]
    fn a_file_is_known_again_however_it_has_grown() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("a");
        for (before, after, wanted) in [
            ("", "", Ok(())),
            ("", "x", Ok(())),
            ("ab", "abc", Ok(())),
            ("abc", "ab", Err("cut short")),
            ("abc", "abd", Err("replaced")),
            ("abc", "xbcd", Err("replaced")),
        ] {
            std::fs::write(&path, before).expect("written");
            let identity = Identity::of(&mut File::open(&path).expect("there")).expect("readable");
            std::fs::write(&path, after).expect("written");
            let found = identity.check(&mut File::open(&path).expect("there"));
            assert_eq!(found.clone().map_err(|_| ()), wanted.map_err(|_: &str| ()), "{before} → {after}: {found:?}");
            if let (Err(found), Err(wanted)) = (found, wanted) {
                assert!(found.contains(wanted), "{found}");
            }
        }
    }
}
