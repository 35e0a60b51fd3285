//! What was gathered, sorted into the order of files.
//!
//! Changes come in no order, and there may be millions: each look at one of them is a miss of the cache. So they are
//! first copied, in passes that go straight through, to where the others of their key group are; a key group mostly fits
//! into the cache, and is sorted and written there.

use std::sync::Arc;

use gristmill_checkpoint::StateFile;
use gristmill_ports::{FileStore, PortError};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{KeyGroup, MaxParallelism, StateIndex, key_hash};

use crate::expiry::Expiry;
use crate::file::{Change, Entry, FileWriter};
use crate::gathered::{Gathered, Record, Records, op};

/// What a storer must know of the states, by their index.
#[derive(Debug)]
pub(crate) struct WriterStates {
    states: Vec<(u32, bool)>,
    max: MaxParallelism,
}

impl WriterStates {
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

/// What was gathered, in the order of files.
pub(crate) struct Ordered<'g> {
    pub(crate) gathered: &'g Gathered,
    pub(crate) states: &'g WriterStates,
}

impl Ordered<'_> {
    /// Writes all entries as one file; none if there are none.
    ///
    /// # Errors
    /// As for [`FileWriter`].
    pub(crate) fn store(&self, files: &dyn FileStore) -> Result<Option<StateFile>, PortError> {
        let mut out = FileWriter::create(files.scratch())?;
        self.each(|entry| out.push(&entry))?;
        out.store(files)
    }

    /// Hands out all entries.
    ///
    /// # Errors
    /// The first one that `each` has.
    pub(crate) fn each<E>(&self, mut each: impl FnMut(Entry<'_>) -> Result<(), E>) -> Result<(), E> {
        for state in (0..self.states.states.len() as u32).map(StateIndex) {
            let by_group = ByGroup::of(self.gathered.records_of(state), self.states.max);
            let (mut changes, mut from) = (Vec::new(), 0);
            for (group, &end) in by_group.ends.iter().enumerate() {
                let (group, records) = (KeyGroup(group as u16), &by_group.bytes[from..end]);
                from = end;
                sort(records, &mut changes);
                for change in &changes {
                    self.expand(state, group, &change.record(records), &mut each)?;
                }
            }
        }
        Ok(())
    }

    /// Hands out the entries of one change.
    fn expand<E>(
        &self,
        state: StateIndex,
        group: KeyGroup,
        record: &Record<'_>,
        each: &mut impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let &Record { op, key, first, count, .. } = record;
        let stamped = self.states.is_stamped(state);
        let version = self.states.version(state);
        let mut entry = |change: Change<'_>| each(Entry { state: state.0, group, key, version, change });
        let mut text = record.texts();
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
            _ => unreachable!("a gathered change has one of these operations"),
        }
    }
}

/// The changes of one state, those of each key group behind one another.
struct ByGroup {
    bytes: Vec<u8>,
    /// Where the bytes of each key group end.
    ends: Vec<usize>,
}

impl ByGroup {
    /// A counting sort: the first pass measures, the second copies.
    fn of<'g>(records: impl Iterator<Item = Record<'g>> + Clone, max: MaxParallelism) -> Self {
        let mut ends = vec![0; max.get() as usize];
        let groups: Vec<KeyGroup> = records
            .clone()
            .map(|record| {
                let group = max.group_of(key_hash(record.key));
                ends[usize::from(group.0)] += record.whole.len();
                group
            })
            .collect();
        // Where each begins; the second pass moves it to where it ends.
        let mut total = 0;
        for end in &mut ends {
            total += std::mem::replace(end, total);
        }
        let mut bytes = vec![0; total];
        for (record, group) in records.zip(groups) {
            let at = &mut ends[usize::from(group.0)];
            bytes[*at..*at + record.whole.len()].copy_from_slice(record.whole);
            *at += record.whole.len();
        }
        Self { bytes, ends }
    }
}

/// Where a change of a key group is, and what nearly always decides its place in the order.
#[derive(Debug, Clone, Copy)]
struct Sorted {
    /// Eight bytes of the key, from where keys begin to differ.
    prefix: u64,
    at: usize,
}

impl Sorted {
    fn record<'g>(&self, records: &'g [u8]) -> Record<'g> {
        Record::take(&mut &records[self.at..])
    }
}

/// Puts the changes that stand behind one another in `records` into their order.
fn sort(records: &[u8], changes: &mut Vec<Sorted>) {
    let common = common_prefix(Records(records));
    let mut at = 0;
    changes.clear();
    changes.extend(Records(records).map(|record| {
        let mut prefix = [0; 8];
        record.key[common..].iter().zip(&mut prefix).for_each(|(byte, place)| *place = *byte);
        let change = Sorted { prefix: u64::from_be_bytes(prefix), at };
        at += record.whole.len();
        change
    }));
    changes.sort_unstable_by(|one, other| {
        let by_prefix = one.prefix.cmp(&other.prefix);
        by_prefix.then_with(|| one.record(records).cmp_place(&other.record(records)))
    });
}

/// How many bytes all keys begin with alike; keys of one job often do.
fn common_prefix<'g>(records: impl Iterator<Item = Record<'g>>) -> usize {
    let mut keys = records.map(|record| record.key);
    let Some(first) = keys.next() else { return 0 };
    keys.fold(first.len(), |common, key| {
        if key.starts_with(&first[..common]) {
            return common;
        }
        first.iter().zip(key).take_while(|(one, other)| one == other).count()
    })
}
