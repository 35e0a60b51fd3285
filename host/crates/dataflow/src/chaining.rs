//! Checked job → plan: which nodes share a task, and what stands between tasks.
//!
//! A node joins the task of the node that feeds it if that is the only one, both have equal parallelism, and every
//! event may stay in its subtask. Otherwise it is the head of a task of its own, fed through exchanges.

use gristmill_types::Parallelism;

use crate::document::{JobDocument, KeyBy, PartitioningSpec};
use crate::graph::{Edge, Graph};
use crate::plan::{ExchangePlan, JobPlan, NodeKind, NodePlan, Partitioning, Route, TaskPlan};
use crate::problem::Problem;
use crate::validate;
use crate::wiring::{Descriptors, Ends};

/// Most subtasks of a job; each is a thread.
const MAX_SUBTASKS: u32 = 4096;

/// Checks a job against the descriptors of its modules and cuts it into tasks.
///
/// # Errors
/// All errors, not only the first. Warnings are for [`crate::validate`].
pub fn plan(document: &JobDocument, descriptors: &Descriptors) -> Result<JobPlan, Vec<Problem>> {
    let mut problems = Vec::new();
    let plan = validate::examine(document, &mut problems).and_then(|graph| {
        let ends = validate::resolve(document, &graph, descriptors, &mut problems)?;
        let order = graph.topological_order().ok()?;
        let ports = graph.nodes.iter().map(|node| match node.kind {
            NodeKind::Source => 1,
            NodeKind::Operator => descriptors.get(node.id).map_or(0, |module| module.outputs.len()),
            NodeKind::Sink => 0,
        });
        let kept = kept_keys(&graph, &ends, &order, descriptors);
        let mut cutter = Cutter {
            ports: ports.collect(),
            places: vec![(0, 0); order.len()],
            ends,
            kept,
            graph,
            tasks: Vec::new(),
            exchanges: Vec::new(),
        };
        order.into_iter().for_each(|node| cutter.add(node));
        Some(JobPlan {
            tasks: cutter.tasks,
            exchanges: cutter.exchanges,
            max_parallelism: document.max_parallelism,
            batch: document.batch,
        })
    });
    problems.extend(plan.as_ref().and_then(too_many_subtasks));
    problems.retain(Problem::is_error);
    match plan {
        Some(plan) if problems.is_empty() => Ok(plan),
        Some(_) | None => Err(problems),
    }
}

fn too_many_subtasks(plan: &JobPlan) -> Option<Problem> {
    let subtasks: u32 = plan.tasks.iter().map(|task| task.parallelism.get()).sum();
    let message = format!("the job would run {subtasks} subtasks, each a thread; at most {MAX_SUBTASKS} are run");
    (subtasks > MAX_SUBTASKS).then(|| Problem::error("parallelism", message).hint("lower the parallelism".to_owned()))
}

/// Makes tasks, one node after the other, each after all that feed it.
struct Cutter<'a> {
    graph: Graph<'a>,
    ends: Vec<Ends>,
    /// For each node, how many output ports it has.
    ports: Vec<usize>,
    /// For each edge, whether its events are where their own key belongs.
    kept: Vec<bool>,
    /// For each node added, its task and its place there.
    places: Vec<(usize, usize)>,
    tasks: Vec<TaskPlan>,
    exchanges: Vec<ExchangePlan>,
}

impl Cutter<'_> {
    fn add(&mut self, node: usize) {
        let incoming: Vec<usize> = self.graph.incoming(node).collect();
        match incoming.as_slice() {
            [edge] if self.stays(*edge) => self.chain(node, *edge),
            exchanged => self.head(node, exchanged),
        }
    }

    /// Whether every event of an edge may stay in its subtask.
    fn stays(&self, place: usize) -> bool {
        let edge = &self.graph.edges[place];
        let parallelism = self.graph.nodes[edge.from].parallelism;
        parallelism == self.graph.nodes[edge.to].parallelism
            && match (edge.key_by, edge.partition) {
                (None, None | Some(PartitioningSpec::Forward)) => true,
                // An author who asks for these in a job of one subtask wants the thread between.
                (None, Some(PartitioningSpec::Rebalance | PartitioningSpec::Broadcast)) => false,
                (Some(KeyBy::OwnKey), _) => parallelism == Parallelism::ONE || self.kept[place],
                (Some(KeyBy::Paths(_)), _) => parallelism == Parallelism::ONE,
            }
    }

    /// Puts a node behind the one that feeds it.
    fn chain(&mut self, node: usize, edge: usize) {
        let (from, input) = (&self.graph.edges[edge], self.ends[edge].input);
        let (task, sender) = self.places[from.from];
        let key_by = from.key_by.cloned();
        let plan = self.node_plan(node);
        let nodes = &mut self.tasks[task].nodes;
        let place = nodes.len();
        nodes[sender].ports[self.ends[edge].port].push(Route::Chained { node: place, input, key_by });
        nodes.push(plan);
        self.places[node] = (task, place);
    }

    /// Makes a node the head of a new task.
    fn head(&mut self, node: usize, incoming: &[usize]) {
        let to = self.tasks.len();
        self.places[node] = (to, 0);
        self.tasks
            .push(TaskPlan { parallelism: self.graph.nodes[node].parallelism, nodes: vec![self.node_plan(node)] });
        for &edge in incoming {
            let Ends { port, input } = self.ends[edge];
            let (task, sender) = self.places[self.graph.edges[edge].from];
            let partitioning = partitioning(&self.graph, &self.graph.edges[edge]);
            self.tasks[task].nodes[sender].ports[port].push(Route::Exchange(self.exchanges.len()));
            self.exchanges.push(ExchangePlan { from: (task, sender, port), to, input, partitioning });
        }
    }

    fn node_plan(&self, node: usize) -> NodePlan {
        let ports = vec![Vec::new(); self.ports[node]];
        let keys_in_place = keys_in_place(&self.graph, node, &self.kept);
        let node = &self.graph.nodes[node];
        NodePlan { id: node.id.clone(), kind: node.kind, keys_in_place, ports }
    }
}

/// How the events of an edge spread, if they must cross to another task.
fn partitioning(graph: &Graph<'_>, edge: &Edge<'_>) -> Partitioning {
    match (edge.key_by, edge.partition) {
        (Some(key_by), _) => Partitioning::KeyBy(key_by.clone()),
        (None, Some(PartitioningSpec::Forward)) => Partitioning::Forward,
        (None, Some(PartitioningSpec::Rebalance)) => Partitioning::Rebalance,
        (None, Some(PartitioningSpec::Broadcast)) => Partitioning::Broadcast,
        (None, None) if graph.nodes[edge.from].parallelism == graph.nodes[edge.to].parallelism => Partitioning::Forward,
        (None, None) => Partitioning::Rebalance,
    }
}

/// For each edge, whether its events already stand in the subtask that owns their own key, so that `key_by: key` moves
/// none of them.
///
/// They do if they leave an operator through a port that keeps keys (contract, rule 14), and all that came into that
/// operator stood in the right subtask: because it came keyed, or straight from a node of which the same is true. Keys
/// that the operator makes up itself are checked against its key groups when they leave it.
fn kept_keys(graph: &Graph<'_>, ends: &[Ends], order: &[usize], descriptors: &Descriptors) -> Vec<bool> {
    let mut kept = vec![false; graph.edges.len()];
    for &node in order {
        let sender = &graph.nodes[node];
        let Some(module) = descriptors.get(sender.id).filter(|_| sender.kind == NodeKind::Operator) else { continue };
        let in_place = keys_in_place(graph, node, &kept);
        for edge in graph.outgoing(node) {
            kept[edge] = in_place && module.outputs[ends[edge].port].keeps_key;
        }
    }
    kept
}

/// Whether all that comes into a node stands in the subtask of its key; of a source, nothing does.
fn keys_in_place(graph: &Graph<'_>, node: usize, kept: &[bool]) -> bool {
    let in_place = |edge: usize| match partitioning(graph, &graph.edges[edge]) {
        Partitioning::KeyBy(_) => true,
        Partitioning::Forward => kept[edge],
        Partitioning::Rebalance | Partitioning::Broadcast => false,
    };
    graph.nodes[node].kind != NodeKind::Source && graph.incoming(node).all(in_place)
}

#[cfg(test)]
mod tests;
