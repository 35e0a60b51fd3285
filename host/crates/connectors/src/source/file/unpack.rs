//! The bytes of a file, unpacked if its name says that they are packed.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};

use flate2::bufread::MultiGzDecoder;

/// Bytes read from the disk at once.
pub(super) const BLOCK: usize = 256 << 10;

pub(super) type Input = Box<dyn Read + Send>;

fn is_packed(name: &str) -> bool {
    [".gz", ".zst", ".zstd"].iter().any(|end| name.ends_with(end))
}

/// The bytes from this offset on; a packed file must be unpacked up to there, and how much of that is left is said too.
pub(super) fn unpack(name: &str, mut file: File, offset: u64) -> io::Result<(Input, u64)> {
    let packed = is_packed(name);
    if !packed {
        file.seek(SeekFrom::Start(offset))?;
    }
    let file = BufReader::with_capacity(BLOCK, file);
    let input: Input = if name.ends_with(".gz") {
        Box::new(MultiGzDecoder::new(file))
    } else if packed {
        Box::new(zstd::Decoder::with_buffer(file)?)
    } else {
        Box::new(file)
    };
    Ok((input, if packed { offset } else { 0 }))
}

/// Why a file cannot be read on.
pub(super) fn why(shown: &str, error: &io::Error) -> String {
    let packed = is_packed(shown);
    match error.kind() {
        ErrorKind::UnexpectedEof if packed => {
            format!("`{shown}` ends in the middle of its compressed data; it was cut off, so get a whole copy")
        }
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Other if packed => {
            format!("`{shown}` cannot be unpacked: {error}; it is damaged or not what its name says")
        }
        _ => format!("cannot read `{shown}`: {error}"),
    }
}
