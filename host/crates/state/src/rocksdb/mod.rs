//! The backend for more state than memory holds: the same tables, over a RocksDB database on local disk.
//!
//! Checkpoints are made of the tables alone, as in memory. The database is a part of memory: what stands in it was
//! drained into a checkpoint before it came there, and it is begun anew by each attempt. So a crash can do it no harm,
//! and as long as everything fits into the budget nothing is ever written to it.

mod codec;
mod clock;
mod options;
mod intake;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::rocksdb::{ColumnFamilyDescriptor, DB, DBRawIterator, DEFAULT_COLUMN_FAMILY_NAME};
use gristmill_ports::PortError;
use gristmill_ports::state::{StateError, StateTime};
use gristmill_types::{Descriptor, KeyGroup, KeyGroupRange, MaxParallelism, StateIndex, key_hash};

use self::clock::{Clock, Expired};
use self::intake::Intake;
use crate::changes::Batch;
use crate::cold::{Budget, Cold, ColdEntry, Name};
use crate::gathered::Gathered;
use crate::hot::Backend;
use crate::ordered::WriterStates;

/// The part of the budget that is the database's: its cache of blocks.
const CACHE_SHARE: usize = 8;

/// Keyed state in memory and, beyond a budget, on local disk. See
/// [`StateBackend`](gristmill_ports::StateBackend).
///
/// A list, and a value, must fit into memory; a map need not, nor what changed since the last checkpoint.
pub type RocksDbBackend = Backend<LocalDatabase>;

/// The database below the tables.
pub struct LocalDatabase {
    intake: Intake,
    db: Arc<DB>,
    clock: Arc<Clock>,
    max: MaxParallelism,
    budget: Budget,
    is_empty: bool,
    /// Last: removed when nobody uses it any more.
    folder: Folder,
}

/// A folder that goes away with its owner: the next attempt begins with an empty one, and what is left only takes room.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}

impl RocksDbBackend {
    /// An empty backend for the states that a module declares, of a subtask that owns these key groups. `dir` is the
    /// backend's own; whatever is there is removed. Tables and caches keep to `memory_bytes`.
    ///
    /// # Errors
    /// `Retry` if the database cannot be created there.
    pub fn open(
        descriptor: &Descriptor,
        groups: KeyGroupRange,
        max: MaxParallelism,
        dir: &Path,
        memory_bytes: usize,
    ) -> Result<Self, PortError> {
        let cold = LocalDatabase::create(descriptor, max, dir, memory_bytes).map_err(|error| {
            let dir = dir.display();
            PortError::retry(format!("cannot create the local state database in `{dir}`: {error}"))
        })?;
        Ok(Self::over(cold, descriptor, groups, max))
    }
}

impl LocalDatabase {
    fn create(
        descriptor: &Descriptor,
        max: MaxParallelism,
        dir: &Path,
        memory_bytes: usize,
    ) -> Result<Self, Box<dyn std::error::Error>> {
        if dir.exists() {
            std::fs::remove_dir_all(dir)?;
        }
        let folder = Folder(dir.to_owned());
        let (database, incoming) = (dir.join("database"), dir.join("incoming"));
        std::fs::create_dir_all(&incoming)?;
        let (clock, cache_bytes) = (Clock::new(), memory_bytes / CACHE_SHARE);
        let options = options::database(cache_bytes, Expired::new(Arc::clone(&clock), &descriptor.states));
        let entries = ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.clone());
        let db = Arc::new(DB::open_cf_descriptors(&options, database, [entries])?);
        let written = WriterStates::as_stored(&descriptor.states, max);
        let intake = Intake::start(Arc::clone(&db), options, incoming, written)?;
        let budget = Budget::of(memory_bytes - cache_bytes);
        Ok(Self { intake, db, clock, max, budget, is_empty: true, folder })
    }

    fn group_of(&self, key: &[u8]) -> KeyGroup {
        self.max.group_of(key_hash(key))
    }

    fn failed(&self, error: impl std::fmt::Display) -> StateError {
        StateError::Backend(format!("the local state database in `{}`: {error}", self.folder.0.display()))
    }
}

impl Cold for LocalDatabase {
    fn budget(&self) -> Budget {
        self.budget
    }

    fn is_empty(&self) -> bool {
        self.is_empty
    }

    fn get(&self, state: StateIndex, names: &[Name<'_>]) -> Result<Vec<Option<Vec<u8>>>, StateError> {
        let place = |&(key, name): &Name<'_>| match name {
            Some(name) => codec::entry_of(state, self.group_of(key), key, name),
            None => codec::key_of(state, self.group_of(key), key),
        };
        let places: Vec<Vec<u8>> = names.iter().map(place).collect();
        let entries = self.db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME).expect("the default column family is always there");
        let found = self.db.batched_multi_get_cf_opt(entries, &places, false, &options::lookup());
        let owned = found.into_iter().map(|found| found.map(|value| value.map(|value| value.to_vec())));
        owned.collect::<Result<_, _>>().map_err(|error| self.failed(error))
    }

    fn range<'c>(
        &'c self,
        state: StateIndex,
        owner: &[u8],
        from: &[u8],
    ) -> Box<dyn Iterator<Item = Result<ColdEntry, StateError>> + 'c> {
        let map = codec::map_of(state, self.group_of(owner), owner);
        let prefix = map.len();
        let mut first = map.clone();
        first.extend_from_slice(from);
        let mut entries = self.db.raw_iterator_opt(options::scan(codec::end_of_map(map)));
        entries.seek(first);
        Box::new(Range { entries, prefix, begun: false, database: self })
    }

    fn hand_over(&mut self, batch: Gathered) -> Result<(), StateError> {
        self.is_empty = false;
        if self.intake.hand_over(batch) { Ok(()) } else { Err(self.failed("its thread has ended")) }
    }

    fn taken_in(&mut self, wait: bool) -> Result<Batch, StateError> {
        self.intake.taken_in(wait).map_err(|error| self.failed(error))
    }

    fn set_time(&mut self, time: StateTime) {
        self.clock.set(time);
    }

    fn scratch(&self) -> Option<&Path> {
        Some(&self.folder.0)
    }
}

/// The entries of a map under way.
struct Range<'c> {
    entries: DBRawIterator<'c>,
    /// Bytes before each name.
    prefix: usize,
    begun: bool,
    database: &'c LocalDatabase,
}

impl Iterator for Range<'_> {
    type Item = Result<ColdEntry, StateError>;

    fn next(&mut self) -> Option<Self::Item> {
        if std::mem::replace(&mut self.begun, true) && self.entries.valid() {
            self.entries.next();
        }
        match self.entries.item() {
            Some((place, stored)) => Some(Ok((place[self.prefix..].to_vec(), stored.to_vec()))),
            None => self.entries.status().err().map(|error| Err(self.database.failed(error))),
        }
    }
}
