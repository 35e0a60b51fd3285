//! What a job is made of, and why it cannot be started.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;

use gristmill_checkpoint::recovery::Decided;
use gristmill_dataflow::{JobDocument, JobPlan};
use gristmill_ports::catalog::{Accepted, Origin};
use gristmill_ports::module_registry::Prepared;
use gristmill_ports::{ErrorKind, PortError, Veil};
use gristmill_types::{ModuleHash, NodeId, RunId};

/// All that is needed to start a job.
pub struct JobSpec {
    /// The document, placeholders resolved.
    pub document: JobDocument,
    /// Its plan.
    pub plan: JobPlan,
    /// For each operator, its module.
    pub operators: HashMap<NodeId, OperatorParts>,
    /// Which life of the job it is: a new one, or one that goes on.
    pub run: RunId,
    /// An attempt of this run has begun before: its chain must be there. Without it the job would begin anew, and put what
    /// it made first in the place of all that it has committed.
    pub goes_on: bool,
    /// A checkpoint that somebody accepted to go on from though a newer one may be committed.
    pub accepted: Option<Accepted>,
    /// The newest checkpoint of the run that is known to be decided: without it in the chain, a person must decide.
    pub newest: Option<Decided>,
    /// The savepoint that the run begins from, while it has no checkpoint of its own.
    pub origin: Option<Origin>,
    /// Whether its sources hold still until resumed.
    pub paused: bool,
    /// The savepoint that it is to end in, once all that was taken in is through: an earlier host was asked for that.
    pub drains_into: Option<String>,
    /// The document as it was written, for savepoints: with its placeholders, since secrets are never stored.
    pub text: String,
    /// Keeps what its placeholders stand for out of dead letters and crash bundles.
    pub veil: Arc<dyn Veil>,
}

impl JobSpec {
    /// Notes the document as it was written, as JSON.
    pub fn note_written(&mut self, document: &serde_json::Value) {
        for (id, parts) in &mut self.operators {
            parts.written = document.pointer(&format!("/operators/{id}")).cloned();
        }
        self.text = document.to_string();
    }
}

/// A number that no other run or attempt has: the standard library seeds its hashers with 128 random bits.
pub(crate) fn unheard_of() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A run that never was.
#[must_use]
pub fn new_run() -> RunId {
    RunId(unheard_of())
}

/// The module of one operator, prepared.
#[derive(Clone)]
pub struct OperatorParts {
    /// Opens instances.
    pub prepared: Prepared,
    /// Which module it is.
    pub module: ModuleHash,
    /// What the job's document says of the operator, with its placeholders.
    pub written: Option<serde_json::Value>,
}

impl OperatorParts {
    /// The parameters as they were written.
    pub(crate) fn written_parameters(&self) -> Option<String> {
        let parameters = self.written.as_ref()?.get("parameters");
        Some(parameters.map_or_else(|| "{}".to_owned(), ToString::to_string))
    }

    /// Whether both do the same: one module, with the same parameters.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.module == other.module && self.prepared.parameters == other.prepared.parameters
    }
}

/// Why a job does not start. Nothing of it runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// A part cannot be opened.
    #[error("`{node}` cannot be opened: {message}")]
    Part {
        /// Which source, operator or sink.
        node: NodeId,
        /// Why.
        message: String,
        /// It would not open at the next try either.
        lasts: bool,
    },
    /// Its checkpoints cannot be had.
    #[error("{message}")]
    Checkpoints {
        /// Why, and what to do.
        message: String,
        /// A person must do something.
        lasts: bool,
    },
}

impl StartError {
    /// Whether it would be the same at the next try.
    #[must_use]
    pub fn lasts(&self) -> bool {
        match self {
            Self::Part { lasts, .. } | Self::Checkpoints { lasts, .. } => *lasts,
        }
    }

    pub(crate) fn part(node: &NodeId, error: PortError) -> Self {
        Self::Part { node: node.clone(), message: error.message, lasts: error.kind == ErrorKind::Fatal }
    }

    pub(crate) fn checkpoints(error: PortError) -> Self {
        Self::Checkpoints { message: error.message, lasts: error.kind == ErrorKind::Fatal }
    }
}
