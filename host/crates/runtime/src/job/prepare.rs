//! From a document and the bytes of its modules to a job that can be started.

use std::collections::HashMap;
use std::sync::Arc;

use gristmill_dataflow::document::Limits;
use gristmill_dataflow::{Descriptors, JobDocument, Problem, plan};
use gristmill_ports::module_registry::{BAD_PARAMETERS, ModuleRegistry, PrepareOptions, Refusal};
use gristmill_ports::veil::NoSecrets;
use gristmill_types::{ModuleHash, NodeId};

use crate::job::spec::{JobSpec, OperatorParts, new_run};

/// The bytes of a module, and which they are.
#[derive(Clone)]
pub struct ModuleBytes {
    /// BLAKE3 of the bytes.
    pub hash: ModuleHash,
    /// A component, or a core module that becomes one.
    pub bytes: Arc<[u8]>,
}

/// Prepares every operator's module and plans the job. Blocks while modules compile; not for a tokio worker.
///
/// # Errors
/// Everything that is wrong with the job, each with its place in the document.
///
/// # Panics
/// If `modules` lacks an operator of the document.
pub fn prepare(
    document: JobDocument,
    modules: &HashMap<NodeId, ModuleBytes>,
    registry: &dyn ModuleRegistry,
) -> Result<JobSpec, Vec<Problem>> {
    let mut operators = HashMap::new();
    let mut problems = Vec::new();
    for (id, spec) in &document.operators {
        let module = &modules[id];
        match registry.prepare(&module.bytes, &options(&spec.limits, spec.parameters.clone())) {
            Ok(prepared) => {
                operators.insert(id.clone(), OperatorParts { prepared, module: module.hash, written: None });
            }
            Err(refusal) => problems.extend(refused(id, refusal)),
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let descriptor = |parts: &OperatorParts| parts.prepared.factory.descriptor().clone();
    let descriptors: Descriptors = operators.iter().map(|(id, parts)| (id.clone(), descriptor(parts))).collect();
    let plan = plan(&document, &descriptors)?;
    Ok(JobSpec {
        document,
        plan,
        operators,
        run: new_run(),
        goes_on: false,
        accepted: None,
        newest: None,
        origin: None,
        paused: false,
        drains_into: None,
        text: String::new(),
        veil: Arc::new(NoSecrets),
    })
}

/// What is wrong with an operator: one problem with its module, or one with each of its parameters that does not fit.
fn refused(id: &NodeId, refusal: Refusal) -> Vec<Problem> {
    if refusal.code != BAD_PARAMETERS {
        return vec![Problem::error(format!("operators.{id}.module"), refusal.message)];
    }
    let findings = if refusal.details.is_empty() { vec![refusal.message] } else { refusal.details };
    findings.into_iter().map(|finding| Problem::error(format!("operators.{id}.parameters"), finding)).collect()
}

fn options(limits: &Limits, parameters: Option<serde_json::Value>) -> PrepareOptions {
    PrepareOptions {
        parameters,
        memory_bytes: limits.memory.as_u64(),
        call: limits.call.0,
        output_bytes: limits.output.as_u64(),
        log_bytes: limits.log.as_u64(),
    }
}
