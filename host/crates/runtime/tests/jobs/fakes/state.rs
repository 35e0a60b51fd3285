//! Value state as a map and a copy of it: the plainest thing that is a transaction. Lists and maps it has none.

use std::collections::BTreeMap;

use gristmill_checkpoint::StateFile;
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::state::{
    Drained, FrozenState, RestoredState, ScanPage, SlotRead, StateError, StateSize, StateTime, WriteMark,
};
use gristmill_ports::{FileStore, PortError, StateBackend};
use gristmill_types::{CheckpointId, Column, EventBatch, KeyGroupRange, MaxParallelism, StateIndex, key_hash};

type Entry = ((u32, Vec<u8>), Vec<u8>);
type Values = BTreeMap<(u32, Vec<u8>), Vec<u8>>;

/// See the module.
#[derive(Default)]
pub(crate) struct NaiveState {
    committed: Values,
    /// What the open call sees: the committed values with its own writes.
    open: Option<(Vec<Option<Vec<u8>>>, Values)>,
    frozen: Values,
    /// No commit succeeds.
    breaks: bool,
    /// A restore lasts until it is interrupted.
    restores_for_ever: bool,
}

/// All values as they were, in one file.
struct FrozenValues(Values);

impl FrozenState for FrozenValues {
    fn store(&mut self, files: &dyn FileStore) -> Result<Vec<StateFile>, PortError> {
        let bytes = serde_json::to_vec(&self.0.iter().collect::<Vec<_>>()).unwrap();
        let file = files.put(Content::Bytes(&bytes))?;
        let groups = KeyGroupRange { start: 0, end: u16::MAX };
        Ok(vec![StateFile { file, entries: self.entries(), groups }])
    }

    fn entries(&self) -> u64 {
        self.0.len() as u64
    }
}

impl NaiveState {
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

    fn only_values<T>(function: &'static str) -> Result<T, StateError> {
        Err(StateError::WrongKind { state: "naive".into(), kind: "value", function })
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
            let key = self.key(*row)?;
            let (_, values) = self.open.as_ref().ok_or(StateError::OutsideCall)?;
            read.slots.push(read.values.len() as u32);
            read.values.push(values.get(&(state.0, key)).map(Vec::as_slice));
        }
        Ok(read)
    }

    fn put(&mut self, state: StateIndex, rows: &[u32], new: &Column) -> Result<(), StateError> {
        for (row, value) in rows.iter().zip(new.iter()) {
            let key = (state.0, self.key(*row)?);
            let (_, values) = self.open.as_mut().ok_or(StateError::OutsideCall)?;
            match value {
                Some(value) => values.insert(key, value.to_vec()),
                None => values.remove(&key),
            };
        }
        Ok(())
    }

    fn list_append(&mut self, _: StateIndex, _: &[u32], _: &Column) -> Result<(), StateError> {
        Self::only_values("list-append")
    }

    fn list_clear(&mut self, _: StateIndex, _: &[u32]) -> Result<(), StateError> {
        Self::only_values("list-clear")
    }

    fn list_scan(&mut self, _: StateIndex, _: u32, _: Option<&[u8]>, _: u32) -> Result<ScanPage, StateError> {
        Self::only_values("list-scan")
    }

    fn map_get(&mut self, _: StateIndex, _: &[u32], _: &Column) -> Result<Column, StateError> {
        Self::only_values("map-get")
    }

    fn map_put(&mut self, _: StateIndex, _: &[u32], _: &Column, _: &Column) -> Result<(), StateError> {
        Self::only_values("map-put")
    }

    fn map_clear(&mut self, _: StateIndex, _: &[u32]) -> Result<(), StateError> {
        Self::only_values("map-clear")
    }

    fn map_scan(&mut self, _: StateIndex, _: u32, _: &[u8], _: Option<&[u8]>, _: u32) -> Result<ScanPage, StateError> {
        Self::only_values("map-scan")
    }

    fn freeze(&mut self, _: CheckpointId) -> bool {
        self.frozen.clone_from(&self.committed);
        true
    }

    fn drain_frozen(&mut self, _: usize) -> Drained {
        Drained::All(Box::new(FrozenValues(std::mem::take(&mut self.frozen))))
    }

    fn restore(&mut self, from: &RestoredState<'_>, files: &dyn FileStore) -> Result<(), PortError> {
        if self.restores_for_ever {
            while !files.is_over() {
                std::thread::yield_now();
            }
            return Err(PortError::retry("interrupted"));
        }
        // Each file has all there was of the key groups for which it counts.
        let covers = |later: &StateFile, file: &StateFile| {
            later.groups.start <= file.groups.start && file.groups.end <= later.groups.end
        };
        for (place, file) in from.files.iter().enumerate() {
            if from.files[place + 1..].iter().any(|later| covers(later, file)) {
                continue;
            }
            let counts = |key: &[u8]| file.groups.contains(MaxParallelism::DEFAULT.group_of(key_hash(key)));
            let bytes = std::fs::read(files.open(&file.file)?).unwrap();
            let entries = serde_json::from_slice::<Vec<Entry>>(&bytes).unwrap();
            self.committed.retain(|(_, key), _| !counts(key));
            self.committed.extend(entries.into_iter().filter(|((_, key), _)| counts(key)));
        }
        Ok(())
    }

    fn size(&self) -> StateSize {
        let bytes = self.committed.iter().map(|((_, key), value)| key.len() + value.len()).sum::<usize>();
        StateSize { keys: self.committed.len() as u64, bytes: bytes as u64 }
    }
}
