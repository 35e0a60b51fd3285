//! What of maps leaves memory, and what comes back. Maps leave in slices: one may be larger than memory.

use std::ops::Bound;

use super::{Cell, Changed, ENTRY_BYTES, Map, MapTable};
use crate::call::KeyId;
use crate::changes::{Batch, Eviction, LOADED, Life};
use crate::directory::Directory;
use crate::gathered::Gathered;
use crate::hot::cursors::StateOf;
use crate::inline::InlineBytes;

/// What is looked at, and what is handed over, of one map at a time, to make room. Tests have maps of some slices.
const SLICE_ENTRIES: usize = if cfg!(test) { 2 } else { 256 };
const SLICE_BYTES: usize = 1 << 20;

impl MapTable {
    /// Whether an entry, or that there is none, stands here and not in the cold store.
    pub(in crate::hot) fn knows(&self, owner: KeyId, key: &[u8]) -> bool {
        let knows = |map: &Map| map.emptied.voids_cold() || map.cells.contains_key(key);
        self.maps.get(owner.at()).is_some_and(knows)
    }

    /// Whether whatever the cold store has of this map is void.
    pub(in crate::hot) fn voids_cold(&self, owner: KeyId) -> bool {
        self.maps.get(owner.at()).is_some_and(|map| map.emptied.voids_cold())
    }

    /// Sets an entry that the cold store has.
    pub(in crate::hot) fn load(&mut self, owner: KeyId, key: &[u8], stored: &[u8], keys: &mut Directory) {
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
    pub(in crate::hot) fn evict(
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
    pub(in crate::hot) fn void_cold(&mut self, owner: KeyId, bytes: u64, keys: &mut Directory) {
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
    pub(in crate::hot) fn entry_bytes(&self, name: &[u8], stored: &[u8]) -> u64 {
        self.expiry.entry_bytes(name, stored)
    }

    /// Bytes that are held in memory for entries.
    pub(in crate::hot) fn resident_bytes(&self) -> usize {
        (self.bytes - self.evicted) as usize + self.cells * ENTRY_BYTES + self.changes.bytes()
    }
}
