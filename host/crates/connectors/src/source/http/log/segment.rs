//! One file of a log: making it, adding to it, and reading it frame by frame.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gristmill_ports::PortError;

use super::frame::{FRAME_HEADER, FRAME_MARK, Payload, keys_bytes, payload_bytes, read_frame, write_keys};
use super::segment_header::{SEGMENT_HEADER, SegmentHeader};
use crate::source::http::keys::Remembered;

/// A segment that is being made.
const UNFINISHED: &str = "segment.tmp";

/// Bytes read from the disk at once.
const BLOCK: usize = 256 << 10;

/// The path of the segment that begins with this event.
pub(super) fn path_of(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("{first:020}.log"))
}

/// The first event of the segment of this name, if it is one.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".log")?;
    (number.len() == 20).then(|| number.parse().ok())?
}

/// A segment to which frames are added.
pub(super) struct OpenSegment {
    file: File,
    pub(super) salt: u64,
    /// What is in it for good.
    pub(super) bytes: u64,
    /// What of it comes before the first event: keys, which take their room in every segment anew.
    beginning: u64,
}

impl OpenSegment {
    /// Makes a segment that knows the keys used before it. It is there whole or not at all.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn create(folder: &Path, first: u64, keys: &[Remembered]) -> io::Result<Self> {
        let salt = random();
        let mut beginning = SegmentHeader { salt, first }.encode().to_vec();
        write_keys(salt, keys, &mut beginning);
        let unfinished = folder.join(UNFINISHED);
        let create = || -> io::Result<File> {
            let mut file = File::create(&unfinished)?;
            file.write_all(&beginning)?;
            file.sync_data()?;
            fail::fail_point!("ingest-segment-written");
            std::fs::rename(&unfinished, path_of(folder, first))?;
            sync_folder(folder)?;
            Ok(file)
        };
        let file = create().inspect_err(|_| {
            // What is left of it is in the way of the next one only if it cannot be removed, and that is told then.
            std::fs::remove_file(&unfinished).ok();
        })?;
        fail::fail_point!("ingest-segment-created");
        let bytes = beginning.len() as u64;
        Ok(Self { file, salt, bytes, beginning: bytes })
    }

    /// Goes on with a segment that holds so many good bytes; what follows them is cut off.
    ///
    /// # Errors
    /// If the disk refuses.
    pub(super) fn reopen(path: &Path, salt: u64, bytes: u64) -> io::Result<Self> {
        let beginning = beginning_of(path)?.min(bytes);
        let mut file = File::options().read(true).write(true).open(path)?;
        if file.metadata()?.len() > bytes {
            file.set_len(bytes)?;
        }
        // The host before this one may have gone down before its last sync: what is whole here need not be on the disk
        // yet, and is acknowledged to whoever sends it again.
        file.sync_all()?;
        fail::fail_point!("ingest-log-reopened");
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Self { file, salt, bytes, beginning })
    }

    /// Bytes of its events.
    pub(super) fn events(&self) -> u64 {
        self.bytes - self.beginning
    }

    /// Adds frames. They are durable when this returns; after an error the segment is not to be used again.
    ///
    /// # Errors
    /// If the disk refuses. A later attempt may find the frames all the same.
    pub(super) fn append(&mut self, frames: &[u8]) -> io::Result<()> {
        let mut append = || -> io::Result<()> {
            self.file.write_all(frames)?;
            fail::fail_point!("ingest-log-written");
            // A failed sync may have dropped what was written and succeed when it is tried again: hence no second try.
            self.file.sync_data()
        };
        append().inspect_err(|_| {
            // Gives the room back; if that fails too, the next segment says where this one ends.
            self.file.set_len(self.bytes).ok();
        })?;
        fail::fail_point!("ingest-log-synced");
        self.bytes += frames.len() as u64;
        Ok(())
    }
}

/// Bytes before the first event of a segment. What they say is not checked.
///
/// # Errors
/// If the disk refuses.
pub(super) fn beginning_of(path: &Path) -> io::Result<u64> {
    let mut beginning = Vec::new();
    File::open(path)?.take((SEGMENT_HEADER + FRAME_HEADER + 1) as u64).read_to_end(&mut beginning)?;
    let keys = beginning.get(SEGMENT_HEADER..).and_then(keys_bytes).unwrap_or(0);
    Ok((SEGMENT_HEADER + keys) as u64)
}

/// Makes changes of a folder durable.
///
/// # Errors
/// If the disk refuses.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A number that nobody outside can know; the standard library draws it for its hash tables.
fn random() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// What comes next in a segment.
pub(super) enum Next {
    Frame(Payload),
    /// The file ends here.
    End,
    /// No whole frame stands here.
    Broken,
}

/// Reads a segment from its beginning.
pub(super) struct SegmentReader {
    path: PathBuf,
    file: BufReader<File>,
    pub(super) header: SegmentHeader,
    /// Up to here frames were good.
    pub(super) bytes: u64,
    payload: Vec<u8>,
}

impl SegmentReader {
    /// # Errors
    /// `Retry` if the disk refuses, `Fatal` for a file that is no segment.
    pub(super) fn open(folder: &Path, first: u64) -> Result<Self, PortError> {
        let path = path_of(folder, first);
        let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
        let mut file = BufReader::with_capacity(BLOCK, file);
        let mut header = [0; SEGMENT_HEADER];
        let header = match file.read_exact(&mut header) {
            Ok(()) => SegmentHeader::decode(&header),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err("its beginning is missing".to_owned()),
            Err(error) => return Err(unreadable(&path, &error)),
        };
        let refuse = |reason| PortError::fatal(format!("`{}` is no part of a log: {reason}", path.display()));
        let header = header.map_err(refuse)?;
        if header.first != first {
            return Err(refuse(format!("it begins with event {}, so it was renamed", header.first)));
        }
        Ok(Self { path, file, header, bytes: SEGMENT_HEADER as u64, payload: Vec::new() })
    }

    /// # Errors
    /// `Retry` if the disk refuses; the reader is not to be used again then.
    pub(super) fn next(&mut self) -> Result<Next, PortError> {
        self.read_next().map_err(|error| unreadable(&self.path, &error))
    }

    fn read_next(&mut self) -> io::Result<Next> {
        let left = self.file.get_ref().metadata()?.len().saturating_sub(self.bytes);
        if left == 0 {
            return Ok(Next::End);
        }
        let mut header = [0; FRAME_HEADER];
        if left < FRAME_HEADER as u64 {
            return Ok(Next::Broken);
        }
        self.file.read_exact(&mut header)?;
        let length = payload_bytes(&header).filter(|length| *length as u64 <= left - FRAME_HEADER as u64);
        let Some(length) = length else { return Ok(Next::Broken) };
        self.payload.resize(length, 0);
        self.file.read_exact(&mut self.payload)?;
        let Some(payload) = read_frame(self.header.salt, &header, &self.payload) else { return Ok(Next::Broken) };
        self.bytes += (FRAME_HEADER + length) as u64;
        Ok(Next::Frame(payload))
    }

    /// Whether a whole frame stands anywhere behind the good ones: then what is broken was whole once, since a frame is
    /// written only when all before it are durable.
    ///
    /// # Errors
    /// `Retry` if the disk refuses.
    pub(super) fn has_more_behind(&mut self) -> Result<bool, PortError> {
        let mut rest = Vec::new();
        let read = self.file.seek(SeekFrom::Start(self.bytes)).and_then(|_| self.file.read_to_end(&mut rest));
        read.map_err(|error| unreadable(&self.path, &error))?;
        let is_whole = |at: usize| {
            let (header, rest) = rest[at..].split_first_chunk()?;
            read_frame(self.header.salt, header, rest.get(..payload_bytes(header)?)?)
        };
        Ok(memchr::memmem::find_iter(&rest, FRAME_MARK).any(|at| is_whole(at).is_some()))
    }

    /// The place that cannot be read, for people.
    pub(super) fn broken_place(&self) -> String {
        format!("`{}` is damaged at byte {}", self.path.display(), self.bytes)
    }
}

/// Copies a segment from elsewhere into a folder. It is there whole or not at all.
///
/// # Errors
/// `Retry` if the disk refuses; `Fatal` if the file is no segment.
pub(super) fn lay_down(folder: &Path, segment: &Path) -> Result<(), PortError> {
    let read = |path: &Path| -> io::Result<Option<[u8; SEGMENT_HEADER]>> {
        let mut header = Vec::new();
        File::open(path)?.take(SEGMENT_HEADER as u64).read_to_end(&mut header)?;
        Ok(header.try_into().ok())
    };
    let refused = |reason: &str| PortError::fatal(format!("`{}` is no part of a log: {reason}", segment.display()));
    let header = read(segment).map_err(|error| unreadable(segment, &error))?;
    let header = header.ok_or_else(|| refused("its beginning is missing"))?;
    let SegmentHeader { first, .. } = SegmentHeader::decode(&header).map_err(|reason| refused(&reason))?;
    let unfinished = folder.join(UNFINISHED);
    let copy = || -> io::Result<()> {
        std::fs::copy(segment, &unfinished)?;
        File::options().write(true).open(&unfinished)?.sync_all()?;
        std::fs::rename(&unfinished, path_of(folder, first))?;
        sync_folder(folder)
    };
    copy().map_err(|error| PortError::retry(format!("cannot write into `{}`: {error}", folder.display())))
}

fn unreadable(path: &Path, error: &io::Error) -> PortError {
    match error.kind() {
        ErrorKind::NotFound => {
            PortError::fatal(format!("`{}` is gone; put it back, or run the job anew", path.display()))
        }
        _ => PortError::retry(format!("cannot read `{}`: {error}", path.display())),
    }
}

/// Removes what is left of a segment that was being made.
///
/// # Errors
/// If the disk refuses.
pub(super) fn clear_unfinished(folder: &Path) -> io::Result<()> {
    match std::fs::remove_file(folder.join(UNFINISHED)) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
