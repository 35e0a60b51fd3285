//! What a job is made of, and why it cannot be started.

use std::collections::HashMap;

use gristmill_dataflow::{JobDocument, JobPlan};
use gristmill_ports::module_registry::Prepared;
use gristmill_types::{ModuleHash, NodeId};

/// All that is needed to start a job.
pub struct JobSpec {
    /// The document, placeholders resolved.
    pub document: JobDocument,
    /// Its plan.
    pub plan: JobPlan,
    /// For each operator, its module.
    pub operators: HashMap<NodeId, OperatorParts>,
}

/// The module of one operator, prepared.
#[derive(Clone)]
pub struct OperatorParts {
    /// Opens instances.
    pub prepared: Prepared,
    /// Which module it is.
    pub module: ModuleHash,
}

/// Why a job does not start. Nothing of it runs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{node}` cannot be opened: {message}")]
pub struct StartError {
    /// Which source, operator or sink.
    pub node: NodeId,
    /// Why.
    pub message: String,
}
