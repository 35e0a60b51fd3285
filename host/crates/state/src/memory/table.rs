//! One table for each declared state: sends what concerns all kinds alike to the kind at hand.

use gristmill_ports::state::{FrozenChange, StateError};
use gristmill_types::StateIndex;
use gristmill_types::descriptor::{StateKind, StateScope, StateSpec};

use super::list::ListTable;
use super::map::MapTable;
use super::value::ValueTable;
use crate::call::Call;
use crate::directory::Directory;
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
            (StateScope::Keyed, StateKind::Value) => Self::Value(ValueTable::default()),
            (StateScope::Keyed, StateKind::AppendList) => Self::List(ListTable::default()),
            (StateScope::Keyed, StateKind::OrderedMap) => Self::Map(MapTable::default()),
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

    pub(super) fn drain(&mut self, state: StateIndex, max: usize, keys: &mut Directory, out: &mut Vec<FrozenChange>) {
        match self {
            Self::Value(table) => table.drain(state, max, keys, out),
            Self::List(table) => table.drain(state, max, keys, out),
            Self::Map(table) => table.drain(state, max, keys, out),
            Self::Unaddressable(_) => {}
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
