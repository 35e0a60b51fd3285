//! What is wrong with the flow between nodes: rings, loose ends, spreads that cannot be.

use std::collections::HashSet;

use crate::document::{JobDocument, PartitioningSpec};
use crate::graph::{Edge, Graph};
use crate::plan::NodeKind;
use crate::problem::Problem;
use crate::wiring::{Descriptors, Ends};

pub(super) fn check(document: &JobDocument, graph: &Graph<'_>, problems: &mut Vec<Problem>) {
    for (id, spec) in &document.operators {
        let at = format!("operators.{id}.inputs");
        if spec.inputs.is_empty() {
            let hint = "name each input of the module, such as `in: {from: …}`".to_owned();
            problems.push(Problem::error(&at, "nothing flows into this operator").hint(hint));
        }
        for (name, _) in spec.inputs.iter().filter(|(_, input)| input.from.is_empty()) {
            let hint = "name a source, an operator or `operator.port`".to_owned();
            problems.push(Problem::error(format!("{at}.{name}.from"), "nothing flows into this input").hint(hint));
        }
    }
    if let Err(ring) = graph.topological_order() {
        problems.push(rings(graph, &ring));
    }
    for edge in &graph.edges {
        spread(graph, edge, problems);
    }
    loose_ends(graph, problems);
}

fn rings(graph: &Graph<'_>, ring: &[usize]) -> Problem {
    let names: Vec<_> = ring.iter().chain(ring.first()).map(|node| graph.nodes[*node].id.as_str()).collect();
    let last_edge = graph.edges.iter().find(|edge| Some(&edge.from) == ring.last() && Some(&edge.to) == ring.first());
    let at = last_edge.map(|edge| edge.at.clone()).unwrap_or_default();
    Problem::error(at, format!("the operators feed each other in a ring: {}", names.join(" → ")))
        .hint("events flow one way, from sources to sinks: take one of these edges out".to_owned())
}

/// Whether events can be spread over the subtasks as the author asks.
fn spread(graph: &Graph<'_>, edge: &Edge<'_>, problems: &mut Vec<Problem>) {
    let Some(partition) = edge.partition else { return };
    let at = match edge.at.rfind(".from") {
        Some(end) => format!("{}.partition", &edge.at[..end]),
        None => edge.at.clone(),
    };
    if edge.key_by.is_some() {
        let hint = "take `partition` out: events of a key all go to the subtask that owns it".to_owned();
        problems.push(Problem::error(&at, "`key_by` already says how events spread").hint(hint));
    }
    let (from, to) = (&graph.nodes[edge.from], &graph.nodes[edge.to]);
    match partition {
        PartitioningSpec::Forward if from.parallelism != to.parallelism => {
            let message = format!(
                "`forward` goes from subtask i to subtask i, but `{}` has {} and `{}` has {}",
                from.id,
                from.parallelism.get(),
                to.id,
                to.parallelism.get()
            );
            let hint = "make their parallelism equal, or write `partition: rebalance`".to_owned();
            problems.push(Problem::error(at, message).hint(hint));
        }
        PartitioningSpec::Forward | PartitioningSpec::Rebalance | PartitioningSpec::Broadcast => {}
    }
}

/// Nodes that nothing reads from.
fn loose_ends(graph: &Graph<'_>, problems: &mut Vec<Problem>) {
    let read: HashSet<usize> = graph.edges.iter().map(|edge| edge.from).collect();
    for (_, node) in graph.nodes.iter().enumerate().filter(|(place, _)| !read.contains(place)) {
        match node.kind {
            NodeKind::Source => {
                let hint = format!("name `{}` in the inputs of an operator or a sink, or take it out", node.id);
                problems.push(Problem::error(node.at(), "nothing reads from this source").hint(hint));
            }
            NodeKind::Operator => {
                let hint = format!("name `{}` in the inputs of a sink if its output is of use", node.id);
                problems.push(Problem::warning(node.at(), "nothing reads from this operator").hint(hint));
            }
            NodeKind::Sink => {}
        }
    }
}

/// Ports that nothing reads, of operators with others that are read.
pub(super) fn unused_ports(graph: &Graph<'_>, ends: &[Ends], descriptors: &Descriptors, problems: &mut Vec<Problem>) {
    let read: HashSet<_> = graph.edges.iter().zip(ends).map(|(edge, ends)| (edge.from, ends.port)).collect();
    for (place, node) in graph.nodes.iter().enumerate() {
        let Some(module) = descriptors.get(node.id).filter(|_| graph.outgoing(place).next().is_some()) else {
            continue;
        };
        for (_, output) in module.outputs.iter().enumerate().filter(|(port, _)| !read.contains(&(place, *port))) {
            let message = format!("nothing reads its port `{}`: what leaves there is dropped", output.name);
            let hint = format!("name `{}.{}` in the inputs of a sink if it is of use", node.id, output.name);
            problems.push(Problem::warning(node.at(), message).hint(hint));
        }
    }
}
