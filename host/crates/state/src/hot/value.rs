//! Value states: one byte string for each key.

use gristmill_ports::state::StateTime;
use gristmill_types::StateIndex;
use gristmill_types::descriptor::StateSpec;

use crate::call::KeyId;
use crate::changes::{Batch, Changes, Eviction, LOADED, Life, Log, RESTORED, Restoring};
use crate::directory::Directory;
use crate::expiry::Expiry;
use crate::file::Stored;
use crate::gathered::Gathered;
use crate::inline::InlineBytes;
use crate::paged::Paged;

/// One value as it is stored: half a cache line.
#[derive(Debug, Default)]
struct Cell {
    stored: InlineBytes,
    life: Life,
}

/// Bytes that a key takes here, its value apart.
pub(super) const CELL_BYTES: usize = size_of::<Cell>();

/// All values of one state.
#[derive(Debug)]
pub(super) struct ValueTable {
    cells: Paged<Cell>,
    changes: Changes<KeyId, Option<InlineBytes>>,
    expiry: Expiry,
    bytes: u64,
    /// Bytes of what lives in the cold store alone.
    evicted: u64,
}

impl ValueTable {
    pub(super) fn new(spec: &StateSpec) -> Self {
        Self { cells: Paged::default(), changes: Changes::default(), expiry: Expiry::of(spec), bytes: 0, evicted: 0 }
    }

    pub(super) fn set_time(&mut self, time: StateTime) {
        self.expiry.set_time(time);
    }

    #[inline]
    pub(super) fn read(&self, key: KeyId) -> Option<&[u8]> {
        let cell = self.cells.get(key.at()).filter(|cell| cell.life.present)?;
        self.expiry.living(&cell.stored)
    }

    /// How long a value is; zero for none.
    #[inline]
    pub(super) fn length(&self, key: KeyId) -> usize {
        match self.cells.get(key.at()) {
            Some(_) if self.expiry.is_bounded() => self.read(key).map_or(0, <[u8]>::len),
            Some(cell) => cell.stored.len(),
            None => 0,
        }
    }

    /// Writes a value; `None` deletes it.
    #[inline]
    pub(super) fn write(&mut self, key: KeyId, value: Option<&[u8]>, keys: &mut Directory) {
        self.cells.reach(key.at());
        let Cell { stored, life } = &mut self.cells[key.at()];
        let before = *life;
        if value.is_none() && !before.present {
            return;
        }
        if self.changes.touch(life, || key, || before.present.then(|| stored.clone())).is_some() {
            keys.hold(key);
        }
        let length = stored.len();
        match value {
            Some(value) => self.expiry.overwrite(stored, value),
            None => *stored = InlineBytes::new(),
        }
        life.present = value.is_some();
        if life.present != before.present {
            self.come_or_go(key, before, length, keys);
        } else if stored.len() != length {
            self.bytes = self.bytes + stored.len() as u64 - length as u64;
        }
    }

    /// The value of `key`, which took `length` bytes, came into being, or ceased.
    #[cold]
    fn come_or_go(&mut self, key: KeyId, before: Life, length: usize, keys: &mut Directory) {
        let stamp = self.expiry.stamp_bytes();
        let Cell { stored, life } = &mut self.cells[key.at()];
        match life.present {
            true => self.bytes += (stored.len() - stamp) as u64,
            false => self.bytes -= (length - stamp) as u64,
        }
        let moved = self.changes.retract_if_never_captured(life);
        let after = *life;
        if let Some((other, place)) = moved {
            self.cells[other.at()].life.moved_to(place);
        }
        keys.account(key, before.standing(), after.standing());
    }

    /// Sets a value that a snapshot has, in place of none.
    pub(super) fn restore(&mut self, key: KeyId, value: Stored<'_>, how: Restoring, keys: &mut Directory) {
        self.cells.reach(key.at());
        self.bytes += value.bytes.len() as u64;
        let life = if how.anew { self.changes.begin(key) } else { RESTORED };
        self.cells[key.at()] = Cell { stored: self.expiry.restored(value), life };
        keys.enter_table(key);
        keys.hold(key);
    }

    /// Whether the value of a key, or that there is none, stands here and not in the cold store.
    pub(super) fn knows(&self, key: KeyId) -> bool {
        self.cells.get(key.at()).is_some_and(|cell| cell.life.is_occupied())
    }

    /// Sets a value that the cold store has.
    pub(super) fn load(&mut self, key: KeyId, stored: &[u8], keys: &mut Directory) {
        self.cells.reach(key.at());
        self.evicted -= (stored.len() - self.expiry.stamp_bytes()) as u64;
        self.cells[key.at()] = Cell { stored: InlineBytes::from_slice(stored), life: LOADED };
        keys.return_to_table(key);
        keys.hold(key);
    }

    /// Makes room: forgets the value of a key if the cold store has it, else hands it over with this batch.
    pub(super) fn evict(
        &mut self,
        (state, key): (StateIndex, KeyId),
        (batch, taken_in): (Batch, Batch),
        keys: &mut Directory,
        out: &mut Gathered,
    ) {
        let Some(cell) = self.cells.get(key.at()).filter(|cell| cell.life.is_occupied()) else { return };
        match cell.life.eviction(taken_in) {
            Eviction::Stay => {}
            Eviction::TakeIn => {
                let cell = &mut self.cells[key.at()];
                out.value(state, keys.bytes_of(key), cell.life.present.then_some(cell.stored.as_slice()));
                cell.life.handed_over(batch);
            }
            Eviction::Drop => {
                let Cell { stored, life } = std::mem::take(&mut self.cells[key.at()]);
                if life.present {
                    self.evicted += (stored.len() - self.expiry.stamp_bytes()) as u64;
                    keys.evict_from_table(key);
                }
                keys.release(key);
            }
        }
    }

    /// Bytes that are held in memory for values, cells apart.
    pub(super) fn resident_bytes(&self) -> usize {
        (self.bytes - self.evicted) as usize + self.changes.bytes()
    }

    /// Deletes the value of `key` if its time is over.
    pub(super) fn sweep(&mut self, key: KeyId, keys: &mut Directory) {
        let expired = |cell: &&Cell| cell.life.present && self.expiry.has_expired(&cell.stored);
        if self.cells.get(key.at()).filter(expired).is_some() {
            self.write(key, None, keys);
        }
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
            && let Some((key, copy)) = self.changes.pop(log)
        {
            if let Some(stored) = copy {
                out.value(state, keys.bytes_of(key), stored.as_deref());
                keys.release(key);
                continue;
            }
            let Cell { stored, life } = &mut self.cells[key.at()];
            life.drained();
            out.value(state, keys.bytes_of(key), life.present.then_some(stored.as_slice()));
            if !life.is_occupied() {
                keys.release(key);
            }
        }
    }

    /// Bytes of all values.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
