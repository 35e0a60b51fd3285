//! Operations on the wire.

use gristmill_ports::catalog::OperationRecord;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time;

/// A long action.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationView {
    /// Its id; `GET /v1/operations/{id}` tells how far it is.
    pub id: String,
    /// `stop-job`, `cancel-job`, `checkpoint`, `savepoint`, `verify-savepoint`, `swap`, `roll-back-swap`, `rescale`, `edit-state`
    /// or `replay-dead-letters`.
    pub kind: String,
    /// The job it is about.
    pub job: Option<String>,
    /// `RUNNING`, `SUCCEEDED` or `FAILED`.
    pub status: String,
    /// What came of it, or why it failed.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
    /// When it began.
    pub created_at: String,
    /// When its status last changed.
    pub changed_at: String,
}

impl From<OperationRecord> for OperationView {
    fn from(operation: OperationRecord) -> Self {
        Self {
            id: operation.id,
            kind: operation.kind,
            job: operation.job.map(String::from),
            status: operation.status.as_str().to_owned(),
            detail: operation.detail,
            created_at: time(operation.created_ms),
            changed_at: time(operation.changed_ms),
        }
    }
}

/// The newest operations first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperationList {
    /// The operations.
    pub operations: Vec<OperationView>,
}
