//! List states in memory: a growing list of byte strings for each key.
//!
//! A list is only ever appended to or emptied. So what a list was at the freeze is either a prefix of what it is now,
//! for which a length is enough, or a list that was emptied since, which is kept whole instead of being dropped.

use gristmill_ports::state::{FrozenChange, FrozenEntry, ScanPage, StateError};
use gristmill_types::{Column, StateIndex};

use crate::call::KeyId;
use crate::changes::{Changes, CopyAt, Life};
use crate::directory::Directory;
use crate::overlay::WrittenList;
use crate::page::PageBuilder;
use crate::paged::Paged;
use crate::write_set::WriteSet;

/// Bytes that the list of one key may hold: what a column holds.
const MAX_LIST_BYTES: usize = i32::MAX as usize;

#[derive(Debug, Default)]
struct Cell {
    items: Column,
    life: Life,
    /// The frozen copy that is a prefix of `items`, if there is one.
    prefix: Option<CopyAt>,
}

/// What a list was at the freeze.
#[derive(Debug)]
struct FrozenList {
    len: usize,
    /// The items, if the list was emptied since; else the first `len` of the list.
    items: Option<Column>,
}

/// All lists of one state.
#[derive(Debug, Default)]
pub(super) struct ListTable {
    cells: Paged<Cell>,
    changes: Changes<KeyId, FrozenList>,
    bytes: u64,
}

impl ListTable {
    /// Appends an item.
    ///
    /// # Errors
    /// If the list is full.
    pub(super) fn append(&mut self, key: KeyId, item: &[u8], keys: &mut Directory) -> Result<(), StateError> {
        self.cells.reach(key.at());
        let cell = &mut self.cells[key.at()];
        if cell.items.data().len() + item.len() > MAX_LIST_BYTES {
            let text = format!("the list of one key holds at most {MAX_LIST_BYTES} bytes; clear it, or use map state");
            return Err(StateError::Backend(text));
        }
        let before = self.touch(key, keys);
        let cell = &mut self.cells[key.at()];
        cell.items.push(Some(item));
        cell.life.present = true;
        self.bytes += item.len() as u64;
        self.account(key, before, keys);
        Ok(())
    }

    /// Empties the list.
    pub(super) fn clear(&mut self, key: KeyId, keys: &mut Directory) {
        if self.items(key).is_none() {
            return;
        }
        let before = self.touch(key, keys);
        let cell = &mut self.cells[key.at()];
        let items = std::mem::take(&mut cell.items);
        self.bytes -= items.data().len() as u64;
        cell.life.present = false;
        if let Some(copy) = cell.prefix.take() {
            self.changes.copy_mut(copy).items = Some(items);
        }
        self.account(key, before, keys);
    }

    /// Logs the list as changed; gives what its life was before.
    fn touch(&mut self, key: KeyId, keys: &mut Directory) -> Life {
        let Cell { items, life, prefix } = &mut self.cells[key.at()];
        let before = *life;
        let copy = self.changes.touch(life, || key, || FrozenList { len: items.len(), items: None });
        if copy.is_some() {
            *prefix = copy;
            keys.hold(key);
        }
        before
    }

    fn account(&mut self, key: KeyId, before: Life, keys: &mut Directory) {
        let life = &mut self.cells[key.at()].life;
        let moved = self.changes.retract_if_never_captured(life);
        let after = *life;
        if let Some((other, place)) = moved {
            self.cells[other.at()].life.moved_to(place);
        }
        match (before.present, after.present) {
            (false, true) => keys.enter_table(key),
            (true, false) => keys.leave_table(key),
            (true, true) | (false, false) => {}
        }
        match (before.is_occupied(), after.is_occupied()) {
            (false, true) => keys.hold(key),
            (true, false) => keys.release(key),
            (true, true) | (false, false) => {}
        }
    }

    fn items(&self, key: KeyId) -> Option<&Column> {
        self.cells.get(key.at()).map(|cell| &cell.items).filter(|items| !items.is_empty())
    }

    /// A page of the list as the call sees it: the committed items unless the call emptied the list, then its own.
    pub(super) fn scan(
        &self,
        key: KeyId,
        written: Option<&WrittenList>,
        writes: &WriteSet,
        first: usize,
        max_bytes: u32,
    ) -> ScanPage {
        let cleared = written.is_some_and(|list| list.cleared);
        let committed = self.items(key).filter(|_| !cleared);
        let base = committed.map_or(0, Column::len);
        let own = written.map_or(&[][..], |list| &list.appended);
        let mut page = PageBuilder::new(max_bytes);
        for item in first..base + own.len() {
            let value = match committed {
                Some(items) if item < base => items.bytes_of(item),
                Some(_) | None => own[item - base].value(writes).unwrap_or_default(),
            };
            if !page.add(None, value) {
                return page.more_from_item(item);
            }
        }
        page.last()
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
            let cell = &mut self.cells[key.at()];
            let (items, ends_a_hold) = match copy {
                Some(FrozenList { len, items: Some(items) }) => (first_items(&items, len), true),
                Some(FrozenList { len, items: None }) => {
                    cell.prefix = None;
                    (first_items(&cell.items, len), true)
                }
                None => {
                    cell.life.drained();
                    (first_items(&cell.items, cell.items.len()), !cell.life.is_occupied())
                }
            };
            if ends_a_hold {
                keys.release(key);
            }
            out.push(FrozenChange { state, key: owner, entry: FrozenEntry::List(items) });
        }
    }

    /// Bytes of all items.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn first_items(items: &Column, len: usize) -> Vec<Box<[u8]>> {
    (0..len).map(|item| items.bytes_of(item).into()).collect()
}
