//! What was changed on this host, and by whom.

use std::sync::Arc;

use gristmill_ports::audit::{AuditRecord, NumberedRecord};

use super::{Control, ControlError, blocking};

/// Records of one page.
const MOST_RECORDS: usize = 1000;

impl Control {
    /// Writes a record to the audit log, dates it, and gives its number.
    ///
    /// # Errors
    /// [`ControlError::Store`] if the log cannot be written.
    pub(crate) async fn set_down(&self, record: &mut AuditRecord) -> Result<u64, ControlError> {
        record.at_ms = self.now_ms();
        let (log, record) = (Arc::clone(&self.parts.audit), record.clone());
        Ok(blocking(move || log.append(&record)).await??)
    }

    /// Records of the audit log with numbers above `after`, ascending; `limit` at most, and never more than 1000.
    ///
    /// # Errors
    /// [`ControlError::Store`] if the log cannot be read.
    pub async fn audit(&self, after: u64, limit: usize) -> Result<Vec<NumberedRecord>, ControlError> {
        let log = Arc::clone(&self.parts.audit);
        Ok(blocking(move || log.page(after, limit.min(MOST_RECORDS))).await??)
    }
}
