//! How a file of state lies on disk: a law of the storage format. No other module knows this layout.
//!
//! ```text
//! file   := "GMST" version:u16 0:u16 | block* | index | footer
//! block  := stored:u32 raw:u32 crc:u32 | `stored` bytes: the entries, as zstd, or as they are if stored = raw
//! entry  := tag:u8 [state:u32] [group:u16] [key:text] version:varint place payload
//! tag    := operation (bits 0-2) | has a write time (3) | key follows (4) | group follows (5) | state follows (6)
//! place  := index:varint (list items) | name:text (map entries) | nothing
//! payload:= [written:i64] value:text (puts) | nothing (deletions and clears)
//! text   := length:varint bytes
//! index  := (state:u32 group:u16 offset:u64 entries:u32) for each block, of its first entry
//! footer := index_offset:u64 blocks:u32 index_crc:u32 entries:u64 groups:u16 u16 version:u16 crc:u32 "GMST"
//! ```
//! All numbers are little endian, all checksums CRC-32C of what stands before them (`block`: of its first 8 bytes and its
//! stored bytes). Entries ascend by state, key group, key, place; a clear stands before the entries of its key. State,
//! group and key are left out where they are those of the entry before in the same block.

use gristmill_types::KeyGroup;

use super::entry::{Change, Entry, Place, Stored};
use crate::varint::{push_text, push_varint, take_text, take_varint};

pub(super) const MAGIC: [u8; 4] = *b"GMST";
/// The newest version that this host writes and reads.
pub(super) const VERSION: u16 = 1;
pub(super) const HEADER_BYTES: usize = 8;
pub(super) const BLOCK_HEADER_BYTES: usize = 12;
pub(super) const INDEX_ENTRY_BYTES: usize = 18;
pub(super) const FOOTER_BYTES: usize = 8 + 4 + 4 + 8 + 4 + 2 + 4 + 4;

const TIMED: u8 = 1 << 3;
const KEY_FOLLOWS: u8 = 1 << 4;
const GROUP_FOLLOWS: u8 = 1 << 5;
const STATE_FOLLOWS: u8 = 1 << 6;

/// Operations, as the low bits of a tag have them.
mod op {
    pub(super) const PUT_VALUE: u8 = 0;
    pub(super) const DELETE_VALUE: u8 = 1;
    pub(super) const CLEAR_LIST: u8 = 2;
    pub(super) const ITEM: u8 = 3;
    pub(super) const CLEAR_MAP: u8 = 4;
    pub(super) const PUT_ENTRY: u8 = 5;
    pub(super) const DELETE_ENTRY: u8 = 6;
}

/// The first bytes of a file.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let [low, high] = VERSION.to_le_bytes();
    let [a, b, c, d] = MAGIC;
    [a, b, c, d, low, high, 0, 0]
}

/// What stands before the stored bytes of a block.
pub(super) fn block_header(stored: &[u8], raw: usize) -> [u8; BLOCK_HEADER_BYTES] {
    let mut header = [0; BLOCK_HEADER_BYTES];
    header[..4].copy_from_slice(&length_u32(stored.len()).to_le_bytes());
    header[4..8].copy_from_slice(&length_u32(raw).to_le_bytes());
    let crc = block_crc(&header, stored);
    header[8..].copy_from_slice(&crc.to_le_bytes());
    header
}

fn block_crc(header: &[u8], stored: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header[..8]), stored)
}

/// The stored bytes of a block and the length of its entries, if the checksum holds.
pub(super) fn open_block(block: &[u8]) -> Option<(&[u8], usize)> {
    let (header, stored) = block.split_at_checked(BLOCK_HEADER_BYTES)?;
    let word = |at: usize| header[at..at + 4].try_into().map(u32::from_le_bytes).ok();
    let whole = word(0)? as usize == stored.len() && word(8)? == block_crc(header, stored);
    whole.then_some((stored, word(4)? as usize))
}

/// Where a block begins, in the file and in the order of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockAt {
    pub(super) state: u32,
    pub(super) group: KeyGroup,
    pub(super) offset: u64,
    pub(super) entries: u32,
}

impl BlockAt {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.state.to_le_bytes());
        out.extend_from_slice(&self.group.0.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.entries.to_le_bytes());
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let (state, group) = (take_u32(bytes)?, KeyGroup(take_u16(bytes)?));
        Some(Self { state, group, offset: take_u64(bytes)?, entries: take_u32(bytes)? })
    }
}

/// The last bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) index_offset: u64,
    pub(super) blocks: u32,
    pub(super) index_crc: u32,
    pub(super) entries: u64,
    /// First key group and the one after the last.
    pub(super) groups: (u16, u16),
}

/// Why bytes are no footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFooter {
    Damaged,
    Newer(u16),
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FOOTER_BYTES);
        out.extend_from_slice(&self.index_offset.to_le_bytes());
        out.extend_from_slice(&self.blocks.to_le_bytes());
        out.extend_from_slice(&self.index_crc.to_le_bytes());
        out.extend_from_slice(&self.entries.to_le_bytes());
        out.extend_from_slice(&self.groups.0.to_le_bytes());
        out.extend_from_slice(&self.groups.1.to_le_bytes());
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out.extend_from_slice(&MAGIC);
        out
    }

    /// The version is looked at behind the checksum: flipped bits must not pass for a newer host's file.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, NoFooter> {
        let read = |mut bytes: &[u8]| {
            let checked = bytes.get(..FOOTER_BYTES - 8)?;
            let bytes = &mut bytes;
            let footer = Self {
                index_offset: take_u64(bytes)?,
                blocks: take_u32(bytes)?,
                index_crc: take_u32(bytes)?,
                entries: take_u64(bytes)?,
                groups: (take_u16(bytes)?, take_u16(bytes)?),
            };
            let version = take_u16(bytes)?;
            let whole = take_u32(bytes)? == crc32c::crc32c(checked) && *bytes == MAGIC;
            whole.then_some((footer, version))
        };
        match read(bytes) {
            None => Err(NoFooter::Damaged),
            Some((_, version)) if version > VERSION => Err(NoFooter::Newer(version)),
            Some((footer, _)) => Ok(footer),
        }
    }
}

/// Appends an entry to a block; `before` is the entry before it in the block.
pub(super) fn push_entry(out: &mut Vec<u8>, entry: &Entry<'_>, before: Option<(u32, KeyGroup, &[u8])>) {
    let new_state = before.is_none_or(|(state, ..)| state != entry.state);
    let new_group = new_state || before.is_none_or(|(_, group, _)| group != entry.group);
    let new_key = new_group || before.is_none_or(|(.., key)| key != entry.key);
    let (operation, stored) = match &entry.change {
        Change::PutValue(stored) => (op::PUT_VALUE, Some(stored)),
        Change::DeleteValue => (op::DELETE_VALUE, None),
        Change::ClearList => (op::CLEAR_LIST, None),
        Change::Item(_, stored) => (op::ITEM, Some(stored)),
        Change::ClearMap => (op::CLEAR_MAP, None),
        Change::PutEntry(_, stored) => (op::PUT_ENTRY, Some(stored)),
        Change::DeleteEntry(_) => (op::DELETE_ENTRY, None),
    };
    let written = stored.and_then(|stored| stored.written);
    let flag = |on: bool, bit: u8| if on { bit } else { 0 };
    let follows = flag(new_key, KEY_FOLLOWS) | flag(new_group, GROUP_FOLLOWS) | flag(new_state, STATE_FOLLOWS);
    out.push(operation | flag(written.is_some(), TIMED) | follows);
    if new_state {
        out.extend_from_slice(&entry.state.to_le_bytes());
    }
    if new_group {
        out.extend_from_slice(&entry.group.0.to_le_bytes());
    }
    if new_key {
        push_text(out, entry.key);
    }
    push_varint(out, u64::from(entry.version));
    match entry.change.place() {
        Place::Head => {}
        Place::Item(index) => push_varint(out, index),
        Place::Name(name) => push_text(out, name),
    }
    if let Some(written) = written {
        out.extend_from_slice(&written.to_le_bytes());
    }
    if let Some(stored) = stored {
        push_text(out, stored.bytes);
    }
}

/// Reads the entry that `rest` begins with and moves `rest` behind it. `None` if it makes no sense.
pub(super) fn take_entry<'b>(rest: &mut &'b [u8], before: Option<(u32, KeyGroup, &'b [u8])>) -> Option<Entry<'b>> {
    let tag = take(rest, 1)?[0];
    let state = if tag & STATE_FOLLOWS == 0 { before?.0 } else { take_u32(rest)? };
    let group = if tag & GROUP_FOLLOWS == 0 { before?.1 } else { KeyGroup(take_u16(rest)?) };
    let key = if tag & KEY_FOLLOWS == 0 { before?.2 } else { take_text(rest)? };
    let version = u32::try_from(take_varint(rest)?).ok()?;
    let stored = |rest: &mut &'b [u8]| {
        let written = if tag & TIMED == 0 { None } else { Some(take_u64(rest)? as i64) };
        Some(Stored { written, bytes: take_text(rest)? })
    };
    let change = match tag & 0b111 {
        op::PUT_VALUE => Change::PutValue(stored(rest)?),
        op::DELETE_VALUE => Change::DeleteValue,
        op::CLEAR_LIST => Change::ClearList,
        op::ITEM => Change::Item(take_varint(rest)?, stored(rest)?),
        op::CLEAR_MAP => Change::ClearMap,
        op::PUT_ENTRY => Change::PutEntry(take_text(rest)?, stored(rest)?),
        op::DELETE_ENTRY => Change::DeleteEntry(take_text(rest)?),
        _ => return None,
    };
    Some(Entry { state, group, key, version, change })
}

fn take<'b>(rest: &mut &'b [u8], bytes: usize) -> Option<&'b [u8]> {
    let (taken, left) = rest.split_at_checked(bytes)?;
    *rest = left;
    Some(taken)
}

fn take_u16(rest: &mut &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(take(rest, 2)?.try_into().ok()?))
}

fn take_u32(rest: &mut &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(take(rest, 4)?.try_into().ok()?))
}

fn take_u64(rest: &mut &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(take(rest, 8)?.try_into().ok()?))
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("a block holds one entry of at most 2 GiB beside 64 KiB of others")
}

#[cfg(test)]
mod tests;
