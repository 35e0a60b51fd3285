//! Operations in the store: the newest thousand.

use gristmill_ports::PortError;
use gristmill_ports::catalog::OperationRecord;
use redb::{ReadableTable, ReadableTableMetadata};

use crate::record::encode_json;
use crate::store::{OPERATIONS, OPERATIONS_BY_TIME, Store, decoded};

/// How many operations are remembered.
pub(crate) const KEPT_OPERATIONS: u64 = 1000;

impl Store {
    /// Writes an operation and forgets the oldest beyond [`KEPT_OPERATIONS`].
    pub(crate) fn put_operation(&self, operation: &OperationRecord) -> Result<(), PortError> {
        self.write(|transaction| {
            let mut operations = transaction.open_table(OPERATIONS)?;
            let mut by_time = transaction.open_table(OPERATIONS_BY_TIME)?;
            let id = operation.id.as_str();
            if let Some(before) = operations.insert(id, encode_json(operation).as_slice())? {
                let before: OperationRecord = decoded(&format!("operation `{id}`"), before.value())?;
                by_time.remove((before.created_ms, id))?;
            }
            by_time.insert((operation.created_ms, id), ())?;
            while by_time.len()? > KEPT_OPERATIONS
                && let Some((oldest, _)) = by_time.pop_first()?
            {
                operations.remove(oldest.value().1)?;
            }
            Ok(())
        })
    }

    pub(crate) fn operation(&self, id: &str) -> Result<Option<OperationRecord>, PortError> {
        self.read(|transaction| {
            let bytes = transaction.open_table(OPERATIONS)?.get(id)?;
            bytes.map(|bytes| decoded(&format!("operation `{id}`"), bytes.value())).transpose()
        })
    }

    /// The newest operations first, at most `limit`.
    pub(crate) fn operations(&self, limit: usize) -> Result<Vec<OperationRecord>, PortError> {
        self.read(|transaction| {
            let (operations, by_time) =
                (transaction.open_table(OPERATIONS)?, transaction.open_table(OPERATIONS_BY_TIME)?);
            let mut found = Vec::new();
            for entry in by_time.iter()?.rev().take(limit) {
                let (at, _) = entry?;
                let (_, id) = at.value();
                if let Some(bytes) = operations.get(id)? {
                    found.push(decoded(&format!("operation `{id}`"), bytes.value())?);
                }
            }
            Ok(found)
        })
    }
}
