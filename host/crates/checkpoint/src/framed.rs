//! How records of a checkpoint lie in storage: a magic word, a version, the payload, and a checksum over all of it.
//!
//! ```text
//! magic 4 | version u16 le | length u64 le | payload (bincode, standard configuration) | BLAKE3 of all before, 32
//! ```
//! A law of the storage format: a version that was published is read for ever. Golden files are kept under
//! `tests/fixtures/checkpoints`.

use bincode::config;
use serde::Serialize;
use serde::de::DeserializeOwned;

const HEADER: usize = 4 + 2 + 8;
const CHECKSUM: usize = 32;

/// The first bytes of a record: what it is.
pub type Magic = [u8; 4];

/// Why bytes are no record that this host can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// It ends too early, or has more bytes than it says.
    #[error("it has {found} bytes where {expected} belong; it was written by halves or cut off")]
    Length {
        /// Bytes that are there.
        found: usize,
        /// Bytes that should be.
        expected: u64,
    },
    /// Something else altogether.
    #[error("it does not begin as a record of this kind does")]
    Magic,
    /// The bytes are not those that were written.
    #[error("its checksum does not fit its content; a bit has flipped or it was edited")]
    Checksum,
    /// The bytes are as they were written, and yet make no sense.
    #[error("its content cannot be read: {0}")]
    Content(String),
    /// It is whole, and was put where it does not belong.
    #[error("it does not belong here: {0}")]
    Elsewhere(String),
    /// It was written by a newer host.
    #[error("it has format version {found}; this host reads up to version {known}; start a host that knows it")]
    Newer {
        /// The version that it has.
        found: u16,
        /// The newest that is known here.
        known: u16,
    },
}

/// The record of a value.
///
/// # Panics
/// Never: plain data is always encodable.
#[must_use]
pub fn encode<T: Serialize>(magic: Magic, version: u16, value: &T) -> Vec<u8> {
    let payload = bincode::serde::encode_to_vec(value, config::standard()).expect("plain data is encodable");
    let mut record = Vec::with_capacity(HEADER + payload.len() + CHECKSUM);
    record.extend_from_slice(&magic);
    record.extend_from_slice(&version.to_le_bytes());
    record.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    record.extend_from_slice(&payload);
    let checksum = blake3::hash(&record);
    record.extend_from_slice(checksum.as_bytes());
    record
}

/// The value of a record whose shape is that of all versions known here.
///
/// # Errors
/// What is wrong with it.
pub fn decode<T: DeserializeOwned>(magic: Magic, known: u16, record: &[u8]) -> Result<T, Damaged> {
    open(magic, known, record)?.content()
}

/// A record whose frame is whole.
#[derive(Debug, Clone, Copy)]
pub struct Framed<'a> {
    /// The version that it was written in.
    pub version: u16,
    payload: &'a [u8],
}

/// Opens a record.
///
/// The version is looked at behind the checksum: flipped bits must not pass for a newer host's record.
///
/// # Errors
/// What is wrong with it.
pub fn open(magic: Magic, known: u16, record: &[u8]) -> Result<Framed<'_>, Damaged> {
    let (header, rest) = record
        .split_at_checked(HEADER)
        .ok_or(Damaged::Length { found: record.len(), expected: (HEADER + CHECKSUM) as u64 })?;
    if header[..4] != magic {
        return Err(Damaged::Magic);
    }
    let version = u16::from_le_bytes([header[4], header[5]]);
    let length = u64::from_le_bytes(header[6..].try_into().expect("eight bytes of the header are left"));
    let expected = length.saturating_add((HEADER + CHECKSUM) as u64);
    if record.len() as u64 != expected {
        let damaged = Damaged::Length { found: record.len(), expected };
        return Err(if is_whole_but_for_its_length(record) { Damaged::Checksum } else { damaged });
    }
    let (payload, checksum) = rest.split_at(rest.len() - CHECKSUM);
    if blake3::hash(&record[..record.len() - CHECKSUM]).as_bytes() != checksum {
        return Err(Damaged::Checksum);
    }
    if version > known {
        return Err(Damaged::Newer { found: version, known });
    }
    Ok(Framed { version, payload })
}

/// Whether the checksum fits once the length says what there is: then nothing was cut off.
fn is_whole_but_for_its_length(record: &[u8]) -> bool {
    let Some(length) = record.len().checked_sub(HEADER + CHECKSUM) else { return false };
    let (said, checksum) = record.split_at(record.len() - CHECKSUM);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&said[..6]).update(&(length as u64).to_le_bytes()).update(&said[HEADER..]);
    hasher.finalize().as_bytes() == checksum
}

impl Framed<'_> {
    /// The value, in the shape that its version has.
    ///
    /// # Errors
    /// [`Damaged::Content`].
    pub fn content<T: DeserializeOwned>(self) -> Result<T, Damaged> {
        match bincode::serde::decode_from_slice(self.payload, config::standard()) {
            Ok((value, read)) if read == self.payload.len() => Ok(value),
            Ok((_, read)) => Err(Damaged::Content(format!("{} bytes are left over", self.payload.len() - read))),
            Err(error) => Err(Damaged::Content(error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAGIC: Magic = *b"TEST";

    #[test]
    fn a_record_of_a_newer_version_is_told_from_a_damaged_one() {
        let newer = encode(MAGIC, 2, &7u64);
        assert_eq!(decode::<u64>(MAGIC, 1, &newer), Err(Damaged::Newer { found: 2, known: 1 }));
        let mut flipped = encode(MAGIC, 1, &7u64);
        flipped[4] = 2;
        assert_eq!(decode::<u64>(MAGIC, 1, &flipped), Err(Damaged::Checksum));
    }

    #[test]
    fn a_flipped_length_is_told_from_a_record_that_was_cut_off() {
        let record = encode(MAGIC, 1, &vec![7u8; 300]);
        let mut flipped = record.clone();
        flipped[8] ^= 0x63;
        assert_eq!(decode::<Vec<u8>>(MAGIC, 1, &flipped), Err(Damaged::Checksum));
        let cut = decode::<Vec<u8>>(MAGIC, 1, &record[..300]);
        assert_eq!(cut, Err(Damaged::Length { found: 300, expected: record.len() as u64 }));
    }

    proptest! {
        #[test]
        fn a_record_reads_back_and_every_change_of_it_is_noticed(
            value in prop::collection::vec(any::<u8>(), 0..80),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
            cut in any::<prop::sample::Index>(),
        ) {
            let record = encode(MAGIC, 1, &value);
            prop_assert_eq!(decode::<Vec<u8>>(MAGIC, 1, &record), Ok(value));
            let mut flipped = record.clone();
            flipped[at.index(record.len())] ^= flip;
            prop_assert!(decode::<Vec<u8>>(MAGIC, 1, &flipped).is_err());
            prop_assert!(decode::<Vec<u8>>(MAGIC, 1, &record[..cut.index(record.len())]).is_err());
        }
    }
}
