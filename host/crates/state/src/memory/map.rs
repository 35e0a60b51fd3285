//! Map states in memory: for each key a map of byte strings, ordered by the bytes of its keys.
//!
//! The unit of change is an entry of a map, not the map: a large map of which little changes has a small change.

use std::collections::BTreeMap;
use std::ops::Bound;

use gristmill_ports::state::{FrozenChange, FrozenEntry};
use gristmill_types::StateIndex;

use crate::call::KeyId;
use crate::changes::{Changes, Life};
use crate::directory::Directory;
use crate::inline::{InlineBytes, overwrite};
use crate::paged::Paged;

#[derive(Debug, Default)]
struct Cell {
    bytes: InlineBytes,
    life: Life,
}

/// The map of one key, tombstones included.
#[derive(Debug, Default)]
struct Map {
    cells: BTreeMap<InlineBytes, Cell>,
    /// Entries that are no tombstones.
    present: usize,
}

/// An entry of some key's map.
#[derive(Debug, Clone)]
struct EntryName {
    owner: KeyId,
    key: InlineBytes,
}

/// All maps of one state.
#[derive(Debug, Default)]
pub(super) struct MapTable {
    maps: Paged<Map>,
    changes: Changes<EntryName, Option<InlineBytes>>,
    bytes: u64,
}

impl MapTable {
    pub(super) fn read(&self, owner: KeyId, key: &[u8]) -> Option<&[u8]> {
        let cell = self.maps.get(owner.at())?.cells.get(key)?;
        cell.life.present.then_some(cell.bytes.as_slice())
    }

    /// The entries of one map from a bound on, ascending.
    pub(super) fn range<'m>(
        &'m self,
        owner: KeyId,
        from: Bound<&'m [u8]>,
    ) -> impl Iterator<Item = (&'m [u8], &'m [u8])> {
        let cells = self.maps.get(owner.at()).map(|map| map.cells.range::<[u8], _>((from, Bound::Unbounded)));
        let present = cells.into_iter().flatten().filter(|(_, cell)| cell.life.present);
        present.map(|(key, cell)| (key.as_slice(), cell.bytes.as_slice()))
    }

    /// Writes an entry; `None` deletes it.
    pub(super) fn write(&mut self, owner: KeyId, key: &[u8], value: Option<&[u8]>, keys: &mut Directory) {
        self.maps.reach(owner.at());
        let Map { cells, present } = &mut self.maps[owner.at()];
        let (had_cells, had_entries) = (!cells.is_empty(), *present > 0);
        if value.is_some() && !cells.contains_key(key) {
            cells.insert(InlineBytes::from_slice(key), Cell::default());
        }
        let Some(Cell { bytes, life }) = cells.get_mut(key) else { return };
        let was_present = life.present;
        if value.is_none() && !was_present {
            return;
        }
        let name = || EntryName { owner, key: InlineBytes::from_slice(key) };
        if self.changes.touch(life, name, || was_present.then(|| bytes.clone())).is_some() {
            keys.hold(owner);
        }
        self.bytes -= bytes.len() as u64;
        match value {
            Some(value) => overwrite(bytes, value),
            None => *bytes = InlineBytes::new(),
        }
        self.bytes += bytes.len() as u64;
        life.present = value.is_some();
        match (was_present, life.present) {
            (false, true) => {
                *present += 1;
                self.bytes += key.len() as u64;
            }
            (true, false) => {
                *present -= 1;
                self.bytes -= key.len() as u64;
                self.bury(owner, key);
            }
            (true, true) | (false, false) => {}
        }
        self.account(owner, had_cells, had_entries, keys);
    }

    /// Removes a deleted entry if it need not stay as a tombstone.
    fn bury(&mut self, owner: KeyId, key: &[u8]) {
        let cells = &mut self.maps[owner.at()].cells;
        let cell = cells.get_mut(key).expect("a deleted entry is there as a tombstone");
        let moved = self.changes.retract_if_never_captured(&mut cell.life);
        if !cell.life.is_occupied() {
            cells.remove(key);
        }
        if let Some((other, place)) = moved {
            let cells = &mut self.maps[other.owner.at()].cells;
            cells.get_mut(&other.key).expect("a logged entry has a cell").life.moved_to(place);
        }
    }

    /// Tells the directory what became of the map of a key.
    fn account(&self, owner: KeyId, had_cells: bool, had_entries: bool, keys: &mut Directory) {
        let Map { cells, present } = &self.maps[owner.at()];
        match (had_entries, *present > 0) {
            (false, true) => keys.enter_table(owner),
            (true, false) => keys.leave_table(owner),
            (true, true) | (false, false) => {}
        }
        match (had_cells, !cells.is_empty()) {
            (false, true) => keys.hold(owner),
            (true, false) => keys.release(owner),
            (true, true) | (false, false) => {}
        }
    }

    /// Deletes every entry of one map.
    pub(super) fn clear(&mut self, owner: KeyId, keys: &mut Directory) {
        let entries: Vec<InlineBytes> =
            self.range(owner, Bound::Unbounded).map(|(key, _)| InlineBytes::from_slice(key)).collect();
        for key in entries {
            self.write(owner, &key, None, keys);
        }
    }

    pub(super) fn is_drained(&self) -> bool {
        self.changes.is_drained()
    }

    pub(super) fn freeze(&mut self) {
        self.changes.freeze();
    }

    /// Hands out frozen changes until `out` holds `max` of them.
    pub(super) fn drain(&mut self, state: StateIndex, max: usize, keys: &mut Directory, out: &mut Vec<FrozenChange>) {
        while out.len() < max
            && let Some((EntryName { owner, key }, copy)) = self.changes.pop_frozen()
        {
            let owner_bytes = keys.bytes_of(owner).into();
            let value = match copy {
                Some(value) => {
                    keys.release(owner);
                    value.map(InlineBytes::into_boxed_slice)
                }
                None => self.drain_cell(owner, &key, keys),
            };
            let entry = FrozenEntry::MapEntry(key.into_boxed_slice(), value);
            out.push(FrozenChange { state, key: owner_bytes, entry });
        }
    }

    /// Hands out an entry as it is, and drops it if it is a tombstone.
    fn drain_cell(&mut self, owner: KeyId, key: &[u8], keys: &mut Directory) -> Option<Box<[u8]>> {
        let cells = &mut self.maps[owner.at()].cells;
        let Cell { bytes, life } = cells.get_mut(key).expect("a logged entry has a cell");
        life.drained();
        if life.present {
            return Some(bytes.as_slice().into());
        }
        cells.remove(key);
        if cells.is_empty() {
            keys.release(owner);
        }
        None
    }

    /// Bytes of all entries, keys and values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
