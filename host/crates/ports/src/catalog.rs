//! What the host remembers across restarts: modules, jobs, operations.

use std::collections::BTreeSet;

use gristmill_checkpoint::recovery::Decided;
use gristmill_checkpoint::swap::SwapPolicy;
use gristmill_types::{CheckpointId, JobId, ModuleHash, ModuleName, NodeId, RunId};
use serde::{Deserialize, Serialize};

use crate::error::PortError;
use crate::module_registry::Admission;

/// The host's memory. Every write is durable when it returns.
///
/// # Errors
/// Every function: `Fatal` if the store cannot be read or written.
#[expect(clippy::missing_errors_doc, reason = "one sentence above serves all")]
pub trait Catalog: Send + Sync {
    /// Whether it can be written as far as is known; after an error of the disk it makes itself whole again, if it can.
    fn heal(&self) -> Result<(), PortError>;

    /// Keeps the bytes and the report of a module, and points its name at it if it has one.
    ///
    /// A name that already points at other bytes is refused: a version is never changed.
    fn put_module(
        &self,
        name: Option<&ModuleName>,
        bytes: &[u8],
        admission: &Admission,
    ) -> Result<PutModule, PortError>;
    /// The hash behind a name.
    fn resolve(&self, name: &ModuleName) -> Result<Option<ModuleHash>, PortError>;
    /// One module.
    fn module(&self, hash: ModuleHash) -> Result<Option<ModuleRecord>, PortError>;
    /// The bytes of a module.
    fn module_bytes(&self, hash: ModuleHash) -> Result<Option<Vec<u8>>, PortError>;
    /// All modules, newest first.
    fn modules(&self) -> Result<Vec<ModuleRecord>, PortError>;
    /// Forgets a name; a module goes with the last of its names. Says whether the module went. An unknown name changes
    /// nothing.
    fn delete_name(&self, name: &ModuleName) -> Result<bool, PortError>;
    /// Forgets a module and its names. Says whether there was one.
    fn delete_module(&self, hash: ModuleHash) -> Result<bool, PortError>;

    /// Writes a job, new or changed.
    fn put_job(&self, job: &JobRecord) -> Result<(), PortError>;
    /// One job.
    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError>;
    /// All jobs, by id.
    fn jobs(&self) -> Result<Vec<JobRecord>, PortError>;
    /// Forgets a job. Says whether there was one.
    fn delete_job(&self, id: &JobId) -> Result<bool, PortError>;

    /// Writes an operation, new or changed.
    fn put_operation(&self, operation: &OperationRecord) -> Result<(), PortError>;
    /// One operation.
    fn operation(&self, id: &str) -> Result<Option<OperationRecord>, PortError>;
    /// The newest operations first, at most `limit`.
    fn operations(&self, limit: usize) -> Result<Vec<OperationRecord>, PortError>;

    /// Remembers the answer given under an idempotency key, unless one is remembered already: then gives that one.
    fn remember_answer(&self, key: &str, answer: &RememberedAnswer) -> Result<Option<RememberedAnswer>, PortError>;
    /// The answer remembered under an idempotency key.
    fn answer(&self, key: &str) -> Result<Option<RememberedAnswer>, PortError>;
}

/// What became of a put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutModule {
    /// It is new.
    Created,
    /// It was there, under this name if one was given.
    Unchanged,
    /// The bytes were there; the name is new.
    Named,
    /// The name belongs to other bytes; nothing was done.
    NameTaken(ModuleHash),
}

/// A module in the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModuleRecord {
    /// Names that point at it.
    pub names: Vec<ModuleName>,
    /// What admission found.
    pub admission: Admission,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
}

/// A job in the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// The document as JSON, placeholders unresolved.
    pub document: serde_json::Value,
    /// For each operator, the module that it runs.
    pub modules: Vec<(String, ModuleHash)>,
    /// The state it was last seen in, as [`crate::catalog::JobState`] has it.
    pub state: JobState,
    /// Why it failed, if it did.
    pub cause: Option<String>,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// Milliseconds since the epoch, of the last change of state.
    pub changed_ms: i64,
    /// Counters by operator at the end, kept when a job has ended.
    pub final_report: Option<serde_json::Value>,
    /// A checkpoint that somebody accepted to go on from, until an attempt does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<Accepted>,
    /// The life that the job leads, or led last; `None` in records of hosts that knew no checkpoints.
    #[serde(default)]
    pub run: Option<RunId>,
    /// The newest checkpoint of the run that is known to be decided, so that its absence from storage is noticed. There
    /// may be newer ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Decided>,
    /// The folder in which relative paths of the document begin: the working directory of the host that the job was
    /// submitted to, absolute. `None` in records of hosts that did not keep it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The savepoint that the run begins from, until its first checkpoint is decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// A swap that is under way: the manifest that the job goes on from says whether it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swap: Option<PendingSwap>,
    /// Another document, with which the job is about to go on from its newest checkpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<PendingDocument>,
}

impl JobRecord {
    /// The document with which the job is about to go on, unless it has already.
    #[must_use]
    pub fn next_document(&self) -> Option<&PendingDocument> {
        self.pending.as_ref().filter(|pending| pending.document != self.document)
    }

    /// The document that was to come is the job's own.
    pub fn adopt(&mut self, pending: &PendingDocument) {
        (self.document, self.modules) = (pending.document.clone(), pending.modules.clone());
    }
}

/// Another document of a job. It becomes the job's own once an attempt has begun with it; if none can, it is dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingDocument {
    /// The operation that tells of it.
    pub operation: String,
    /// The document, as JSON, placeholders unresolved.
    pub document: serde_json::Value,
    /// For each operator, the module that it is to run.
    pub modules: Vec<(String, ModuleHash)>,
}

/// A swap of one operator's module that is not over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PendingSwap {
    /// The operation that tells of it.
    pub operation: String,
    /// Whose module is swapped.
    pub operator: NodeId,
    /// The module that comes.
    pub module: ModuleHash,
    /// The document with that module, as JSON, placeholders unresolved.
    pub document: serde_json::Value,
    /// What a canary may do, and how it is taken over; nothing if it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<SwapPolicy>,
}

/// A savepoint that a run begins from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The job that it was taken of.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// What of it may go: nodes, and states as `node.state`.
    pub dropped: BTreeSet<String>,
}

/// A person's word that a job may go on from a checkpoint, whatever that repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Which; zero is the beginning.
    pub checkpoint: CheckpointId,
    /// When it was said, in milliseconds since the epoch: an attempt that went on from it since has kept the word.
    pub at_ms: i64,
}

/// Where a job is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobState {
    /// Its parts are being opened.
    Starting,
    /// Events flow.
    Running,
    /// The job failed and starts again by itself, from its newest checkpoint.
    Restarting,
    /// Sources hold still until resumed.
    Paused,
    /// Sources have ended by request; what is inside flows out.
    Stopping,
    /// Bounded input was read to its end, and all of it came out.
    Finished,
    /// Stopped by request, drained.
    Stopped,
    /// Ended at once by request; what was inside is dropped.
    Cancelled,
    /// Ended by an error.
    Failed,
}

impl JobState {
    /// Whether the job is over.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::Restarting | Self::Paused | Self::Stopping => false,
            Self::Finished | Self::Stopped | Self::Cancelled | Self::Failed => true,
        }
    }
}

impl std::fmt::Display for JobState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Restarting => "RESTARTING",
            Self::Paused => "PAUSED",
            Self::Stopping => "STOPPING",
            Self::Finished => "FINISHED",
            Self::Stopped => "STOPPED",
            Self::Cancelled => "CANCELLED",
            Self::Failed => "FAILED",
        })
    }
}

/// A long action, to be polled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperationRecord {
    /// Unique.
    pub id: String,
    /// Such as `stop-job`.
    pub kind: String,
    /// The job it is about.
    pub job: Option<JobId>,
    /// How far it is.
    pub status: OperationStatus,
    /// What came of it, or why it failed.
    pub detail: serde_json::Value,
    /// Milliseconds since the epoch.
    pub created_ms: i64,
    /// Milliseconds since the epoch.
    pub changed_ms: i64,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperationStatus {
    /// Under way.
    Running,
    /// Done.
    Succeeded,
    /// It did not happen.
    Failed,
}

impl OperationStatus {
    /// The status in a word, as serde writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
        }
    }
}

/// An answer given to a request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedAnswer {
    /// BLAKE3 of method, path and body: another request under the same key is refused.
    pub request_hash: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// Body as JSON text.
    pub body: String,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_called_as_serde_writes_it() {
        for status in [OperationStatus::Running, OperationStatus::Succeeded, OperationStatus::Failed] {
            assert_eq!(serde_json::json!(status), status.as_str());
        }
    }

    #[test]
    fn a_state_is_displayed_as_serde_writes_it() {
        for state in [
            JobState::Starting,
            JobState::Running,
            JobState::Restarting,
            JobState::Paused,
            JobState::Stopping,
            JobState::Finished,
            JobState::Stopped,
            JobState::Cancelled,
            JobState::Failed,
        ] {
            assert_eq!(serde_json::json!(state), state.to_string());
        }
    }
}
