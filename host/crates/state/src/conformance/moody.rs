//! A cold store in memory whose moods change from call to call: memory is short or not, batches are small or large, and
//! what was handed over is taken in now, later, or when somebody waits for it.
//!
//! So a random test comes into every order of leaving, changing, being frozen, being taken in and coming back. It
//! refuses what RocksDB refuses, and forgets what has expired whenever it likes, as compactions do.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use gristmill_ports::StateBackend;
use gristmill_ports::state::{StateError, StateTime};
use gristmill_types::descriptor::StateKind;
use gristmill_types::{Descriptor, MaxParallelism, StateIndex};
use tempfile::TempDir;

use crate::changes::Batch;
use crate::cold::{Budget, Cold, ColdEntry, Name};
use crate::conformance::fixture::ALL_GROUPS;
use crate::expiry::Expiry;
use crate::file::{Change, Entry};
use crate::gathered::Gathered;
use crate::hot::Backend;
use crate::ordered::{Ordered, WriterStates};

thread_local! {
    static DICE: Cell<u64> = const { Cell::new(1) };
}

/// Begins the row of random numbers anew, for all stores of this thread.
pub(super) fn seed(seed: u64) {
    DICE.set(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
}

fn below(end: u64) -> u64 {
    let mut dice = DICE.get();
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    DICE.set(dice);
    (dice >> 11) % end
}

/// An empty backend over a moody store.
pub(super) fn open(descriptor: &Descriptor) -> Box<dyn StateBackend> {
    let max = MaxParallelism::DEFAULT;
    let moody = Moody {
        entries: BTreeMap::new(),
        incoming: VecDeque::new(),
        taken_in: 0,
        is_empty: true,
        written: WriterStates::as_stored(&descriptor.states, max),
        expiry: descriptor.states.iter().map(Expiry::of).collect(),
        is_list: descriptor.states.iter().map(|spec| spec.kind == StateKind::AppendList).collect(),
        scratch: tempfile::tempdir().unwrap(),
    };
    Box::new(Backend::over(moody, descriptor, ALL_GROUPS, max))
}

/// State, key, and of a map the name.
type Place = (u32, Vec<u8>, Option<Vec<u8>>);

struct Moody {
    entries: BTreeMap<Place, Vec<u8>>,
    incoming: VecDeque<Gathered>,
    taken_in: u32,
    is_empty: bool,
    written: Arc<WriterStates>,
    expiry: Vec<Expiry>,
    is_list: Vec<bool>,
    scratch: TempDir,
}

impl Moody {
    /// First the maps that were emptied, then everything else, which must ascend.
    fn take_one_in(&mut self) {
        let Some(batch) = self.incoming.pop_front() else { return };
        self.taken_in += 1;
        let ordered = Ordered { gathered: &batch, states: &self.written };
        let mut changes: Vec<(Place, Option<Vec<u8>>)> = Vec::new();
        let mut last = None;
        let taken: Result<(), ()> = ordered.each(|Entry { state, group, key, change, .. }| {
            let (name, stored) = match change {
                Change::ClearMap => {
                    self.entries.retain(|place, _| (place.0, place.1.as_slice()) != (state, key));
                    return Ok(());
                }
                Change::PutValue(stored) => (None, Some(stored)),
                Change::DeleteValue => (None, None),
                Change::PutEntry(name, stored) => (Some(name.to_vec()), Some(stored)),
                Change::DeleteEntry(name) => (Some(name.to_vec()), None),
                Change::ClearList | Change::Item(..) => panic!("lists are handed over as a whole"),
            };
            let at = Some((state, group, key.to_vec(), name.clone()));
            assert!(last < at, "places ascend, each at most once in a batch: {at:?} behind {last:?}");
            last = at;
            changes.push(((state, key.to_vec(), name), stored.map(|stored| stored.bytes.to_vec())));
            Ok(())
        });
        assert_eq!(taken, Ok(()));
        for (place, stored) in changes {
            match stored {
                Some(stored) => self.entries.insert(place, stored),
                None => self.entries.remove(&place),
            };
        }
    }
}

impl Cold for Moody {
    fn budget(&self) -> Budget {
        let (comfortable, most) =
            [(0, 0), (0, usize::MAX), (0, usize::MAX), (usize::MAX, usize::MAX)][below(4) as usize];
        let batch = [1, 60, usize::MAX][below(3) as usize];
        Budget { comfortable, most, batch }
    }

    fn is_empty(&self) -> bool {
        self.is_empty
    }

    fn get(&self, state: StateIndex, names: &[Name<'_>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        let place = |&(key, name): &Name<'_>| (state.0, key.to_vec(), name.map(<[u8]>::to_vec));
        Ok(names.iter().map(|name| self.entries.get(&place(name)).cloned()).collect())
    }

    fn range<'c>(
        &'c self,
        state: StateIndex,
        owner: &[u8],
        from: &[u8],
    ) -> Box<dyn Iterator<Item = Result<ColdEntry, StateError>> + 'c> {
        let owner = owner.to_vec();
        let range = self.entries.range((state.0, owner.clone(), Some(from.to_vec()))..);
        let range = range.take_while(move |(place, _)| place.0 == state.0 && place.1 == owner);
        Box::new(range.map(|(place, stored)| Ok((place.2.clone().unwrap(), stored.clone()))))
    }

    fn hand_over(&mut self, batch: Gathered) -> Result<(), StateError> {
        self.is_empty = false;
        self.incoming.push_back(batch);
        Ok(())
    }

    fn taken_in(&mut self, wait: bool) -> Result<Batch, StateError> {
        if wait || below(3) == 0 {
            self.take_one_in();
        }
        Ok(Batch(self.taken_in))
    }

    fn set_time(&mut self, time: StateTime) {
        self.expiry.iter_mut().for_each(|expiry| expiry.set_time(time));
        if below(3) == 0 {
            let expires = |place: &Place, stored: &[u8]| {
                !self.is_list[place.0 as usize] && self.expiry[place.0 as usize].has_expired(stored)
            };
            self.entries.retain(|place, stored| !expires(place, stored));
        }
    }

    fn scratch(&self) -> Option<&Path> {
        Some(self.scratch.path())
    }
}
