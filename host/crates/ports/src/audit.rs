//! What was changed on a host, and by whom.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::PortError;

/// A log that only grows. A change has two records in it: one before it is made, and one with what came of it. If the
/// second is missing, the host went down in between, and the change may have been made or not.
pub trait AuditLog: Send + Sync {
    /// Writes a record, durable when this returns, and gives it the next number; the first is 1.
    ///
    /// # Errors
    /// `Fatal` if it cannot be written. Then it is not there, and a later one may be.
    fn append(&self, record: &AuditRecord) -> Result<u64, PortError>;

    /// Records with numbers above `after`, ascending, `limit` at most.
    ///
    /// # Errors
    /// `Fatal` if the log cannot be read, or a line of it is damaged.
    fn page(&self, after: u64, limit: usize) -> Result<Vec<NumberedRecord>, PortError>;
}

/// A request that was let in to change something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When this record was made, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// The name of the token that was sent.
    pub who: String,
    /// Its role.
    pub role: String,
    /// The method, such as `POST`.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The idempotency key, if one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// BLAKE3 of the request's body, in hexadecimal digits, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// What came of it; `None` in the record before the change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<AuditOutcome>,
}

/// What came of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditOutcome {
    /// The number of the record that was made before.
    pub intent: u64,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The job that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The operation that it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Hashes of modules: `module` of one that was pushed or deleted, `old` and `new` of a swap, else by operator.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub modules: BTreeMap<String, String>,
    /// Hashes of an entry of state that was edited: `old` and `new`, where there was and is one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

/// A record as it stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumberedRecord {
    /// Its place in the log, counted from one.
    pub number: u64,
    /// The record.
    #[serde(flatten)]
    pub record: AuditRecord,
}
