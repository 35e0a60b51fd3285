//! One table for each declared state: sends what concerns all kinds alike to the kind at hand.

use gristmill_ports::state::{StateError, StateTime};
use gristmill_types::StateIndex;
use gristmill_types::descriptor::{StateKind, StateScope, StateSpec};

use super::cursors::StateOf;
use super::list::{self, ListTable};
use super::map::{self, MapTable};
use super::value::{self, ValueTable};
use crate::call::{Call, KeyId};
use crate::changes::{Batch, Log, Restoring};
use crate::directory::Directory;
use crate::file::Change;
use crate::gathered::Gathered;
use crate::inline::InlineBytes;
use crate::write_set::{Write, WriteKind};

/// The entries of one state, by its kind.
#[derive(Debug)]
pub(super) enum Table {
    Value(ValueTable),
    List(ListTable),
    Map(MapTable),
    /// Declared, but not to be addressed by row: of this kind.
    Unaddressable(&'static str),
}

impl Table {
    pub(super) fn new(spec: &StateSpec) -> Self {
        match (spec.scope, spec.kind) {
            (StateScope::Broadcast, _) => Self::Unaddressable("broadcast"),
            (StateScope::Keyed, StateKind::Value) => Self::Value(ValueTable::new(spec)),
            (StateScope::Keyed, StateKind::AppendList) => Self::List(ListTable::new(spec)),
            (StateScope::Keyed, StateKind::OrderedMap) => Self::Map(MapTable::new(spec)),
            (StateScope::Keyed, StateKind::Accumulator) => Self::Unaddressable("accumulator"),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Value(_) => "value",
            Self::List(_) => "append-list",
            Self::Map(_) => "ordered-map",
            Self::Unaddressable(kind) => kind,
        }
    }

    pub(super) fn set_time(&mut self, time: StateTime) {
        match self {
            Self::Value(table) => table.set_time(time),
            Self::List(table) => table.set_time(time),
            Self::Map(table) => table.set_time(time),
            Self::Unaddressable(_) => {}
        }
    }

    /// Deletes what one key has here and whose time is over; of a map a slice of at most `max` entries from the name
    /// `from` on. Batches up to `handed_over` are closed. Gives the name at which the map goes on.
    pub(super) fn sweep(
        &mut self,
        key: KeyId,
        (from, max): (&[u8], usize),
        handed_over: Batch,
        keys: &mut Directory,
    ) -> Option<InlineBytes> {
        match self {
            Self::Value(table) => table.sweep(key, keys),
            Self::List(table) => table.sweep(key, handed_over, keys),
            Self::Map(table) => return table.sweep(key, from, max, keys),
            Self::Unaddressable(_) => {}
        }
        None
    }

    /// Sets what a snapshot has of one key; false if it has something else than this state holds.
    pub(super) fn restore(&mut self, key: KeyId, change: &Change<'_>, how: Restoring, keys: &mut Directory) -> bool {
        match (self, *change) {
            (Self::Value(table), Change::PutValue(value)) => table.restore(key, value, how, keys),
            (Self::List(table), Change::Item(index, item)) => table.restore(key, index, item, how, keys),
            (Self::Map(table), Change::PutEntry(name, value)) => table.restore(key, name, value, how, keys),
            (Self::Value(_) | Self::List(_) | Self::Map(_) | Self::Unaddressable(_), _) => return false,
        }
        true
    }

    /// Whether a write of this sort makes sense here.
    pub(super) fn takes(&self, change: &WriteKind) -> bool {
        match change {
            WriteKind::PutValues(_) => matches!(self, Self::Value(_)),
            WriteKind::AppendToLists(_) | WriteKind::ClearLists => matches!(self, Self::List(_)),
            WriteKind::PutEntries { .. } | WriteKind::ClearMaps => matches!(self, Self::Map(_)),
        }
    }

    /// Applies one committed write.
    ///
    /// # Errors
    /// If a list is full.
    ///
    /// # Panics
    /// If the table does not [take](Self::takes) it.
    pub(super) fn apply(&mut self, write: &Write, call: &Call, keys: &mut Directory) -> Result<(), StateError> {
        let owners = write.places.iter().map(|&place| call.key_at(place));
        match (self, &write.change) {
            (Self::Value(table), WriteKind::PutValues(values)) => {
                owners.zip(values.iter()).for_each(|(owner, value)| table.write(owner, value, keys));
            }
            (Self::List(table), WriteKind::AppendToLists(items)) => {
                for (item, owner) in owners.enumerate() {
                    table.append(owner, items.bytes_of(item), keys)?;
                }
            }
            (Self::List(table), WriteKind::ClearLists) => owners.for_each(|owner| table.clear(owner, keys)),
            (Self::Map(table), WriteKind::PutEntries { keys: names, values }) => {
                for (item, (owner, value)) in owners.zip(values.iter()).enumerate() {
                    table.write(owner, names.bytes_of(item), value, keys);
                }
            }
            (Self::Map(table), WriteKind::ClearMaps) => owners.for_each(|owner| table.clear(owner, keys)),
            (Self::Value(_) | Self::List(_) | Self::Map(_) | Self::Unaddressable(_), _) => {
                unreachable!("the kind was checked when the write was taken")
            }
        }
        Ok(())
    }

    pub(super) fn is_drained(&self) -> bool {
        match self {
            Self::Value(table) => table.is_drained(),
            Self::List(table) => table.is_drained(),
            Self::Map(table) => table.is_drained(),
            Self::Unaddressable(_) => true,
        }
    }

    pub(super) fn freeze(&mut self) {
        match self {
            Self::Value(table) => table.freeze(),
            Self::List(table) => table.freeze(),
            Self::Map(table) => table.freeze(),
            Self::Unaddressable(_) => {}
        }
    }

    pub(super) fn drain(&mut self, log: Log, state: StateIndex, max: usize, keys: &mut Directory, out: &mut Gathered) {
        match self {
            Self::Value(table) => table.drain(log, state, max, keys, out),
            Self::List(table) => table.drain(log, state, max, keys, out),
            Self::Map(table) => table.drain(log, state, max, keys, out),
            Self::Unaddressable(_) => {}
        }
    }

    /// Whether the value or the list of a key stands here and not in the cold store.
    pub(super) fn knows(&self, key: KeyId) -> bool {
        match self {
            Self::Value(table) => table.knows(key),
            Self::List(table) => table.knows(key),
            Self::Map(_) | Self::Unaddressable(_) => true,
        }
    }

    /// Sets a value or a list that the cold store has.
    ///
    /// # Errors
    /// If it makes no sense.
    pub(super) fn load(&mut self, key: KeyId, stored: &[u8], keys: &mut Directory) -> Result<(), StateError> {
        match self {
            Self::Value(table) => table.load(key, stored, keys),
            Self::List(table) => table.load(key, stored, keys)?,
            Self::Map(_) | Self::Unaddressable(_) => {}
        }
        Ok(())
    }

    /// Forgets what the cold store has of a key as it is here, and hands over what it has not; of a map a slice from the
    /// name `from` on. Gives the name at which the map goes on.
    pub(super) fn evict(
        &mut self,
        place: StateOf,
        from: &[u8],
        batches: (Batch, Batch),
        keys: &mut Directory,
        out: &mut Gathered,
    ) -> Option<InlineBytes> {
        match self {
            Self::Value(table) => table.evict(place, batches, keys, out),
            Self::List(table) => table.evict(place, batches, keys, out),
            Self::Map(table) => return table.evict(place, from, batches, keys, out),
            Self::Unaddressable(_) => {}
        }
        None
    }

    /// Bytes that each key takes here, used or not.
    pub(super) fn cell_bytes(&self) -> usize {
        match self {
            Self::Value(_) => value::CELL_BYTES,
            Self::List(_) => list::CELL_BYTES,
            Self::Map(_) => map::CELL_BYTES,
            Self::Unaddressable(_) => 0,
        }
    }

    /// Bytes held in memory beside those.
    pub(super) fn resident_bytes(&self) -> usize {
        match self {
            Self::Value(table) => table.resident_bytes(),
            Self::List(table) => table.resident_bytes(),
            Self::Map(table) => table.resident_bytes(),
            Self::Unaddressable(_) => 0,
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Value(table) => table.bytes(),
            Self::List(table) => table.bytes(),
            Self::Map(table) => table.bytes(),
            Self::Unaddressable(_) => 0,
        }
    }
}
