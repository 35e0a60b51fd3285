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
mod contract;
mod aging;
mod restore;
mod residency;

use std::sync::Arc;

use gristmill_ports::state::{Drained, RestoredState, ScanPage, SlotRead, StateError, StateSize, StateTime, WriteMark};
use gristmill_ports::{FileStore, PortError, StateBackend};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{CheckpointId, Column, Descriptor, EventBatch, KeyGroupRange, MaxParallelism, StateIndex};

use self::aging::reached;
use self::contract::{even, without_null};
use self::cursors::Cursors;
use self::read::{MapOf, Slots, View};
use self::residency::Residency;
use self::table::Table;
use crate::ahead::Ahead;
use crate::call::Call;
use crate::changes::Log;
use crate::cold::{Cold, Nothing};
use crate::directory::Directory;
use crate::frozen::Generation;
use crate::gathered::Gathered;
use crate::ordered::WriterStates;
use crate::overlay::Overlay;
use crate::page::{MAX_READ_BYTES, first_item};
use crate::write_set::{WriteKind, WriteSet};

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
