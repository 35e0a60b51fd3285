//! A frozen generation on its way to storage: gathered on the task's thread, sorted and written elsewhere.
//!
//! Gathering is the task's time, so it only copies bytes behind one another, into chunks: no allocation for an entry, and
//! never a large one that would have to be moved. Key groups, order and layout are the storer's work.

use std::cmp::Ordering;
use std::sync::Arc;

use gristmill_checkpoint::StateFile;
use gristmill_ports::state::FrozenState;
use gristmill_ports::{FileStore, PortError};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{KeyGroup, MaxParallelism, StateIndex, key_hash};

use crate::expiry::Expiry;
use crate::file::{Change, Entry, FileWriter, push_text, push_varint, take_text, take_varint};

/// Bytes of a chunk, unless one change alone is larger.
const CHUNK_BYTES: usize = 256 << 10;

/// Sorts of changes, as the first byte of a gathered change.
mod op {
    pub(super) const DELETE_VALUE: u8 = 0;
    pub(super) const PUT_VALUE: u8 = 1;
    /// Items behind those that are known.
    pub(super) const EXTEND_LIST: u8 = 2;
    /// The list is emptied, then extended.
    pub(super) const RENEW_LIST: u8 = 3;
    pub(super) const CLEAR_MAP: u8 = 4;
    pub(super) const PUT_ENTRY: u8 = 5;
    pub(super) const DELETE_ENTRY: u8 = 6;
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

/// What a storer must know of the states, by their index.
#[derive(Debug)]
pub(crate) struct Written {
    states: Vec<(u32, bool)>,
    max: MaxParallelism,
}

impl Written {
    pub(crate) fn new(states: &[StateSpec], max: MaxParallelism) -> Arc<Self> {
        let states = states.iter().map(|spec| (spec.version, Expiry::of(spec).is_bounded())).collect();
        Arc::new(Self { states, max })
    }

    /// For a reader that takes what is stored as it is, times included.
    pub(crate) fn as_stored(states: &[StateSpec], max: MaxParallelism) -> Arc<Self> {
        let states = states.iter().map(|spec| (spec.version, false)).collect();
        Arc::new(Self { states, max })
    }

    fn version(&self, state: StateIndex) -> u32 {
        self.states[state.at()].0
    }

    fn is_stamped(&self, state: StateIndex) -> bool {
        self.states[state.at()].1
    }
}

/// Where a change is, and what nearly always decides its place in the order.
#[derive(Debug, Clone, Copy)]
struct Sorted {
    group: KeyGroup,
    /// Eight bytes of the key, from where keys begin to differ.
    prefix: u64,
    chunk: u32,
    at: u32,
}

/// A frozen generation that is all gathered, in parts; each changes what the parts before it say.
pub(crate) struct Generation {
    pub(crate) parts: Vec<Gathered>,
    pub(crate) written: Arc<Written>,
}

impl FrozenState for Generation {
    fn store(&mut self, files: &dyn FileStore) -> Result<Vec<StateFile>, PortError> {
        let mut stored = Vec::new();
        for part in self.parts.iter().filter(|part| part.changes > 0) {
            let mut out = FileWriter::create(files.scratch())?;
            Ordered { gathered: part, written: &self.written }.each(|entry| out.push(&entry))?;
            stored.extend(out.store(files)?);
        }
        Ok(stored)
    }

    fn entries(&self) -> u64 {
        self.parts.iter().map(|part| part.entries).sum()
    }
}

/// What was gathered, in the order of files.
pub(crate) struct Ordered<'g> {
    pub(crate) gathered: &'g Gathered,
    pub(crate) written: &'g Written,
}

impl Ordered<'_> {
    /// Hands out all entries.
    ///
    /// # Errors
    /// The first one that `each` has.
    pub(crate) fn each<E>(&self, mut each: impl FnMut(Entry<'_>) -> Result<(), E>) -> Result<(), E> {
        for state in (0..self.written.states.len() as u32).map(StateIndex) {
            let mut changes = self.changes_of(state);
            changes.sort_unstable_by(|one, other| {
                let by_prefix = (one.group, one.prefix).cmp(&(other.group, other.prefix));
                by_prefix.then_with(|| self.record(one).cmp_place(&self.record(other)))
            });
            for change in &changes {
                self.expand(state, change.group, &self.record(change), &mut each)?;
            }
        }
        Ok(())
    }

    fn record(&self, change: &Sorted) -> Record<'_> {
        Record::take(&mut &self.gathered.chunks[change.chunk as usize].bytes[change.at as usize..])
    }

    /// The changes of a state, as they were gathered. What follows jumps about in the chunks, a miss of the cache for
    /// each look; so all that the order needs is taken from here, in passes that go straight through.
    fn changes_of(&self, state: StateIndex) -> Vec<Sorted> {
        let common = self.common_prefix(state);
        let mut changes = Vec::with_capacity(self.records_of(state).count());
        for (chunk, at, record) in self.records_of(state) {
            let mut prefix = [0; 8];
            record.key[common..].iter().zip(&mut prefix).for_each(|(byte, place)| *place = *byte);
            let group = self.written.max.group_of(key_hash(record.key));
            changes.push(Sorted { group, prefix: u64::from_be_bytes(prefix), chunk, at });
        }
        changes
    }

    /// How many bytes all keys of a state begin with alike; keys of one job often do.
    fn common_prefix(&self, state: StateIndex) -> usize {
        let mut keys = self.records_of(state).map(|(.., record)| record.key);
        let Some(first) = keys.next() else { return 0 };
        keys.fold(first.len(), |common, key| {
            if key.starts_with(&first[..common]) {
                return common;
            }
            first.iter().zip(key).take_while(|(one, other)| one == other).count()
        })
    }

    /// Chunk, place and content of each change of a state.
    fn records_of(&self, state: StateIndex) -> impl Iterator<Item = (u32, u32, Record<'_>)> {
        let of_state = self.gathered.chunks.iter().enumerate().filter(move |(_, chunk)| chunk.state == state);
        of_state.flat_map(|(number, chunk)| {
            let mut rest = &chunk.bytes[..];
            std::iter::from_fn(move || {
                let at = chunk.bytes.len() - rest.len();
                (!rest.is_empty()).then(|| (number as u32, at as u32, Record::take(&mut rest)))
            })
        })
    }

    /// Hands out the entries of one change.
    fn expand<E>(
        &self,
        state: StateIndex,
        group: KeyGroup,
        record: &Record<'_>,
        each: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let &Record { op, key, first, count, mut rest } = record;
        let stamped = self.written.is_stamped(state);
        let mut entry = |change: Change<'_>| {
            each(Entry { state: state.0, group, key, version: self.written.version(state), change })
        };
        let mut text = || take_text(&mut rest).expect(GATHERED);
        match op {
            op::DELETE_VALUE => entry(Change::DeleteValue),
            op::PUT_VALUE => entry(Change::PutValue(Expiry::stored(stamped, text()))),
            op::EXTEND_LIST | op::RENEW_LIST => {
                if op == op::RENEW_LIST {
                    entry(Change::ClearList)?;
                }
                (first..first + count).try_for_each(|index| entry(Change::Item(index, Expiry::stored(stamped, text()))))
            }
            op::CLEAR_MAP => entry(Change::ClearMap),
            op::PUT_ENTRY => {
                let name = text();
                entry(Change::PutEntry(name, Expiry::stored(stamped, text())))
            }
            op::DELETE_ENTRY => entry(Change::DeleteEntry(text())),
            _ => unreachable!("{GATHERED}"),
        }
    }
}

const GATHERED: &str = "was gathered by this process";

/// A gathered change, read as far as its order needs.
struct Record<'g> {
    op: u8,
    key: &'g [u8],
    /// Of a list: the index of its first item, and how many there are.
    first: u64,
    count: u64,
    rest: &'g [u8],
}

impl<'g> Record<'g> {
    /// Reads the change that `bytes` begins with, and moves `bytes` behind it.
    #[inline]
    fn take(bytes: &mut &'g [u8]) -> Self {
        let (&op, after) = bytes.split_first().expect(GATHERED);
        *bytes = after;
        let key = take_text(bytes).expect(GATHERED);
        let is_list = matches!(op, op::EXTEND_LIST | op::RENEW_LIST);
        let mut number = || if is_list { take_varint(bytes).expect(GATHERED) } else { 0 };
        let (first, count) = (number(), number());
        let rest = *bytes;
        let texts = match op {
            op::PUT_VALUE | op::DELETE_ENTRY => 1,
            op::PUT_ENTRY => 2,
            _ => count,
        };
        (0..texts).for_each(|_| {
            take_text(bytes).expect(GATHERED);
        });
        Self { op, key, first, count, rest }
    }

    /// By key; of one key a clear stands before entries, and these by their names.
    fn cmp_place(&self, other: &Self) -> Ordering {
        let name = |record: &Self| match record.op {
            op::PUT_ENTRY | op::DELETE_ENTRY => take_text(&mut &*record.rest),
            _ => None,
        };
        self.key.cmp(other.key).then_with(|| name(self).cmp(&name(other)))
    }
}
