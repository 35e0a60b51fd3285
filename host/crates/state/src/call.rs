//! The rows of the call under way, as keys.
//!
//! A batch of a thousand events often has a few hundred keys. Each distinct key of a call gets a *place*, counted from
//! zero, so that everything a call remembers by key is a small array instead of a map.

use gristmill_ports::state::StateError;

/// A key of this backend, while the key is known: an index that is used again once the key is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct KeyId(pub(crate) u32);

impl KeyId {
    #[inline]
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// A distinct key of the call under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place(pub(crate) u32);

impl Place {
    #[inline]
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// Stands for "no key" among the places of rows.
const NO_KEY: u32 = u32::MAX;

/// Which key each row has. Kept from call to call for its memory.
#[derive(Debug, Default)]
pub(crate) struct Call {
    open: bool,
    row_places: Vec<u32>,
    keys: Vec<KeyId>,
}

impl Call {
    pub(crate) fn open(&mut self, rows: usize) {
        self.open = true;
        self.row_places.clear();
        self.row_places.reserve(rows);
        self.keys.clear();
    }

    pub(crate) fn close(&mut self) {
        self.open = false;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// How many rows the call has.
    pub(crate) fn rows(&self) -> usize {
        self.row_places.len()
    }

    /// How many distinct keys the call has.
    pub(crate) fn places(&self) -> usize {
        self.keys.len()
    }

    #[inline]
    pub(crate) fn key_at(&self, place: Place) -> KeyId {
        self.keys[place.at()]
    }

    /// The next row has this key. `remembered` is where the key's owner keeps the place that it had last, whichever
    /// call that was: it counts only if that place is this key's now (a sparse set, so that nothing is ever reset).
    #[inline]
    pub(crate) fn push_row(&mut self, key: KeyId, remembered: &mut Place) {
        if self.keys.get(remembered.at()) != Some(&key) {
            *remembered = Place(self.keys.len() as u32);
            self.keys.push(key);
        }
        self.row_places.push(remembered.0);
    }

    /// The next row has no key.
    pub(crate) fn push_row_without_key(&mut self) {
        self.row_places.push(NO_KEY);
    }

    /// The place of a row's key.
    #[inline]
    pub(crate) fn place_of(&self, row: u32) -> Result<Place, StateError> {
        match self.row_places.get(row as usize) {
            None => Err(StateError::RowOutOfRange { row, rows: self.row_places.len() }),
            Some(&NO_KEY) => Err(StateError::NoKey { row }),
            Some(&place) => Ok(Place(place)),
        }
    }

    pub(crate) fn places_of(&self, rows: &[u32]) -> Result<Vec<Place>, StateError> {
        rows.iter().map(|&row| self.place_of(row)).collect()
    }
}
