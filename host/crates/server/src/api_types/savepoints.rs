//! Savepoints on the wire.

use gristmill_checkpoint::{NodeSnapshot, Savepoint};
use gristmill_ports::state::EntryPlace;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{Payload, json, time};
use crate::control::{DiffedEntry, EntryDiff, FoundSavepoint, OperatorDiff, StateDiff};

/// What a savepoint is to be called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SavepointRequest {
    /// Its name: letters, digits, `-`, `_` and `.`. Without one it is `sp-` and the next number of the job.
    #[serde(default)]
    pub name: Option<String>,
}

/// How a job is stopped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// The name of a savepoint to take first, while the sources hold still.
    #[serde(default)]
    pub savepoint: Option<String>,
    /// Only with a savepoint: the job comes to its end as if all its input had ended, and the savepoint is made of that end.
    #[serde(default)]
    pub drain: bool,
}

/// A savepoint in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SavepointSummary {
    /// The job that it was taken of.
    pub job: String,
    /// Its name.
    pub name: String,
    /// When its barrier was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<String>,
    /// The run that it was taken of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The number of its barrier in that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<u64>,
    /// Entries of state.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Why it cannot be used; its files were not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
}

impl SavepointSummary {
    fn new(name: &str, savepoint: &Savepoint) -> Self {
        Self {
            job: savepoint.job.to_string(),
            name: name.to_owned(),
            taken_at: Some(time(savepoint.taken_ms)),
            run: Some(savepoint.run.to_string()),
            checkpoint: Some(savepoint.checkpoint.0),
            entries: savepoint.nodes.iter().map(entries_of).sum(),
            bytes: savepoint.bytes(),
            damaged: None,
        }
    }
}

impl From<FoundSavepoint> for SavepointSummary {
    fn from(FoundSavepoint { job, name, record }: FoundSavepoint) -> Self {
        match record {
            Ok(savepoint) => Self::new(&name, &savepoint),
            Err(damaged) => Self {
                job: job.to_string(),
                name,
                taken_at: None,
                run: None,
                checkpoint: None,
                entries: 0,
                bytes: 0,
                damaged: Some(damaged),
            },
        }
    }
}

fn entries_of(node: &NodeSnapshot) -> u64 {
    node.subtasks.iter().flat_map(|part| &part.files).map(|file| file.entries).sum()
}

/// Savepoints, by job and name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SavepointList {
    /// The savepoints.
    pub savepoints: Vec<SavepointSummary>,
}

/// A savepoint with what it holds of each node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SavepointView {
    /// The savepoint in short.
    #[serde(flatten)]
    pub summary: SavepointSummary,
    /// Key groups; fixed for the life of the state.
    pub max_parallelism: u32,
    /// Each source, operator and sink.
    pub nodes: Vec<SavedNode>,
    /// The document of the job as it ran then, placeholders left in place.
    #[schema(value_type = Object)]
    pub document: Value,
}

/// What a savepoint holds of a node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SavedNode {
    /// The node; another job goes on with it under the same id.
    pub node: String,
    /// The hash of its module, if it is an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// How many subtasks it had; a job may have another number of them.
    pub subtasks: u64,
    /// Its states.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<SavedState>,
    /// Entries of all its states.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Places where a source goes on.
    pub positions: u64,
    /// What the source had taken in and nobody had read yet, if that is kept nowhere else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<SavedTail>,
}

/// Posted events that a savepoint carries with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SavedTail {
    /// How many.
    pub events: u64,
    /// Bytes of their file.
    pub bytes: u64,
}

/// A state in a savepoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SavedState {
    /// Its name.
    pub name: String,
    /// `value`, `append-list`, `ordered-map` or `accumulator`.
    pub kind: String,
    /// The version of its schema.
    pub version: u32,
    /// Its entries: a list has one for each item, a map one for each name.
    pub entries: u64,
}

impl SavepointView {
    pub(crate) fn new(name: &str, savepoint: &Savepoint) -> Self {
        Self {
            summary: SavepointSummary::new(name, savepoint),
            max_parallelism: savepoint.max_parallelism.get(),
            nodes: savepoint.nodes.iter().map(|node| SavedNode::new(node, savepoint)).collect(),
            document: serde_json::from_str(&savepoint.document).unwrap_or(Value::Null),
        }
    }
}

impl SavedNode {
    fn new(node: &NodeSnapshot, of: &Savepoint) -> Self {
        let counts = of.entries.as_ref().and_then(|entries| entries.get(&node.node));
        let count = |place: usize| counts.and_then(|counts| counts.get(place)).copied().unwrap_or_default();
        // All was moved out of one without a name.
        let named = node.states.iter().enumerate().filter(|(_, spec)| !spec.name.is_empty());
        let state = |(place, spec): (usize, &gristmill_types::descriptor::StateSpec)| SavedState {
            name: spec.name.clone(),
            kind: json(&spec.kind).as_str().unwrap_or_default().to_owned(),
            version: spec.version,
            entries: count(place),
        };
        Self {
            node: node.node.to_string(),
            module: node.module.map(|module| module.to_string()),
            subtasks: node.subtasks.len() as u64,
            states: named.map(state).collect(),
            entries: entries_of(node),
            bytes: node.files().map(|file| file.bytes).sum(),
            positions: node.subtasks.iter().map(|part| part.splits.len() as u64).sum(),
            tail: of.tail(&node.node).map(|tail| SavedTail { events: tail.events, bytes: tail.file.bytes }),
        }
    }
}

/// How two savepoints or checkpoints differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SavepointDiff {
    /// The first, as `job/name`, or `job@number` for a checkpoint.
    pub a: String,
    /// The second.
    pub b: String,
    /// Entries that are not alike, of all states.
    pub differing: u64,
    /// Each operator that has states.
    pub operators: Vec<OperatorDiffView>,
}

impl SavepointDiff {
    pub(crate) fn new(a: String, b: String, operators: Vec<OperatorDiff>) -> Self {
        let states = operators.iter().flat_map(|operator| &operator.states);
        let differing = states.map(|state| state.only_a + state.only_b + state.different).sum();
        Self { a, b, differing, operators: operators.into_iter().map(OperatorDiffView::from).collect() }
    }
}

/// How they differ in one operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorDiffView {
    /// The operator.
    pub operator: String,
    /// Each state that one of them has.
    pub states: Vec<StateDiffView>,
}

impl From<OperatorDiff> for OperatorDiffView {
    fn from(diff: OperatorDiff) -> Self {
        let states = diff.states.into_iter().map(StateDiffView::from).collect();
        Self { operator: diff.operator.to_string(), states }
    }
}

/// How they differ in one state, in entries: items of lists, names of maps, values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateDiffView {
    /// The state.
    pub state: String,
    /// Alike in both.
    pub same: u64,
    /// Only in the first.
    pub only_a: u64,
    /// Only in the second.
    pub only_b: u64,
    /// In both, with other values.
    pub different: u64,
    /// The first of those that are not alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub samples: Vec<DiffSample>,
}

impl From<StateDiff> for StateDiffView {
    fn from(diff: StateDiff) -> Self {
        let StateDiff { state, same, only_a, only_b, different, samples } = diff;
        Self { state, same, only_a, only_b, different, samples: samples.into_iter().map(DiffSample::from).collect() }
    }
}

/// An entry that is not alike in both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiffSample {
    /// Whose state it is.
    pub key: Payload,
    /// The item of a list, counted since its last clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<u64>,
    /// The name of an entry of a map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Payload>,
    /// Its value in the first; none if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub a: Option<Payload>,
    /// Its value in the second; none if it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b: Option<Payload>,
}

impl From<DiffedEntry> for DiffSample {
    fn from(DiffedEntry { key, place, diff }: DiffedEntry) -> Self {
        let (item, name) = match place {
            EntryPlace::Value => (None, None),
            EntryPlace::Item(index) => (Some(index), None),
            EntryPlace::Name(name) => (None, Some(name.into())),
        };
        let (a, b) = match diff {
            EntryDiff::OnlyA(a) => (Some(a.into()), None),
            EntryDiff::OnlyB(b) => (None, Some(b.into())),
            EntryDiff::Different(a, b) => (Some(a.into()), Some(b.into())),
        };
        Self { key: key.into(), item, name, a, b }
    }
}
