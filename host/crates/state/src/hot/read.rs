//! Reads of the call under way: what is committed, under what the call itself has written.

use std::ops::Bound;

use gristmill_ports::state::{ScanPage, SlotRead, StateError};
use gristmill_types::Column;

use super::map::MapTable;
use super::value::ValueTable;
use crate::call::{Call, KeyId, Place};
use crate::overlay::{Overlay, Written, WrittenMap};
use crate::page::{PageBuilder, column_of};
use crate::write_set::WriteSet;

/// What every read looks at beside its table.
pub(super) struct View<'b> {
    pub(super) call: &'b Call,
    pub(super) writes: &'b WriteSet,
    pub(super) overlay: &'b Overlay,
    /// Bytes that a read of values may hand over.
    pub(super) max_read: usize,
}

/// Which slot a place has in the answer under way. Kept from read to read for its memory; nothing is ever reset: a slot
/// counts only if the answer has this place there.
#[derive(Debug, Default)]
pub(super) struct Slots {
    by_place: Vec<u32>,
    places: Vec<Place>,
}

impl Slots {
    fn begin(&mut self, places: usize) {
        self.places.clear();
        if self.by_place.len() < places {
            self.by_place.resize(places, 0);
        }
    }

    /// The slot of a place, a new one if it has none yet.
    #[inline]
    fn slot(&mut self, place: Place) -> u32 {
        let slot = self.by_place[place.at()];
        if self.places.get(slot as usize) == Some(&place) {
            return slot;
        }
        let slot = self.places.len() as u32;
        self.by_place[place.at()] = slot;
        self.places.push(place);
        slot
    }
}

impl View<'_> {
    /// Three short passes, each over memory that the others do not wait for: slots, lengths, bytes.
    pub(super) fn values(&self, table: &ValueTable, slots: &mut Slots, rows: &[u32]) -> Result<SlotRead, StateError> {
        slots.begin(self.call.places());
        let of_row = |&row| Ok(slots.slot(self.call.place_of(row)?));
        let row_slots = rows.iter().map(of_row).collect::<Result<Vec<u32>, StateError>>()?;
        let bytes = slots.places.iter().map(|&place| self.length(table, place)).sum();
        let values = column_of(self.max_read, bytes, slots.places.iter().map(|&place| self.value(table, place)))?;
        Ok(SlotRead { slots: row_slots, values })
    }

    #[inline]
    fn value<'v>(&'v self, table: &'v ValueTable, place: Place) -> Option<&'v [u8]> {
        match self.overlay.value(place) {
            Some(written) => written.value(self.writes),
            None => table.read(self.call.key_at(place)),
        }
    }

    /// How long [`Self::value`] is; zero for none.
    #[inline]
    fn length(&self, table: &ValueTable, place: Place) -> usize {
        match self.overlay.value(place) {
            Some(written) => written.value(self.writes).map_or(0, <[u8]>::len),
            None => table.length(self.call.key_at(place)),
        }
    }

    pub(super) fn entries(&self, table: &MapTable, rows: &[u32], keys: &Column) -> Result<Column, StateError> {
        let mut values = Vec::with_capacity(rows.len());
        for (item, &row) in rows.iter().enumerate() {
            let place = self.call.place_of(row)?;
            let key = keys.bytes_of(item);
            let own = self.overlay.map(place);
            values.push(match own.and_then(|map| map.entries.get(key)) {
                Some(written) => written.value(self.writes),
                None if own.is_some_and(|map| map.cleared) => None,
                None => table.read(self.call.key_at(place), key),
            });
        }
        let bytes = values.iter().flatten().map(|value| value.len()).sum();
        column_of(self.max_read, bytes, values.into_iter())
    }

    /// A page of the map of one key: entries under `prefix`, strictly after the cursor.
    pub(super) fn map_page(
        &self,
        table: &MapTable,
        place: Place,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> ScanPage {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let mut page = PageBuilder::new(max_bytes);
        for (key, value) in self.merged(table, self.call.key_at(place), self.overlay.map(place), from) {
            if !key.starts_with(prefix) {
                break;
            }
            if !page.add(Some(key), value) {
                return page.more_after_last_key();
            }
        }
        page.last()
    }

    /// Committed entries and the call's own, in one order; of equal keys the call's own stands, or hides both.
    fn merged<'v>(
        &'v self,
        table: &'v MapTable,
        owner: KeyId,
        own: Option<&'v WrittenMap>,
        from: Bound<&'v [u8]>,
    ) -> impl Iterator<Item = (&'v [u8], &'v [u8])> {
        let cleared = own.is_some_and(|map| map.cleared);
        let mut committed = (!cleared).then(|| table.range(owner, from)).into_iter().flatten().peekable();
        let range = |map: &'v WrittenMap| map.entries.range::<[u8], _>((from, Bound::Unbounded));
        let mut written = own.map(range).into_iter().flatten().peekable();
        std::iter::from_fn(move || {
            loop {
                let next_written = written.peek().map(|(key, _)| key.as_slice());
                let committed_first = match (committed.peek(), next_written) {
                    (Some((committed, _)), Some(written)) => *committed < written,
                    (Some(_), None) => true,
                    (None, _) => false,
                };
                if committed_first {
                    return committed.next();
                }
                let (key, value): (_, &Written) = written.next()?;
                committed.next_if(|(committed, _)| *committed == key.as_slice());
                if let Some(value) = value.value(self.writes) {
                    return Some((key.as_slice(), value));
                }
            }
        })
    }
}
