//! Sources, operators and sinks as nodes, and what flows between them as edges.
//!
//! Knows ids, not modules: a port or an input is still the name that the author wrote.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use gristmill_types::{NodeId, Parallelism};

use crate::document::{JobDocument, KeyBy, PartitioningSpec, SinkKind, SinkSpec, SourceKind, SourceSpec};
use crate::names::suggest;
use crate::plan::NodeKind;
use crate::problem::Problem;

/// The nodes in the order of the document: sources, operators, sinks.
#[derive(Debug)]
pub(crate) struct Graph<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) edges: Vec<Edge<'a>>,
}

/// A source, an operator or a sink.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    pub(crate) id: &'a NodeId,
    pub(crate) kind: NodeKind,
    pub(crate) parallelism: Parallelism,
}

/// One reference to a node as the origin of an input's events.
#[derive(Debug)]
pub(crate) struct Edge<'a> {
    /// Where the reference stands, such as `operators.enrich.inputs.in.from[1]`.
    pub(crate) at: String,
    /// The node that sends, as its place in the graph.
    pub(crate) from: usize,
    /// Its port, where the author named one.
    pub(crate) port: Option<&'a str>,
    /// The node that receives.
    pub(crate) to: usize,
    /// Its input; a sink's has no name.
    pub(crate) input: Option<&'a str>,
    pub(crate) key_by: Option<&'a KeyBy>,
    pub(crate) partition: Option<PartitioningSpec>,
}

impl Node<'_> {
    /// Its place in the document, such as `operators.enrich`.
    pub(crate) fn at(&self) -> String {
        let section = match self.kind {
            NodeKind::Source => "sources",
            NodeKind::Operator => "operators",
            NodeKind::Sink => "sinks",
        };
        format!("{section}.{}", self.id)
    }
}

impl<'a> Graph<'a> {
    /// Builds the graph. References to nodes that are not there are problems, not edges.
    pub(crate) fn of(document: &'a JobDocument, problems: &mut Vec<Problem>) -> Self {
        let mut builder = Builder { nodes: nodes_of(document), by_id: HashMap::new(), edges: Vec::new(), problems };
        builder.index_ids();
        let first_operator = document.sources.len();
        for (operator, (id, spec)) in document.operators.iter().enumerate() {
            for (name, input) in &spec.inputs {
                let at = format!("operators.{id}.inputs.{name}.from");
                for (place, text) in input.from.iter().enumerate() {
                    let at = if input.from.len() == 1 { at.clone() } else { format!("{at}[{place}]") };
                    let asked = Asked { input: Some(name), key_by: input.key_by.as_ref(), partition: input.partition };
                    builder.reference(at, text, first_operator + operator, asked);
                }
            }
        }
        let first_sink = first_operator + document.operators.len();
        for (sink, (id, spec)) in document.sinks.iter().enumerate() {
            for (place, text) in spec.inputs.iter().enumerate() {
                let asked = Asked { input: None, key_by: None, partition: None };
                builder.reference(format!("sinks.{id}.inputs[{place}]"), text, first_sink + sink, asked);
            }
        }
        Self { nodes: builder.nodes, edges: builder.edges }
    }

    /// Edges into a node, as places in [`Self::edges`].
    pub(crate) fn incoming(&self, node: usize) -> impl Iterator<Item = usize> {
        self.edges.iter().enumerate().filter(move |(_, edge)| edge.to == node).map(|(place, _)| place)
    }

    /// Edges out of a node, as places in [`Self::edges`].
    pub(crate) fn outgoing(&self, node: usize) -> impl Iterator<Item = usize> {
        self.edges.iter().enumerate().filter(move |(_, edge)| edge.from == node).map(|(place, _)| place)
    }

    /// The nodes, each after all that feed it, as near to the order of the document as that allows.
    ///
    /// # Errors
    /// The nodes of a ring, each feeding the next and the last the first.
    pub(crate) fn topological_order(&self) -> Result<Vec<usize>, Vec<usize>> {
        let mut feeding = vec![0_usize; self.nodes.len()];
        let mut fed: Vec<Vec<usize>> = vec![Vec::new(); self.nodes.len()];
        for edge in &self.edges {
            feeding[edge.to] += 1;
            fed[edge.from].push(edge.to);
        }
        let free = feeding.iter().enumerate().filter(|(_, count)| **count == 0);
        let mut ready: BinaryHeap<_> = free.map(|(node, _)| Reverse(node)).collect();
        let mut order = Vec::with_capacity(self.nodes.len());
        while let Some(Reverse(node)) = ready.pop() {
            order.push(node);
            for &next in &fed[node] {
                feeding[next] -= 1;
                if feeding[next] == 0 {
                    ready.push(Reverse(next));
                }
            }
        }
        if order.len() == self.nodes.len() { Ok(order) } else { Err(self.ring(&feeding)) }
    }

    /// Every node that is left is fed by another that is left: going upstream ends in a ring.
    fn ring(&self, feeding: &[usize]) -> Vec<usize> {
        let left = |node: usize| feeding[node] > 0;
        let mut upstream = vec![None; self.nodes.len()];
        for edge in self.edges.iter().filter(|edge| left(edge.from) && left(edge.to)) {
            upstream[edge.to].get_or_insert(edge.from);
        }
        let mut trail: Vec<usize> = (0..self.nodes.len()).filter(|node| left(*node)).take(1).collect();
        while let Some(before) = trail.last().and_then(|node| upstream[*node]) {
            if let Some(start) = trail.iter().position(|node| *node == before) {
                let mut ring = trail.split_off(start);
                ring.reverse();
                return ring;
            }
            trail.push(before);
        }
        trail
    }
}

/// The parallelism of a source: HTTP requests and a connection come in at one place.
fn source_parallelism(document: &JobDocument, spec: &SourceSpec) -> Parallelism {
    spec.parallelism.unwrap_or(match spec.from {
        SourceKind::File(_) | SourceKind::Generator(_) => document.parallelism,
        SourceKind::Http(_) | SourceKind::Socket(_) => Parallelism::ONE,
    })
}

/// The parallelism of a sink: one file or one transaction, unless more are asked for.
pub(crate) fn sink_parallelism(document: &JobDocument, spec: &SinkSpec) -> Parallelism {
    spec.parallelism.unwrap_or(match spec.to {
        SinkKind::File(_) | SinkKind::Postgres(_) | SinkKind::Stdout(_) => Parallelism::ONE,
        SinkKind::Http(_) | SinkKind::Blackhole(_) => document.parallelism,
    })
}

pub(crate) fn nodes_of(document: &JobDocument) -> Vec<Node<'_>> {
    let node = |kind, id, parallelism| Node { id, kind, parallelism };
    let sources =
        document.sources.iter().map(|(id, spec)| node(NodeKind::Source, id, source_parallelism(document, spec)));
    let operators = document
        .operators
        .iter()
        .map(|(id, spec)| node(NodeKind::Operator, id, spec.parallelism.unwrap_or(document.parallelism)));
    let sinks = document.sinks.iter().map(|(id, spec)| node(NodeKind::Sink, id, sink_parallelism(document, spec)));
    sources.chain(operators).chain(sinks).collect()
}

/// What an author asked of an input.
#[derive(Clone, Copy)]
struct Asked<'a> {
    input: Option<&'a str>,
    key_by: Option<&'a KeyBy>,
    partition: Option<PartitioningSpec>,
}

struct Builder<'a, 'p> {
    nodes: Vec<Node<'a>>,
    by_id: HashMap<&'a str, usize>,
    edges: Vec<Edge<'a>>,
    problems: &'p mut Vec<Problem>,
}

impl<'a> Builder<'a, '_> {
    fn index_ids(&mut self) {
        for (place, node) in self.nodes.iter().enumerate() {
            let first = *self.by_id.entry(node.id.as_str()).or_insert(place);
            if first != place {
                let message = format!("the id `{}` is taken by {}", node.id, self.nodes[first].at());
                let hint = "ids are unique in a job, whatever they name: rename one of the two";
                self.problems.push(Problem::error(node.at(), message).hint(hint.to_owned()));
            }
        }
    }

    fn reference(&mut self, at: String, text: &'a str, to: usize, asked: Asked<'a>) {
        let (id, port) = match text.split_once('.') {
            Some((id, port)) => (id, Some(port)),
            None => (text, None),
        };
        let Some(&from) = self.by_id.get(id) else {
            let known = self.nodes.iter().filter(|node| node.kind != NodeKind::Sink).map(|node| node.id.as_str());
            let message = format!("no source or operator is called `{id}`");
            self.problems.push(Problem::error(at, message).hint(suggest(id, known)));
            return;
        };
        match (self.nodes[from].kind, port) {
            (NodeKind::Sink, _) => {
                let message = format!("`{id}` is a sink, and nothing flows out of a sink");
                self.problems.push(Problem::error(at, message).hint("name a source or an operator".to_owned()));
            }
            (NodeKind::Source, Some(port)) => {
                let message = format!("`{id}` is a source and has no port `{port}`");
                self.problems.push(Problem::error(at, message).hint(format!("write `{id}`")));
            }
            (NodeKind::Source, None) | (NodeKind::Operator, _) => {
                let Asked { input, key_by, partition } = asked;
                self.edges.push(Edge { at, from, port, to, input, key_by, partition });
            }
        }
    }
}
