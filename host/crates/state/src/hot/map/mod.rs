//! Map states: for each key a map of byte strings, ordered by the bytes of its keys.
//!
//! The unit of change is an entry of a map, not the map: a large map of which little changes has a small change. Only
//! emptying a map is one change, however much was in it.

mod leaving;
mod telling;

use std::collections::BTreeMap;
use std::ops::Bound;

use gristmill_ports::state::StateTime;
use gristmill_types::descriptor::StateSpec;

use crate::call::KeyId;
use crate::changes::{Changes, Life, LogPlace};
use crate::directory::{Directory, Standing};
use crate::expiry::Expiry;
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

    /// Bytes of all entries, keys and values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
