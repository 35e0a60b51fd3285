//! The redb file: its tables, and transactions on them.

use std::path::Path;

use gristmill_ports::PortError;
use redb::{Database, ReadTransaction, ReadableDatabase, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;

use crate::record;
use crate::redb_file::{Opener, RedbFile};

/// Module hash → what admission found.
pub(crate) const MODULES: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("modules");
/// Module name → module hash.
pub(crate) const NAMES: TableDefinition<&str, &[u8; 32]> = TableDefinition::new("names");
/// Job id → job.
pub(crate) const JOBS: TableDefinition<&str, &[u8]> = TableDefinition::new("jobs");
/// Operation id → operation.
pub(crate) const OPERATIONS: TableDefinition<&str, &[u8]> = TableDefinition::new("operations");
/// When made, and operation id: the order in which operations are listed and forgotten.
pub(crate) const OPERATIONS_BY_TIME: TableDefinition<(i64, &str), ()> = TableDefinition::new("operations-by-time");
/// Idempotency key → answer.
pub(crate) const ANSWERS: TableDefinition<&str, &[u8]> = TableDefinition::new("answers");
/// When given, and idempotency key: the order in which answers are forgotten.
pub(crate) const ANSWERS_BY_TIME: TableDefinition<(i64, &str), ()> = TableDefinition::new("answers-by-time");
/// Job id and number of a dead letter that was replayed, by a host that knew no checkpoints.
pub(crate) const REPLAYED: TableDefinition<(&str, u64), ()> = TableDefinition::new("replayed");
/// Job id and number of a dead letter that was replayed → run, and behind which checkpoint of it.
pub(crate) const REPLAYED_IN: TableDefinition<(&str, u64), (u64, u64)> = TableDefinition::new("replayed-in");
/// Job id and run → the highest checkpoint that is decided.
pub(crate) const DECIDED: TableDefinition<(&str, u64), u64> = TableDefinition::new("decided");
/// Job id and number of a dead letter that is forgotten → the next number that is not. Rows do not overlap.
pub(crate) const FORGOTTEN: TableDefinition<(&str, u64), u64> = TableDefinition::new("forgotten");

/// The redb file of a data directory.
pub(crate) struct Store {
    file: RedbFile,
}

impl Store {
    /// Opens the file, making it and its tables if need be.
    ///
    /// # Errors
    /// If it cannot be opened, or is damaged.
    pub(crate) fn open(data_dir: &Path) -> Result<Self, PortError> {
        Self::open_with(data_dir, |path| Database::create(path))
    }

    fn open_with(data_dir: &Path, open: Opener) -> Result<Self, PortError> {
        let store = Self { file: RedbFile::open(data_dir.join("catalog.redb"), open)? };
        store.write(|transaction| {
            transaction.open_table(MODULES)?;
            transaction.open_table(NAMES)?;
            transaction.open_table(JOBS)?;
            transaction.open_table(OPERATIONS)?;
            transaction.open_table(OPERATIONS_BY_TIME)?;
            transaction.open_table(ANSWERS)?;
            transaction.open_table(ANSWERS_BY_TIME)?;
            transaction.open_table(REPLAYED)?;
            transaction.open_table(REPLAYED_IN)?;
            transaction.open_table(DECIDED)?;
            transaction.open_table(FORGOTTEN)?;
            Ok(())
        })?;
        Ok(store)
    }

    /// Reads one state of all tables.
    pub(crate) fn read<T>(&self, act: impl Fn(&ReadTransaction) -> Result<T, redb::Error>) -> Result<T, PortError> {
        self.file.read(|database| act(&database.begin_read()?))
    }

    /// Writes all or nothing; durable when this returns. What `act` did may be undone, and `act` called again.
    pub(crate) fn write<T>(&self, act: impl Fn(&WriteTransaction) -> Result<T, redb::Error>) -> Result<T, PortError> {
        self.file.write(|database| {
            let transaction = database.begin_write()?;
            let result = act(&transaction)?;
            transaction.commit()?;
            Ok(result)
        })
    }

    /// Makes it writable again, if the disk has refused before.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn heal(&self) -> Result<(), PortError> {
        self.file.heal()
    }
}

/// The record in these bytes; a damaged one is redb's "corrupted", with the name of the record.
pub(crate) fn decoded<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, redb::Error> {
    record::decode(bytes).map_err(|problem| redb::Error::Corrupted(format!("{what} is damaged: {problem}")))
}

#[cfg(test)]
mod tests;
