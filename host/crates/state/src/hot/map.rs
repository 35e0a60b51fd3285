//! Map states: for each key a map of byte strings, ordered by the bytes of its keys.
//!
//! The unit of change is an entry of a map, not the map: a large map of which little changes has a small change. Only
//! emptying a map is one change, however much was in it.

use std::collections::BTreeMap;
use std::ops::Bound;

use gristmill_ports::state::StateTime;
use gristmill_types::StateIndex;
use gristmill_types::descriptor::StateSpec;

use super::cursors::StateOf;
use super::restore::Restoring;
use crate::call::KeyId;
use crate::changes::{Batch, Changes, Eviction, LOADED, Life, Log, LogPlace, RESTORED};
use crate::directory::{Directory, Standing};
use crate::expiry::Expiry;
use crate::file::Stored;
use crate::gathered::Gathered;
use crate::inline::InlineBytes;
use crate::paged::Paged;

#[derive(Debug, Default)]
struct Cell {
    stored: InlineBytes,
    life: Life,
}

/// Bytes that a key takes here, its entries apart.
pub(super) const CELL_BYTES: usize = size_of::<Map>();

/// Bytes that an entry takes, key and value apart: cell and name, in a tree that is three quarters full.
const ENTRY_BYTES: usize = (size_of::<Cell>() + size_of::<InlineBytes>()) * 4 / 3;

/// What is looked at, and what is handed over, of one map at a time, to make room. Tests have maps of some slices.
const SLICE_ENTRIES: usize = if cfg!(test) { 2 } else { 256 };
const SLICE_BYTES: usize = 1 << 20;

/// The map of one key, tombstones included.
#[derive(Debug, Default)]
struct Map {
    cells: BTreeMap<InlineBytes, Cell>,
    /// Entries that are no tombstones.
    present: usize,
    /// Of the news that the map was emptied.
    emptied: Life,
}

impl Map {
    /// What the directory of keys wants to know of it.
    fn standing(&self) -> Standing {
        Standing { is_occupied: self.is_occupied(), is_present: self.present > 0 }
    }

    /// Whether anything of it must be kept.
    fn is_occupied(&self) -> bool {
        !self.cells.is_empty() || self.emptied.is_occupied()
    }
}

/// What changed: an entry of some key's map, or the map, which was emptied.
#[derive(Debug, Clone)]
struct Changed {
    owner: KeyId,
    entry: Option<InlineBytes>,
}

/// All maps of one state.
#[derive(Debug)]
pub(super) struct MapTable {
    maps: Paged<Map>,
    changes: Changes<Changed, Option<InlineBytes>>,
    /// Entries of all maps, tombstones included.
    cells: usize,
    expiry: Expiry,
    bytes: u64,
    /// Bytes of what lives in the cold store alone.
    evicted: u64,
}

impl MapTable {
    pub(super) fn new(spec: &StateSpec) -> Self {
        Self {
            maps: Paged::default(),
            changes: Changes::default(),
            cells: 0,
            expiry: Expiry::of(spec),
            bytes: 0,
            evicted: 0,
        }
    }

    pub(super) fn set_time(&mut self, time: StateTime) {
        self.expiry.set_time(time);
    }

    /// Whether an entry, or that there is none, stands here and not in the cold store.
    pub(super) fn knows(&self, owner: KeyId, key: &[u8]) -> bool {
        let knows = |map: &Map| map.emptied.voids_cold() || map.cells.contains_key(key);
        self.maps.get(owner.at()).is_some_and(knows)
    }

    /// Whether whatever the cold store has of this map is void.
    pub(super) fn voids_cold(&self, owner: KeyId) -> bool {
        self.maps.get(owner.at()).is_some_and(|map| map.emptied.voids_cold())
    }

    /// Sets an entry that the cold store has.
    pub(super) fn load(&mut self, owner: KeyId, key: &[u8], stored: &[u8], keys: &mut Directory) {
        self.maps.reach(owner.at());
        let map = &mut self.maps[owner.at()];
        if !map.is_occupied() {
            keys.hold(owner);
        }
        if map.present == 0 {
            keys.return_to_table(owner);
        }
        map.present += 1;
        self.evicted -= self.expiry.entry_bytes(key, stored);
        map.cells.insert(InlineBytes::from_slice(key), Cell { stored: InlineBytes::from_slice(stored), life: LOADED });
        self.cells += 1;
    }

    /// Makes room: of a slice of one map, from the name `from` on, forgets the entries that the cold store has, and
    /// hands the others over with this batch. Gives the name at which the next slice begins, if there is one.
    pub(super) fn evict(
        &mut self,
        (state, owner): StateOf,
        from: &[u8],
        (batch, taken_in): (Batch, Batch),
        keys: &mut Directory,
        out: &mut Gathered,
    ) -> Option<InlineBytes> {
        if !self.maps.get(owner.at()).is_some_and(Map::is_occupied) {
            return None;
        }
        let map = &mut self.maps[owner.at()];
        let had_entries = map.present > 0;
        if map.emptied.is_occupied() {
            match map.emptied.eviction(taken_in) {
                // Entries written since must not get there before the news that the map was emptied.
                Eviction::Stay if map.emptied.is_logged() => return None,
                Eviction::Stay => {}
                Eviction::TakeIn => {
                    out.clear_map(state, keys.bytes_of(owner));
                    map.emptied.handed_over(batch);
                }
                Eviction::Drop => map.emptied = Life::default(),
            }
        }
        let (mut dropped, mut next, full) = (Vec::<InlineBytes>::new(), None, out.bytes() + SLICE_BYTES);
        let slice = map.cells.range_mut::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        for (looked_at, (name, cell)) in slice.enumerate() {
            if looked_at == SLICE_ENTRIES || out.bytes() > full {
                next = Some(name.clone());
                break;
            }
            match cell.life.eviction(taken_in) {
                Eviction::Stay => {}
                Eviction::TakeIn => {
                    let stored = cell.life.present.then_some(cell.stored.as_slice());
                    out.entry(state, keys.bytes_of(owner), name, stored);
                    cell.life.handed_over(batch);
                }
                Eviction::Drop => dropped.push(name.clone()),
            }
        }
        for name in dropped {
            let cell = map.cells.remove(&name).expect("it was just looked at");
            self.cells -= 1;
            if cell.life.present {
                map.present -= 1;
                self.evicted += self.expiry.entry_bytes(&name, &cell.stored);
            }
        }
        if had_entries && map.present == 0 {
            keys.evict_from_table(owner);
        }
        if !map.is_occupied() {
            keys.release(owner);
        }
        next
    }

    /// Makes void what the cold store has of a map, which is being emptied; `bytes` of it were there alone.
    pub(super) fn void_cold(&mut self, owner: KeyId, bytes: u64, keys: &mut Directory) {
        self.evicted -= bytes;
        self.bytes -= bytes;
        self.maps.reach(owner.at());
        let map = &mut self.maps[owner.at()];
        let before = map.standing();
        map.emptied.void_cold();
        if self.changes.touch(&mut map.emptied, || Changed { owner, entry: None }, || None).is_some() {
            keys.hold(owner);
        }
        keys.account(owner, before, self.maps[owner.at()].standing());
    }

    /// What an entry counts for.
    pub(super) fn entry_bytes(&self, name: &[u8], stored: &[u8]) -> u64 {
        self.expiry.entry_bytes(name, stored)
    }

    /// Bytes that are held in memory for entries.
    pub(super) fn resident_bytes(&self) -> usize {
        (self.bytes - self.evicted) as usize + self.cells * ENTRY_BYTES + self.changes.bytes()
    }

    pub(super) fn read(&self, owner: KeyId, key: &[u8]) -> Option<&[u8]> {
        let cell = self.maps.get(owner.at())?.cells.get(key).filter(|cell| cell.life.present)?;
        self.expiry.living(&cell.stored)
    }

    /// The entries of one map from a bound on, ascending; nothing for those that are deleted, or whose time is over.
    pub(super) fn range<'m>(
        &'m self,
        owner: KeyId,
        from: Bound<&'m [u8]>,
    ) -> impl Iterator<Item = (&'m [u8], Option<&'m [u8]>)> {
        let cells = self.maps.get(owner.at()).map(|map| map.cells.range::<[u8], _>((from, Bound::Unbounded)));
        let value = |cell: &'m Cell| if cell.life.present { self.living(&cell.stored) } else { None };
        cells.into_iter().flatten().map(move |(key, cell)| (key.as_slice(), value(cell)))
    }

    /// What stands in a stored value, unless its time is over.
    pub(super) fn living<'s>(&self, stored: &'s [u8]) -> Option<&'s [u8]> {
        self.expiry.living(stored)
    }

    /// Writes an entry; `None` deletes it.
    pub(super) fn write(&mut self, owner: KeyId, key: &[u8], value: Option<&[u8]>, keys: &mut Directory) {
        self.maps.reach(owner.at());
        let map = &mut self.maps[owner.at()];
        let before = map.standing();
        if value.is_some() && !map.cells.contains_key(key) {
            map.cells.insert(InlineBytes::from_slice(key), Cell::default());
            self.cells += 1;
        }
        let Some(Cell { stored, life }) = map.cells.get_mut(key) else { return };
        let was_present = life.present;
        if value.is_none() && !was_present {
            return;
        }
        let name = || Changed { owner, entry: Some(InlineBytes::from_slice(key)) };
        if self.changes.touch(life, name, || was_present.then(|| stored.clone())).is_some() {
            keys.hold(owner);
        }
        if was_present {
            map.present -= 1;
            self.bytes -= self.expiry.entry_bytes(key, stored);
        }
        match value {
            Some(value) => {
                self.expiry.overwrite(stored, value);
                map.present += 1;
                self.bytes += (key.len() + value.len()) as u64;
            }
            None => *stored = InlineBytes::new(),
        }
        life.present = value.is_some();
        if value.is_none() {
            self.bury(owner, key);
        }
        keys.account(owner, before, self.maps[owner.at()].standing());
    }

    /// Removes a deleted entry if it need not stay as a tombstone.
    fn bury(&mut self, owner: KeyId, key: &[u8]) {
        let cells = &mut self.maps[owner.at()].cells;
        let cell = cells.get_mut(key).expect("a deleted entry is there as a tombstone");
        let moved = self.changes.retract_if_never_captured(&mut cell.life);
        if !cell.life.is_occupied() {
            cells.remove(key);
            self.cells -= 1;
        }
        self.tell_moved(moved);
    }

    /// Something else stands in another place of the log now.
    fn tell_moved(&mut self, moved: Option<(Changed, LogPlace)>) {
        let Some((Changed { owner, entry }, place)) = moved else { return };
        let map = &mut self.maps[owner.at()];
        match entry {
            Some(key) => map.cells.get_mut(&key).expect("a logged entry has a cell").life.moved_to(place),
            None => map.emptied.moved_to(place),
        }
    }

    /// Empties one map: its entries leave no tombstones, since the news that it was emptied stands for all of them.
    pub(super) fn clear(&mut self, owner: KeyId, keys: &mut Directory) {
        let Some(map) = self.maps.get(owner.at()).filter(|map| !map.cells.is_empty()) else { return };
        let before = map.standing();
        let names: Vec<InlineBytes> = map.cells.keys().cloned().collect();
        let (mut any_known, mut any_cold) = (false, false);
        for name in names {
            let life = self.drop_cell(owner, &name, keys);
            any_known |= life.is_known_elsewhere();
            any_cold |= life.voids_cold();
        }
        let emptied = &mut self.maps[owner.at()].emptied;
        if any_cold {
            // Even if the cold store has nothing yet: entries may stand in the batch being gathered.
            emptied.void_cold();
        }
        if any_known && self.changes.touch(emptied, || Changed { owner, entry: None }, || None).is_some() {
            keys.hold(owner);
        }
        keys.account(owner, before, self.maps[owner.at()].standing());
    }

    /// Forgets an entry, and what the active generation would tell of it; the frozen one keeps what it needs. Gives the
    /// life that it had.
    fn drop_cell(&mut self, owner: KeyId, key: &[u8], keys: &mut Directory) -> Life {
        let Map { cells, present, .. } = &mut self.maps[owner.at()];
        let Cell { stored, life } = cells.get_mut(key).expect("the name of a cell");
        let was_present = life.present;
        let name = || Changed { owner, entry: Some(InlineBytes::from_slice(key)) };
        if self.changes.touch(life, name, || was_present.then(|| stored.clone())).is_some() {
            keys.hold(owner);
        }
        if was_present {
            *present -= 1;
            self.bytes -= self.expiry.entry_bytes(key, stored);
        }
        let lived = *life;
        let moved = self.changes.retract(life);
        cells.remove(key);
        self.cells -= 1;
        self.tell_moved(moved);
        lived
    }

    /// Sets an entry that a snapshot has, in place of none. What was restored of the map before may have left already.
    pub(super) fn restore(
        &mut self,
        owner: KeyId,
        key: &[u8],
        value: Stored<'_>,
        how: Restoring,
        keys: &mut Directory,
    ) {
        self.maps.reach(owner.at());
        let Map { cells, present, .. } = &mut self.maps[owner.at()];
        if *present == 0 {
            if how.begun {
                keys.return_to_table(owner)
            } else {
                keys.enter_table(owner)
            }
            keys.hold(owner);
        }
        *present += 1;
        self.bytes += (key.len() + value.bytes.len()) as u64;
        let name = InlineBytes::from_slice(key);
        let begin = |changes: &mut Changes<_, _>| changes.begin(Changed { owner, entry: Some(name.clone()) });
        let life = if how.anew { begin(&mut self.changes) } else { RESTORED };
        cells.insert(name, Cell { stored: self.expiry.restored(value), life });
        self.cells += 1;
    }

    /// Deletes what is over of a slice of one map: of at most `max` entries from the name `from` on. Gives the name at
    /// which the next slice begins, if there is one.
    pub(super) fn sweep(&mut self, owner: KeyId, from: &[u8], max: usize, keys: &mut Directory) -> Option<InlineBytes> {
        let map = self.maps.get(owner.at())?;
        let mut slice = map.cells.range::<[u8], _>((Bound::Included(from), Bound::Unbounded));
        let is_over = |cell: &Cell| cell.life.present && self.expiry.has_expired(&cell.stored);
        let over = slice.by_ref().take(max).filter(|(_, cell)| is_over(cell));
        let over: Vec<InlineBytes> = over.map(|(name, _)| name.clone()).collect();
        let next = slice.next().map(|(name, _)| name.clone());
        over.iter().for_each(|name| self.write(owner, name, None, keys));
        next
    }

    pub(super) fn is_drained(&self) -> bool {
        self.changes.is_drained()
    }

    pub(super) fn freeze(&mut self) {
        self.changes.freeze();
    }

    /// Gathers changes of a log until there are `max` of them.
    pub(super) fn drain(&mut self, log: Log, state: StateIndex, max: usize, keys: &mut Directory, out: &mut Gathered) {
        while out.changes() < max
            && let Some((Changed { owner, entry }, copy)) = self.changes.pop(log)
        {
            match (entry, copy) {
                (None, copy) => {
                    out.clear_map(state, keys.bytes_of(owner));
                    match copy {
                        Some(_) => keys.release(owner),
                        None => self.drain_emptied(owner, keys),
                    }
                }
                (Some(name), Some(stored)) => {
                    out.entry(state, keys.bytes_of(owner), &name, stored.as_deref());
                    keys.release(owner);
                }
                (Some(name), None) => self.drain_cell(state, owner, &name, keys, out),
            }
        }
    }

    fn drain_emptied(&mut self, owner: KeyId, keys: &mut Directory) {
        let map = &mut self.maps[owner.at()];
        map.emptied.drained();
        if !map.is_occupied() {
            keys.release(owner);
        }
    }

    /// Gathers an entry as it is, and drops it if it is a tombstone.
    fn drain_cell(&mut self, state: StateIndex, owner: KeyId, key: &[u8], keys: &mut Directory, out: &mut Gathered) {
        let map = &mut self.maps[owner.at()];
        let Cell { stored, life } = map.cells.get_mut(key).expect("a logged entry has a cell");
        life.drained();
        out.entry(state, keys.bytes_of(owner), key, life.present.then_some(stored.as_slice()));
        if !life.is_occupied() {
            map.cells.remove(key);
            self.cells -= 1;
            if !map.is_occupied() {
                keys.release(owner);
            }
        }
    }

    /// Bytes of all entries, keys and values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
