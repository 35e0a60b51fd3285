//! Reads of the call under way: what is committed, under what the call itself has written.

use std::borrow::Cow;
use std::ops::Bound;

use gristmill_ports::state::{ScanPage, SlotRead, StateError};
use gristmill_types::{Column, StateIndex};

use super::map::MapTable;
use super::value::ValueTable;
use crate::call::{Call, KeyId, Place};
use crate::cold::Cold;
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
    pub(super) fn map_page<C: Cold>(
        &self,
        map: &MapOf<'_, C>,
        own: Option<&WrittenMap>,
        (prefix, after): (&[u8], Option<&[u8]>),
        max_bytes: u32,
    ) -> Result<ScanPage, StateError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        let mut page = PageBuilder::new(max_bytes);
        for entry in self.merged(map, own, from) {
            let (key, value) = entry?;
            if !key.starts_with(prefix) {
                break;
            }
            if !page.add(Some(&key), &value) {
                return Ok(page.more_after_last_key());
            }
        }
        Ok(page.last())
    }

    /// The call's own entries over those of the tables over those of the cold store.
    fn merged<'v, C: Cold>(
        &'v self,
        map: &MapOf<'v, C>,
        own: Option<&'v WrittenMap>,
        from: Bound<&'v [u8]>,
    ) -> impl Iterator<Item = Result<MapEntry<'v>, StateError>> {
        let is_cleared = own.is_some_and(|map| map.cleared);
        let (table, owner) = (map.table, map.owner);
        let reads_cold = !is_cleared && !map.cold.is_empty() && !table.voids_cold(owner);
        let cold = reads_cold.then(|| map.cold_range(from)).into_iter().flatten();
        let hot = (!is_cleared).then(|| table.range(owner, from)).into_iter().flatten();
        let range = move |map: &'v WrittenMap| map.entries.range::<[u8], _>((from, Bound::Unbounded));
        let written = own.map(range).into_iter().flatten();
        let written = written.map(|(key, value): (_, &Written)| (key.as_slice(), value.value(self.writes)));
        over(written, over(hot, cold))
    }
}

/// An entry of a map under way: its name and its value.
type MapEntry<'v> = (Cow<'v, [u8]>, Cow<'v, [u8]>);

/// The map of one key, wherever its entries are.
pub(super) struct MapOf<'v, C> {
    pub(super) table: &'v MapTable,
    pub(super) owner: KeyId,
    pub(super) owner_bytes: &'v [u8],
    pub(super) state: StateIndex,
    pub(super) cold: &'v C,
}

impl<'v, C: Cold> MapOf<'v, C> {
    /// What the cold store has, without what has expired.
    fn cold_range(&self, from: Bound<&'v [u8]>) -> impl Iterator<Item = Result<MapEntry<'v>, StateError>> + use<'v, C> {
        let (first, excluded) = match from {
            Bound::Included(first) => (first, None),
            Bound::Excluded(first) => (first, Some(first)),
            Bound::Unbounded => (&[][..], None),
        };
        let table = self.table;
        self.cold.range(self.state, self.owner_bytes, first).filter_map(move |entry| match entry {
            Ok((key, _)) if excluded == Some(&key) => None,
            Ok((key, stored)) => {
                let value = table.living(&stored)?.to_vec();
                Some(Ok((Cow::Owned(key), Cow::Owned(value))))
            }
            Err(error) => Some(Err(error)),
        })
    }
}

/// Two layers of a map in one order; of equal keys the upper one's stands, or hides both if it is a deletion.
fn over<'v>(
    upper: impl Iterator<Item = (&'v [u8], Option<&'v [u8]>)>,
    lower: impl Iterator<Item = Result<MapEntry<'v>, StateError>>,
) -> impl Iterator<Item = Result<MapEntry<'v>, StateError>> {
    let (mut upper, mut lower) = (upper.peekable(), lower.peekable());
    std::iter::from_fn(move || {
        loop {
            let lower_first = match (lower.peek(), upper.peek()) {
                (Some(Ok((lower, _))), Some((upper, _))) => lower.as_ref() < *upper,
                (Some(_), _) => true,
                (None, _) => false,
            };
            if lower_first {
                return lower.next();
            }
            let (key, value) = upper.next()?;
            lower.next_if(|entry| entry.as_ref().is_ok_and(|(lower, _)| lower.as_ref() == key));
            if let Some(value) = value {
                return Some(Ok((Cow::Borrowed(key), Cow::Borrowed(value))));
            }
        }
    })
}
