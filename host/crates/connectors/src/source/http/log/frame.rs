//! How a log lies on the disk: the frames of a segment, behind its [header](super::segment_header).
//!
//! ```text
//! frame     "GMFR" | length u32 | crc32c of salt, length and payload u32 | payload
//! payload   0 | keys u32 | key u128, events u128, time i64, for each          keys that were used before the segment
//!           1 | number of its first event u64 | time i64 | offers u32         offers that became durable together
//!             | (0, or 1 and the key u128) | events u32 | (length u32 | bytes) for each event, for each offer
//! ```
//! Numbers are little endian; times are milliseconds since the epoch; keys and the events under them are hashed with
//! XXH3. A law: golden bytes stand below. The salt is random, so that no event can pass for a frame where a damaged log is
//! searched for one.

use super::super::keys::{KeyHash, Remembered};

/// Bytes of the beginning of a frame.
pub(super) const FRAME_HEADER: usize = 12;
/// With what a frame begins.
pub(super) const FRAME_MARK: &[u8; 4] = b"GMFR";

const KEYS: u8 = 0;
const GROUP: u8 = 1;

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Payload {
    Keys(Vec<Remembered>),
    Group(Group),
}

/// Offers that became durable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::source::http) struct Group {
    /// The number of its first event.
    pub(in crate::source::http) first: u64,
    /// When it came, in milliseconds since the epoch.
    pub(in crate::source::http) arrived_ms: i64,
    pub(in crate::source::http) offers: Vec<LoggedOffer>,
}

/// The events of one request, and its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::source::http) struct LoggedOffer {
    pub(in crate::source::http) key: Option<KeyHash>,
    pub(in crate::source::http) events: Vec<Vec<u8>>,
}

/// Appends a frame with these keys.
pub(super) fn write_keys(salt: u64, keys: &[Remembered], buffer: &mut Vec<u8>) {
    write_frame(salt, buffer, |buffer| {
        buffer.push(KEYS);
        put_length(keys.len(), buffer);
        for Remembered { key, events, at_ms } in keys {
            buffer.extend_from_slice(&key.0.to_le_bytes());
            buffer.extend_from_slice(&events.0.to_le_bytes());
            buffer.extend_from_slice(&at_ms.to_le_bytes());
        }
    });
}

/// Appends a frame with these offers.
pub(super) fn write_group(salt: u64, group: &Group, buffer: &mut Vec<u8>) {
    write_frame(salt, buffer, |buffer| {
        buffer.push(GROUP);
        buffer.extend_from_slice(&group.first.to_le_bytes());
        buffer.extend_from_slice(&group.arrived_ms.to_le_bytes());
        put_length(group.offers.len(), buffer);
        for offer in &group.offers {
            buffer.push(u8::from(offer.key.is_some()));
            buffer.extend(offer.key.iter().flat_map(|key| key.0.to_le_bytes()));
            put_length(offer.events.len(), buffer);
            for event in &offer.events {
                put_length(event.len(), buffer);
                buffer.extend_from_slice(event);
            }
        }
    });
}

fn write_frame(salt: u64, buffer: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = buffer.len();
    buffer.extend_from_slice(FRAME_MARK);
    buffer.extend_from_slice(&[0; FRAME_HEADER - 4]);
    payload(buffer);
    let length = length_of(buffer.len() - start - FRAME_HEADER).to_le_bytes();
    let checksum = checksum(salt, length, &buffer[start + FRAME_HEADER..]);
    buffer[start + 4..start + 8].copy_from_slice(&length);
    buffer[start + 8..start + 12].copy_from_slice(&checksum.to_le_bytes());
}

fn put_length(length: usize, buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&length_of(length).to_le_bytes());
}

fn length_of(length: usize) -> u32 {
    u32::try_from(length).expect("the bytes of a group are bounded far below 4 GiB")
}

fn checksum(salt: u64, length: [u8; 4], payload: &[u8]) -> u32 {
    let checksum = crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &length);
    crc32c::crc32c_append(checksum, payload)
}

/// Bytes of the payload that the beginning of a frame announces; `None` if it is none.
pub(super) fn payload_bytes(header: &[u8; FRAME_HEADER]) -> Option<usize> {
    let mut rest = Bytes(header);
    (rest.take()? == *FRAME_MARK).then(|| rest.u32())?.map(|bytes| bytes as usize)
}

/// Bytes of the frame that begins so, if it holds keys.
pub(super) fn keys_bytes(frame: &[u8]) -> Option<usize> {
    let (header, payload) = frame.split_first_chunk()?;
    (*payload.first()? == KEYS).then(|| payload_bytes(header))?.map(|bytes| FRAME_HEADER + bytes)
}

/// What a frame says; `None` if it is damaged.
pub(super) fn read_frame(salt: u64, header: &[u8; FRAME_HEADER], payload: &[u8]) -> Option<Payload> {
    let mut rest = Bytes(&header[4..]);
    let length = rest.take::<4>()?;
    if rest.u32()? != checksum(salt, length, payload) {
        return None;
    }
    let mut rest = Bytes(payload);
    let read = match rest.take()? {
        [KEYS] => Payload::Keys(rest.keys()?),
        [GROUP] => Payload::Group(rest.group()?),
        [_] => return None,
    };
    rest.0.is_empty().then_some(read)
}

/// Bytes that are left to read.
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl Bytes<'_> {
    pub(super) fn take<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn hash(&mut self) -> Option<KeyHash> {
        self.take().map(u128::from_le_bytes).map(KeyHash)
    }

    fn keys(&mut self) -> Option<Vec<Remembered>> {
        let count = self.u32()?;
        (0..count).map(|_| Some(Remembered { key: self.hash()?, events: self.hash()?, at_ms: self.i64()? })).collect()
    }

    fn group(&mut self) -> Option<Group> {
        let (first, arrived_ms, offers) = (self.u64()?, self.i64()?, self.u32()?);
        let offers = (0..offers).map(|_| self.offer()).collect::<Option<_>>()?;
        Some(Group { first, arrived_ms, offers })
    }

    fn offer(&mut self) -> Option<LoggedOffer> {
        let key = match self.take()? {
            [0] => None,
            [1] => Some(self.hash()?),
            [_] => return None,
        };
        let events = self.u32()?;
        let events = (0..events).map(|_| self.event()).collect::<Option<_>>()?;
        Some(LoggedOffer { key, events })
    }

    fn event(&mut self) -> Option<Vec<u8>> {
        let bytes = self.u32()?;
        let (event, rest) = self.0.split_at_checked(bytes as usize)?;
        self.0 = rest;
        Some(event.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(salt: u64, frame: &[u8]) -> Option<Payload> {
        let (header, payload) = frame.split_first_chunk()?;
        (payload_bytes(header)? == payload.len()).then(|| read_frame(salt, header, payload))?
    }

    #[test]
    fn golden_bytes() {
        let offers = vec![
            LoggedOffer { key: Some(KeyHash(9)), events: vec![b"ab".to_vec()] },
            LoggedOffer { key: None, events: vec![Vec::new()] },
        ];
        let group = Group { first: 5, arrived_ms: -1, offers };
        let mut frame = Vec::new();
        write_group(0x0102, &group, &mut frame);
        let payload = [
            &[1, 5, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0, 0, 0][..],
            &[1, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, b'a', b'b'],
            &[0, 1, 0, 0, 0, 0, 0, 0, 0],
        ];
        let beginning = b"GMFR\x39\0\0\0\xf6\x2a\xb0\x9a";
        assert_eq!((&frame[..12], &frame[12..]), (&beginning[..], &payload.concat()[..]));
        assert_eq!(read(0x0102, &frame), Some(Payload::Group(group)));
        assert_eq!(read(0x0103, &frame), None, "of another segment");
        let keys = [Remembered { key: KeyHash(1), events: KeyHash(2), at_ms: 3 }];
        frame.clear();
        write_keys(0, &keys, &mut frame);
        assert_eq!(frame.len(), FRAME_HEADER + 5 + 40);
        assert_eq!(read(0, &frame), Some(Payload::Keys(keys.to_vec())));
    }

    proptest! {
        #[test]
        fn a_frame_reads_back_and_every_change_of_it_is_noticed(
            offers in prop::collection::vec(
                (any::<Option<u128>>(), prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..4)), 0..4,
            ),
            salt: u64, first: u64, arrived_ms: i64,
            at: prop::sample::Index, flip in 1_u8.., cut: prop::sample::Index,
        ) {
            let offers = offers.into_iter();
            let offers = offers.map(|(key, events)| LoggedOffer { key: key.map(KeyHash), events }).collect();
            let group = Group { first, arrived_ms, offers };
            let mut frame = Vec::new();
            write_group(salt, &group, &mut frame);
            prop_assert_eq!(read(salt, &frame), Some(Payload::Group(group)));
            prop_assert_eq!(read(salt, &frame[..cut.index(frame.len())]), None);
            let at = at.index(frame.len());
            frame[at] ^= flip;
            prop_assert_eq!(read(salt, &frame), None);
        }
    }
}
