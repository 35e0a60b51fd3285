//! Fills an empty backend from files of state.

use gristmill_ports::state::RestoredState;
use gristmill_ports::{FileStore, PortError};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{KeyGroupRange, StateIndex, key_hash};

use super::Backend;
use crate::cold::Cold;
use crate::file::{Entry, Merged, Rule};

/// Keys that are restored between two looks at how much memory they take.
const ENTRIES_BETWEEN_LOOKS: usize = 256;

#[expect(private_bounds, reason = "which cold stores there are is this crate's own affair")]
impl<C: Cold> Backend<C> {
    /// See [`StateBackend::restore`](gristmill_ports::StateBackend::restore).
    pub(super) fn fill(&mut self, from: &RestoredState<'_>, files: &dyn FileStore) -> Result<(), PortError> {
        self.states.iter_mut().for_each(|state| state.table.set_time(from.time));
        let places: Vec<Option<StateIndex>> = from.states.iter().map(|spec| self.place_of(spec)).collect();
        let rules = from.states.iter().map(|spec| Rule::of(spec, from.time)).collect();
        let groups = KeyGroupRange {
            start: from.groups.start.max(self.groups.start),
            end: from.groups.end.min(self.groups.end),
        };
        let mut merged = Merged::open(from.files, groups, rules, true, files)?;
        let (mut owner, mut entries) = (None, 0_usize);
        while merged.advance()? {
            let Some(entry) = merged.entry() else { break };
            let hash = Some((entry.state, key_hash(entry.key)));
            if owner != hash {
                // Only between two keys: a list must not leave while it is half there.
                owner = hash;
                entries += 1;
                if entries.is_multiple_of(ENTRIES_BETWEEN_LOOKS) {
                    self.make_room_while_restoring()?;
                }
            }
            match places.get(entry.state as usize) {
                Some(&Some(place)) => self.restore_entry(place, &entry)?,
                Some(None) => {}
                None => return Err(unknown_state(entry.state, from.states.len())),
            }
        }
        self.make_room_while_restoring()?;
        self.keys.forget_unheld();
        fail::fail_point!("state-restored");
        Ok(())
    }

    fn make_room_while_restoring(&mut self) -> Result<(), PortError> {
        self.make_room(0).map_err(|error| PortError::fatal(error.to_string()))
    }

    /// Where a state of the writer is here.
    fn place_of(&self, spec: &StateSpec) -> Option<StateIndex> {
        let at = self.states.iter().position(|state| state.name == spec.name)?;
        Some(StateIndex(at as u32))
    }

    fn restore_entry(&mut self, place: StateIndex, entry: &Entry<'_>) -> Result<(), PortError> {
        let state = &mut self.states[place.at()];
        if entry.version != state.version {
            return Err(PortError::fatal(format!(
                "state `{}` was written with schema version {}, the module declares version {}; run the module that \
                 wrote it, or give the state another name to begin without it",
                state.name, entry.version, state.version
            )));
        }
        let key = self.keys.id_of(entry.key);
        if state.table.restore(key, &entry.change, &mut self.keys) {
            return Ok(());
        }
        Err(PortError::fatal(format!(
            "state `{}` is of kind {} now, but was of another when it was written; give it another name to begin \
             without it",
            state.name,
            state.table.kind()
        )))
    }
}

fn unknown_state(number: u32, known: usize) -> PortError {
    PortError::fatal(format!(
        "a file of state names state {number}, but its writer had {known}; it is not of this node"
    ))
}
