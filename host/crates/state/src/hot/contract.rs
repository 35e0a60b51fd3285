//! Holds calls to the contract before anything is read or written.

use gristmill_ports::state::StateError;
use gristmill_types::{Column, StateIndex};

use super::{Backend, State};
use crate::cold::Cold;
use crate::write_set::{Write, WriteKind};

#[expect(private_bounds, reason = "which cold stores there are is this crate's own affair")]
impl<C: Cold> Backend<C> {
    /// The state to be used by the call under way.
    pub(super) fn state(&self, index: StateIndex) -> Result<&State, StateError> {
        if !self.call.is_open() {
            return Err(StateError::OutsideCall);
        }
        let declared = self.states.len();
        self.states.get(index.at()).ok_or(StateError::UnknownState { index: index.0, declared })
    }

    /// Makes a state ready to be read by the call under way: folds the call's own writes into its overlay.
    pub(super) fn catch_up(&mut self, index: StateIndex) -> Result<(), StateError> {
        self.state(index)?;
        self.states[index.at()].overlay.keep_up(index, &self.writes);
        Ok(())
    }

    /// Checks a write and puts it behind the others.
    pub(super) fn write(
        &mut self,
        index: StateIndex,
        rows: &[u32],
        change: WriteKind,
        function: &'static str,
    ) -> Result<(), StateError> {
        let state = self.state(index)?;
        if !state.table.takes(&change) {
            return Err(state.wrong_kind(function));
        }
        match &change {
            WriteKind::PutValues(values) => even(rows, values)?,
            WriteKind::AppendToLists(items) => even(rows, items).and_then(|()| without_null(items, function))?,
            WriteKind::PutEntries { keys, values } => {
                even(rows, keys)?;
                even(rows, values)?;
                without_null(keys, function)?;
            }
            WriteKind::ClearLists | WriteKind::ClearMaps => {}
        }
        let places = self.call.places_of(rows)?;
        self.writes.push(Write { state: index, places, change })
    }
}

pub(super) fn even(rows: &[u32], values: &Column) -> Result<(), StateError> {
    if rows.len() == values.len() { Ok(()) } else { Err(StateError::Uneven { rows: rows.len(), values: values.len() }) }
}

pub(super) fn without_null(values: &Column, function: &'static str) -> Result<(), StateError> {
    match values.nulls().first() {
        None => Ok(()),
        Some(&place) => Err(StateError::NullValue { place: place as usize, function }),
    }
}
