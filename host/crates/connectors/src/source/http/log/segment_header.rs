//! The beginning of a segment.
//!
//! ```text
//! "GMIL" | version u16 | 0 u16 | salt u64 | number of its first event u64 | crc32c of all before u32
//! ```
//! Numbers are little endian. A law: golden bytes stand below.

use super::frame::Bytes;

/// Bytes of the beginning of a segment.
pub(super) const SEGMENT_HEADER: usize = 28;

const SEGMENT_MARK: &[u8; 4] = b"GMIL";
const VERSION: u16 = 1;

/// What the beginning of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) salt: u64,
    /// The number of its first event.
    pub(super) first: u64,
}

impl SegmentHeader {
    pub(super) fn encode(self) -> [u8; SEGMENT_HEADER] {
        let mut header = [0; SEGMENT_HEADER];
        header[..4].copy_from_slice(SEGMENT_MARK);
        header[4..6].copy_from_slice(&VERSION.to_le_bytes());
        header[8..16].copy_from_slice(&self.salt.to_le_bytes());
        header[16..24].copy_from_slice(&self.first.to_le_bytes());
        let checksum = crc32c::crc32c(&header[..24]);
        header[24..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// # Errors
    /// Why the bytes are no beginning of a segment.
    pub(super) fn decode(header: &[u8; SEGMENT_HEADER]) -> Result<Self, String> {
        let mut rest = Bytes(header);
        let mark = rest.take::<4>();
        let version = rest.take().map(u16::from_le_bytes).unwrap_or_default();
        rest.take::<2>();
        let (salt, first) = (rest.u64().unwrap_or_default(), rest.u64().unwrap_or_default());
        if mark.as_ref() != Some(SEGMENT_MARK) || rest.u32() != Some(crc32c::crc32c(&header[..24])) {
            return Err("its beginning is damaged".to_owned());
        }
        if version != VERSION {
            return Err(format!("it has version {version}, and this host reads version {VERSION}"));
        }
        Ok(Self { salt, first })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let header = SegmentHeader { salt: 0x0102, first: 7 };
        let wanted = b"GMIL\x01\0\0\0\x02\x01\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x05\x8f\x60\x0e";
        assert_eq!(&header.encode(), wanted);
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
    }

    #[test]
    fn a_newer_segment_is_told_from_a_damaged_one() {
        let mut header = SegmentHeader { salt: 1, first: 0 }.encode();
        header[4] = 2;
        assert!(SegmentHeader::decode(&header).expect_err("flipped").contains("damaged"));
        let checksum = crc32c::crc32c(&header[..24]);
        header[24..].copy_from_slice(&checksum.to_le_bytes());
        assert!(SegmentHeader::decode(&header).expect_err("newer").contains("has version 2"));
    }
}
