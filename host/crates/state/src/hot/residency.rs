//! What comes in from the cold store, and what goes there when memory is short.
//!
//! Nothing is read or written without standing in the tables first; so writes need not know that there is a cold store.
//! To make room, a hand goes round over all keys (a clock): a key that a call had since the last round gets another
//! round; of the others, what is clean is gathered into a batch and handed over, and forgotten when the batch is taken
//! in and it did not change meanwhile. What changed since the last freeze cannot go. If there is nothing else left, the
//! changes themselves are drained ahead of the freeze, into files at last, and what they changed becomes clean.
//!
//! Each commit does a part that is proportional to its rows. Only if the tables take more than the budget all the same
//! does it wait for the cold store: a backend that cannot keep up slows its task down, and does not grow.

use std::collections::VecDeque;

use gristmill_ports::state::StateError;
use gristmill_types::{Column, StateIndex};

use super::cursors::{Cursors, StateOf};
use super::table::Table;
use super::{Backend, State};
use crate::call::{KeyId, Place};
use crate::changes::{Batch, Log};
use crate::cold::{Budget, Cold, Name};
use crate::directory::KEY_BYTES;
use crate::gathered::Gathered;
use crate::inline::InlineBytes;
use crate::write_set::{Write, WriteKind};

/// Keys looked at by a commit for each of its rows, to make room.
const STEPS_PER_ROW: usize = 4;

/// Changes that are drained ahead of the freeze at a time.
const CHANGES_AHEAD: usize = if cfg!(test) { 3 } else { 4096 };

/// Batches under way beside the one being gathered.
const BATCHES_UNDER_WAY: usize = 2;

/// How far making room has come.
#[derive(Debug, Default)]
pub(super) struct Residency {
    /// The key at which looking for keys that can go goes on.
    hand: usize,
    gathering: Gathered,
    /// Whether state was frozen since the last commit. What leaves from now on belongs into another batch: an entry
    /// that is gathered already may have changed, be drained, and leave once more.
    pub(super) froze: bool,
    /// Where in maps it goes on.
    cursors: Cursors,
    /// What is gathered.
    leaving: Vec<Slice>,
    /// Batches that were handed over, and may not be taken in.
    under_way: VecDeque<UnderWay>,
    handed_over: u32,
}

/// A batch that was handed over.
#[derive(Debug)]
struct UnderWay {
    batch: Batch,
    bytes: usize,
    leaving: Vec<Slice>,
}

/// Something of one key that leaves; of a map the part that begins with a name.
#[derive(Debug)]
struct Slice {
    place: StateOf,
    from: InlineBytes,
}

impl Residency {
    /// Bytes that are on their way to the cold store.
    fn bytes(&self) -> usize {
        self.gathered_bytes() + self.under_way.iter().map(|one| one.bytes).sum::<usize>()
    }

    fn gathered_bytes(&self) -> usize {
        self.gathering.bytes() + self.leaving.len() * size_of::<Slice>()
    }

    /// The newest batch that was handed over.
    pub(super) fn handed_over(&self) -> Batch {
        Batch(self.handed_over)
    }
}

#[expect(private_bounds, reason = "which cold stores there are is this crate's own affair")]
impl<C: Cold> Backend<C> {
    /// Brings the values, or lists, of these places in.
    pub(super) fn load(&mut self, state: StateIndex, places: &[Place]) -> Result<(), StateError> {
        if self.cold.is_empty() {
            return Ok(());
        }
        let State { table, looked_up, .. } = &mut self.states[state.at()];
        looked_up.resize(self.call.places(), false);
        let mut unknown = Vec::new();
        for &place in places {
            let key = self.call.key_at(place);
            if !std::mem::replace(&mut looked_up[place.at()], true) && !table.knows(key) {
                unknown.push(key);
            }
        }
        let names: Vec<Name<'_>> = unknown.iter().map(|&key| (self.keys.bytes_of(key), None)).collect();
        let found = self.cold.get(state, &names)?;
        for (key, stored) in unknown.into_iter().zip(found) {
            if let Some(stored) = stored {
                table.load(key, &stored, &mut self.keys)?;
            }
        }
        Ok(())
    }

    /// Brings entries of maps in.
    pub(super) fn load_entries(
        &mut self,
        state: StateIndex,
        places: &[Place],
        names: &Column,
    ) -> Result<(), StateError> {
        if self.cold.is_empty() {
            return Ok(());
        }
        let Table::Map(table) = &mut self.states[state.at()].table else { return Ok(()) };
        let mut unknown: Vec<(KeyId, &[u8])> = Vec::new();
        for (item, &place) in places.iter().enumerate() {
            let (key, name) = (self.call.key_at(place), names.bytes_of(item));
            if !table.knows(key, name) {
                unknown.push((key, name));
            }
        }
        unknown.sort_unstable();
        unknown.dedup();
        let asked: Vec<Name<'_>> = unknown.iter().map(|&(key, name)| (self.keys.bytes_of(key), Some(name))).collect();
        let found = self.cold.get(state, &asked)?;
        for ((key, name), stored) in unknown.into_iter().zip(found) {
            if let Some(stored) = stored {
                table.load(key, name, &stored, &mut self.keys);
            }
        }
        Ok(())
    }

    /// Brings in what a write is about to change.
    pub(super) fn load_for(&mut self, write: &Write) -> Result<(), StateError> {
        match &write.change {
            WriteKind::PutValues(_) | WriteKind::AppendToLists(_) | WriteKind::ClearLists => {
                self.load(write.state, &write.places)
            }
            WriteKind::PutEntries { keys, .. } => self.load_entries(write.state, &write.places, keys),
            WriteKind::ClearMaps => self.forget_cold_maps(write),
        }
    }

    /// Of maps that are about to be emptied: counts out what only the cold store has.
    fn forget_cold_maps(&mut self, write: &Write) -> Result<(), StateError> {
        if self.cold.is_empty() {
            return Ok(());
        }
        let Table::Map(table) = &mut self.states[write.state.at()].table else { return Ok(()) };
        for &place in &write.places {
            let owner = self.call.key_at(place);
            if table.voids_cold(owner) {
                continue;
            }
            let mut bytes = 0_u64;
            for entry in self.cold.range(write.state, self.keys.bytes_of(owner), b"") {
                let (name, stored) = entry?;
                if !table.knows(owner, &name) {
                    bytes += table.entry_bytes(&name, &stored);
                }
            }
            table.void_cold(owner, bytes, &mut self.keys);
        }
        Ok(())
    }

    /// Bytes that the tables take, and what is copied out of them: what leaves, and what was drained ahead of a freeze.
    /// What is frozen is not among them, since no room can be made of it: the half that is drained, and the generation
    /// that is being stored, come on top, at most as much as changed between two checkpoints without being drained ahead.
    fn resident_bytes(&self) -> usize {
        let cells: usize = self.states.iter().map(|state| state.table.cell_bytes()).sum();
        let tables: usize = self.states.iter().map(|state| state.table.resident_bytes()).sum();
        self.keys.known_keys() * (KEY_BYTES + cells) + tables + self.residency.bytes() + self.ahead.bytes()
    }

    /// Makes room, if memory is short: a part of the work, unless there is no time left. Only between calls.
    pub(super) fn make_room(&mut self, rows: usize) -> Result<(), StateError> {
        if std::mem::take(&mut self.residency.froze) {
            self.hand_over()?;
        }
        let budget = self.cold.budget();
        if self.resident_bytes() <= budget.comfortable && self.residency.under_way.is_empty() {
            return Ok(());
        }
        let steps = STEPS_PER_ROW * (rows + 64);
        let taken_in = self.cold.taken_in(false)?;
        self.forget_taken_in(taken_in, steps);
        if self.resident_bytes() > budget.comfortable && self.residency.under_way.len() < BATCHES_UNDER_WAY {
            self.look_round(steps, false, budget)?;
        }
        while self.resident_bytes() > budget.most && self.make_room_now(budget)? {}
        self.keys.forget_unheld();
        Ok(())
    }

    /// Looks at all keys, and waits until what can go is gone. False if nothing went.
    fn make_room_now(&mut self, budget: Budget) -> Result<bool, StateError> {
        let before = self.resident_bytes();
        self.look_round(self.keys.end(), true, budget)?;
        self.hand_over()?;
        if self.residency.under_way.is_empty() {
            // All that is left changed since the last freeze.
            return self.drain_ahead(budget);
        }
        let taken_in = self.cold.taken_in(true)?;
        self.forget_taken_in(taken_in, usize::MAX);
        self.keys.forget_unheld();
        Ok(self.resident_bytes() < before || !self.residency.under_way.is_empty())
    }

    /// Moves the hand over some keys. `all`: those that were used too.
    fn look_round(&mut self, steps: usize, all: bool, budget: Budget) -> Result<(), StateError> {
        let taken_in = self.cold.taken_in(false)?;
        for _ in 0..steps.min(self.keys.end()) {
            self.residency.hand = (self.residency.hand + 1) % self.keys.end();
            let key = KeyId(self.residency.hand as u32);
            if self.keys.was_used(key) && !all {
                continue;
            }
            loop {
                let goes_on = self.evict(key, taken_in);
                if self.residency.gathered_bytes() >= budget.batch {
                    self.hand_over()?;
                    if self.residency.under_way.len() >= BATCHES_UNDER_WAY {
                        return Ok(());
                    }
                }
                if !(all && goes_on) {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Evicts what a key has, of each map the next slice. Says whether a map goes on behind it.
    fn evict(&mut self, key: KeyId, taken_in: Batch) -> bool {
        let mut goes_on = false;
        for index in 0..self.states.len() {
            let place = (StateIndex(index as u32), key);
            let from = self.residency.cursors.take(place);
            let next = self.evict_slice(Slice { place, from }, taken_in);
            goes_on |= next.is_some();
            self.residency.cursors.keep(place, next);
        }
        goes_on
    }

    fn evict_slice(&mut self, slice: Slice, taken_in: Batch) -> Option<InlineBytes> {
        let Residency { gathering, leaving, handed_over, .. } = &mut self.residency;
        let (batches, before) = ((Batch(*handed_over + 1), taken_in), gathering.changes());
        let table = &mut self.states[slice.place.0.at()].table;
        let next = table.evict(slice.place, &slice.from, batches, &mut self.keys, gathering);
        if gathering.changes() > before {
            leaving.push(slice);
        }
        next
    }

    fn hand_over(&mut self) -> Result<(), StateError> {
        if self.residency.leaving.is_empty() {
            return Ok(());
        }
        self.residency.handed_over += 1;
        let batch = Batch(self.residency.handed_over);
        let (bytes, leaving) = (self.residency.gathered_bytes(), std::mem::take(&mut self.residency.leaving));
        self.residency.under_way.push_back(UnderWay { batch, bytes, leaving });
        self.cold.hand_over(std::mem::take(&mut self.residency.gathering))
    }

    /// Forgets what the cold store has taken in, of at most so many keys, or slices of maps.
    fn forget_taken_in(&mut self, taken_in: Batch, most: usize) {
        let mut left = most;
        while left > 0
            && let Some(front) = self.residency.under_way.front_mut().filter(|front| front.batch <= taken_in)
        {
            match front.leaving.pop() {
                Some(slice) => drop(self.evict_slice(slice, taken_in)),
                None => drop(self.residency.under_way.pop_front()),
            }
            left -= 1;
        }
    }

    /// Drains changes ahead of the freeze, nothing being gathered. False if there are none.
    fn drain_ahead(&mut self, budget: Budget) -> Result<bool, StateError> {
        let mut part = Gathered::default();
        for (index, state) in self.states.iter_mut().enumerate() {
            state.table.drain(Log::Active, StateIndex(index as u32), CHANGES_AHEAD, &mut self.keys, &mut part);
        }
        if part.changes() == 0 {
            return Ok(false);
        }
        self.ahead.push(part, budget.batch, self.cold.scratch(), &self.written)?;
        Ok(true)
    }
}
