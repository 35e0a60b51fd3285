//! The naive model: plain maps, copied whole wherever a transaction or a snapshot is wanted.

use std::collections::BTreeMap;

use gristmill_ports::state::StateSize;

type Bytes = Vec<u8>;

/// All state of an operator with one state of each kind. Empty lists and maps are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    pub(crate) values: BTreeMap<Bytes, Bytes>,
    pub(crate) lists: BTreeMap<Bytes, Vec<Bytes>>,
    pub(crate) maps: BTreeMap<Bytes, BTreeMap<Bytes, Bytes>>,
}

impl Model {
    pub(crate) fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        write(&mut self.values, key, value);
    }

    pub(crate) fn append(&mut self, key: &[u8], item: &[u8]) {
        self.lists.entry(key.to_vec()).or_default().push(item.to_vec());
    }

    pub(crate) fn put_entry(&mut self, key: &[u8], name: &[u8], value: Option<&[u8]>) {
        let map = self.maps.entry(key.to_vec()).or_default();
        write(map, name, value);
        if map.is_empty() {
            self.maps.remove(key);
        }
    }

    pub(crate) fn list(&self, key: &[u8]) -> Vec<Bytes> {
        self.lists.get(key).cloned().unwrap_or_default()
    }

    pub(crate) fn entries(&self, key: &[u8], prefix: &[u8]) -> Vec<(Bytes, Bytes)> {
        let map = self.maps.get(key).cloned().unwrap_or_default();
        map.into_iter().filter(|(name, _)| name.starts_with(prefix)).collect()
    }

    pub(crate) fn size(&self) -> StateSize {
        let mut keys: Vec<&Bytes> = self.values.keys().chain(self.lists.keys()).chain(self.maps.keys()).collect();
        keys.sort();
        keys.dedup();
        let values = self.values.values().map(Vec::len);
        let items = self.lists.values().flatten().map(Vec::len);
        let entries = self.maps.values().flatten().map(|(name, value)| name.len() + value.len());
        let bytes: usize = values.chain(items).chain(entries).chain(keys.iter().map(|key| key.len())).sum();
        StateSize { keys: keys.len() as u64, bytes: bytes as u64 }
    }
}

fn write(map: &mut BTreeMap<Bytes, Bytes>, key: &[u8], value: Option<&[u8]>) {
    match value {
        Some(value) => map.insert(key.to_vec(), value.to_vec()),
        None => map.remove(key),
    };
}
