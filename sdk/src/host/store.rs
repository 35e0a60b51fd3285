//! The state on a stage: plain ordered maps.

use std::collections::BTreeMap;

/// All states of an operator, by their index.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store {
    states: Vec<State>,
}

/// One state, by key; only the field of its kind is used.
#[derive(Debug, Clone, Default)]
struct State {
    values: BTreeMap<Vec<u8>, Vec<u8>>,
    lists: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    maps: BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Store {
    pub(crate) fn with_states(count: usize) -> Self {
        Self { states: vec![State::default(); count] }
    }

    pub(crate) fn get(&self, state: u32, key: &[u8]) -> Option<&[u8]> {
        self.states[state as usize].values.get(key).map(Vec::as_slice)
    }

    pub(crate) fn put(&mut self, state: u32, key: &[u8], value: Option<&[u8]>) {
        let values = &mut self.states[state as usize].values;
        match value {
            Some(value) => values.insert(key.to_vec(), value.to_vec()),
            None => values.remove(key),
        };
    }

    pub(crate) fn list(&self, state: u32, key: &[u8]) -> &[Vec<u8>] {
        self.states[state as usize].lists.get(key).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn append(&mut self, state: u32, key: &[u8], item: &[u8]) {
        self.states[state as usize].lists.entry(key.to_vec()).or_default().push(item.to_vec());
    }

    pub(crate) fn clear_list(&mut self, state: u32, key: &[u8]) {
        self.states[state as usize].lists.remove(key);
    }

    /// Forgets all that a key has in a state.
    pub(crate) fn forget(&mut self, state: u32, key: &[u8]) {
        let State { values, lists, maps } = &mut self.states[state as usize];
        values.remove(key);
        lists.remove(key);
        maps.remove(key);
    }

    pub(crate) fn map(&self, state: u32, key: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        let entries = self.states[state as usize].maps.get(key).into_iter().flatten();
        entries.map(|(map_key, value)| (map_key.as_slice(), value.as_slice()))
    }

    pub(crate) fn map_put(&mut self, state: u32, key: &[u8], map_key: &[u8], value: Option<&[u8]>) {
        let entries = self.states[state as usize].maps.entry(key.to_vec()).or_default();
        match value {
            Some(value) => entries.insert(map_key.to_vec(), value.to_vec()),
            None => entries.remove(map_key),
        };
    }
}
