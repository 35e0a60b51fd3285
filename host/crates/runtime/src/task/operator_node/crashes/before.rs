//! What a call could see of the state: all that is kept for the keys of its events, within a bound.

use std::collections::HashSet;

use gristmill_ports::StateBackend;
use gristmill_ports::crash::{EntryBefore, StateBefore};
use gristmill_ports::state::{ScanPage, StateError, StateTime};
use gristmill_types::descriptor::{StateKind, StateScope, StateSpec};
use gristmill_types::{Descriptor, EventBatch, StateIndex};

/// Bytes of a page that is read of a list or a map.
const PAGE: u32 = 64 << 10;
/// What an entry takes besides its bytes.
const ENTRY: usize = 24;

/// What was kept before the call, and in words what of it is missing.
pub(super) struct Before {
    pub(super) states: Vec<StateBefore>,
    pub(super) left_out: Vec<String>,
}

impl Before {
    /// Reads the state as it is, with no call open; at most about `room` bytes of it.
    pub(super) fn read(
        state: &mut dyn StateBackend,
        descriptor: &Descriptor,
        events: &EventBatch,
        time: StateTime,
        room: usize,
    ) -> Self {
        let mut before = Self { states: Vec::new(), left_out: Vec::new() };
        // Events of an input without keys see no state.
        if !descriptor.is_stateful() || events.key_hashes().len() != events.len() {
            return before;
        }
        state.begin(events, time);
        let mut reading = Reading { state, events, room };
        for (index, spec) in descriptor.states.iter().enumerate() {
            if spec.scope == StateScope::Keyed {
                before.note(spec, reading.all_of(StateIndex(index as u32), spec.kind));
            }
        }
        reading.state.roll_back();
        before
    }

    fn note(&mut self, spec: &StateSpec, (entries, ended): (Vec<EntryBefore>, Result<(), Missing>)) {
        let StateSpec { name, kind, version, .. } = spec;
        if let Err(why) = ended {
            self.left_out.push(format!("what follows in state `{name}`: {why}"));
        }
        self.states.push(StateBefore { state: name.clone(), kind: *kind, version: *version, entries });
    }
}

/// Why a state is not here whole.
#[derive(Debug, thiserror::Error)]
enum Missing {
    #[error("it did not fit into the bundle")]
    NoRoom,
    #[error("it cannot be recorded")]
    NoEntries,
    #[error("{0}")]
    Unread(#[from] StateError),
}

struct Reading<'a> {
    state: &'a mut dyn StateBackend,
    events: &'a EventBatch,
    room: usize,
}

impl Reading<'_> {
    /// All entries of one state, for each key once; as far as it went, if it did not go to the end.
    fn all_of(&mut self, index: StateIndex, kind: StateKind) -> (Vec<EntryBefore>, Result<(), Missing>) {
        let (mut entries, mut seen) = (Vec::new(), HashSet::new());
        let keys = self.events.keys().iter().enumerate();
        let mut keyed = keys.filter_map(|(row, key)| key.filter(|key| seen.insert(*key)).map(|key| (row as u32, key)));
        let read = keyed.try_for_each(|(row, key)| match kind {
            StateKind::Value => self.value(index, row, key, &mut entries),
            StateKind::AppendList | StateKind::OrderedMap => self.pages(index, kind, row, key, &mut entries),
            StateKind::Accumulator => Err(Missing::NoEntries),
        });
        (entries, read)
    }

    fn value(
        &mut self,
        index: StateIndex,
        row: u32,
        key: &[u8],
        entries: &mut Vec<EntryBefore>,
    ) -> Result<(), Missing> {
        let read = self.state.get(index, &[row])?;
        match read.slots.first().and_then(|slot| read.values.get(*slot as usize)) {
            Some(value) => self.push(key, None, value, entries),
            None => Ok(()),
        }
    }

    fn pages(
        &mut self,
        index: StateIndex,
        kind: StateKind,
        row: u32,
        key: &[u8],
        entries: &mut Vec<EntryBefore>,
    ) -> Result<(), Missing> {
        let is_map = kind == StateKind::OrderedMap;
        let mut after: Option<Vec<u8>> = None;
        loop {
            let ScanPage { keys, values, next } = match is_map {
                true => self.state.map_scan(index, row, b"", after.as_deref(), PAGE)?,
                false => self.state.list_scan(index, row, after.as_deref(), PAGE)?,
            };
            for (place, value) in values.iter().enumerate() {
                let map_key = is_map.then(|| keys.bytes_of(place).to_vec());
                self.push(key, map_key, value.unwrap_or_default(), entries)?;
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn push(
        &mut self,
        key: &[u8],
        map_key: Option<Vec<u8>>,
        value: &[u8],
        entries: &mut Vec<EntryBefore>,
    ) -> Result<(), Missing> {
        let bytes = ENTRY + key.len() + map_key.as_ref().map_or(0, Vec::len) + value.len();
        self.room = self.room.checked_sub(bytes).ok_or(Missing::NoRoom)?;
        entries.push(EntryBefore { key: key.to_vec(), map_key, value: value.to_vec() });
        Ok(())
    }
}
