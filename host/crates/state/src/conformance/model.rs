//! The naive model: plain maps, copied whole wherever a transaction or a snapshot is wanted.

use std::collections::BTreeMap;

use gristmill_ports::state::StateSize;

type Bytes = Vec<u8>;

/// A value and when it was written.
type Written = (i64, Bytes);

/// All state of an operator with one state of each kind. Empty lists and maps are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Model {
    values: BTreeMap<Bytes, Written>,
    lists: BTreeMap<Bytes, Vec<Written>>,
    maps: BTreeMap<Bytes, BTreeMap<Bytes, Written>>,
    now: i64,
}

impl Model {
    /// It is this time now: what is older than `ttl` is gone.
    pub(crate) fn set_time(&mut self, now: i64, ttl: Option<i64>) {
        self.now = now;
        let lives = |written: &Written| ttl.is_none_or(|ttl| written.0 + ttl > now);
        self.values.retain(|_, value| lives(value));
        self.lists.values_mut().for_each(|list| list.retain(lives));
        self.lists.retain(|_, list| !list.is_empty());
        self.maps.values_mut().for_each(|map| map.retain(|_, value| lives(value)));
        self.maps.retain(|_, map| !map.is_empty());
    }

    pub(crate) fn now(&self) -> i64 {
        self.now
    }

    /// All keys with any state; those with several more than once.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Bytes> {
        self.values.keys().chain(self.lists.keys()).chain(self.maps.keys())
    }

    pub(crate) fn put(&mut self, key: &[u8], value: Option<&[u8]>) {
        write(&mut self.values, key, value, self.now);
    }

    pub(crate) fn append(&mut self, key: &[u8], item: &[u8]) {
        self.lists.entry(key.to_vec()).or_default().push((self.now, item.to_vec()));
    }

    pub(crate) fn clear_list(&mut self, key: &[u8]) {
        self.lists.remove(key);
    }

    pub(crate) fn put_entry(&mut self, key: &[u8], name: &[u8], value: Option<&[u8]>) {
        let map = self.maps.entry(key.to_vec()).or_default();
        write(map, name, value, self.now);
        if map.is_empty() {
            self.maps.remove(key);
        }
    }

    pub(crate) fn clear_map(&mut self, key: &[u8]) {
        self.maps.remove(key);
    }

    pub(crate) fn value(&self, key: &[u8]) -> Option<&[u8]> {
        self.values.get(key).map(|(_, value)| value.as_slice())
    }

    pub(crate) fn list(&self, key: &[u8]) -> Vec<Bytes> {
        self.lists.get(key).into_iter().flatten().map(|(_, item)| item.clone()).collect()
    }

    pub(crate) fn entry(&self, key: &[u8], name: &[u8]) -> Option<&[u8]> {
        self.maps.get(key)?.get(name).map(|(_, value)| value.as_slice())
    }

    pub(crate) fn entries(&self, key: &[u8], prefix: &[u8]) -> Vec<(Bytes, Bytes)> {
        let entries = self.maps.get(key).into_iter().flatten().filter(|(name, _)| name.starts_with(prefix));
        entries.map(|(name, (_, value))| (name.clone(), value.clone())).collect()
    }

    pub(crate) fn size(&self) -> StateSize {
        let mut keys: Vec<&Bytes> = self.keys().collect();
        keys.sort();
        keys.dedup();
        let values = self.values.values().map(|(_, value)| value.len());
        let items = self.lists.values().flatten().map(|(_, item)| item.len());
        let entries = self.maps.values().flatten().map(|(name, (_, value))| name.len() + value.len());
        let bytes: usize = values.chain(items).chain(entries).chain(keys.iter().map(|key| key.len())).sum();
        StateSize { keys: keys.len() as u64, bytes: bytes as u64 }
    }
}

fn write(map: &mut BTreeMap<Bytes, Written>, key: &[u8], value: Option<&[u8]>, now: i64) {
    match value {
        Some(value) => map.insert(key.to_vec(), (now, value.to_vec())),
        None => map.remove(key),
    };
}
