//! Fills an empty backend from files of state.

use gristmill_ports::checkpoint_store::interrupted;
use gristmill_ports::state::RestoredState;
use gristmill_ports::{FileStore, PortError};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{StateIndex, key_hash};

use super::Backend;
use crate::changes::Restoring;
use crate::cold::Cold;
use crate::file::{Change, Entry, Merged, Rule, common};

/// What is restored between two looks at how much memory it takes.
const ENTRIES_BETWEEN_LOOKS: usize = if cfg!(test) { 3 } else { 256 };
const BYTES_BETWEEN_LOOKS: usize = 256 << 10;

/// Where a state of the writer is here.
#[derive(Debug, Clone, Copy)]
struct Reader {
    place: StateIndex,
    /// Whether times of the writer mean anything here.
    same_clock: bool,
}

#[expect(private_bounds, reason = "which cold stores there are is this crate's own affair")]
impl<C: Cold> Backend<C> {
    /// See [`StateBackend::restore`](gristmill_ports::StateBackend::restore).
    pub(super) fn fill(&mut self, from: &RestoredState<'_>, files: &dyn FileStore) -> Result<(), PortError> {
        self.states.iter_mut().for_each(|state| state.table.set_time(from.time));
        let places: Vec<Option<Reader>> = from.states.iter().map(|spec| self.reader_of(spec)).collect();
        // Files name states by their place, and a file cannot say by which clock it was written: beside these, new ones
        // would make no sense.
        let anew = from.states != self.specs;
        let rules = from.states.iter().map(|spec| Rule::of(spec, from.time)).collect();
        let mut merged = Merged::open(from.files, common(from.groups, self.groups), rules, true, files)?;
        let (mut owner, mut entries, mut bytes) = (None, 0, 0);
        while merged.advance()? {
            let Some(entry) = merged.entry() else { break };
            let hash = Some((entry.state, key_hash(entry.key)));
            let begun = owner == hash;
            owner = hash;
            // A list must not leave while it is half there; a map may, or else it would have to fit into memory.
            let is_whole = !begun || matches!(entry.change, Change::PutEntry(..));
            if is_whole && (entries >= ENTRIES_BETWEEN_LOOKS || bytes >= BYTES_BETWEEN_LOOKS) {
                (entries, bytes) = (0, 0);
                if files.is_over() {
                    return Err(interrupted());
                }
                self.make_room_while_restoring()?;
            }
            entries += 1;
            bytes += entry.key.len() + entry.change.bytes();
            match places.get(entry.state as usize) {
                Some(&Some(reader)) => self.restore_entry(reader, &entry, Restoring { anew, begun })?,
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

    /// Who reads a state of the writer here.
    fn reader_of(&self, writer: &StateSpec) -> Option<Reader> {
        // A state that is being rewritten stands there in both schemas, under one name.
        let same =
            |spec: &StateSpec| (&spec.name, spec.version, spec.kind) == (&writer.name, writer.version, writer.kind);
        let named = || self.specs.iter().position(|spec| spec.name == writer.name);
        let at = self.specs.iter().position(same).or_else(named)?;
        let same_clock = self.specs[at].ttl_clock == writer.ttl_clock;
        Some(Reader { place: StateIndex(at as u32), same_clock })
    }

    fn restore_entry(&mut self, reader: Reader, entry: &Entry<'_>, how: Restoring) -> Result<(), PortError> {
        let state = &mut self.states[reader.place.at()];
        if entry.version != state.version {
            return Err(PortError::fatal(format!(
                "state `{}` was written with schema version {}, the module declares version {}; run the module that \
                 wrote it, or give the state another name to begin without it",
                state.name, entry.version, state.version
            )));
        }
        let key = self.keys.id_of(entry.key);
        let change = if reader.same_clock { entry.change } else { entry.change.without_time() };
        if state.table.restore(key, &change, how, &mut self.keys) {
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
