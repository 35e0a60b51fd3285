//! What snapshots have of maps, and what is told to them.

use gristmill_types::StateIndex;

use super::{Cell, Changed, Map, MapTable};
use crate::call::KeyId;
use crate::changes::{Changes, Log, RESTORED, Restoring};
use crate::directory::Directory;
use crate::file::Stored;
use crate::gathered::Gathered;
use crate::inline::InlineBytes;

impl MapTable {
    /// Sets an entry that a snapshot has, in place of none. What was restored of the map before may have left already.
    pub(in crate::hot) fn restore(
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

    pub(in crate::hot) fn is_drained(&self) -> bool {
        self.changes.is_drained()
    }

    pub(in crate::hot) fn freeze(&mut self) {
        self.changes.freeze();
    }

    /// Gathers changes of a log until there are `max` of them.
    pub(in crate::hot) fn drain(
        &mut self,
        log: Log,
        state: StateIndex,
        max: usize,
        keys: &mut Directory,
        out: &mut Gathered,
    ) {
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
                (Some(name), None) => {
                    if log == Log::Active {
                        self.tell_emptied_before(state, owner, keys, out);
                    }
                    self.drain_cell(state, owner, &name, keys, out);
                }
            }
        }
    }

    /// An entry of a map leaves the active log ahead of the freeze: the news that its map was emptied, which may stand below
    /// it in the log, must not come in a later part, which would empty the map once more.
    fn tell_emptied_before(&mut self, state: StateIndex, owner: KeyId, keys: &Directory, out: &mut Gathered) {
        let emptied = &mut self.maps[owner.at()].emptied;
        let was_logged = emptied.is_logged();
        let moved = self.changes.retract(emptied);
        if was_logged && !emptied.is_logged() {
            emptied.drained();
            out.clear_map(state, keys.bytes_of(owner));
        }
        self.tell_moved(moved);
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
}
