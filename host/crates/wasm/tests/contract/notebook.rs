//! A state backend with one value state, simple enough to be believed; writes can be taken back to a mark.

use std::collections::HashMap;

use gristmill_ports::state::*;
use gristmill_types::{Column, EventBatch, StateIndex};

type Key = Vec<u8>;
type Write = (Key, Option<Vec<u8>>);

#[derive(Default)]
pub(crate) struct Notebook {
    keys: Vec<Option<Key>>,
    kept: HashMap<Key, Vec<u8>>,
    writes: Vec<Write>,
    broken: bool,
}

impl Notebook {
    /// One that fails at every access, as a broken disk would.
    pub(crate) fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }

    fn key(&self, state: StateIndex, row: u32) -> Result<Key, StateError> {
        if self.broken {
            return Err(StateError::Backend("the disk is gone".to_owned()));
        }
        if state.0 != 0 {
            return Err(StateError::UnknownState { index: state.0, declared: 1 });
        }
        let rows = self.keys.len();
        let key = self.keys.get(row as usize).ok_or(StateError::RowOutOfRange { row, rows })?;
        key.clone().ok_or(StateError::NoKey { row })
    }

    fn value(&self, key: &Key) -> Option<Vec<u8>> {
        let written = self.writes.iter().rev().find(|(written, _)| written == key);
        written.map_or_else(|| self.kept.get(key).cloned(), |(_, value)| value.clone())
    }
}

impl StateBackend for Notebook {
    fn begin(&mut self, events: &EventBatch) {
        self.writes.clear();
        self.keys = events.keys().iter().map(|key| key.map(<[u8]>::to_vec)).collect();
    }
    fn commit(&mut self) -> Result<(), StateError> {
        for (key, value) in self.writes.drain(..) {
            match value {
                Some(value) => self.kept.insert(key, value),
                None => self.kept.remove(&key),
            };
        }
        Ok(())
    }
    fn roll_back(&mut self) {
        self.writes.clear();
    }
    fn mark(&self) -> WriteMark {
        WriteMark(self.writes.len())
    }
    fn roll_back_to(&mut self, mark: WriteMark) {
        self.writes.truncate(mark.0);
    }
    fn get(&mut self, state: StateIndex, rows: &[u32]) -> Result<SlotRead, StateError> {
        let mut read = SlotRead::default();
        for row in rows {
            let key = self.key(state, *row)?;
            read.slots.push(read.values.len() as u32);
            read.values.push(self.value(&key).as_deref());
        }
        Ok(read)
    }
    fn put(&mut self, state: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError> {
        if rows.len() != values.len() {
            return Err(StateError::Uneven { rows: rows.len(), values: values.len() });
        }
        for (row, value) in rows.iter().zip(values.iter()) {
            let key = self.key(state, *row)?;
            self.writes.push((key, value.map(<[u8]>::to_vec)));
        }
        Ok(())
    }
    fn list_append(&mut self, _: StateIndex, _: &[u32], _: &Column) -> Result<(), StateError> {
        Err(wrong_kind("list-append"))
    }
    fn list_clear(&mut self, _: StateIndex, _: &[u32]) -> Result<(), StateError> {
        Err(wrong_kind("list-clear"))
    }
    fn list_scan(&mut self, _: StateIndex, _: u32, _: Option<&[u8]>, _: u32) -> Result<ScanPage, StateError> {
        Err(wrong_kind("list-scan"))
    }
    fn map_get(&mut self, _: StateIndex, _: &[u32], _: &Column) -> Result<Column, StateError> {
        Err(wrong_kind("map-get"))
    }
    fn map_put(&mut self, _: StateIndex, _: &[u32], _: &Column, _: &Column) -> Result<(), StateError> {
        Err(wrong_kind("map-put"))
    }
    fn map_clear(&mut self, _: StateIndex, _: &[u32]) -> Result<(), StateError> {
        Err(wrong_kind("map-clear"))
    }
    fn map_scan(&mut self, _: StateIndex, _: u32, _: &[u8], _: Option<&[u8]>, _: u32) -> Result<ScanPage, StateError> {
        Err(wrong_kind("map-scan"))
    }
    fn freeze(&mut self) -> bool {
        true
    }
    fn drain_frozen(&mut self, _: usize) -> Vec<FrozenChange> {
        Vec::new()
    }
    fn size(&self) -> StateSize {
        StateSize { keys: self.kept.len() as u64, bytes: 0 }
    }
}

fn wrong_kind(function: &'static str) -> StateError {
    StateError::WrongKind { state: "count".to_owned(), kind: "value", function }
}
