//! The write set by key, so that a call's reads see its own writes.
//!
//! Made only when a call reads a state after writing to it, and then kept up with the write set by folding in what was
//! added since. Nothing is copied but map keys: a value is named by where it stands in the write set.

use std::collections::BTreeMap;

use gristmill_types::StateIndex;

use crate::call::Place;
use crate::inline::InlineBytes;
use crate::write_set::{Write, WriteKind, WriteSet};

/// A value in the write set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    write: u32,
    item: u32,
}

impl Written {
    /// The value; `None` for a deletion.
    pub(crate) fn value<'w>(&self, writes: &'w WriteSet) -> Option<&'w [u8]> {
        match &writes.writes()[self.write as usize].change {
            WriteKind::PutValues(values) | WriteKind::AppendToLists(values) | WriteKind::PutEntries { values, .. } => {
                values.get(self.item as usize)
            }
            WriteKind::ClearLists | WriteKind::ClearMaps => None,
        }
    }
}

/// What the call has done to one list.
#[derive(Debug, Default)]
pub(crate) struct WrittenList {
    /// The committed items are gone.
    pub(crate) cleared: bool,
    pub(crate) appended: Vec<Written>,
}

/// What the call has done to one map.
#[derive(Debug, Default)]
pub(crate) struct WrittenMap {
    /// The committed entries are gone.
    pub(crate) cleared: bool,
    pub(crate) entries: BTreeMap<InlineBytes, Written>,
}

/// What the call has done to one state; only the part of the state's kind is used.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Writes of the write set that are folded in.
    folded: usize,
    /// By place; may be shorter than the call has places.
    values: Vec<Option<Written>>,
    lists: BTreeMap<Place, WrittenList>,
    maps: BTreeMap<Place, WrittenMap>,
}

impl Overlay {
    /// Forgets everything: another call begins, or writes were taken back.
    pub(crate) fn reset(&mut self) {
        if self.folded > 0 {
            self.folded = 0;
            self.values.clear();
            self.lists.clear();
            self.maps.clear();
        }
    }

    /// Folds in the writes to `state` that came since.
    pub(crate) fn keep_up(&mut self, state: StateIndex, writes: &WriteSet) {
        for (number, write) in writes.writes().iter().enumerate().skip(self.folded) {
            if write.state == state {
                self.fold(number as u32, write);
            }
        }
        self.folded = writes.writes().len();
    }

    fn fold(&mut self, number: u32, write: &Write) {
        for (item, &place) in write.places.iter().enumerate() {
            let written = Written { write: number, item: item as u32 };
            match &write.change {
                WriteKind::PutValues(_) => {
                    if self.values.len() <= place.at() {
                        self.values.resize(place.at() + 1, None);
                    }
                    self.values[place.at()] = Some(written);
                }
                WriteKind::AppendToLists(_) => self.lists.entry(place).or_default().appended.push(written),
                WriteKind::ClearLists => {
                    self.lists.insert(place, WrittenList { cleared: true, appended: Vec::new() });
                }
                WriteKind::PutEntries { keys, .. } => {
                    let map = self.maps.entry(place).or_default();
                    map.entries.insert(InlineBytes::from_slice(keys.bytes_of(item)), written);
                }
                WriteKind::ClearMaps => {
                    self.maps.insert(place, WrittenMap { cleared: true, entries: BTreeMap::new() });
                }
            }
        }
    }

    #[inline]
    pub(crate) fn value(&self, place: Place) -> Option<Written> {
        self.values.get(place.at()).copied().flatten()
    }

    pub(crate) fn list(&self, place: Place) -> Option<&WrittenList> {
        self.lists.get(&place)
    }

    pub(crate) fn map(&self, place: Place) -> Option<&WrittenMap> {
        self.maps.get(&place)
    }
}
