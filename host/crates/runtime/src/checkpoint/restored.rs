//! What a checkpoint says to each part of a job that goes on from it.

use std::collections::BTreeMap;

use gristmill_checkpoint::snapshot::SubtaskSnapshot;
use gristmill_checkpoint::{NodeSnapshot, SplitPosition, StateFile};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{KeyGroupRange, NodeId, SubtaskIndex, Watermark};

/// The pages of the checkpoint that an attempt goes on from; none if it begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Restored(pub(crate) BTreeMap<NodeId, NodeSnapshot>);

/// What fills the state of one subtask.
#[derive(Debug, Clone)]
pub(crate) struct StateToRestore {
    pub(crate) states: Vec<StateSpec>,
    pub(crate) files: Vec<StateFile>,
    pub(crate) groups: KeyGroupRange,
}

impl Restored {
    /// Where all splits of a source stand; `None` if the source begins.
    pub(crate) fn splits(&self, node: &NodeId) -> Option<Vec<SplitPosition>> {
        let page = self.0.get(node)?;
        Some(page.subtasks.iter().flat_map(|part| part.splits.iter().cloned()).collect())
    }

    /// What the writer of a sink's subtask left itself.
    pub(crate) fn sink(&self, node: &NodeId, subtask: SubtaskIndex) -> Option<&[u8]> {
        self.part(node, subtask).map(|part| part.sink.as_slice())
    }

    /// What a subtask counted.
    pub(crate) fn counters(&self, node: &NodeId, subtask: SubtaskIndex) -> &[(String, u64)] {
        self.part(node, subtask).map_or(&[], |part| &part.counters)
    }

    /// The state of these key groups, whichever subtasks had it.
    pub(crate) fn state(&self, node: &NodeId, groups: KeyGroupRange) -> Option<StateToRestore> {
        let page = self.0.get(node)?;
        let overlaps = |one: KeyGroupRange| one.start < groups.end && groups.start < one.end;
        let parts = page.subtasks.iter().filter(|part| overlaps(part.groups));
        let files: Vec<_> = parts.flat_map(|part| part.files.iter().copied()).collect();
        Some(StateToRestore { states: page.states.clone(), files, groups })
    }

    /// How far event time had come for these key groups: of several, the least.
    pub(crate) fn watermark(&self, node: &NodeId, groups: KeyGroupRange) -> Watermark {
        let Some(page) = self.0.get(node) else { return Watermark::START };
        let overlaps = |one: KeyGroupRange| one.start < groups.end && groups.start < one.end;
        let watermarks = page.subtasks.iter().filter(|part| overlaps(part.groups)).map(|part| part.watermark);
        watermarks.min().unwrap_or(Watermark::START)
    }

    fn part(&self, node: &NodeId, subtask: SubtaskIndex) -> Option<&SubtaskSnapshot> {
        self.0.get(node)?.subtasks.iter().find(|part| part.subtask == subtask)
    }
}
