//! Everything that can be wrong with a job, found in one pass, so that its author need not ask twice.
//!
//! Each file knows one part of the document. None of them stops at its first finding.

mod numbers;
mod checkpoint;
mod sources;
mod columns;
mod sinks;
mod flow;
mod keys;

use crate::document::JobDocument;
use crate::environment;
use crate::graph::Graph;
use crate::problem::Problem;
use crate::wiring::{Descriptors, Ends, wire};

/// The version of the document's format.
const VERSION: u32 = 1;

/// Most sources, operators and sinks of a job together.
const MAX_NODES: usize = 1000;

/// All that is wrong with a job as far as its document tells: what `job check` says offline.
///
/// Problems carry no lines yet: see [`crate::place`].
#[must_use]
pub fn validate_offline(document: &JobDocument) -> Vec<Problem> {
    let mut problems = Vec::new();
    examine(document, &mut problems);
    problems
}

/// All that is wrong with a job, given what its modules declare: errors and warnings.
#[must_use]
pub fn validate(document: &JobDocument, descriptors: &Descriptors) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(graph) = examine(document, &mut problems) {
        resolve(document, &graph, descriptors, &mut problems);
    }
    problems
}

/// Checks the document alone. `None` if it is too large to go on.
pub(crate) fn examine<'a>(document: &'a JobDocument, problems: &mut Vec<Problem>) -> Option<Graph<'a>> {
    if document.version != VERSION {
        let message = format!("version {} of the document's format is unknown", document.version);
        problems.push(Problem::error("version", message).hint(format!("write version: {VERSION}")));
    }
    let nodes = document.sources.len() + document.operators.len() + document.sinks.len();
    if nodes > MAX_NODES {
        let message = format!("the job has {nodes} sources, operators and sinks, but at most {MAX_NODES} are run");
        problems.push(Problem::error("", message).hint("cut it into several jobs".to_owned()));
        return None;
    }
    numbers::check(document, problems);
    checkpoint::check(document, problems);
    sources::check(document, problems);
    sinks::check(document, problems);
    environment::check(document, problems);
    keys::check_paths(document, problems);
    let graph = Graph::of(document, problems);
    flow::check(document, &graph, problems);
    Some(graph)
}

/// Checks what only the modules' descriptors tell, and finds the ends of all edges.
pub(crate) fn resolve(
    document: &JobDocument,
    graph: &Graph<'_>,
    descriptors: &Descriptors,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Ends>> {
    let ends = wire(document, graph, descriptors, problems);
    keys::check_modules(document, descriptors, problems);
    if let Some(ends) = &ends {
        flow::unused_ports(graph, ends, descriptors, problems);
    }
    ends
}

#[cfg(test)]
mod tests;
