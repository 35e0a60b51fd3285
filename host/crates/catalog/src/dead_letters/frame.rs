//! One letter on disk: length (u32) and CRC-32C (u32) of the rest, then its epoch, then the letter. All little endian.
//!
//! ```text
//! length  crc  3  run (u64)  after (u64)  record of the letter
//! length  crc  record of the letter          as hosts wrote it that knew no checkpoints
//! ```
//!
//! A law of the storage format, as is [`crate::record`]. The epoch stands before the record at a fixed width, so that it
//! is found without looking at the letter.

use std::io::{self, Read};

use gristmill_ports::dead_letters::Epoch;
use gristmill_types::{CheckpointId, DeadLetter, RunId};

use crate::record::{self, BINCODE, WITH_EPOCH};

/// Bytes before what is checked.
const HEADER: usize = 8;
/// Bytes of version, run and checkpoint.
const EPOCH: usize = 17;

/// Appends a letter as a frame.
///
/// # Errors
/// If the letter is larger than a frame can be.
pub(super) fn write(epoch: Epoch, letter: &DeadLetter, out: &mut Vec<u8>) -> Result<(), String> {
    let record = record::encode(letter);
    let length = EPOCH + record.len();
    let length = u32::try_from(length).map_err(|_| format!("a letter of {length} bytes is too large"))?;
    let start = out.len();
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(WITH_EPOCH);
    out.extend_from_slice(&epoch.run.0.to_le_bytes());
    out.extend_from_slice(&epoch.after.0.to_le_bytes());
    out.extend_from_slice(&record);
    let crc = crc32c::crc32c(&out[start + HEADER..]);
    out[start + 4..start + HEADER].copy_from_slice(&crc.to_le_bytes());
    Ok(())
}

/// What stands at a place of a segment.
#[derive(Debug)]
pub(super) enum Frame {
    /// A whole letter.
    Whole {
        /// When it was set aside; `None` if by a host that knew no checkpoints.
        epoch: Option<Epoch>,
        /// The letter, as [`crate::record`] decodes it.
        record: Vec<u8>,
        /// What the frame takes.
        bytes: u64,
    },
    /// The end of the segment.
    End,
    /// Something that is no whole frame: its writing was cut off, or it is damaged.
    Broken,
}

/// Reads the next frame; `left` bytes of the segment are left.
///
/// # Errors
/// If the disk refuses.
pub(super) fn read(input: &mut impl Read, left: u64) -> io::Result<Frame> {
    if left == 0 {
        return Ok(Frame::End);
    }
    if left < HEADER as u64 {
        return Ok(Frame::Broken);
    }
    let (mut length, mut crc) = ([0; 4], [0; 4]);
    input.read_exact(&mut length)?;
    input.read_exact(&mut crc)?;
    let length = u32::from_le_bytes(length);
    // None is empty; a stretch of zeros, which a crash can leave behind, would look like many empty ones.
    if length == 0 || u64::from(length) > left - HEADER as u64 {
        return Ok(Frame::Broken);
    }
    let mut checked = vec![0; length as usize];
    input.read_exact(&mut checked)?;
    if crc32c::crc32c(&checked) != u32::from_le_bytes(crc) {
        return Ok(Frame::Broken);
    }
    let bytes = HEADER as u64 + u64::from(length);
    match checked.split_first_chunk::<EPOCH>() {
        Some(([WITH_EPOCH, epoch @ ..], record)) => {
            let (epoch, record) = (Some(epoch_of(*epoch)), record.to_vec());
            Ok(Frame::Whole { epoch, record, bytes })
        }
        Some(_) | None => Ok(Frame::Whole { epoch: None, record: checked, bytes }),
    }
}

/// Where behind their first byte these bytes hold a whole letter, if they do: then what stands before it is no append that a
/// crash cut short, since nothing is appended behind one. Sought byte by byte, since a damaged length tells nothing.
pub(super) fn whole_behind(bytes: &[u8]) -> Option<usize> {
    (1..bytes.len()).find(|at| is_whole(&bytes[*at..]))
}

/// Whether a whole letter stands at the beginning of these bytes. What costs little is asked first.
fn is_whole(bytes: &[u8]) -> bool {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return false };
    let [length, crc] =
        [0, 4].map(|at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]));
    let Some(checked) = rest.get(..length as usize) else { return false };
    let record = match checked.split_first_chunk::<EPOCH>() {
        Some(([WITH_EPOCH, ..], record)) => record,
        Some(_) | None => checked,
    };
    record.first() == Some(&BINCODE) && crc32c::crc32c(checked) == crc && record::decode::<DeadLetter>(record).is_ok()
}

fn epoch_of(bytes: [u8; EPOCH - 1]) -> Epoch {
    let both = u128::from_le_bytes(bytes);
    Epoch { run: RunId(both as u64), after: CheckpointId((both >> 64) as u64) }
}

#[cfg(test)]
pub(super) mod tests {
    use gristmill_types::dead_letter::Reason;

    use super::*;

    const RECORD: &[u8] = b"\x01\x05parse\x02in\0\x04trap\x03why\x01\x04main\x03a:1\x01\0\x01\x01\x07\x0a";
    pub(in crate::dead_letters) const EPOCH: Epoch = Epoch { run: RunId(0x0102), after: CheckpointId(7) };

    pub(in crate::dead_letters) fn letter() -> DeadLetter {
        DeadLetter {
            operator: "parse".parse().unwrap(),
            input: "in".to_owned(),
            module: None,
            reason: Reason { kind: "trap".to_owned(), message: "why".to_owned() },
            backtrace: vec!["main".to_owned()],
            origin: "a:1".to_owned(),
            timestamp: -1,
            key: None,
            value: Some(vec![7]),
            at_ms: 5,
        }
    }

    fn framed(checked: &[u8]) -> Vec<u8> {
        [&(checked.len() as u32).to_le_bytes(), &crc32c::crc32c(checked).to_le_bytes(), checked].concat()
    }

    fn read_back(bytes: &[u8]) -> (Option<Epoch>, DeadLetter) {
        match read(&mut &*bytes, bytes.len() as u64) {
            Ok(Frame::Whole { epoch, record, bytes: taken }) if taken == bytes.len() as u64 => {
                (epoch, record::decode(&record).unwrap())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        write(EPOCH, &letter(), &mut bytes).unwrap();
        let epoch = b"\x03\x02\x01\0\0\0\0\0\0\x07\0\0\0\0\0\0\0";
        assert_eq!(bytes, framed(&[&epoch[..], RECORD].concat()));
        assert_eq!(read_back(&bytes), (Some(EPOCH), letter()));
    }

    #[test]
    fn golden_bytes_of_hosts_that_knew_no_checkpoints() {
        assert_eq!(read_back(&framed(RECORD)), (None, letter()));
    }

    #[test]
    fn a_whole_frame_is_found_behind_a_damaged_one_and_not_in_a_torn_one() {
        let mut one = Vec::new();
        write(EPOCH, &letter(), &mut one).unwrap();
        for follower in [one.clone(), framed(RECORD)] {
            for place in 0..one.len() {
                let mut damaged = one.clone();
                damaged[place] ^= 0x40;
                damaged.extend_from_slice(&follower);
                assert_eq!(whole_behind(&damaged), Some(one.len()), "byte {place}");
            }
        }
        assert!((1..one.len()).all(|length| whole_behind(&one[..length]).is_none()));
        assert_eq!(whole_behind(&[0; 64]), None);
    }

    #[test]
    fn a_frame_cut_off_or_damaged_anywhere_is_broken() {
        let mut bytes = Vec::new();
        write(EPOCH, &letter(), &mut bytes).unwrap();
        let is_broken = |bytes: &[u8]| matches!(read(&mut &*bytes, bytes.len() as u64), Ok(Frame::Broken));
        assert!((1..bytes.len()).all(|length| is_broken(&bytes[..length])));
        for place in 0..bytes.len() {
            bytes[place] ^= 0x40;
            assert!(is_broken(&bytes), "byte {place}");
            bytes[place] ^= 0x40;
        }
        assert!(is_broken(&[0; 64]));
    }
}
