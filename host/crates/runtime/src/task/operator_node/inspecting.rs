//! State of one key, looked at and changed from outside, between two calls. Both stand under the rules of a call: what is
//! seen is what calls committed, and a change is a transaction of its own.

use gristmill_checkpoint::seating::Place;
use gristmill_ports::StateBackend;
use gristmill_ports::state::{StateError, StateTime};
use gristmill_types::descriptor::StateKind;
use gristmill_types::{Column, EventBatch, StateIndex};

use crate::checkpoint::told::Told;
use crate::ending::TaskEnd;
use crate::state_access::{Act, FoundEntry, OpenEdit, StateEdit, StateFound, StateKey, StateLook};
use crate::task::operator_node::OperatorNode;
use crate::task::surroundings::Surroundings;

/// Bytes of entries that one look gives, but for the last entry: the stream waits meanwhile.
const MOST_BYTES: usize = 1 << 20;
/// Entries that are looked through before all that a key has is changed.
const MOST_BEFORE: usize = 1000;
/// The only row of the batch that stands for the key.
const ROW: u32 = 0;

impl OperatorNode {
    /// Does what somebody asks of a key's state.
    ///
    /// # Errors
    /// If the state is lost.
    pub(crate) fn act_on_state(&mut self, of: &StateKey, act: Act, around: &Surroundings) -> Result<(), TaskEnd> {
        if of.module != self.module {
            act.refuse(StateError::Backend("another module has just taken the operator over; ask again".to_owned()));
            return Ok(());
        }
        let now_ms = around.clock.now_ms();
        let mut batch = EventBatch::default();
        batch.push(now_ms, Some(&of.key), None);
        let time = StateTime { processing_ms: now_ms, event_ms: self.watermark.0 };
        let batch = batch.hashed();
        // What the key has in the schema of another version is looked at and edited in this one's.
        let mut unread = Vec::new();
        if let Err(failure) = self.states.rewrite_state(of.state, &batch, time) {
            self.unless_lost(&failure)?;
            if !act.replaces_all() {
                act.refuse(StateError::Backend(format!("{failure}; set all of it, or clear it")));
                return Ok(());
            }
            unread = self.states.former(of.state);
        }
        self.states.backend.begin(&batch, time);
        match act {
            Act::Look { look, answer } => {
                let found = self.look(of, look);
                self.states.backend.roll_back();
                // Whoever asked may have left.
                let _ = answer.send(found);
                Ok(())
            }
            Act::Edit { edit, answer, decided } => {
                let before = if unread.is_empty() { self.before(of, &edit) } else { self.give_up(&unread) };
                let edited = before.and_then(|before| change(&mut *self.states.backend, of, edit).map(|()| before));
                let before = match edited {
                    Ok(before) => before,
                    Err(error) => {
                        self.states.backend.roll_back();
                        let _ = answer.send(Err(error));
                        return Ok(());
                    }
                };
                self.states.backend.commit().map_err(|error| self.job_failure(&error.to_string(), false))?;
                self.state_generation += 1;
                self.counters.note_state(self.states.backend.size());
                fail::fail_point!("state-edited");
                let after = around.passed;
                // Before the answer, and before any barrier that follows: no checkpoint that has it is decided unheard.
                let _ =
                    around.desk.supervisor.send(Told::StateEdited(self.id.clone(), OpenEdit { after, tell: decided }));
                let _ = answer.send(Ok((before, after)));
                Ok(())
            }
        }
    }

    fn look(&mut self, of: &StateKey, look: StateLook) -> Result<StateFound, StateError> {
        match look {
            StateLook::Entry(name) => self.entry(of, name),
            StateLook::Page { after, limit } => all_of(&mut *self.states.backend, (of.state, of.kind), after, limit),
        }
    }

    fn entry(&mut self, of: &StateKey, name: Vec<u8>) -> Result<StateFound, StateError> {
        let names: Column = [Some(name.as_slice())].into_iter().collect();
        let values = self.states.backend.map_get(of.state, &[ROW], &names)?;
        let entries = values.get(0).map(|value| FoundEntry { name: Some(name), value: value.to_vec() });
        Ok(StateFound { entries: entries.into_iter().collect(), next: None })
    }

    /// What an edit will change.
    fn before(&mut self, of: &StateKey, edit: &StateEdit) -> Result<StateFound, StateError> {
        match edit {
            StateEdit::PutEntry { name, .. } | StateEdit::DeleteEntry(name) => self.entry(of, name.clone()),
            StateEdit::PutValue(_) | StateEdit::SetItems(_) | StateEdit::Clear => {
                self.look(of, StateLook::Page { after: None, limit: MOST_BEFORE })
            }
        }
    }

    /// Clears what the key has in the schema of another version, which the module cannot read, and gives the bytes that were
    /// there.
    fn give_up(&mut self, unread: &[Place]) -> Result<StateFound, StateError> {
        self.states.whole(|backend| {
            let mut all = StateFound::default();
            for Place { seat, kind, .. } in unread {
                let found = all_of(backend, (*seat, *kind), None, MOST_BEFORE)?;
                all.entries.extend(found.entries);
                all.next = all.next.or(found.next);
                clear(backend, (*seat, *kind))?;
            }
            Ok(all)
        })
    }
}

fn value(backend: &mut dyn StateBackend, state: StateIndex) -> Result<StateFound, StateError> {
    let read = backend.get(state, &[ROW])?;
    let value = read.slots.first().and_then(|slot| read.values.get(*slot as usize));
    let entries = value.map(|value| FoundEntry { name: None, value: value.to_vec() });
    Ok(StateFound { entries: entries.into_iter().collect(), next: None })
}

/// What the key has in a state. One entry at a time: where each ends is where the next page may begin.
fn all_of(
    backend: &mut dyn StateBackend,
    (state, kind): (StateIndex, StateKind),
    mut after: Option<Vec<u8>>,
    limit: usize,
) -> Result<StateFound, StateError> {
    let mut found = StateFound::default();
    let mut bytes = 0;
    loop {
        let page = match kind {
            StateKind::Value | StateKind::Accumulator => return value(backend, state),
            StateKind::OrderedMap => backend.map_scan(state, ROW, &[], after.as_deref(), 1)?,
            StateKind::AppendList => backend.list_scan(state, ROW, after.as_deref(), 1)?,
        };
        for (row, value) in page.values.iter().enumerate() {
            // Items of a list have no names.
            let is_named = row < page.keys.len();
            let name = is_named.then(|| page.keys.bytes_of(row).to_vec());
            let value = value.unwrap_or_default().to_vec();
            bytes += value.len() + name.as_ref().map_or(0, Vec::len);
            found.entries.push(FoundEntry { name, value });
        }
        if page.next.is_none() || found.entries.len() >= limit || bytes >= MOST_BYTES {
            found.next = page.next;
            return Ok(found);
        }
        after = page.next;
    }
}

fn change(backend: &mut dyn StateBackend, of: &StateKey, edit: StateEdit) -> Result<(), StateError> {
    let state = of.state;
    let one = |bytes: Option<&[u8]>| -> Column { [bytes].into_iter().collect() };
    match edit {
        StateEdit::PutValue(value) => backend.put(state, &[ROW], &one(Some(&value))),
        StateEdit::PutEntry { name, value } => backend.map_put(state, &[ROW], &one(Some(&name)), &one(Some(&value))),
        StateEdit::DeleteEntry(name) => backend.map_put(state, &[ROW], &one(Some(&name)), &one(None)),
        StateEdit::SetItems(items) => {
            backend.list_clear(state, &[ROW])?;
            let rows = vec![ROW; items.len()];
            let items: Column = items.iter().map(|item| Some(item.as_slice())).collect();
            backend.list_append(state, &rows, &items)
        }
        StateEdit::Clear => clear(backend, (state, of.kind)),
    }
}

fn clear(backend: &mut dyn StateBackend, (state, kind): (StateIndex, StateKind)) -> Result<(), StateError> {
    match kind {
        StateKind::Value | StateKind::Accumulator => backend.put(state, &[ROW], &Column::all_null(1)),
        StateKind::AppendList => backend.list_clear(state, &[ROW]),
        StateKind::OrderedMap => backend.map_clear(state, &[ROW]),
    }
}
