//! The redb file, open for as long as the disk allows: closed and opened again after the disk refused.
//!
//! Once an operation on its file fails, redb answers nothing but "previous I/O error" until it is opened anew. So that a
//! disk which was full for a minute costs that minute and no more, this is done here, at the next call. Knows no tables.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use gristmill_ports::PortError;
use redb::{Database, DatabaseError, StorageError};

use crate::data_dir::INCOMING;
use crate::trouble::cannot;

/// So many bytes must be free before the file is closed to be opened again: what it takes to be opened, and a record.
/// Until then what is remembered can at least be read.
const ROOM: usize = 64 << 10;

/// Opens a file, making it if there is none.
pub(crate) type Opener = fn(&Path) -> Result<Database, DatabaseError>;

/// A redb file.
pub(crate) struct RedbFile {
    path: PathBuf,
    open: Opener,
    state: RwLock<State>,
}

struct State {
    /// `None` where it could be closed and not opened again.
    database: Option<Database>,
    /// The disk has refused since the file was opened.
    has_failed: bool,
}

impl RedbFile {
    /// Opens the file, making it if there is none.
    ///
    /// # Errors
    /// If it cannot be opened, or is damaged.
    pub(crate) fn open(path: PathBuf, open: Opener) -> Result<Self, PortError> {
        let database = open(&path).map_err(|error| unopened(&path, &error))?;
        let state = RwLock::new(State { database: Some(database), has_failed: false });
        Ok(Self { path, open, state })
    }

    /// Reads something, also while the disk refuses what is written.
    ///
    /// # Errors
    /// What `act` gives, or why the file cannot be opened again.
    pub(crate) fn read<T>(&self, act: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T, PortError> {
        let result = match self.attempt(&act) {
            None | Some(Err(redb::Error::PreviousIo)) => {
                self.open_again()?;
                self.attempt(&act)
            }
            result => result,
        };
        self.told("read the catalog", result)
    }

    /// Writes something; a file that failed before is opened again first.
    ///
    /// # Errors
    /// What `act` gives, or why the file cannot be opened again.
    pub(crate) fn write<T>(&self, act: impl Fn(&Database) -> Result<T, redb::Error>) -> Result<T, PortError> {
        self.heal()?;
        let result = match self.attempt(&act) {
            // It failed where nobody was told: when a transaction was dropped.
            Some(Err(redb::Error::PreviousIo)) => {
                self.open_again()?;
                self.attempt(&act)
            }
            result => result,
        };
        self.told("write the catalog", result)
    }

    /// Opens the file again if the disk has refused before.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(crate) fn heal(&self) -> Result<(), PortError> {
        let is_well = |state: &State| !state.has_failed && state.database.is_some();
        if is_well(&self.state()) { Ok(()) } else { self.open_again() }
    }

    /// `None`: it is not open.
    fn attempt<T>(&self, act: &impl Fn(&Database) -> Result<T, redb::Error>) -> Option<Result<T, redb::Error>> {
        let result = self.state().database.as_ref().map(act);
        if let Some(Err(redb::Error::Io(_) | redb::Error::PreviousIo)) = result {
            self.change().has_failed = true;
        }
        result
    }

    fn open_again(&self) -> Result<(), PortError> {
        let mut state = self.change();
        if !state.has_failed && state.database.is_some() {
            return Ok(());
        }
        let words = |error: PortError| PortError {
            message: format!("{}; make room, or mend the disk: it is tried again at the next request", error.message),
            ..error
        };
        self.look_for_room().map_err(|error| words(cannot("write the catalog", &self.path)(error)))?;
        // Closed first: no file is open twice.
        state.database = None;
        let database = (self.open)(&self.path).map_err(|error| words(unopened(&self.path, &error)))?;
        *state = State { database: Some(database), has_failed: false };
        Ok(())
    }

    fn look_for_room(&self) -> std::io::Result<()> {
        let folder = self.path.parent().expect("the file lies in a directory");
        let mut file = tempfile::Builder::new().prefix(INCOMING).tempfile_in(folder)?;
        file.write_all(&[0; ROOM]).and_then(|()| file.as_file().sync_all())
    }

    fn told<T>(&self, action: &'static str, result: Option<Result<T, redb::Error>>) -> Result<T, PortError> {
        let cannot = cannot(action, &self.path);
        match result {
            Some(result) => result.map_err(cannot),
            None => Err(cannot(redb::Error::DatabaseClosed)),
        }
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the file cannot be opened, and what to do if it is not what a host left there.
fn unopened(path: &Path, error: &DatabaseError) -> PortError {
    let PortError { kind, message } = cannot("open the catalog", path)(error);
    let of_the_disk = match error {
        DatabaseError::Storage(StorageError::Io(error)) => error.kind() != std::io::ErrorKind::InvalidData,
        _ => false,
    };
    if of_the_disk {
        return PortError { kind, message };
    }
    let message = format!(
        "{message}; the file is damaged: put a copy of the data directory back, or move the file away and push the \
         modules again (jobs, operations and names of modules are forgotten then)"
    );
    PortError { kind, message }
}
