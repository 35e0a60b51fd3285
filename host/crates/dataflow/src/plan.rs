//! What the runtime runs: tasks made of chained nodes, joined by exchanges.
//!
//! Nodes that need no exchange between them share a task and call each other directly. An exchange stands only where
//! keys, parallelism or inputs change.

use gristmill_types::{InputIndex, MaxParallelism, NodeId, Parallelism};
use serde::{Deserialize, Serialize};

use crate::document::{BatchBounds, KeyBy};

/// A job, ready to run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JobPlan {
    /// Tasks; a task's upstream tasks stand before it.
    pub tasks: Vec<TaskPlan>,
    /// Exchanges between them.
    pub exchanges: Vec<ExchangePlan>,
    /// Key groups of the job.
    pub max_parallelism: MaxParallelism,
    /// Bounds of batches and channels.
    pub batch: BatchBounds,
}

/// Nodes that run in one thread for each subtask.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TaskPlan {
    /// How many subtasks.
    pub parallelism: Parallelism,
    /// The head first, then each node after the node that feeds it.
    pub nodes: Vec<NodePlan>,
}

/// A source, an operator or a sink.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodePlan {
    /// Its id in the job document.
    pub id: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// Whether all that comes in stands in the subtask that owns its key: it is keyed here, or kept the keys it had.
    pub keys_in_place: bool,
    /// For each output port, where its events go. A source has one port, a sink none.
    pub ports: Vec<Vec<Route>>,
}

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeKind {
    /// Always the head of its task.
    Source,
    /// Calls a module.
    Operator,
    /// Never feeds anything.
    Sink,
}

impl NodeKind {
    /// The kind in a word, as in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Operator => "operator",
            Self::Sink => "sink",
        }
    }
}

/// One way out of a port.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Straight into another node of the same task.
    Chained {
        /// Its place in the task's nodes; always after the node that has this route.
        node: usize,
        /// Which of its inputs.
        input: InputIndex,
        /// Keys to give the events on the way.
        key_by: Option<KeyBy>,
    },
    /// Into an exchange: its place in the plan's exchanges.
    Exchange(usize),
}

/// Moves events from the subtasks of one task to those of another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExchangePlan {
    /// The sending task, its node and that node's port.
    pub from: (usize, usize, usize),
    /// The receiving task; its head gets the events.
    pub to: usize,
    /// Which input of the head.
    pub input: InputIndex,
    /// How they spread.
    pub partitioning: Partitioning,
}

/// How events spread over the subtasks of the receiver.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Partitioning {
    /// By the key group of the key found so.
    KeyBy(KeyBy),
    /// Subtask i to subtask i; equal parallelism.
    Forward,
    /// Batches in turn.
    Rebalance,
    /// Everything to everyone.
    Broadcast,
}
