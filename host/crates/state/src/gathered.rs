//! What left a table in one go: changes copied behind one another, in no order.
//!
//! Gathering is the task's time, so it only copies bytes, into chunks: no allocation for an entry, and never a large one
//! that would have to be moved. Key groups, order and layout are the storer's work.

use std::cmp::Ordering;

use gristmill_types::StateIndex;

use crate::varint::{push_text, push_varint, take_text, take_varint};

/// Bytes of a chunk, unless one change alone is larger.
const CHUNK_BYTES: usize = 256 << 10;

/// Sorts of changes, as the first byte of a gathered change.
pub(crate) mod op {
    pub(crate) const DELETE_VALUE: u8 = 0;
    pub(crate) const PUT_VALUE: u8 = 1;
    /// Items behind those that are known.
    pub(crate) const EXTEND_LIST: u8 = 2;
    /// The list is emptied, then extended.
    pub(crate) const RENEW_LIST: u8 = 3;
    pub(crate) const CLEAR_MAP: u8 = 4;
    pub(crate) const PUT_ENTRY: u8 = 5;
    pub(crate) const DELETE_ENTRY: u8 = 6;
}

#[derive(Debug)]
struct Chunk {
    state: StateIndex,
    /// Of each change: operation, key, then what the operation needs. Memory only; not the layout of any file.
    bytes: Vec<u8>,
}

/// Changes of one generation, in no order, at most one for each entry.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    chunks: Vec<Chunk>,
    changes: usize,
    entries: u64,
    bytes: usize,
}

impl Gathered {
    /// Bytes gathered so far, or a little less.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Changes gathered so far.
    pub(crate) fn changes(&self) -> usize {
        self.changes
    }

    pub(crate) fn value(&mut self, state: StateIndex, key: &[u8], stored: Option<&[u8]>) {
        let out = self.change(state, key.len() + stored.map_or(0, <[u8]>::len), 1);
        out.push(if stored.is_some() { op::PUT_VALUE } else { op::DELETE_VALUE });
        push_text(out, key);
        if let Some(stored) = stored {
            push_text(out, stored);
        }
    }

    /// `items`, the first of which has this index; behind a clear, if the list was emptied.
    pub(crate) fn list<'i>(
        &mut self,
        state: StateIndex,
        key: &[u8],
        cleared: bool,
        first: u64,
        items: impl ExactSizeIterator<Item = &'i [u8]> + Clone,
    ) {
        let (count, bytes) = (items.len(), items.clone().map(|item| item.len() + 5).sum::<usize>());
        let out = self.change(state, key.len() + bytes, count as u64 + u64::from(cleared));
        out.push(if cleared { op::RENEW_LIST } else { op::EXTEND_LIST });
        push_text(out, key);
        push_varint(out, first);
        push_varint(out, count as u64);
        items.for_each(|item| push_text(out, item));
    }

    pub(crate) fn clear_map(&mut self, state: StateIndex, key: &[u8]) {
        let out = self.change(state, key.len(), 1);
        out.push(op::CLEAR_MAP);
        push_text(out, key);
    }

    pub(crate) fn entry(&mut self, state: StateIndex, key: &[u8], name: &[u8], stored: Option<&[u8]>) {
        let out = self.change(state, key.len() + name.len() + stored.map_or(0, <[u8]>::len), 1);
        out.push(if stored.is_some() { op::PUT_ENTRY } else { op::DELETE_ENTRY });
        push_text(out, key);
        push_text(out, name);
        if let Some(stored) = stored {
            push_text(out, stored);
        }
    }

    /// Room for a change whose parts take `bytes` bytes.
    #[inline]
    fn change(&mut self, state: StateIndex, bytes: usize, entries: u64) -> &mut Vec<u8> {
        const LENGTHS: usize = 40;
        let bytes = bytes + LENGTHS;
        let fits = |chunk: &Chunk| chunk.state == state && chunk.bytes.len() + bytes <= chunk.bytes.capacity();
        if !self.chunks.last().is_some_and(fits) {
            self.chunks.push(Chunk { state, bytes: Vec::with_capacity(bytes.max(CHUNK_BYTES)) });
        }
        self.changes += 1;
        self.entries += entries;
        self.bytes += bytes;
        &mut self.chunks.last_mut().expect("there is one with room").bytes
    }
}

impl Gathered {
    /// The changes of a state, as they were gathered.
    pub(crate) fn records_of(&self, state: StateIndex) -> impl Iterator<Item = Record<'_>> + Clone {
        let of_state = self.chunks.iter().filter(move |chunk| chunk.state == state);
        of_state.flat_map(|chunk| Records(&chunk.bytes))
    }

    /// Entries of files that the changes make.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }
}

/// Changes that stand behind one another.
#[derive(Clone)]
pub(crate) struct Records<'g>(pub(crate) &'g [u8]);

impl<'g> Iterator for Records<'g> {
    type Item = Record<'g>;

    #[inline]
    fn next(&mut self) -> Option<Record<'g>> {
        if self.0.is_empty() { None } else { Some(Record::take(&mut self.0)) }
    }
}

const GATHERED: &str = "was gathered by this process";

/// A gathered change, read as far as its order needs.
pub(crate) struct Record<'g> {
    pub(crate) op: u8,
    pub(crate) key: &'g [u8],
    /// Of a list: the index of its first item, and how many there are.
    pub(crate) first: u64,
    pub(crate) count: u64,
    /// Names and values.
    texts: &'g [u8],
    /// All of it.
    pub(crate) whole: &'g [u8],
}

impl<'g> Record<'g> {
    /// Reads the change that `bytes` begins with, and moves `bytes` behind it.
    #[inline]
    pub(crate) fn take(bytes: &mut &'g [u8]) -> Self {
        let all = *bytes;
        let (&op, after) = bytes.split_first().expect(GATHERED);
        *bytes = after;
        let key = take_text(bytes).expect(GATHERED);
        let is_list = matches!(op, op::EXTEND_LIST | op::RENEW_LIST);
        let mut number = || if is_list { take_varint(bytes).expect(GATHERED) } else { 0 };
        let (first, count) = (number(), number());
        let texts = *bytes;
        let number_of_texts = match op {
            op::PUT_VALUE | op::DELETE_ENTRY => 1,
            op::PUT_ENTRY => 2,
            _ => count,
        };
        (0..number_of_texts).for_each(|_| {
            take_text(bytes).expect(GATHERED);
        });
        Self { op, key, first, count, texts, whole: &all[..all.len() - bytes.len()] }
    }

    /// Names and values, in the order in which they were gathered.
    pub(crate) fn texts(&self) -> impl FnMut() -> &'g [u8] + use<'g> {
        let mut rest = self.texts;
        move || take_text(&mut rest).expect(GATHERED)
    }

    /// By key; of one key a clear stands before entries, and these by their names.
    pub(crate) fn cmp_place(&self, other: &Self) -> Ordering {
        let name = |record: &Self| match record.op {
            op::PUT_ENTRY | op::DELETE_ENTRY => take_text(&mut &*record.texts),
            _ => None,
        };
        self.key.cmp(other.key).then_with(|| name(self).cmp(&name(other)))
    }
}
