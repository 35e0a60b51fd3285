//! `List<T>`: a growing list for each key.
//!
//! Appends and clears wait, in order, until the call ends or somebody reads. A read sends the waiting ones of earlier
//! events and looks at those of its own event itself: so these can still be taken back.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::gristmill::operator::types::{Column, Descriptor, StateKind};
use crate::codec;
use crate::event::{Batch, Event};
use crate::failure::Failure;
use crate::host::{self, Page};
use crate::inspection::{self, Shown, Stored};
use crate::part::{Done, Field, Part, Role};
use crate::state::{PAGE_BYTES, declare};

/// A growing list for each key.
#[derive(Debug)]
pub struct List<T> {
    state: u32,
    name: &'static str,
    waiting: Vec<Waiting>,
    /// The bytes of waiting appends, one after the other.
    data: Vec<u8>,
    item: PhantomData<T>,
}

/// A write that the host has not seen yet.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    row: u32,
    change: Change,
    /// Where its bytes end in `data`; they begin where those of the one before end.
    end: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Append,
    Clear,
}

impl<T: Serialize + DeserializeOwned> List<T> {
    /// Adds an item at the end of the list of the event's key.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the item cannot be stored; [`Failure::BadRecord`] for an event without a key.
    pub fn append(&mut self, event: Event<'_>, item: &T) -> Result<(), Failure> {
        event.key_bytes()?;
        codec::encode(item, self.name, &mut self.data)?;
        self.wait(event, Change::Append);
        Ok(())
    }

    /// Empties the list of the event's key.
    ///
    /// # Errors
    /// [`Failure::BadRecord`] for an event without a key.
    pub fn clear(&mut self, event: Event<'_>) -> Result<(), Failure> {
        event.key_bytes()?;
        self.wait(event, Change::Clear);
        Ok(())
    }

    /// The items of the event's key, oldest first, read page by page.
    ///
    /// # Errors
    /// [`Failure::BadRecord`] for an event without a key.
    pub fn iter(&mut self, event: Event<'_>) -> Result<ListItems<'_, T>, Failure> {
        event.key_bytes()?;
        let own = self.waiting.iter().rev().take_while(|waiting| waiting.row == event.row()).count();
        let mut split = self.waiting.len() - own;
        self.send(split);
        split = 0;
        let cleared = self.waiting.iter().rposition(|waiting| waiting.change == Change::Clear);
        let pages = match cleared {
            Some(at) => {
                split = at + 1;
                Pages::Over
            }
            None => Pages::Next(None),
        };
        Ok(ListItems { list: self, row: event.row(), page: no_page(), at: 0, pages, own: split })
    }

    fn wait(&mut self, event: Event<'_>, change: Change) {
        self.waiting.push(Waiting { row: event.row(), change, end: self.data.len() });
    }
}

impl<T> List<T> {
    /// The bytes of the waiting append at this place.
    fn bytes_at(&self, at: usize) -> &[u8] {
        let start = if at == 0 { 0 } else { self.waiting[at - 1].end };
        &self.data[start..self.waiting[at].end]
    }

    /// Sends the first `count` waiting changes to the host, runs of equal kind in one call.
    fn send(&mut self, count: usize) {
        let mut from = 0;
        while from < count {
            let change = self.waiting[from].change;
            let run = self.waiting[from..count].iter().take_while(|waiting| waiting.change == change).count();
            let rows: Vec<u32> = self.waiting[from..from + run].iter().map(|waiting| waiting.row).collect();
            match change {
                Change::Append => {
                    let items: Column = (from..from + run).map(|at| Some(self.bytes_at(at))).collect();
                    host::list_append(self.state, &rows, &items);
                }
                Change::Clear => host::list_clear(self.state, &rows),
            }
            from += run;
        }
        let sent = count.checked_sub(1).map_or(0, |last| self.waiting[last].end);
        self.data.drain(..sent);
        self.waiting.drain(..count);
        self.waiting.iter_mut().for_each(|waiting| waiting.end -= sent);
    }
}

impl<T: Serialize + DeserializeOwned> Part for List<T> {
    const ROLE: Role = Role::State;

    fn declare(field: &Field, descriptor: &mut Descriptor) -> u32 {
        declare(field, StateKind::AppendList, descriptor)
    }

    fn build(field: &'static Field, state: u32, _: &str) -> Result<Self, Failure> {
        Ok(Self { state, name: field.name, waiting: Vec::new(), data: Vec::new(), item: PhantomData })
    }

    fn render(entry: &Stored) -> Result<Shown, String> {
        inspection::shown::<T>(entry)
    }

    fn parse(entry: &Shown) -> Result<Stored, String> {
        inspection::stored::<T>(entry)
    }

    #[inline]
    fn begin(&mut self, _: &Batch) {
        self.waiting.clear();
        self.data.clear();
    }

    #[inline]
    fn roll_back(&mut self, row: u32) {
        while self.waiting.last().is_some_and(|waiting| waiting.row == row) {
            self.waiting.pop();
        }
        self.data.truncate(self.waiting.last().map_or(0, |waiting| waiting.end));
    }

    fn finish(&mut self, _: &mut Done<'_>) -> Result<(), Failure> {
        self.send(self.waiting.len());
        Ok(())
    }
}

/// The items of one key's list, oldest first.
#[derive(Debug)]
pub struct ListItems<'a, T> {
    list: &'a mut List<T>,
    row: u32,
    page: Page,
    /// The next item of the page.
    at: usize,
    pages: Pages,
    /// The next waiting append of this event, after all pages.
    own: usize,
}

/// Whether there are more pages to read.
#[derive(Debug)]
enum Pages {
    /// From this cursor on.
    Next(Option<Vec<u8>>),
    Over,
}

impl<T: DeserializeOwned> Iterator for ListItems<'_, T> {
    type Item = Result<T, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at == self.page.values.len() {
            match std::mem::replace(&mut self.pages, Pages::Over) {
                Pages::Next(cursor) => {
                    self.page = host::list_scan(self.list.state, self.row, cursor.as_deref(), PAGE_BYTES);
                    self.at = 0;
                    self.pages = self.page.next.take().map_or(Pages::Over, |cursor| Pages::Next(Some(cursor)));
                }
                Pages::Over => return self.next_own(),
            }
        }
        self.at += 1;
        Some(codec::decode(self.page.values.bytes(self.at - 1), self.list.name))
    }
}

impl<T: DeserializeOwned> ListItems<'_, T> {
    fn next_own(&mut self) -> Option<Result<T, Failure>> {
        (self.own < self.list.waiting.len()).then(|| {
            self.own += 1;
            codec::decode(self.list.bytes_at(self.own - 1), self.list.name)
        })
    }
}

fn no_page() -> Page {
    Page { keys: Column::empty(), values: Column::empty(), next: None }
}
