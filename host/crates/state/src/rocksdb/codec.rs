//! How entries lie in the local database. No other module knows these bytes.
//!
//! ```text
//! value, list := state:u16 group:u16 key
//! map entry   := state:u16 group:u16 escaped(key) 00 00 name
//! escaped     := each byte 00 as 00 ff
//! ```
//! Numbers are big endian, so that the order of bytes is the order of files of state: by state, key group, key, name. A
//! list lies there as a whole. The database lives as long as an attempt; yet what it looks like is written down, for
//! whoever looks into one.

use gristmill_types::{KeyGroup, StateIndex};

/// Bytes before the key.
const PREFIX_BYTES: usize = 4;

/// Ends the key before a name. What is escaped never holds it, and sorts behind it.
const END_OF_KEY: [u8; 2] = [0, 0];

fn prefix(state: StateIndex, group: KeyGroup, room: usize) -> Vec<u8> {
    let state = u16::try_from(state.0).expect("a module declares fewer than 65536 states");
    let mut out = Vec::with_capacity(PREFIX_BYTES + room);
    out.extend_from_slice(&state.to_be_bytes());
    out.extend_from_slice(&group.0.to_be_bytes());
    out
}

/// Where the value or the list of a key lies.
pub(super) fn key_of(state: StateIndex, group: KeyGroup, key: &[u8]) -> Vec<u8> {
    let mut out = prefix(state, group, key.len());
    out.extend_from_slice(key);
    out
}

/// What the places of all entries of a key's map begin with.
pub(super) fn map_of(state: StateIndex, group: KeyGroup, key: &[u8]) -> Vec<u8> {
    let mut out = prefix(state, group, key.len() + 32);
    for &byte in key {
        out.push(byte);
        if byte == 0 {
            out.push(0xff);
        }
    }
    out.extend_from_slice(&END_OF_KEY);
    out
}

/// Where an entry of a key's map lies.
pub(super) fn entry_of(state: StateIndex, group: KeyGroup, key: &[u8], name: &[u8]) -> Vec<u8> {
    let mut out = map_of(state, group, key);
    out.extend_from_slice(name);
    out
}

/// The first place behind those of a key's map.
pub(super) fn end_of_map(mut map: Vec<u8>) -> Vec<u8> {
    *map.last_mut().expect("the place of a map ends with two zeros") = 1;
    map
}

/// The state to which a place belongs.
pub(super) fn state_of(place: &[u8]) -> Option<StateIndex> {
    place.first_chunk().map(|state| StateIndex(u32::from(u16::from_be_bytes(*state))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATE: StateIndex = StateIndex(258);
    const GROUP: KeyGroup = KeyGroup(3);

    #[test]
    fn golden_places() {
        assert_eq!(key_of(STATE, GROUP, b"a\0b"), b"\x01\x02\x00\x03a\0b");
        assert_eq!(map_of(STATE, GROUP, b"a\0b"), b"\x01\x02\x00\x03a\0\xffb\0\0");
        assert_eq!(entry_of(STATE, GROUP, b"a", b"\0n"), b"\x01\x02\x00\x03a\0\0\0n");
        assert_eq!(end_of_map(map_of(STATE, GROUP, b"a")), b"\x01\x02\x00\x03a\0\x01");
        assert_eq!(state_of(&key_of(STATE, GROUP, b"")), Some(STATE));
    }

    proptest! {
        #[test]
        fn places_are_ordered_as_keys_and_names_are(
            one in prop::collection::vec(0_u8..3, 0..4),
            other in prop::collection::vec(0_u8..3, 0..4),
            name in prop::collection::vec(0_u8..3, 0..4),
            other_name in prop::collection::vec(0_u8..3, 0..4),
        ) {
            let (left, right) = (entry_of(STATE, GROUP, &one, &name), entry_of(STATE, GROUP, &other, &other_name));
            prop_assert_eq!(left.cmp(&right), (&one, &name).cmp(&(&other, &other_name)));
            prop_assert_eq!(key_of(STATE, GROUP, &one).cmp(&key_of(STATE, GROUP, &other)), one.cmp(&other));
            let (map, end) = (map_of(STATE, GROUP, &one), end_of_map(map_of(STATE, GROUP, &one)));
            prop_assert_eq!((map..end).contains(&right), one == other);
        }
    }
}
