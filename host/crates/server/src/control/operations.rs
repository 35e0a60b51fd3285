//! Long actions: each is written down when it begins and when it ends, and can be polled between.

use std::hash::{BuildHasher, Hasher, RandomState};

use gristmill_ports::catalog::{OperationRecord, OperationStatus};
use gristmill_types::JobId;
use serde_json::{Value, json};

use super::{Control, ControlError, Thing};

/// Operations that a listing shows at most.
pub(crate) const LISTED: usize = 1000;

impl Control {
    /// One operation.
    ///
    /// # Errors
    /// If there is none of that id.
    pub async fn operation(&self, id: &str) -> Result<OperationRecord, ControlError> {
        let wanted = id.to_owned();
        let found = self.ask(move |catalog| catalog.operation(&wanted)).await?;
        found.ok_or_else(|| ControlError::missing(Thing::Operation, id, []))
    }

    /// The newest operations first, at most `limit` of them and never more than 1000.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn operations(&self, limit: usize) -> Result<Vec<OperationRecord>, ControlError> {
        self.ask(move |catalog| catalog.operations(limit.min(LISTED))).await
    }

    /// Writes down that an operation has begun.
    pub(super) async fn begin(&self, kind: &str, job: &JobId) -> Result<OperationRecord, ControlError> {
        let now_ms = self.now_ms();
        let operation = OperationRecord {
            id: new_id(now_ms),
            kind: kind.to_owned(),
            job: Some(job.clone()),
            status: OperationStatus::Running,
            detail: json!({}),
            created_ms: now_ms,
            changed_ms: now_ms,
        };
        let written = operation.clone();
        self.ask(move |catalog| catalog.put_operation(&written)).await?;
        Ok(operation)
    }

    /// The same, with what another host must know of it if this one dies meanwhile.
    pub(super) async fn begin_with(
        &self,
        kind: &str,
        job: &JobId,
        detail: Value,
    ) -> Result<OperationRecord, ControlError> {
        let operation = OperationRecord { detail, ..self.begin(kind, job).await? };
        let written = operation.clone();
        self.ask(move |catalog| catalog.put_operation(&written)).await?;
        Ok(operation)
    }

    /// Writes down how an operation ended. A catalog that fails here leaves it `RUNNING` until the next start.
    pub(super) async fn end(&self, mut operation: OperationRecord, outcome: Result<Value, Value>) {
        (operation.status, operation.detail) = match outcome {
            Ok(detail) => (OperationStatus::Succeeded, detail),
            Err(detail) => (OperationStatus::Failed, detail),
        };
        operation.changed_ms = self.now_ms();
        let id = operation.id.clone();
        if let Err(error) = self.ask(move |catalog| catalog.put_operation(&operation)).await {
            tracing::error!(operation = %id, %error, "the end of an operation cannot be written down");
        }
    }
}

/// Ids sort by time; the random half keeps those of one millisecond apart.
fn new_id(now_ms: i64) -> String {
    let random = RandomState::new().build_hasher().finish();
    format!("op-{now_ms:011x}-{random:016x}")
}
