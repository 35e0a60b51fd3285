//! State as a map and a copy of it: the plainest thing that is a transaction. Of which kind a state is, its users know.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use gristmill_checkpoint::StateFile;
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::state::{
    Drained, EntryPlace, FrozenState, RestoredState, ScanPage, SlotRead, StateEntries, StateEntry, StateError,
    StateMerger, StateReader, StateSize, StateTime, WriteMark,
};
use gristmill_ports::{FileStore, PortError, StateBackend};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{
    CheckpointId, Column, EventBatch, KeyGroup, KeyGroupRange, MaxParallelism, StateIndex, key_hash,
};
use serde::{Deserialize, Serialize};

/// Which of the entries that a key has in a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Which {
    Value,
    Item(u64),
    Name(Vec<u8>),
}

/// A state, a key in it, and which of its entries.
type Place = (u32, Vec<u8>, Which);

type Values = BTreeMap<Place, Vec<u8>>;

/// Entries of a key, and whether it has more.
type Page<'a> = (Vec<(&'a Which, &'a [u8])>, bool);

/// See the module.
#[derive(Default)]
pub(crate) struct NaiveState {
    /// The states that it was opened for; entries name theirs by the place here.
    states: Vec<StateSpec>,
    committed: Values,
    /// What the open call sees: the committed values with its own writes.
    open: Option<(Vec<Option<Vec<u8>>>, Values)>,
    frozen: Values,
    /// Those that wrote what it was filled with.
    before: Vec<u64>,
    writer: Option<u64>,
    /// No commit succeeds.
    breaks: bool,
    /// A restore lasts until it is interrupted.
    restores_for_ever: bool,
}

/// Who writes next.
static WRITERS: AtomicU64 = AtomicU64::new(1);

/// All values as one backend had them, in one file.
#[derive(Serialize, Deserialize)]
struct Written {
    by: u64,
    /// What these wrote is in it too.
    instead_of: Vec<u64>,
    values: Vec<(Place, Vec<u8>)>,
}

struct Frozen(Written);

impl FrozenState for Frozen {
    fn store(&mut self, files: &dyn FileStore) -> Result<Vec<StateFile>, PortError> {
        let file = files.put(Content::Bytes(&serde_json::to_vec(&self.0).unwrap()))?;
        let groups = KeyGroupRange { start: 0, end: u16::MAX };
        Ok(vec![StateFile { file, entries: self.entries(), groups }])
    }

    fn entries(&self) -> u64 {
        self.0.values.len() as u64
    }
}

/// What a list of files amounts to, and who wrote them.
fn read(list: &[StateFile], files: &dyn FileStore) -> Result<(Values, Vec<u64>), PortError> {
    // Of each writer the newest, for each range of key groups for which its files count.
    let mut newest: BTreeMap<(u64, u16, u16), Written> = BTreeMap::new();
    for StateFile { file, groups, .. } in list {
        let bytes = std::fs::read(files.open(file)?).unwrap();
        let mut written: Written = serde_json::from_slice(&bytes).unwrap();
        written.values.retain(|((_, key, _), _)| groups.contains(MaxParallelism::DEFAULT.group_of(key_hash(key))));
        newest.insert((written.by, groups.start, groups.end), written);
    }
    let replaced: Vec<u64> = newest.values().flat_map(|one| one.instead_of.clone()).collect();
    let writers = newest.keys().map(|(by, ..)| *by).chain(replaced.iter().copied()).collect();
    newest.retain(|(by, ..), _| !replaced.contains(by));
    Ok((newest.into_values().flat_map(|one| one.values).collect(), writers))
}

/// Reads them for people.
pub(crate) struct NaiveReader;

impl StateReader for NaiveReader {
    fn entries(&self, list: &[StateFile], files: &dyn FileStore) -> Result<StateEntries, PortError> {
        let (values, _) = read(list, files)?;
        let entry = |((state, key, which), value): (Place, Vec<u8>)| {
            Ok(StateEntry { state, group: KeyGroup(0), key, place: which.place(), value })
        };
        Ok(Box::new(values.into_iter().map(entry)))
    }
}

/// Lists stay as they are, unless somebody wants one file.
pub(crate) struct NaiveMerger;

impl StateMerger for NaiveMerger {
    fn choose(&self, _: &[StateFile]) -> Option<Range<usize>> {
        None
    }

    fn merge(
        &self,
        _: &[StateSpec],
        list: &[StateFile],
        _: bool,
        _: StateTime,
        files: &dyn FileStore,
    ) -> Result<Option<StateFile>, PortError> {
        let (values, instead_of) = read(list, files)?;
        let by = WRITERS.fetch_add(1, Ordering::Relaxed);
        let mut all = Frozen(Written { by, instead_of, values: values.into_iter().collect() });
        Ok(all.store(files)?.pop().filter(|_| !list.is_empty()))
    }
}

impl Which {
    fn place(self) -> EntryPlace {
        match self {
            Self::Value => EntryPlace::Value,
            Self::Item(item) => EntryPlace::Item(item),
            Self::Name(name) => EntryPlace::Name(name),
        }
    }

    fn item(&self) -> Option<u64> {
        if let Self::Item(item) = self { Some(*item) } else { None }
    }

    fn name(&self) -> Option<&[u8]> {
        if let Self::Name(name) = self { Some(name.as_slice()) } else { None }
    }
}

impl NaiveState {
    /// One for these states.
    pub(crate) fn of(states: &[StateSpec]) -> Self {
        Self { states: states.to_vec(), ..Self::default() }
    }

    /// One whose commits all fail.
    pub(crate) fn that_breaks() -> Self {
        Self { breaks: true, ..Self::default() }
    }

    pub(crate) fn restoring_for_ever(self) -> Self {
        Self { restores_for_ever: true, ..self }
    }

    fn key(&self, row: u32) -> Result<Vec<u8>, StateError> {
        let (keys, _) = self.open.as_ref().ok_or(StateError::OutsideCall)?;
        let key = keys.get(row as usize).ok_or(StateError::RowOutOfRange { row, rows: keys.len() })?;
        key.clone().ok_or(StateError::NoKey { row })
    }

    /// All that the row's key has in a state, in order.
    fn entries(&self, state: StateIndex, row: u32) -> Result<impl Iterator<Item = (&Which, &[u8])>, StateError> {
        let key = self.key(row)?;
        let (_, values) = self.open.as_ref().ok_or(StateError::OutsideCall)?;
        let from = values.range((state.0, key.clone(), Which::Value)..);
        let of_key = from.take_while(move |((of, owner, _), _)| (*of, owner) == (state.0, &key));
        Ok(of_key.map(|((_, _, which), value)| (which, value.as_slice())))
    }

    /// Those of them that are meant, up to so many bytes.
    fn page(
        &self,
        state: StateIndex,
        row: u32,
        is_meant: impl Fn(&Which) -> bool,
        max_bytes: u32,
    ) -> Result<Page<'_>, StateError> {
        let (mut page, mut bytes) = (Vec::new(), 0);
        for (which, value) in self.entries(state, row)?.filter(|(which, _)| is_meant(which)) {
            if !page.is_empty() && bytes >= max_bytes as usize {
                return Ok((page, true));
            }
            bytes += value.len();
            page.push((which, value));
        }
        Ok((page, false))
    }

    /// Null deletes.
    fn set(&mut self, place: Place, value: Option<&[u8]>) -> Result<(), StateError> {
        let (_, values) = self.open.as_mut().ok_or(StateError::OutsideCall)?;
        match value {
            Some(value) => values.insert(place, value.to_vec()),
            None => values.remove(&place),
        };
        Ok(())
    }

    fn clear(&mut self, state: StateIndex, rows: &[u32]) -> Result<(), StateError> {
        for row in rows {
            let key = self.key(*row)?;
            let all: Vec<Which> = self.entries(state, *row)?.map(|(which, _)| which.clone()).collect();
            all.into_iter().try_for_each(|which| self.set((state.0, key.clone(), which), None))?;
        }
        Ok(())
    }
}

impl StateBackend for NaiveState {
    fn begin(&mut self, events: &EventBatch, _: StateTime) {
        let keys = events.keys().iter().map(|key| key.map(<[u8]>::to_vec)).collect();
        self.open = Some((keys, self.committed.clone()));
    }

    fn commit(&mut self) -> Result<(), StateError> {
        if self.breaks {
            return Err(StateError::Backend("the disk is gone".into()));
        }
        if let Some((_, values)) = self.open.take() {
            self.committed = values;
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        self.open = None;
    }

    fn mark(&self) -> WriteMark {
        WriteMark(0)
    }

    fn roll_back_to(&mut self, _: WriteMark) {
        unimplemented!("no operator of these tests uses marks");
    }

    fn get(&mut self, state: StateIndex, rows: &[u32]) -> Result<SlotRead, StateError> {
        let mut read = SlotRead::default();
        for row in rows {
            let place = (state.0, self.key(*row)?, Which::Value);
            let (_, values) = self.open.as_ref().ok_or(StateError::OutsideCall)?;
            read.slots.push(read.values.len() as u32);
            read.values.push(values.get(&place).map(Vec::as_slice));
        }
        Ok(read)
    }

    fn put(&mut self, state: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError> {
        for (row, value) in rows.iter().zip(values.iter()) {
            let key = self.key(*row)?;
            self.set((state.0, key, Which::Value), value)?;
        }
        Ok(())
    }

    fn list_append(&mut self, state: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError> {
        for (row, value) in rows.iter().zip(values.iter()) {
            let key = self.key(*row)?;
            let last = self.entries(state, *row)?.filter_map(|(which, _)| which.item()).last();
            self.set((state.0, key, Which::Item(last.map_or(0, |last| last + 1))), value)?;
        }
        Ok(())
    }

    fn list_clear(&mut self, state: StateIndex, rows: &[u32]) -> Result<(), StateError> {
        self.clear(state, rows)
    }

    fn list_scan(
        &mut self,
        state: StateIndex,
        row: u32,
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<ScanPage, StateError> {
        let item = |cursor: &[u8]| cursor.try_into().map(u64::from_be_bytes).map_err(|_| StateError::StrangeCursor);
        let after: Option<u64> = after.map(item).transpose()?;
        let is_behind = |which: &Which| which.item().is_some_and(|item| after.is_none_or(|after| item > after));
        let (page, more) = self.page(state, row, is_behind, max_bytes)?;
        let last = page.last().filter(|_| more).and_then(|(which, _)| which.item());
        let values = page.iter().map(|(_, value)| Some(*value)).collect();
        Ok(ScanPage { keys: Column::default(), values, next: last.map(|last| last.to_be_bytes().to_vec()) })
    }

    fn map_get(&mut self, state: StateIndex, rows: &[u32], keys: &Column) -> Result<Column, StateError> {
        let mut found = Column::default();
        for (row, name) in rows.iter().zip(keys.iter()) {
            let place = (state.0, self.key(*row)?, Which::Name(name.unwrap_or_default().to_vec()));
            let (_, values) = self.open.as_ref().ok_or(StateError::OutsideCall)?;
            found.push(values.get(&place).map(Vec::as_slice));
        }
        Ok(found)
    }

    fn map_put(&mut self, state: StateIndex, rows: &[u32], keys: &Column, values: &Column) -> Result<(), StateError> {
        for ((row, name), value) in rows.iter().zip(keys.iter()).zip(values.iter()) {
            let key = self.key(*row)?;
            self.set((state.0, key, Which::Name(name.unwrap_or_default().to_vec())), value)?;
        }
        Ok(())
    }

    fn map_clear(&mut self, state: StateIndex, rows: &[u32]) -> Result<(), StateError> {
        self.clear(state, rows)
    }

    fn map_scan(
        &mut self,
        state: StateIndex,
        row: u32,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<ScanPage, StateError> {
        let is_behind = |name: &[u8]| name.starts_with(prefix) && after.is_none_or(|after| name > after);
        let is_meant = |which: &Which| which.name().is_some_and(is_behind);
        let (page, more) = self.page(state, row, is_meant, max_bytes)?;
        let last = page.last().filter(|_| more).and_then(|(which, _)| which.name());
        let keys = page.iter().map(|(which, _)| which.name()).collect();
        let values = page.iter().map(|(_, value)| Some(*value)).collect();
        Ok(ScanPage { keys, values, next: last.map(<[u8]>::to_vec) })
    }

    fn freeze(&mut self, _: CheckpointId) -> bool {
        self.frozen.clone_from(&self.committed);
        true
    }

    fn drain_frozen(&mut self, _: usize) -> Drained {
        let by = *self.writer.get_or_insert_with(|| WRITERS.fetch_add(1, Ordering::Relaxed));
        let values = std::mem::take(&mut self.frozen).into_iter().collect();
        Drained::All(Box::new(Frozen(Written { by, instead_of: self.before.clone(), values })))
    }

    fn restore(&mut self, from: &RestoredState<'_>, files: &dyn FileStore) -> Result<(), PortError> {
        if self.restores_for_ever {
            while !files.is_over() {
                std::thread::yield_now();
            }
            return Err(PortError::retry("interrupted"));
        }
        let place = |written: &StateSpec| {
            let same =
                |one: &StateSpec| (&one.name, one.version, one.kind) == (&written.name, written.version, written.kind);
            self.states.iter().position(same)
        };
        let places: Vec<Option<usize>> = from.states.iter().map(place).collect();
        let (values, writers) = read(from.files, files)?;
        let here = |((state, key, which), value): (Place, Vec<u8>)| {
            Some(((places[state as usize]? as u32, key, which), value))
        };
        (self.committed, self.before) = (values.into_iter().filter_map(here).collect(), writers);
        Ok(())
    }

    fn size(&self) -> StateSize {
        let bytes = self.committed.iter().map(|((_, key, _), value)| key.len() + value.len()).sum::<usize>();
        StateSize { keys: self.committed.len() as u64, bytes: bytes as u64 }
    }
}
