//! A module with one state of each kind, and short ways to speak to it.

use gristmill_ports::StateBackend;
use gristmill_ports::state::{FrozenChange, ScanPage};
use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::{Column, Descriptor, EventBatch, StateIndex};

pub(crate) const VALUE: StateIndex = StateIndex(0);
pub(crate) const LIST: StateIndex = StateIndex(1);
pub(crate) const MAP: StateIndex = StateIndex(2);

pub(crate) fn descriptor() -> Descriptor {
    let state = |(name, kind): (&str, StateKind)| StateSpec {
        name: name.to_owned(),
        kind,
        scope: StateScope::Keyed,
        version: 1,
        ttl_ms: None,
        ttl_clock: ClockKind::EventTime,
    };
    let kinds = [("count", StateKind::Value), ("seen", StateKind::AppendList), ("sums", StateKind::OrderedMap)];
    Descriptor { states: kinds.into_iter().map(state).collect(), ..Descriptor::default() }
}

/// A batch with these keys.
pub(crate) fn batch(keys: &[Option<&str>]) -> EventBatch {
    let mut batch = EventBatch::default();
    keys.iter().for_each(|key| batch.push(0, key.map(str::as_bytes), Some(b"value")));
    batch
}

/// A batch of keyed events.
pub(crate) fn keyed(keys: &[&str]) -> EventBatch {
    batch(&keys.iter().map(|&key| Some(key)).collect::<Vec<_>>())
}

pub(crate) fn column(values: &[Option<&str>]) -> Column {
    values.iter().map(|value| value.map(str::as_bytes)).collect()
}

pub(crate) fn texts(values: &[&str]) -> Column {
    values.iter().map(|value| Some(value.as_bytes())).collect()
}

/// A call of its own that writes one value.
pub(crate) fn set(backend: &mut dyn StateBackend, key: &str, value: Option<&str>) {
    backend.begin(&keyed(&[key]));
    backend.put(VALUE, &[0], &column(&[value])).unwrap();
    backend.commit().unwrap();
}

/// A call of its own that reads one value.
pub(crate) fn value_of(backend: &mut dyn StateBackend, key: &str) -> Option<String> {
    backend.begin(&keyed(&[key]));
    let read = backend.get(VALUE, &[0]).unwrap();
    backend.roll_back();
    strings(&read.values)[read.slots[0] as usize].clone()
}

pub(crate) fn strings(column: &Column) -> Vec<Option<String>> {
    column.iter().map(|value| value.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())).collect()
}

/// All values of a list, from pages of at most `max_bytes`.
pub(crate) fn whole_list(backend: &mut dyn StateBackend, row: u32, max_bytes: u32) -> Vec<Vec<u8>> {
    let pages = pages(|after| backend.list_scan(LIST, row, after, max_bytes).unwrap());
    pages.iter().flat_map(|page| page.values.iter().map(|value| value.unwrap().to_vec()).collect::<Vec<_>>()).collect()
}

/// All entries of a map under a prefix, from pages of at most `max_bytes`.
pub(crate) fn whole_map(
    backend: &mut dyn StateBackend,
    row: u32,
    prefix: &[u8],
    max_bytes: u32,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let owned = |value: Option<&[u8]>| value.unwrap().to_vec();
    let entries = |page: &ScanPage| page.keys.iter().map(owned).zip(page.values.iter().map(owned)).collect::<Vec<_>>();
    pages(|after| backend.map_scan(MAP, row, prefix, after, max_bytes).unwrap()).iter().flat_map(entries).collect()
}

fn pages(mut next: impl FnMut(Option<&[u8]>) -> ScanPage) -> Vec<ScanPage> {
    let mut pages = vec![next(None)];
    while let Some(after) = pages.last().and_then(|page| page.next.clone()) {
        assert!(pages.len() < 10_000, "the scan does not end");
        pages.push(next(Some(&after)));
    }
    pages
}

/// Drains the frozen generation in slices of `max`, sorted.
pub(crate) fn drain(backend: &mut dyn StateBackend, max: usize) -> Vec<FrozenChange> {
    let mut all = Vec::new();
    loop {
        let slice = backend.drain_frozen(max);
        assert!(slice.len() <= max, "a slice of {} where {max} were asked for", slice.len());
        if slice.is_empty() {
            all.sort();
            return all;
        }
        all.extend(slice);
    }
}
