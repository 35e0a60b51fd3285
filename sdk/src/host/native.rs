//! The imports of an operator that runs natively. They find the stage of the running call through a thread-local:
//! imports are plain functions, in a test as in Wasm. Knows no harness: whoever has a stage can play on it.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use super::store::Store;
use super::{Entries, Level, Page, Read};
use crate::bindings::gristmill::operator::types::Column;

/// What a native operator can reach.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stage {
    pub(crate) store: Store,
    /// The keys of the running call's events.
    keys: Vec<Option<Vec<u8>>>,
    pub(crate) logs: Vec<(Level, Option<u32>, String)>,
    pub(crate) sums: BTreeMap<u32, i64>,
    pub(crate) state_calls: usize,
}

thread_local! {
    /// The stage of the call that runs in this thread.
    static RUNNING: RefCell<Option<Stage>> = const { RefCell::new(None) };
}

impl Stage {
    pub(crate) fn for_states(count: usize) -> Self {
        Self { store: Store::with_states(count), ..Self::default() }
    }

    /// Runs a call on events with these keys.
    pub(crate) fn play<T>(&mut self, keys: Vec<Option<Vec<u8>>>, call: impl FnOnce() -> T) -> T {
        self.keys = keys;
        RUNNING.set(Some(std::mem::take(self)));
        let result = call();
        *self = RUNNING.take().expect("the stage stays until the call is over");
        result
    }

    /// Takes back all that a failed call did, but for its log lines.
    pub(crate) fn undo(&mut self, before: Self) {
        let logs = std::mem::take(&mut self.logs);
        *self = Self { logs, ..before };
    }

    /// The key of a row.
    fn key(&self, row: u32) -> &[u8] {
        let key = self.keys.get(row as usize).expect("the row is one of the call's");
        key.as_deref().expect("state was touched for an event without a key: give it one with `.key(…)`")
    }
}

fn on_stage<T>(act: impl FnOnce(&mut Stage) -> T) -> T {
    RUNNING.with_borrow_mut(|stage| act(stage.as_mut().expect("an operator calls its host only within a call")))
}

/// The same, counted.
fn on_state<T>(act: impl FnOnce(&mut Stage) -> T) -> T {
    on_stage(|stage| {
        stage.state_calls += 1;
        act(stage)
    })
}

pub(crate) fn log(level: Level, row: Option<u32>, message: &str) {
    on_stage(|stage| stage.logs.push((level, row, message.to_owned())));
}

pub(crate) fn metric_add(metric: u32, delta: i64) {
    on_stage(|stage| *stage.sums.entry(metric).or_default() += delta);
}

pub(crate) fn metric_observe(metric: u32, _: f64) {
    metric_add(metric, 1);
}

pub(crate) fn state_get(state: u32, rows: &[u32]) -> Read {
    on_state(|stage| {
        let mut read = Read { slots: Vec::new(), values: Column::empty() };
        let mut slots = HashMap::new();
        for &row in rows {
            let key = stage.key(row);
            let slot = *slots.entry(key).or_insert_with(|| {
                read.values.push(stage.store.get(state, key));
                read.values.len() as u32 - 1
            });
            read.slots.push(slot);
        }
        read
    })
}

pub(crate) fn state_put(state: u32, rows: &[u32], values: &Column) {
    on_state(|stage| {
        for (&row, value) in rows.iter().zip(values.iter()) {
            let key = stage.key(row).to_vec();
            stage.store.put(state, &key, value);
        }
    });
}

pub(crate) fn list_append(state: u32, rows: &[u32], items: &Column) {
    on_state(|stage| {
        for (&row, item) in rows.iter().zip(items.iter()) {
            let key = stage.key(row).to_vec();
            stage.store.append(state, &key, item.expect("an item is never null"));
        }
    });
}

pub(crate) fn list_clear(state: u32, rows: &[u32]) {
    on_state(|stage| {
        for &row in rows {
            let key = stage.key(row).to_vec();
            stage.store.clear_list(state, &key);
        }
    });
}

/// Pages of two items: so that every test of a scan is one of its paging too.
const PAGE_ROWS: usize = 2;

pub(crate) fn list_scan(state: u32, row: u32, after: Option<&[u8]>, _: u32) -> Page {
    on_state(|stage| {
        let items = stage.store.list(state, stage.key(row));
        let from = after.map_or(0, |cursor| usize::from(cursor[0]));
        let until = items.len().min(from + PAGE_ROWS);
        let cursor = u8::try_from(until).expect("a list in a test has at most 255 items");
        Page {
            keys: Column::empty(),
            values: items[from..until].iter().map(|item| Some(item.as_slice())).collect(),
            next: (until < items.len()).then(|| vec![cursor]),
        }
    })
}

pub(crate) fn map_get(state: u32, rows: &[u32], keys: &Column) -> Column {
    on_state(|stage| {
        let find = |(&row, map_key): (&u32, Option<&[u8]>)| {
            let map_key = map_key.expect("a map key is never null");
            let mut entries = stage.store.map(state, stage.key(row));
            entries.find_map(|(known, value)| (known == map_key).then_some(value))
        };
        rows.iter().zip(keys.iter()).map(find).collect()
    })
}

pub(crate) fn map_put(state: u32, entries: &Entries) {
    on_state(|stage| {
        for ((&row, map_key), value) in entries.rows.iter().zip(entries.keys.iter()).zip(entries.values.iter()) {
            let key = stage.key(row).to_vec();
            stage.store.map_put(state, &key, map_key.expect("a map key is never null"), value);
        }
    });
}

pub(crate) fn map_scan(state: u32, row: u32, prefix: &[u8], after: Option<&[u8]>, _: u32) -> Page {
    on_state(|stage| {
        let entries = stage.store.map(state, stage.key(row));
        let wanted = entries.filter(|(key, _)| key.starts_with(prefix) && after.is_none_or(|after| *key > after));
        let found: Vec<_> = wanted.take(PAGE_ROWS + 1).collect();
        let page = &found[..found.len().min(PAGE_ROWS)];
        Page {
            keys: page.iter().map(|(key, _)| Some(*key)).collect(),
            values: page.iter().map(|(_, value)| Some(*value)).collect(),
            next: (found.len() > PAGE_ROWS).then(|| page[PAGE_ROWS - 1].0.to_vec()),
        }
    })
}
