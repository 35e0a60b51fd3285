//! A backend: state in tables, changes frozen and drained in slices, and a cold store for what memory does not hold.
//!
//! Holds calls to the contract, keeps the write set, and sends each access to the table of its state. Knows no
//! threads: freezing and draining happen on the task's own thread, between calls.

mod cursors;
mod value;
mod list;
mod map;
mod table;
mod read;
mod restore;
mod residency;

use std::sync::Arc;

use gristmill_ports::state::{Drained, RestoredState, ScanPage, SlotRead, StateError, StateSize, StateTime, WriteMark};
use gristmill_ports::{FileStore, PortError, StateBackend};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{CheckpointId, Column, Descriptor, EventBatch, KeyGroupRange, MaxParallelism, StateIndex};

use self::cursors::Cursors;
use self::read::{MapOf, Slots, View};
use self::residency::Residency;
use self::table::Table;
use crate::ahead::Ahead;
use crate::call::{Call, KeyId};
use crate::changes::Log;
use crate::cold::{Cold, Nothing};
use crate::directory::Directory;
use crate::frozen::Generation;
use crate::gathered::Gathered;
use crate::ordered::WriterStates;
use crate::overlay::Overlay;
use crate::page::{MAX_READ_BYTES, first_item};
use crate::write_set::{Write, WriteKind, WriteSet};

/// Keyed state in memory. See [`StateBackend`].
///
/// Memory follows the state that lives, at its peak: keys and entries that were deleted make room for new ones, but
/// tables do not shrink.
pub type MemoryBackend = Backend<Nothing>;

/// Keyed state in tables over a cold store.
#[derive(Debug)]
pub struct Backend<C> {
    specs: Vec<StateSpec>,
    keys: Directory,
    states: Vec<State>,
    call: Call,
    writes: WriteSet,
    slots: Slots,
    max_read: usize,
    written: Arc<WriterStates>,
    groups: KeyGroupRange,
    /// The frozen generation, as far as it is gathered: what was drained ahead of the freeze, and what since.
    frozen: Option<(Ahead, Gathered)>,
    /// What is drained of the generation to be frozen next.
    ahead: Ahead,
    cold: C,
    residency: Residency,
    /// Whether anything expires here.
    expires: bool,
    /// The key at which looking for what has expired goes on.
    swept: usize,
    /// Where it goes on in large maps.
    sweeping: Cursors,
}

/// Rows of a call for each key that is looked at for what has expired, whether it is used or not.
const ROWS_PER_SWEPT_KEY: usize = 16;

/// Entries of one map that are looked at for what has expired at a time.
const SWEPT_ENTRIES: usize = if cfg!(test) { 2 } else { 64 };

#[derive(Debug)]
struct State {
    name: String,
    version: u32,
    table: Table,
    overlay: Overlay,
    /// By place, whether the call under way has looked for it in the cold store.
    looked_up: Vec<bool>,
}

impl State {
    fn wrong_kind(&self, function: &'static str) -> StateError {
        StateError::WrongKind { state: self.name.clone(), kind: self.table.kind(), function }
    }
}

impl MemoryBackend {
    /// An empty backend for the states that a module declares, of a subtask that owns these key groups.
    #[must_use]
    pub fn new(descriptor: &Descriptor, groups: KeyGroupRange, max: MaxParallelism) -> Self {
        Self::over(Nothing, descriptor, groups, max)
    }
}

#[expect(private_bounds, reason = "which cold stores there are is this crate's own affair")]
impl<C: Cold> Backend<C> {
    /// An empty backend over an empty cold store.
    pub(crate) fn over(cold: C, descriptor: &Descriptor, groups: KeyGroupRange, max: MaxParallelism) -> Self {
        let state = |spec: &StateSpec| State {
            name: spec.name.clone(),
            version: spec.version,
            table: Table::new(spec),
            overlay: Overlay::default(),
            looked_up: Vec::new(),
        };
        Self {
            specs: descriptor.states.clone(),
            keys: Directory::new(),
            states: descriptor.states.iter().map(state).collect(),
            call: Call::default(),
            writes: WriteSet::default(),
            slots: Slots::default(),
            max_read: MAX_READ_BYTES,
            written: WriterStates::new(&descriptor.states, max),
            groups,
            frozen: None,
            ahead: Ahead::default(),
            cold,
            residency: Residency::default(),
            expires: descriptor.states.iter().any(|spec| spec.ttl_ms.is_some()),
            swept: 0,
            sweeping: Cursors::default(),
        }
    }

    /// Says what time it is, and deletes what has expired of a few keys, so that a key that never comes again does not
    /// stay for ever.
    #[cold]
    fn expire(&mut self, rows: usize, time: StateTime) {
        self.states.iter_mut().for_each(|state| state.table.set_time(time));
        self.cold.set_time(time);
        for _ in 0..(1 + rows / ROWS_PER_SWEPT_KEY).min(self.keys.end()) {
            self.swept = (self.swept + 1) % self.keys.end();
            let key = KeyId(self.swept as u32);
            for (index, state) in self.states.iter_mut().enumerate() {
                let place = (StateIndex(index as u32), key);
                let from = self.sweeping.take(place);
                let slice = (from.as_slice(), SWEPT_ENTRIES);
                let next = state.table.sweep(key, slice, self.residency.handed_over(), &mut self.keys);
                self.sweeping.keep(place, next);
            }
        }
    }

    /// The state to be used by the call under way.
    fn state(&self, index: StateIndex) -> Result<&State, StateError> {
        if !self.call.is_open() {
            return Err(StateError::OutsideCall);
        }
        let declared = self.states.len();
        self.states.get(index.at()).ok_or(StateError::UnknownState { index: index.0, declared })
    }

    /// Makes a state ready to be read by the call under way: folds the call's own writes into its overlay.
    fn catch_up(&mut self, index: StateIndex) -> Result<(), StateError> {
        self.state(index)?;
        self.states[index.at()].overlay.keep_up(index, &self.writes);
        Ok(())
    }

    /// Checks a write and puts it behind the others.
    fn write(
        &mut self,
        index: StateIndex,
        rows: &[u32],
        change: WriteKind,
        function: &'static str,
    ) -> Result<(), StateError> {
        let state = self.state(index)?;
        if !state.table.takes(&change) {
            return Err(state.wrong_kind(function));
        }
        match &change {
            WriteKind::PutValues(values) => even(rows, values)?,
            WriteKind::AppendToLists(items) => even(rows, items).and_then(|()| without_null(items, function))?,
            WriteKind::PutEntries { keys, values } => {
                even(rows, keys)?;
                even(rows, values)?;
                without_null(keys, function)?;
            }
            WriteKind::ClearLists | WriteKind::ClearMaps => {}
        }
        let places = self.call.places_of(rows)?;
        self.writes.push(Write { state: index, places, change })
    }

    /// Closes the call, its write set being empty or void.
    fn close(&mut self) {
        self.writes.truncate(WriteMark(0));
        for state in &mut self.states {
            state.overlay.reset();
            state.looked_up.clear();
        }
        self.call.close();
        self.keys.forget_unheld();
    }
}

fn even(rows: &[u32], values: &Column) -> Result<(), StateError> {
    if rows.len() == values.len() { Ok(()) } else { Err(StateError::Uneven { rows: rows.len(), values: values.len() }) }
}

fn without_null(values: &Column, function: &'static str) -> Result<(), StateError> {
    match values.nulls().first() {
        None => Ok(()),
        Some(&place) => Err(StateError::NullValue { place: place as usize, function }),
    }
}

/// Before the first watermark the latest event says how far event time has come; what is written then would otherwise
/// be older than anything, and gone with the first watermark.
fn reached(time: StateTime, events: &EventBatch) -> StateTime {
    match (time.event_ms, events.timestamps().iter().max()) {
        (i64::MIN, Some(&latest)) => StateTime { event_ms: latest, ..time },
        (_, Some(_) | None) => time,
    }
}

impl<C: Cold> StateBackend for Backend<C> {
    fn begin(&mut self, events: &EventBatch, time: StateTime) {
        self.roll_back();
        if self.expires {
            self.expire(events.len(), reached(time, events));
        }
        self.keys.open(&mut self.call, events);
    }

    fn commit(&mut self) -> Result<(), StateError> {
        let writes = self.writes.take();
        let applied = writes.iter().try_for_each(|write| {
            self.load_for(write)?;
            self.states[write.state.at()].table.apply(write, &self.call, &mut self.keys)
        });
        let rows = self.call.rows();
        self.close();
        applied.and_then(|()| self.make_room(rows))
    }

    fn roll_back(&mut self) {
        if self.call.is_open() {
            self.close();
        }
    }

    fn bound_reads(&mut self, bytes: usize) {
        self.max_read = bytes.min(MAX_READ_BYTES);
    }

    fn mark(&self) -> WriteMark {
        self.writes.mark()
    }

    fn roll_back_to(&mut self, mark: WriteMark) {
        if mark < self.writes.mark() {
            self.writes.truncate(mark);
            self.states.iter_mut().for_each(|state| state.overlay.reset());
        }
    }

    fn get(&mut self, state: StateIndex, rows: &[u32]) -> Result<SlotRead, StateError> {
        self.catch_up(state)?;
        if !self.cold.is_empty() {
            let places = self.call.places_of(rows)?;
            self.load(state, &places)?;
        }
        let state = &self.states[state.at()];
        let Table::Value(table) = &state.table else { return Err(state.wrong_kind("get")) };
        let max_read = self.max_read;
        let view = View { call: &self.call, writes: &self.writes, overlay: &state.overlay, max_read };
        view.values(table, &mut self.slots, rows)
    }

    fn put(&mut self, state: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError> {
        self.write(state, rows, WriteKind::PutValues(values.clone()), "put")
    }

    fn list_append(&mut self, state: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError> {
        self.write(state, rows, WriteKind::AppendToLists(values.clone()), "list-append")
    }

    fn list_clear(&mut self, state: StateIndex, rows: &[u32]) -> Result<(), StateError> {
        self.write(state, rows, WriteKind::ClearLists, "list-clear")
    }

    fn list_scan(
        &mut self,
        state: StateIndex,
        row: u32,
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<ScanPage, StateError> {
        self.catch_up(state)?;
        let place = self.call.place_of(row);
        if let Ok(place) = place {
            self.load(state, &[place])?;
        }
        let state = &self.states[state.at()];
        let Table::List(table) = &state.table else { return Err(state.wrong_kind("list-scan")) };
        let place = place?;
        let written = state.overlay.list(place);
        Ok(table.scan(self.call.key_at(place), written, &self.writes, first_item(after)?, max_bytes))
    }

    fn map_get(&mut self, state: StateIndex, rows: &[u32], keys: &Column) -> Result<Column, StateError> {
        self.catch_up(state)?;
        let Table::Map(_) = &self.states[state.at()].table else {
            return Err(self.states[state.at()].wrong_kind("map-get"));
        };
        even(rows, keys)?;
        without_null(keys, "map-get")?;
        if !self.cold.is_empty() {
            let places = self.call.places_of(rows)?;
            self.load_entries(state, &places, keys)?;
        }
        let state = &self.states[state.at()];
        let Table::Map(table) = &state.table else { return Err(state.wrong_kind("map-get")) };
        let max_read = self.max_read;
        let view = View { call: &self.call, writes: &self.writes, overlay: &state.overlay, max_read };
        view.entries(table, rows, keys)
    }

    fn map_put(&mut self, state: StateIndex, rows: &[u32], keys: &Column, values: &Column) -> Result<(), StateError> {
        let change = WriteKind::PutEntries { keys: keys.clone(), values: values.clone() };
        self.write(state, rows, change, "map-put")
    }

    fn map_clear(&mut self, state: StateIndex, rows: &[u32]) -> Result<(), StateError> {
        self.write(state, rows, WriteKind::ClearMaps, "map-clear")
    }

    fn map_scan(
        &mut self,
        state: StateIndex,
        row: u32,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<ScanPage, StateError> {
        self.catch_up(state)?;
        let index = state;
        let state = &self.states[index.at()];
        let Table::Map(table) = &state.table else { return Err(state.wrong_kind("map-scan")) };
        let place = self.call.place_of(row)?;
        let max_read = self.max_read;
        let view = View { call: &self.call, writes: &self.writes, overlay: &state.overlay, max_read };
        let owner = self.call.key_at(place);
        let map = MapOf { table, owner, owner_bytes: self.keys.bytes_of(owner), state: index, cold: &self.cold };
        view.map_page(&map, state.overlay.map(place), (prefix, after), max_bytes)
    }

    fn freeze(&mut self, _: CheckpointId) -> bool {
        assert!(!self.call.is_open(), "a call is open: freeze between calls");
        if self.frozen.is_some() {
            return false;
        }
        self.states.iter_mut().for_each(|state| state.table.freeze());
        self.residency.froze = true;
        self.frozen = Some((std::mem::take(&mut self.ahead), Gathered::default()));
        true
    }

    fn drain_frozen(&mut self, max_entries: usize) -> Drained {
        let (ahead, mut part) = self.frozen.take().expect("a generation was frozen");
        let until = part.changes() + max_entries.max(1);
        for (index, state) in self.states.iter_mut().enumerate() {
            state.table.drain(Log::Frozen, StateIndex(index as u32), until, &mut self.keys, &mut part);
        }
        if !self.call.is_open() {
            self.keys.forget_unheld();
        }
        if self.states.iter().all(|state| state.table.is_drained()) {
            return Drained::All(Box::new(Generation::new(ahead, part, Arc::clone(&self.written))));
        }
        self.frozen = Some((ahead, part));
        Drained::More
    }

    fn restore(&mut self, from: &RestoredState<'_>, files: &dyn FileStore) -> Result<(), PortError> {
        self.fill(from, files)
    }

    fn size(&self) -> StateSize {
        let entries: u64 = self.states.iter().map(|state| state.table.bytes()).sum();
        StateSize { keys: self.keys.live_keys(), bytes: self.keys.live_bytes() + entries }
    }
}
