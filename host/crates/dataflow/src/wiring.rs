//! Names of ports and inputs → their places in the descriptors of the modules.

use std::collections::{HashMap, HashSet};

use gristmill_types::{Descriptor, InputIndex, NodeId};

use crate::document::JobDocument;
use crate::graph::{Edge, Graph};
use crate::names::{list, suggest};
use crate::plan::NodeKind;
use crate::problem::Problem;

/// What the module of each operator declares.
pub type Descriptors = HashMap<NodeId, Descriptor>;

/// The two ends of an edge, as places in descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ends {
    /// The output port of the sender; a source has only port 0.
    pub(crate) port: usize,
    /// The input of the receiver; a sink has only input 0.
    pub(crate) input: InputIndex,
}

/// Finds both ends of every edge, in the order of the edges. `None` if some cannot be found; then there are problems.
pub(crate) fn wire(
    document: &JobDocument,
    graph: &Graph<'_>,
    descriptors: &Descriptors,
    problems: &mut Vec<Problem>,
) -> Option<Vec<Ends>> {
    for (id, spec) in &document.operators {
        match descriptors.get(id) {
            Some(descriptor) => inputs(id, &spec.inputs, descriptor, problems),
            None => problems.push(unknown_module(id, &String::from(spec.module.clone()))),
        }
    }
    let mut twice = HashSet::new();
    let mut wired = Vec::with_capacity(graph.edges.len());
    for edge in &graph.edges {
        let port = port(graph, edge, descriptors, problems);
        let input = input(graph, edge, descriptors);
        if let Some(port) = port
            && !twice.insert((edge.from, port, edge.to, edge.input))
        {
            let message =
                format!("`{}` feeds this input twice, so every event would come twice", graph.nodes[edge.from].id);
            problems.push(Problem::error(&edge.at, message).hint("take one of the two out".to_owned()));
        }
        wired.push(port.zip(input).map(|(port, input)| Ends { port, input }));
    }
    wired.into_iter().collect()
}

fn unknown_module(id: &NodeId, module: &str) -> Problem {
    Problem::error(format!("operators.{id}.module"), format!("the module `{module}` is not here"))
        .hint("see `gristmill module list` for those that are, and `gristmill module push` to add one".to_owned())
}

/// Inputs of an operator against those of its module: none unknown, none left out.
fn inputs<S>(id: &NodeId, given: &indexmap::IndexMap<String, S>, module: &Descriptor, problems: &mut Vec<Problem>) {
    let declared = || module.inputs.iter().map(|input| input.name.as_str());
    for name in given.keys().filter(|name| module.input(name).is_none()) {
        let message = format!("the module has no input `{name}`");
        problems.push(Problem::error(format!("operators.{id}.inputs.{name}"), message).hint(suggest(name, declared())));
    }
    for name in declared().filter(|name| !given.contains_key(*name)) {
        let message = format!("the module's input `{name}` is fed by nothing");
        let hint = format!("add `{name}: {{from: …}}`");
        problems.push(Problem::error(format!("operators.{id}.inputs"), message).hint(hint));
    }
}

/// The port that an edge leaves, if it can be told.
fn port(graph: &Graph<'_>, edge: &Edge<'_>, descriptors: &Descriptors, problems: &mut Vec<Problem>) -> Option<usize> {
    let sender = &graph.nodes[edge.from];
    match sender.kind {
        NodeKind::Source => Some(0),
        NodeKind::Sink => None,
        NodeKind::Operator => {
            let module = descriptors.get(sender.id)?;
            find_port(sender.id, edge.port, module)
                .map_err(|(message, hint)| {
                    problems.push(Problem::error(&edge.at, message).hint(hint));
                })
                .ok()
        }
    }
}

/// The place of a port, or what is wrong with its name and what to do about it.
fn find_port(id: &NodeId, port: Option<&str>, module: &Descriptor) -> Result<usize, (String, Option<String>)> {
    let names = || module.outputs.iter().map(|output| output.name.as_str());
    match (port, module.outputs.len()) {
        (_, 0) => Err((format!("the module of `{id}` has no output ports"), None)),
        (None, 1) => Ok(0),
        (None, _) => {
            let full: Vec<_> = names().map(|port| format!("{id}.{port}")).collect();
            let hint = format!("write one of {}", list(full.iter().map(String::as_str)));
            Err((format!("`{id}` has several output ports"), Some(hint)))
        }
        (Some(port), _) => match module.output(port) {
            Some(index) => Ok(index.at()),
            None => Err((format!("`{id}` has no output port `{port}`"), suggest(port, names()))),
        },
    }
}

/// The input that an edge enters; an unknown one was reported where it is declared.
fn input(graph: &Graph<'_>, edge: &Edge<'_>, descriptors: &Descriptors) -> Option<InputIndex> {
    match edge.input {
        Some(name) => descriptors.get(graph.nodes[edge.to].id)?.input(name),
        None => Some(InputIndex(0)),
    }
}
