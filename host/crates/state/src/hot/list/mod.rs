//! List states: a growing list of byte strings for each key.
//!
//! A list is only ever appended to or emptied. So what a list was at the freeze is either a prefix of what it is now,
//! for which a length is enough, or a list that was emptied since, which is kept whole instead of being dropped. And what
//! changed is told by the items that were appended, behind a clear if the list began anew.

mod leaving;
mod telling;

use gristmill_ports::state::{ScanPage, StateError, StateTime};
use gristmill_types::Column;
use gristmill_types::descriptor::StateSpec;

use crate::call::KeyId;
use crate::changes::{Batch, Changes, CopyAt, Life};
use crate::directory::Directory;
use crate::expiry::Expiry;
use crate::inline::InlineBytes;
use crate::overlay::WrittenList;
use crate::page::PageBuilder;
use crate::paged::Paged;
use crate::write_set::WriteSet;

/// Bytes that the list of one key may hold: what a column holds.
const MAX_LIST_BYTES: usize = i32::MAX as usize;

#[derive(Debug, Default)]
struct Cell {
    /// Items as they are stored, from the one with index `first` on; those before it have expired.
    items: Column,
    first: u64,
    life: Life,
    /// What this generation, or the one being drained, has to tell.
    news: News,
    /// The frozen copy that is a prefix of `items`, if there is one.
    prefix: Option<CopyAt>,
}

/// Bytes that a key takes here, its items apart.
pub(super) const CELL_BYTES: usize = size_of::<Cell>();

/// What a generation changed in a list.
#[derive(Debug, Clone, Copy, Default)]
struct News {
    /// It was emptied, or began.
    cleared: bool,
    /// The first item that no generation before has told.
    from: u64,
}

impl Cell {
    /// The index of the next item.
    fn end(&self) -> u64 {
        self.first + self.items.len() as u64
    }
}

/// What a list was at the freeze.
#[derive(Debug)]
struct FrozenList {
    news: News,
    end: u64,
    /// The items and the index of the first, if the list was emptied since; else they are still in the list.
    items: Option<(Column, u64)>,
}

/// All lists of one state.
#[derive(Debug)]
pub(super) struct ListTable {
    cells: Paged<Cell>,
    changes: Changes<KeyId, FrozenList>,
    expiry: Expiry,
    bytes: u64,
    /// Bytes of what lives in the cold store alone.
    evicted: u64,
}

impl ListTable {
    pub(super) fn new(spec: &StateSpec) -> Self {
        Self { cells: Paged::default(), changes: Changes::default(), expiry: Expiry::of(spec), bytes: 0, evicted: 0 }
    }

    pub(super) fn set_time(&mut self, time: StateTime) {
        self.expiry.set_time(time);
    }

    /// Appends an item.
    ///
    /// # Errors
    /// If the list is full.
    pub(super) fn append(&mut self, key: KeyId, item: &[u8], keys: &mut Directory) -> Result<(), StateError> {
        self.cells.reach(key.at());
        let cell = &mut self.cells[key.at()];
        if cell.items.data().len() + item.len() + self.expiry.stamp_bytes() > MAX_LIST_BYTES {
            let text = format!("the list of one key holds at most {MAX_LIST_BYTES} bytes; clear it, or use map state");
            return Err(StateError::Backend(text));
        }
        let before = self.touch(key, keys);
        let cell = &mut self.cells[key.at()];
        if !before.is_occupied() {
            cell.news = News { cleared: true, from: cell.end() };
        }
        if self.expiry.is_bounded() {
            let mut stored = InlineBytes::new();
            self.expiry.overwrite(&mut stored, item);
            cell.items.push(Some(&stored));
        } else {
            cell.items.push(Some(item));
        }
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
        let (items, first) = (std::mem::take(&mut cell.items), std::mem::take(&mut cell.first));
        self.bytes -= value_bytes(&items, self.expiry);
        cell.news = News { cleared: true, from: 0 };
        cell.life.present = false;
        if let Some(copy) = cell.prefix.take() {
            self.changes.copy_mut(copy).items = Some((items, first));
        }
        self.account(key, before, keys);
    }

    /// Logs the list as changed; gives what its life was before.
    fn touch(&mut self, key: KeyId, keys: &mut Directory) -> Life {
        let cell = &mut self.cells[key.at()];
        let (before, end, news) = (cell.life, cell.end(), cell.news);
        let copy = self.changes.touch(&mut cell.life, || key, || FrozenList { news, end, items: None });
        if copy.is_some() {
            cell.news = News { cleared: false, from: end };
            cell.prefix = copy;
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
        keys.account(key, before.standing(), after.standing());
    }

    fn items(&self, key: KeyId) -> Option<&Cell> {
        self.cells.get(key.at()).filter(|cell| !cell.items.is_empty())
    }

    /// A page of the list as the call sees it: the committed items unless the call emptied the list, then its own.
    ///
    /// `from` is an index; items keep theirs when those before them expire, so a cursor stays good.
    pub(super) fn scan(
        &self,
        key: KeyId,
        written: Option<&WrittenList>,
        writes: &WriteSet,
        from: u64,
        max_bytes: u32,
    ) -> ScanPage {
        let cleared = written.is_some_and(|list| list.cleared);
        let committed = self.items(key).filter(|_| !cleared);
        let (first, end) = committed.map_or((0, 0), |cell| (cell.first, cell.end()));
        let own = written.map_or(&[][..], |list| &list.appended);
        let mut page = PageBuilder::new(max_bytes);
        for index in from.max(first)..end + own.len() as u64 {
            let value = match committed {
                Some(cell) if index < end => self.expiry.living(cell.items.bytes_of((index - first) as usize)),
                Some(_) | None => Some(own[(index - end) as usize].value(writes).unwrap_or_default()),
            };
            if value.is_some_and(|value| !page.add(None, value)) {
                return page.more_from_item(index);
            }
        }
        page.last()
    }

    /// Drops the items at the front whose time is over, if they are at least half of the list: what is left has to be
    /// moved. A list of which nothing is left is emptied.
    ///
    /// What the frozen generation has to tell stays: its time may be behind, as event time is after a restore.
    pub(super) fn sweep(&mut self, key: KeyId, handed_over: Batch, keys: &mut Directory) {
        let Some(Cell { items, first, life, prefix, .. }) = self.items(key) else { return };
        let expired = (0..items.len()).take_while(|&item| self.expiry.has_expired(items.bytes_of(item))).count();
        if expired == items.len() {
            self.clear(key, keys);
            return;
        }
        let can_shrink = prefix.is_none() && !self.changes.is_frozen(*life) && life.can_shrink(handed_over);
        if can_shrink && 2 * expired >= items.len() {
            let rows: Vec<u32> = (expired as u32..items.len() as u32).collect();
            let (left, first) = (items.gather(&rows), first + expired as u64);
            let cell = &mut self.cells[key.at()];
            self.bytes -= value_bytes(&cell.items, self.expiry) - value_bytes(&left, self.expiry);
            (cell.items, cell.first) = (left, first);
            cell.life.shrunk();
        }
    }

    /// Bytes of all items.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Bytes of the values, without the times before them.
fn value_bytes(items: &Column, expiry: Expiry) -> u64 {
    (items.data().len() - items.len() * expiry.stamp_bytes()) as u64
}
