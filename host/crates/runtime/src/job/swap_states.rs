//! What a swap does to the states of an operator: how the new module is seated among them, and whether its `migrate` can
//! rewrite what is there. Found out before anything is touched.

use std::collections::BTreeSet;
use std::sync::mpsc;

use gristmill_checkpoint::fit::{Declared, StateFit, Stored, fit_states};
use gristmill_checkpoint::seating::Move;
use gristmill_checkpoint::{Seating, StateFile};
use gristmill_ports::migration::{Entries, Migrator};
use gristmill_ports::state::{EntryPlace, StateEntry, StateReader};
use gristmill_ports::{FileStore, Parts, PortError};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{CallFailure, NodeId};
use serde::{Deserialize, Serialize};

use crate::checkpoint::told::Told;
use crate::job::attempt::Attempt;
use crate::job::spec::OperatorParts;
use crate::states::{MOST_OF_A_KEY, PAGE_BYTES, migration};

/// Keys of one page.
const PAGE_KEYS: usize = 256;

/// Files that are merged away meanwhile are looked for again, so often at most.
const TRIES: usize = 5;

/// What a try of `migrate` over all entries of the newest checkpoint came to. Nothing of it was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationTried {
    /// States that are rewritten.
    pub states: Vec<String>,
    /// Keys that have something in them.
    pub keys: u64,
    /// Their entries.
    pub entries: u64,
    /// Why what is rewritten cannot be rewritten back, if it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_way_back: Option<String>,
}

/// Seats a new module among the states of an operator.
pub(crate) fn seat(
    operator: &NodeId,
    there: &[StateSpec],
    new: &OperatorParts,
    dropped: &BTreeSet<String>,
) -> Result<Seating, String> {
    let declared = &new.prepared.factory.descriptor().states;
    let stored = Stored { node: operator, states: there, is_occupied: true };
    let wanted = Declared { node: operator, states: declared, migrates: new.prepared.factory.migrates() };
    let mut used = BTreeSet::new();
    let fits = fit_states(&stored, &wanted, dropped, &mut used)
        .map_err(|misfits| misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))?;
    if let Some(nothing) = dropped.difference(&used).next() {
        return Err(format!("`{nothing}` is to be dropped, but there is no such state"));
    }
    let both = |fit: &StateFit| match fit {
        StateFit::Dropped { state } if declared.iter().any(|one| one.name == *state) => Some(state.clone()),
        StateFit::Same { .. } | StateFit::Migrated { .. } | StateFit::New { .. } | StateFit::Dropped { .. } => None,
    };
    if let Some(state) = fits.iter().find_map(both) {
        return Err(format!(
            "state `{state}` of `{operator}` is to be dropped, and the new module declares it; give it another name there"
        ));
    }
    Ok(Seating::among(there, declared))
}

/// A time to live of a state that stays cannot change while it is in use.
pub(crate) fn lives_as_before(operator: &NodeId, seating: &Seating, declared: &[StateSpec]) -> Result<(), String> {
    let lives = |state: &StateSpec| (state.ttl_ms, state.ttl_clock);
    let mut seats = declared.iter().zip(&seating.seats);
    match seats.find(|(one, seat)| lives(&seating.states[seat.at()]) != lives(one)) {
        None => Ok(()),
        Some((one, _)) => Err(format!(
            "the new module declares state `{}` of `{operator}` with another time to live; `mode: restart` goes on with it",
            one.name
        )),
    }
}

/// Tries `migrate` on all that is to be moved, as the newest checkpoint has it.
///
/// # Errors
/// Why it cannot be rewritten, with the key if it is one.
pub(crate) fn try_migration(
    attempt: &Attempt,
    node: &NodeId,
    moves: &[Move],
    migrator: &mut dyn Migrator,
    (parts, files): (&dyn Parts, &dyn FileStore),
) -> Result<MigrationTried, String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        let (tell, hear) = mpsc::channel();
        let asked = attempt.told.send(Told::FilesWanted { node: node.clone(), tell });
        let lists = asked.ok().and_then(|()| hear.recv().ok()).ok_or("the job starts again; ask again once it runs")?;
        let mut trial = Trial { moves, migrator, tried: MigrationTried::default() };
        let reader = parts.state_reader();
        let mut all = lists.iter();
        match all.try_for_each(|list| trial.list(list, &|| attempt.over.is_raised(), (&*reader, files))) {
            Ok(()) => {
                trial.tried.states = moves.iter().map(|one| one.state.clone()).collect();
                return Ok(trial.tried);
            }
            Err(Refused::Because(why)) => return Err(why),
            Err(Refused::Unreadable(error)) => last = error.message,
        }
    }
    Err(format!("its newest checkpoint cannot be read: {last}"))
}

/// Tries `migrate` on all that is to be moved of these files, which nobody changes meanwhile.
///
/// # Errors
/// Why it cannot be rewritten, with the key if it is one.
pub(crate) fn try_on_files(
    moves: &[Move],
    migrator: &mut dyn Migrator,
    list: &[StateFile],
    (reader, files): (&dyn StateReader, &dyn FileStore),
) -> Result<MigrationTried, String> {
    let mut trial = Trial { moves, migrator, tried: MigrationTried::default() };
    match trial.list(list, &|| false, (reader, files)) {
        Ok(()) => {
            trial.tried.states = moves.iter().map(|one| one.state.clone()).collect();
            Ok(trial.tried)
        }
        Err(Refused::Because(why)) => Err(why),
        Err(Refused::Unreadable(error)) => Err(error.message),
    }
}

enum Refused {
    Because(String),
    Unreadable(PortError),
}

impl From<PortError> for Refused {
    fn from(error: PortError) -> Self {
        Self::Unreadable(error)
    }
}

struct Trial<'a> {
    moves: &'a [Move],
    migrator: &'a mut dyn Migrator,
    tried: MigrationTried,
}

impl Trial<'_> {
    fn list(
        &mut self,
        list: &[StateFile],
        is_over: &dyn Fn() -> bool,
        (reader, files): (&dyn StateReader, &dyn FileStore),
    ) -> Result<(), Refused> {
        let (mut page, mut of) = (Entries::default(), None);
        for entry in reader.entries(list, files)? {
            if is_over() {
                return Err(Refused::Because("the job starts again; ask again once it runs".to_owned()));
            }
            let StateEntry { state, key, place, value, .. } = entry?;
            let Some(one) = self.moves.iter().find(|one| one.from.seat.0 == state) else { continue };
            let is_new_key = page.keys.is_empty() || page.keys.bytes_of(page.keys.len() - 1) != key;
            let is_full =
                page.values.data().len() + page.map_keys.data().len() >= PAGE_BYTES || page.keys.len() >= PAGE_KEYS;
            let other_state = of.is_some_and(|before: &Move| before.from.seat != one.from.seat);
            if other_state || is_new_key && is_full {
                self.page(of, &std::mem::take(&mut page))?;
            }
            if page.keys.is_empty() || is_new_key || other_state {
                page.keys.push(Some(&key));
            }
            page.owners.push(page.keys.len() as u32 - 1);
            if let EntryPlace::Name(name) = &place {
                page.map_keys.push(Some(name));
            }
            page.values.push(Some(&value));
            if page.values.data().len() + page.map_keys.data().len() > MOST_OF_A_KEY {
                return Err(Refused::Because(format!(
                    "key `{}` has more than {} MiB in state `{}`, and so much of one key is not rewritten at once: make it \
                     shorter first",
                    String::from_utf8_lossy(&key).escape_debug(),
                    MOST_OF_A_KEY >> 20,
                    one.state
                )));
            }
            of = Some(one);
        }
        self.page(of, &page)
    }

    fn page(&mut self, of: Option<&Move>, page: &Entries) -> Result<(), Refused> {
        let Some(one) = of.filter(|_| !page.keys.is_empty()) else { return Ok(()) };
        match self.migrator.migrate(migration(one), page) {
            Ok(rewritten) => {
                self.tried.keys += page.keys.len() as u64;
                self.tried.entries += page.values.len() as u64;
                self.try_back(one, &rewritten);
                Ok(())
            }
            Err(failure) if page.keys.len() == 1 => {
                Err(Refused::Because(refusal(one, page.keys.bytes_of(0), &failure)))
            }
            Err(_) => (0..page.keys.len()).try_for_each(|key| self.page(of, &only(page, key))),
        }
    }

    fn try_back(&mut self, one: &Move, rewritten: &Entries) {
        if self.tried.no_way_back.is_none()
            && let Err(failure) = self.migrator.migrate(migration(&one.back()), rewritten)
        {
            self.tried.no_way_back = Some(failure.to_string());
        }
    }
}

fn refusal(one: &Move, key: &[u8], failure: &CallFailure) -> String {
    format!(
        "the module cannot rewrite state `{}` of key `{}` from schema version {} to {}: {failure}",
        one.state,
        String::from_utf8_lossy(key).escape_debug(),
        one.from.version,
        one.to.version
    )
}

/// What a page has of one of its keys.
fn only(page: &Entries, key: usize) -> Entries {
    let entries: Vec<u32> =
        (0..).zip(&page.owners).filter(|(_, owner)| **owner as usize == key).map(|(at, _)| at).collect();
    let map_keys = if page.map_keys.is_empty() { page.map_keys.clone() } else { page.map_keys.gather(&entries) };
    Entries {
        keys: page.keys.gather(&[u32::try_from(key).expect("a page has few keys")]),
        owners: vec![0; entries.len()],
        map_keys,
        values: page.values.gather(&entries),
    }
}
