//! Operations in the store: the newest thousand, and those that still run.

use gristmill_ports::PortError;
use gristmill_ports::catalog::{OperationRecord, OperationStatus};
use redb::{ReadableTable, ReadableTableMetadata, Table};

use crate::record::encode_json;
use crate::store::{OPERATIONS, OPERATIONS_BY_TIME, Store, decoded};

/// How many operations are remembered.
pub(crate) const KEPT_OPERATIONS: u64 = 1000;

/// The oldest operations that have ended, at most so many: when each began, and its id. What runs is not forgotten: it is bounded
/// by what a host does at a time.
fn over_and_done(
    operations: &Table<'_, &str, &[u8]>,
    by_time: &Table<'_, (i64, &str), ()>,
    most: u64,
) -> Result<Vec<(i64, String)>, redb::Error> {
    let mut found = Vec::new();
    let oldest_first = if most > 0 { Some(by_time.iter()?) } else { None };
    for row in oldest_first.into_iter().flatten() {
        let place = row?.0;
        let (created_ms, id) = place.value();
        let bytes = operations.get(id)?;
        let operation: Option<OperationRecord> =
            bytes.map(|bytes| decoded(&format!("operation `{id}`"), bytes.value())).transpose()?;
        if operation.is_none_or(|operation| operation.status != OperationStatus::Running) {
            found.push((created_ms, id.to_owned()));
        }
        if found.len() as u64 == most {
            break;
        }
    }
    Ok(found)
}

impl Store {
    /// Writes an operation and forgets the oldest beyond [`KEPT_OPERATIONS`] that have ended.
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
            let over = by_time.len()?.saturating_sub(KEPT_OPERATIONS);
            for (created_ms, id) in over_and_done(&operations, &by_time, over)? {
                by_time.remove((created_ms, id.as_str()))?;
                operations.remove(id.as_str())?;
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
