//! The audit log on the wire.

use std::collections::BTreeMap;

use gristmill_ports::audit::{AuditOutcome, NumberedRecord};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time;

/// A record: of a change that is about to be made, or, with its outcome, of one that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditView {
    /// Its place in the log, counted from one.
    pub number: u64,
    /// When it was made.
    pub at: String,
    /// The name of the token that was sent; `local` on a host without tokens.
    pub who: String,
    /// `viewer`, `operator` or `admin`.
    pub role: String,
    /// The method, such as `POST`.
    pub method: String,
    /// The path, with its query.
    pub path: String,
    /// The idempotency key, if one was sent.
    pub idempotency_key: Option<String>,
    /// BLAKE3 of the request's body, 64 hexadecimal digits, if it has one.
    pub body: Option<String>,
    /// What came of it; null in the record before the change.
    pub outcome: Option<AuditOutcomeView>,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditOutcomeView {
    /// The number of the record before the change.
    pub intent: u64,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The job that it was about.
    pub job: Option<String>,
    /// The operation that it began.
    pub operation: Option<String>,
    /// Hashes of modules: `module` of one that was pushed or deleted, `old` and `new` of a swap, else by operator.
    pub modules: BTreeMap<String, String>,
    /// Hashes of an entry of state that was edited: `old` and `new`, where there was and is one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, String>,
}

impl From<NumberedRecord> for AuditView {
    fn from(NumberedRecord { number, record }: NumberedRecord) -> Self {
        Self {
            number,
            at: time(record.at_ms),
            who: record.who,
            role: record.role,
            method: record.method,
            path: record.path,
            idempotency_key: record.key,
            body: record.body,
            outcome: record.outcome.map(AuditOutcomeView::from),
        }
    }
}

impl From<AuditOutcome> for AuditOutcomeView {
    fn from(AuditOutcome { intent, status, job, operation, modules, values }: AuditOutcome) -> Self {
        Self { intent, status, job, operation, modules, values }
    }
}

/// A page of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditList {
    /// The records, ascending. The next page is `after` the last of them.
    pub records: Vec<AuditView>,
}
