//! State that another version of the module has written is rewritten key by key: before the first call with the key, and
//! page by page between calls. Either way a key's entries leave the old state and come into the new one in one transaction.

use std::collections::HashSet;

use gristmill_checkpoint::seating::Move;
use gristmill_ports::StateBackend;
use gristmill_ports::migration::{Entries, Migration, Migrator};
use gristmill_ports::state::{StateError, StateTime};
use gristmill_types::descriptor::StateKind;
use gristmill_types::{CallFailure, Column, EventBatch};

/// Bytes that one call of `migrate` is given. A key goes as a whole, so one alone may be more.
pub(crate) const PAGE_BYTES: usize = 256 << 10;

/// Keys that are moved in one transaction.
pub(crate) const PAGE_KEYS: usize = 1024;

/// Bytes that one look into a list or a map brings.
const SCAN_BYTES: u32 = 64 << 10;

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
        let rows = first_rows(events);
        for one in &self.moves {
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

fn move_keys(
    migrator: &mut dyn Migrator,
    one: &Move,
    (events, rows): (&EventBatch, &[u32]),
    state: &mut dyn StateBackend,
    time: StateTime,
) -> Result<(), CallFailure> {
    state.begin(events, time);
    let read = match read(one, rows, state) {
        Err(StateError::ReadTooLarge { .. }) if rows.len() > 1 => {
            let (some, others) = rows.split_at(rows.len() / 2);
            move_keys(migrator, one, (events, some), state, time)?;
            return move_keys(migrator, one, (events, others), state, time);
        }
        read => read.map_err(|error| host(&error)),
    };
    let moved = read.and_then(|all| {
        pages(all).iter().try_for_each(|page| move_page(migrator, one, events, page, state))?;
        state.commit().map_err(|error| host(&error))?;
        fail::fail_point!("state-moved");
        Ok(())
    });
    // An open call is rolled back by the next one, too.
    moved.inspect_err(|_| state.roll_back())
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
fn read(one: &Move, rows: &[u32], state: &mut dyn StateBackend) -> Result<Vec<Owned>, StateError> {
    let place = one.from.seat;
    let mut all = Vec::new();
    match one.from.kind {
        StateKind::Value | StateKind::Accumulator => {
            let found = state.get(place, rows)?;
            for (&row, &slot) in rows.iter().zip(&found.slots) {
                if let Some(value) = found.values.get(slot as usize) {
                    all.push(Owned { row, entries: vec![(None, value.to_vec())] });
                }
            }
        }
        StateKind::AppendList => {
            for &row in rows {
                let scan = |after: Option<&[u8]>| state.list_scan(place, row, after, SCAN_BYTES);
                all.extend(read_pages(row, scan)?);
            }
        }
        StateKind::OrderedMap => {
            for &row in rows {
                let scan = |after: Option<&[u8]>| state.map_scan(place, row, b"", after, SCAN_BYTES);
                all.extend(read_pages(row, scan)?);
            }
        }
    }
    Ok(all)
}

fn read_pages(
    row: u32,
    mut scan: impl FnMut(Option<&[u8]>) -> Result<gristmill_ports::state::ScanPage, StateError>,
) -> Result<Option<Owned>, StateError> {
    let (mut entries, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let page = scan(after.as_deref())?;
        for (at, value) in page.values.iter().enumerate() {
            let name = (!page.keys.is_empty()).then(|| page.keys.bytes_of(at).to_vec());
            entries.push((name, value.unwrap_or_default().to_vec()));
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok((!entries.is_empty()).then_some(Owned { row, entries })),
        }
    }
}

fn move_page(
    migrator: &mut dyn Migrator,
    one: &Move,
    events: &EventBatch,
    page: &[Owned],
    state: &mut dyn StateBackend,
) -> Result<(), CallFailure> {
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
    let rewritten = migrator.migrate(migration(one), &given)?;
    let owners: Vec<u32> = rewritten.owners.iter().map(|&owner| page[owner as usize].row).collect();
    let keys: Vec<u32> = page.iter().map(|owned| owned.row).collect();
    write(one, &owners, &rewritten, state).and_then(|()| clear(one, &keys, state)).map_err(|error| host(&error))
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
