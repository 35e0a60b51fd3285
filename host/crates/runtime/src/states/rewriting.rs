//! State that another version of the module has written is rewritten key by key: before the first call with the key, and
//! page by page between calls. Either way a key's entries leave the old state and come into the new one in one transaction.

use std::collections::HashSet;

use gristmill_checkpoint::seating::{Move, Place};
use gristmill_ports::StateBackend;
use gristmill_ports::migration::{Entries, Migration, Migrator};
use gristmill_ports::state::{StateError, StateTime};
use gristmill_types::descriptor::StateKind;
use gristmill_types::{CallFailure, Column, EventBatch, StateIndex};

/// Bytes that one call of `migrate` is given. A key goes as a whole, so one alone may be more.
pub(crate) const PAGE_BYTES: usize = 256 << 10;

/// Keys that are moved in one transaction.
pub(crate) const PAGE_KEYS: usize = 1024;

/// Bytes that one look into a list or a map brings.
const SCAN_BYTES: u32 = 64 << 10;

/// Bytes of several keys that are moved in one transaction. A key goes as a whole, so one alone may be more.
const MOVE_BYTES: usize = 8 << 20;

/// Bytes of one key that are moved: more would not fit into one transaction with what they are rewritten to.
pub(crate) const MOST_OF_A_KEY: usize = 64 << 20;

/// Moves entries between states of two schemas.
pub(crate) struct Rewriting {
    migrator: Box<dyn Migrator>,
    moves: Vec<Move>,
}

/// How a move is told to a migrator.
pub(crate) fn migration(of: &Move) -> Migration<'_> {
    Migration {
        state: &of.state,
        from_version: of.from.version,
        from_kind: of.from.kind,
        to_version: of.to.version,
        to_kind: of.to.kind,
    }
}

/// Entries of one key, as they stand in a state.
struct Owned {
    row: u32,
    entries: Vec<(Option<Vec<u8>>, Vec<u8>)>,
}

impl Owned {
    fn bytes(&self) -> usize {
        self.entries.iter().map(|(name, value)| name.as_ref().map_or(0, Vec::len) + value.len()).sum()
    }
}

impl Rewriting {
    pub(crate) fn new(migrator: Box<dyn Migrator>, moves: Vec<Move>) -> Self {
        Self { migrator, moves }
    }

    /// The way back, of all that was moved out of states that `seats` sees; `None` if it sees none of them.
    pub(crate) fn back(self, is_seen: impl Fn(&Move) -> bool) -> Option<Self> {
        let moves: Vec<Move> = self.moves.iter().filter(|one| is_seen(one)).map(Move::back).collect();
        (!moves.is_empty()).then_some(Self { migrator: self.migrator, moves })
    }

    /// Moves all that the keys of these events have: some keys at a time, in a transaction of their own. `state` is seen as it
    /// stands.
    ///
    /// # Errors
    /// How `migrate` failed, or the state. Of these keys some may be moved, each as a whole.
    pub(crate) fn rewrite(
        &mut self,
        events: &EventBatch,
        state: &mut dyn StateBackend,
        time: StateTime,
    ) -> Result<(), CallFailure> {
        self.rewrite_those(|_| true, events, state, time)
    }

    /// The same, only into the state in this place.
    ///
    /// # Errors
    /// See [`Self::rewrite`].
    pub(crate) fn rewrite_into(
        &mut self,
        seat: StateIndex,
        events: &EventBatch,
        state: &mut dyn StateBackend,
        time: StateTime,
    ) -> Result<(), CallFailure> {
        self.rewrite_those(|one| one.to.seat == seat, events, state, time)
    }

    /// What is moved into the state in this place.
    pub(crate) fn former_of(&self, seat: StateIndex) -> Vec<Place> {
        self.moves.iter().filter(|one| one.to.seat == seat).map(|one| one.from).collect()
    }

    fn rewrite_those(
        &mut self,
        is_meant: impl Fn(&Move) -> bool,
        events: &EventBatch,
        state: &mut dyn StateBackend,
        time: StateTime,
    ) -> Result<(), CallFailure> {
        let rows = first_rows(events);
        for one in self.moves.iter().filter(|one| is_meant(one)) {
            for rows in rows.chunks(PAGE_KEYS) {
                move_keys(&mut *self.migrator, one, (events, rows), state, time)?;
            }
        }
        Ok(())
    }
}

/// One row for each key.
fn first_rows(events: &EventBatch) -> Vec<u32> {
    let mut seen = HashSet::new();
    let keys = (0..).zip(events.keys().iter());
    keys.filter_map(|(row, key)| key.is_some_and(|key| seen.insert(key)).then_some(row)).collect()
}

/// Why keys were not moved.
enum Unmoved {
    /// They have more than one transaction takes.
    TooMuch(StateError),
    Failed(CallFailure),
}

impl From<StateError> for Unmoved {
    fn from(error: StateError) -> Self {
        match error {
            StateError::ReadTooLarge { .. } | StateError::WriteSetFull { .. } => Self::TooMuch(error),
            other => Self::Failed(host(&other)),
        }
    }
}

/// Moves keys in as many transactions as their bytes need, each key in one.
fn move_keys(
    migrator: &mut dyn Migrator,
    one: &Move,
    (events, rows): (&EventBatch, &[u32]),
    state: &mut dyn StateBackend,
    time: StateTime,
) -> Result<(), CallFailure> {
    state.begin(events, time);
    // An open call is rolled back by the next one, too.
    let moved = move_at_once(migrator, one, (events, rows), state).inspect_err(|_| state.roll_back());
    match moved {
        Ok(()) => Ok(()),
        Err(Unmoved::TooMuch(_)) if rows.len() > 1 => {
            let (some, others) = rows.split_at(rows.len() / 2);
            move_keys(migrator, one, (events, some), state, time)?;
            move_keys(migrator, one, (events, others), state, time)
        }
        // The key's own fault: its events fail, and the others go on.
        Err(Unmoved::TooMuch(error)) => Err(CallFailure::BadRecord(format!(
            "what the key has in state `{}` cannot be rewritten at once: {error}",
            one.state
        ))),
        Err(Unmoved::Failed(failure)) => Err(failure),
    }
}

fn move_at_once(
    migrator: &mut dyn Migrator,
    one: &Move,
    (events, rows): (&EventBatch, &[u32]),
    state: &mut dyn StateBackend,
) -> Result<(), Unmoved> {
    let all = read(one, rows, state)?;
    pages(all).iter().try_for_each(|page| move_page(migrator, one, events, page, state))?;
    // Layers commit one after the other: what fails here is not tried again with fewer keys.
    state.commit().map_err(|error| Unmoved::Failed(host(&error)))?;
    fail::fail_point!("state-moved");
    Ok(())
}

/// Whole keys, as many as go into one call of `migrate`.
fn pages(all: Vec<Owned>) -> Vec<Vec<Owned>> {
    let (mut pages, mut bytes) = (vec![Vec::new()], 0);
    for owned in all {
        if bytes >= PAGE_BYTES {
            pages.push(Vec::new());
            bytes = 0;
        }
        bytes += owned.bytes();
        pages.last_mut().expect("there is one from the beginning").push(owned);
    }
    pages.retain(|page: &Vec<Owned>| !page.is_empty());
    pages
}

/// What these rows' keys have in the old state; nothing of keys that have none.
///
/// # Errors
/// If several have more than is moved at once, or the state's own.
fn read(one: &Move, rows: &[u32], state: &mut dyn StateBackend) -> Result<Vec<Owned>, StateError> {
    let place = one.from.seat;
    let mut all = Vec::new();
    match one.from.kind {
        StateKind::Value | StateKind::Accumulator => {
            let found = state.get(place, rows)?;
            if rows.len() > 1 && found.values.data().len() > MOVE_BYTES {
                return Err(StateError::ReadTooLarge { limit: MOVE_BYTES });
            }
            for (&row, &slot) in rows.iter().zip(&found.slots) {
                if let Some(value) = found.values.get(slot as usize) {
                    all.push(Owned { row, entries: vec![(None, value.to_vec())] });
                }
            }
        }
        StateKind::AppendList | StateKind::OrderedMap => {
            let most = if rows.len() > 1 { MOVE_BYTES } else { MOST_OF_A_KEY };
            let mut bytes = 0;
            for &row in rows {
                let found = read_pages(one, row, most - bytes, state)?;
                bytes += found.as_ref().map_or(0, Owned::bytes);
                all.extend(found);
            }
        }
    }
    Ok(all)
}

/// What a key has in a list or a map, if it is at most so much.
fn read_pages(one: &Move, row: u32, most: usize, state: &mut dyn StateBackend) -> Result<Option<Owned>, StateError> {
    let mut owned = Owned { row, entries: Vec::new() };
    let (mut bytes, mut after) = (0, None::<Vec<u8>>);
    loop {
        let page = match one.from.kind {
            StateKind::OrderedMap => state.map_scan(one.from.seat, row, b"", after.as_deref(), SCAN_BYTES)?,
            StateKind::AppendList | StateKind::Value | StateKind::Accumulator => {
                state.list_scan(one.from.seat, row, after.as_deref(), SCAN_BYTES)?
            }
        };
        bytes += page.keys.data().len() + page.values.data().len();
        if bytes > most {
            return Err(StateError::ReadTooLarge { limit: most });
        }
        for (at, value) in page.values.iter().enumerate() {
            let name = (!page.keys.is_empty()).then(|| page.keys.bytes_of(at).to_vec());
            owned.entries.push((name, value.unwrap_or_default().to_vec()));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok((!owned.entries.is_empty()).then_some(owned)),
        }
    }
}

fn move_page(
    migrator: &mut dyn Migrator,
    one: &Move,
    events: &EventBatch,
    page: &[Owned],
    state: &mut dyn StateBackend,
) -> Result<(), Unmoved> {
    let mut given = Entries::default();
    for (owner, Owned { row, entries }) in (0..).zip(page) {
        given.keys.push(events.keys().get(*row as usize));
        for (name, value) in entries {
            given.owners.push(owner);
            given.values.push(Some(value));
            if let Some(name) = name {
                given.map_keys.push(Some(name));
            }
        }
    }
    let rewritten = migrator.migrate(migration(one), &given).map_err(Unmoved::Failed)?;
    let owners: Vec<u32> = rewritten.owners.iter().map(|&owner| page[owner as usize].row).collect();
    let keys: Vec<u32> = page.iter().map(|owned| owned.row).collect();
    write(one, &owners, &rewritten, state)?;
    Ok(clear(one, &keys, state)?)
}

fn write(one: &Move, rows: &[u32], entries: &Entries, state: &mut dyn StateBackend) -> Result<(), StateError> {
    if rows.is_empty() {
        return Ok(());
    }
    let place = one.to.seat;
    match one.to.kind {
        StateKind::Value | StateKind::Accumulator => state.put(place, rows, &entries.values),
        StateKind::AppendList => state.list_append(place, rows, &entries.values),
        StateKind::OrderedMap => state.map_put(place, rows, &entries.map_keys, &entries.values),
    }
}

fn clear(one: &Move, rows: &[u32], state: &mut dyn StateBackend) -> Result<(), StateError> {
    let place = one.from.seat;
    match one.from.kind {
        StateKind::Value | StateKind::Accumulator => state.put(place, rows, &Column::all_null(rows.len())),
        StateKind::AppendList => state.list_clear(place, rows),
        StateKind::OrderedMap => state.map_clear(place, rows),
    }
}

fn host(error: &StateError) -> CallFailure {
    CallFailure::Host(error.to_string())
}

#[cfg(test)]
mod tests;
