//! What of lists leaves memory, and what comes back. A list goes and comes as a whole.

use gristmill_ports::state::StateError;
use gristmill_types::{Column, StateIndex};

use super::{Cell, ListTable, News, value_bytes};
use crate::call::KeyId;
use crate::changes::{Batch, Eviction, LOADED};
use crate::directory::Directory;
use crate::gathered::Gathered;
use crate::varint::{push_text, push_varint, take_text, take_varint};

impl ListTable {
    /// Whether the list of a key, or that there is none, stands here and not in the cold store.
    pub(in crate::hot) fn knows(&self, key: KeyId) -> bool {
        self.cells.get(key.at()).is_some_and(|cell| cell.life.is_occupied())
    }

    /// Sets a list that the cold store has: the index of its first item, then all items.
    pub(in crate::hot) fn load(
        &mut self,
        key: KeyId,
        mut packed: &[u8],
        keys: &mut Directory,
    ) -> Result<(), StateError> {
        let strange = || StateError::Backend("the local database holds a list that makes no sense".to_owned());
        let first = take_varint(&mut packed).ok_or_else(strange)?;
        let mut items = Column::default();
        while !packed.is_empty() {
            items.push(Some(take_text(&mut packed).ok_or_else(strange)?));
        }
        self.cells.reach(key.at());
        self.evicted -= value_bytes(&items, self.expiry);
        let news = News { cleared: false, from: first + items.len() as u64 };
        self.cells[key.at()] = Cell { items, first, life: LOADED, news, prefix: None };
        keys.return_to_table(key);
        keys.hold(key);
        Ok(())
    }

    /// Makes room: forgets the list of a key if the cold store has it, else hands it over with this batch. A list goes
    /// and comes as a whole.
    pub(in crate::hot) fn evict(
        &mut self,
        (state, key): (StateIndex, KeyId),
        (batch, taken_in): (Batch, Batch),
        keys: &mut Directory,
        out: &mut Gathered,
    ) {
        let of_interest = |cell: &&Cell| cell.life.is_occupied() && cell.prefix.is_none();
        let Some(cell) = self.cells.get(key.at()).filter(of_interest) else { return };
        match cell.life.eviction(taken_in) {
            Eviction::Stay => {}
            Eviction::TakeIn => {
                let cell = &mut self.cells[key.at()];
                let packed = cell.life.present.then(|| pack(cell));
                out.value(state, keys.bytes_of(key), packed.as_deref());
                cell.life.handed_over(batch);
            }
            Eviction::Drop => {
                let Cell { items, life, .. } = std::mem::take(&mut self.cells[key.at()]);
                if life.present {
                    self.evicted += value_bytes(&items, self.expiry);
                    keys.evict_from_table(key);
                }
                keys.release(key);
            }
        }
    }

    /// Bytes that are held in memory for items, cells apart.
    pub(in crate::hot) fn resident_bytes(&self) -> usize {
        (self.bytes - self.evicted) as usize + self.changes.bytes()
    }
}

/// A list as the cold store has it.
fn pack(cell: &Cell) -> Vec<u8> {
    let mut packed = Vec::with_capacity(cell.items.bytes());
    push_varint(&mut packed, cell.first);
    (0..cell.items.len()).for_each(|item| push_text(&mut packed, cell.items.bytes_of(item)));
    packed
}
