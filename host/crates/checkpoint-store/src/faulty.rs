//! A store that fails on purpose, by seed, for tests of whatever relies on one.
//!
//! It fails as real ones do: before anything has happened, after all has happened, by handing over half of the bytes or
//! other bytes, or altogether. The same calls in the same order meet the same faults.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gristmill_ports::checkpoint_store::{Content, PutNew, StoredFile};
use gristmill_ports::{CheckpointStore, PortError};

/// How likely each fault is, from 0 to 1.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Odds {
    /// A call answers with an error and has done nothing.
    pub before: f64,
    /// A put or a deletion is done and answers with an error.
    pub after: f64,
    /// What is read is cut off somewhere.
    pub torn: f64,
    /// What is read has a bit flipped.
    pub flipped: f64,
}

/// A store around another one. It never hands out a local path, so that nothing is read past it.
pub struct Faulty {
    store: Arc<dyn CheckpointStore>,
    odds: Odds,
    chance: Mutex<fastrand::Rng>,
    is_out: AtomicBool,
    faults: AtomicU64,
}

impl Faulty {
    /// Wraps a store.
    #[must_use]
    pub fn new(store: Arc<dyn CheckpointStore>, seed: u64, odds: Odds) -> Self {
        let chance = Mutex::new(fastrand::Rng::with_seed(seed));
        Self { store, odds, chance, is_out: AtomicBool::new(false), faults: AtomicU64::new(0) }
    }

    /// Begins or ends an outage: every call answers with an error and does nothing.
    pub fn set_outage(&self, is_out: bool) {
        self.is_out.store(is_out, Ordering::SeqCst);
    }

    /// How many faults there were.
    #[must_use]
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::SeqCst)
    }

    fn happens(&self, odds: f64) -> bool {
        let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
        let happens = odds > 0.0 && chance.f64() < odds;
        self.faults.fetch_add(u64::from(happens), Ordering::SeqCst);
        happens
    }

    fn fault(&self, path: &str, when: &str) -> PortError {
        PortError::retry(format!("{} fails on purpose, {when}, at `{path}`", self.describe()))
    }

    fn before(&self, path: &str) -> Result<(), PortError> {
        if self.is_out.load(Ordering::SeqCst) {
            self.faults.fetch_add(1, Ordering::SeqCst);
            return Err(self.fault(path, "in an outage"));
        }
        if self.happens(self.odds.before) { Err(self.fault(path, "before anything is done")) } else { Ok(()) }
    }

    fn after<T>(&self, path: &str, done: T) -> Result<T, PortError> {
        if self.happens(self.odds.after) { Err(self.fault(path, "after all is done")) } else { Ok(done) }
    }

    /// Says whether it harmed the bytes.
    fn harm(&self, bytes: &mut Vec<u8>) -> bool {
        let is_torn = !bytes.is_empty() && self.happens(self.odds.torn);
        if is_torn {
            let keep = self.chance.lock().unwrap_or_else(PoisonError::into_inner).usize(..bytes.len());
            bytes.truncate(keep);
        }
        let is_flipped = !bytes.is_empty() && self.happens(self.odds.flipped);
        if is_flipped {
            let mut chance = self.chance.lock().unwrap_or_else(PoisonError::into_inner);
            let at = chance.usize(..bytes.len());
            bytes[at] ^= 1 << chance.u32(..u8::BITS);
        }
        is_torn || is_flipped
    }
}

impl CheckpointStore for Faulty {
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<PutNew, PortError> {
        self.before(path)?;
        let put = self.store.put_new(path, bytes)?;
        self.after(path, put)
    }

    fn put(&self, path: &str, content: Content<'_>) -> Result<(), PortError> {
        self.before(path)?;
        self.store.put(path, content)?;
        self.after(path, ())
    }

    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, PortError> {
        self.before(path)?;
        let mut found = self.store.get(path)?;
        if let Some(bytes) = &mut found {
            self.harm(bytes);
        }
        Ok(found)
    }

    fn fetch(&self, path: &str, to: &Path) -> Result<bool, PortError> {
        self.before(path)?;
        if !self.store.fetch(path, to)? {
            return Ok(false);
        }
        let cannot = |error| PortError::fatal(format!("`{}` cannot be harmed: {error}", to.display()));
        let mut bytes = fs::read(to).map_err(cannot)?;
        if self.harm(&mut bytes) {
            // It may be a link to what is stored, which stays as it is.
            fs::remove_file(to).and_then(|()| fs::write(to, bytes)).map_err(cannot)?;
        }
        Ok(true)
    }

    fn list(&self, folder: &str) -> Result<Vec<StoredFile>, PortError> {
        self.before(folder)?;
        self.store.list(folder)
    }

    fn delete(&self, path: &str) -> Result<(), PortError> {
        self.before(path)?;
        self.store.delete(path)?;
        self.after(path, ())
    }

    fn local_path(&self, _: &str) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        format!("a faulty {}", self.store.describe())
    }
}
