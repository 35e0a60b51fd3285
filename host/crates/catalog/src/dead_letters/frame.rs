//! One letter on disk: length (u32), CRC-32C of the record (u32), both little endian, then the record.
//!
//! A law of the storage format, as is [`crate::record`].

use std::io::{self, Read};

use gristmill_types::DeadLetter;

use crate::record;

/// Bytes before the record.
const HEADER: usize = 8;

/// Appends a letter as a frame.
///
/// # Errors
/// If the letter is larger than a frame can be.
pub(super) fn write(letter: &DeadLetter, out: &mut Vec<u8>) -> Result<(), String> {
    let record = record::encode(letter);
    let length = u32::try_from(record.len()).map_err(|_| format!("a letter of {} bytes is too large", record.len()))?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&record).to_le_bytes());
    out.extend_from_slice(&record);
    Ok(())
}

/// What stands at a place of a segment.
pub(super) enum Frame {
    /// A whole record, and the bytes that its frame takes.
    Whole { record: Vec<u8>, bytes: u64 },
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
    // No record is empty; a stretch of zeros, which a crash can leave behind, would look like many empty ones.
    if length == 0 || u64::from(length) > left - HEADER as u64 {
        return Ok(Frame::Broken);
    }
    let mut record = vec![0; length as usize];
    input.read_exact(&mut record)?;
    if crc32c::crc32c(&record) != u32::from_le_bytes(crc) {
        return Ok(Frame::Broken);
    }
    Ok(Frame::Whole { bytes: HEADER as u64 + u64::from(length), record })
}

#[cfg(test)]
pub(super) mod tests {
    use gristmill_types::dead_letter::Reason;

    use super::*;

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

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        write(&letter(), &mut bytes).unwrap();
        let record = b"\x01\x05parse\x02in\0\x04trap\x03why\x01\x04main\x03a:1\x01\0\x01\x01\x07\x0a";
        assert_eq!(&bytes[HEADER..], record);
        assert_eq!(bytes[..4], (record.len() as u32).to_le_bytes());
        assert_eq!(bytes[4..HEADER], crc32c::crc32c(record).to_le_bytes());
    }

    #[test]
    fn a_frame_cut_off_or_damaged_anywhere_is_broken() {
        let mut bytes = Vec::new();
        write(&letter(), &mut bytes).unwrap();
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
