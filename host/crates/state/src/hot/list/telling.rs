//! What snapshots have of lists, and what is told to them.

use gristmill_types::{Column, StateIndex};

use super::{FrozenList, ListTable, News};
use crate::call::KeyId;
use crate::changes::{Log, RESTORED, Restoring};
use crate::directory::Directory;
use crate::file::Stored;
use crate::gathered::Gathered;

impl ListTable {
    /// Appends an item that a snapshot has, with the index that it has there.
    pub(in crate::hot) fn restore(
        &mut self,
        key: KeyId,
        index: u64,
        item: Stored<'_>,
        how: Restoring,
        keys: &mut Directory,
    ) {
        self.cells.reach(key.at());
        let cell = &mut self.cells[key.at()];
        if !cell.life.present {
            cell.first = index;
            cell.life = if how.anew { self.changes.begin(key) } else { RESTORED };
            cell.news = News { cleared: how.anew, from: index };
            keys.enter_table(key);
            keys.hold(key);
        }
        if index != cell.end() {
            // A clock went back, and items behind others expired before them: the list is told anew.
            let first = cell.first;
            self.touch(key, keys);
            self.cells[key.at()].news = News { cleared: true, from: first };
        }
        let cell = &mut self.cells[key.at()];
        self.bytes += item.bytes.len() as u64;
        cell.items.push(Some(&self.expiry.restored(item)));
        if !cell.news.cleared {
            cell.news.from = cell.end();
        }
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
            && let Some((key, copy)) = self.changes.pop(log)
        {
            let (owner, cell) = (keys.bytes_of(key), &mut self.cells[key.at()]);
            let ends_a_hold = match copy {
                Some(FrozenList { news, end, items: Some((items, first)) }) => {
                    tell(out, state, owner, news, end, &items, first);
                    true
                }
                Some(FrozenList { news, end, items: None }) => {
                    cell.prefix = None;
                    tell(out, state, owner, news, end, &cell.items, cell.first);
                    true
                }
                None => {
                    cell.life.drained();
                    tell(out, state, owner, cell.news, cell.end(), &cell.items, cell.first);
                    cell.news = News { cleared: false, from: cell.end() };
                    !cell.life.is_occupied()
                }
            };
            if ends_a_hold {
                keys.release(key);
            }
        }
    }
}

/// Tells the news of a list whose first item has the index `first`, up to the item before `end`.
fn tell(out: &mut Gathered, state: StateIndex, owner: &[u8], news: News, end: u64, items: &Column, first: u64) {
    let from = news.from.max(first);
    let rows = (from - first) as usize..(end.max(from) - first) as usize;
    out.list(state, owner, news.cleared, from, rows.map(|row| items.bytes_of(row)));
}
