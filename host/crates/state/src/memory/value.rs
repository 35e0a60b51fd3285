//! Value states in memory: one byte string for each key.

use gristmill_ports::state::{FrozenChange, FrozenEntry};
use gristmill_types::StateIndex;

use crate::call::KeyId;
use crate::changes::{Changes, Life};
use crate::directory::Directory;
use crate::inline::{InlineBytes, overwrite};
use crate::paged::Paged;

/// One value: half a cache line.
#[derive(Debug, Default)]
struct Cell {
    bytes: InlineBytes,
    life: Life,
}

/// All values of one state.
#[derive(Debug, Default)]
pub(super) struct ValueTable {
    cells: Paged<Cell>,
    changes: Changes<KeyId, Option<InlineBytes>>,
    bytes: u64,
}

impl ValueTable {
    #[inline]
    pub(super) fn read(&self, key: KeyId) -> Option<&[u8]> {
        self.cells.get(key.at()).filter(|cell| cell.life.present).map(|cell| cell.bytes.as_slice())
    }

    /// How long a value is; zero for none.
    #[inline]
    pub(super) fn length(&self, key: KeyId) -> usize {
        self.cells.get(key.at()).map_or(0, |cell| cell.bytes.len())
    }

    /// Writes a value; `None` deletes it.
    #[inline]
    pub(super) fn write(&mut self, key: KeyId, value: Option<&[u8]>, keys: &mut Directory) {
        self.cells.reach(key.at());
        let Cell { bytes, life } = &mut self.cells[key.at()];
        let before = *life;
        if value.is_none() && !before.present {
            return;
        }
        if self.changes.touch(life, || key, || before.present.then(|| bytes.clone())).is_some() {
            keys.hold(key);
        }
        self.bytes -= bytes.len() as u64;
        match value {
            Some(value) => overwrite(bytes, value),
            None => *bytes = InlineBytes::new(),
        }
        self.bytes += bytes.len() as u64;
        life.present = value.is_some();
        if life.present != before.present {
            self.come_or_go(key, before, keys);
        }
    }

    /// The entry of `key` came into being, or ceased.
    #[cold]
    fn come_or_go(&mut self, key: KeyId, before: Life, keys: &mut Directory) {
        let life = &mut self.cells[key.at()].life;
        let moved = self.changes.retract_if_never_captured(life);
        let after = *life;
        if let Some((other, place)) = moved {
            self.cells[other.at()].life.moved_to(place);
        }
        match after.present {
            true => keys.enter_table(key),
            false => keys.leave_table(key),
        }
        match (before.is_occupied(), after.is_occupied()) {
            (false, true) => keys.hold(key),
            (true, false) => keys.release(key),
            (true, true) | (false, false) => {}
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
            && let Some((key, copy)) = self.changes.pop_frozen()
        {
            let owner = keys.bytes_of(key).into();
            let value = match copy {
                Some(value) => {
                    keys.release(key);
                    value.map(InlineBytes::into_boxed_slice)
                }
                None => {
                    let Cell { bytes, life } = &mut self.cells[key.at()];
                    life.drained();
                    if !life.is_occupied() {
                        keys.release(key);
                    }
                    life.present.then(|| bytes.as_slice().into())
                }
            };
            out.push(FrozenChange { state, key: owner, entry: FrozenEntry::Value(value) });
        }
    }

    /// Bytes of all values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
