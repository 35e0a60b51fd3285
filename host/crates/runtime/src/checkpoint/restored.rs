//! What a checkpoint says to each part of a job that goes on from it.

use std::collections::BTreeMap;

use gristmill_checkpoint::snapshot::SubtaskSnapshot;
use gristmill_checkpoint::{NodeSnapshot, SplitPosition, StateFile};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{KeyGroupRange, NodeId, SubtaskIndex, Watermark};

/// The pages of the checkpoint that an attempt goes on from; none if it begins.
#[derive(Debug, Clone, Default)]
pub(crate) struct Restored(pub(crate) BTreeMap<NodeId, NodeSnapshot>);

/// The key groups that are in both ranges.
fn common(one: KeyGroupRange, other: KeyGroupRange) -> KeyGroupRange {
    KeyGroupRange { start: one.start.max(other.start), end: one.end.min(other.end) }
}

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

    /// The state of these key groups, whichever subtasks had it. Each file counts for the key groups that its subtask
    /// had and that are asked for: two subtasks may have taken over the same file, and changed different parts of it.
    pub(crate) fn state(&self, node: &NodeId, groups: KeyGroupRange) -> Option<StateToRestore> {
        let page = self.0.get(node)?;
        let of_part = |part: &SubtaskSnapshot| {
            let owned = common(part.groups, groups);
            let cut = |file: &StateFile| StateFile { groups: common(file.groups, owned), ..*file };
            part.files.iter().map(cut).filter(|file| file.groups.start < file.groups.end).collect::<Vec<_>>()
        };
        let files = page.subtasks.iter().flat_map(of_part).collect();
        Some(StateToRestore { states: page.states.clone(), files, groups })
    }

    /// All states that a node had, by the places that files name; none if it begins.
    pub(crate) fn states(&self, node: &NodeId) -> &[StateSpec] {
        self.0.get(node).map_or(&[], |page| &page.states)
    }

    /// The files that new ones follow. None if the operator's states are not those of the checkpoint: the state tells
    /// all of itself anew then.
    pub(crate) fn files(&self, node: &NodeId, states: &[StateSpec], groups: KeyGroupRange) -> Vec<StateFile> {
        let state = self.state(node, groups).filter(|state| state.states == states);
        state.map(|state| state.files).unwrap_or_default()
    }

    /// How far event time had come for these key groups: of several, the least.
    pub(crate) fn watermark(&self, node: &NodeId, groups: KeyGroupRange) -> Watermark {
        let Some(page) = self.0.get(node) else { return Watermark::START };
        let overlaps = |one: KeyGroupRange| one.start < groups.end && groups.start < one.end;
        // Sources and sinks of earlier hosts said of no key group that it was theirs: then they speak for all.
        let is_meant = |part: &&SubtaskSnapshot| overlaps(part.groups) || part.groups.start == part.groups.end;
        page.subtasks.iter().filter(is_meant).map(|part| part.watermark).min().unwrap_or(Watermark::START)
    }

    fn part(&self, node: &NodeId, subtask: SubtaskIndex) -> Option<&SubtaskSnapshot> {
        self.0.get(node)?.subtasks.iter().find(|part| part.subtask == subtask)
    }
}

#[cfg(test)]
mod tests {
    use gristmill_checkpoint::{FileHash, FileRef};
    use gristmill_types::descriptor::{ClockKind, StateKind, StateScope};
    use gristmill_types::{AttemptId, NodeId};

    use super::*;

    const fn groups(start: u16, end: u16) -> KeyGroupRange {
        KeyGroupRange { start, end }
    }

    fn file(number: u64, groups: KeyGroupRange) -> StateFile {
        let file = FileRef { attempt: AttemptId(1), number, hash: FileHash([0; 32]), bytes: 1 };
        StateFile { file, entries: 1, groups }
    }

    fn node() -> NodeId {
        "count".parse().expect("a name")
    }

    fn states() -> Vec<StateSpec> {
        let state = |name: &str| StateSpec {
            name: name.to_owned(),
            kind: StateKind::Value,
            scope: StateScope::Keyed,
            version: 1,
            ttl_ms: None,
            ttl_clock: ClockKind::EventTime,
        };
        vec![state("sum"), state("last")]
    }

    fn checkpoint(parts: &[(KeyGroupRange, &[StateFile])]) -> Restored {
        let part = |(subtask, &(groups, files)): (u32, &(KeyGroupRange, &[StateFile]))| SubtaskSnapshot {
            subtask: SubtaskIndex(subtask),
            splits: Vec::new(),
            ended: false,
            groups,
            watermark: Watermark::START,
            files: files.to_vec(),
            sink: Vec::new(),
            counters: Vec::new(),
        };
        let subtasks = (0..).zip(parts).map(part).collect();
        let page = NodeSnapshot { node: node(), module: None, states: states(), subtasks };
        Restored(BTreeMap::from([(node(), page)]))
    }

    #[test]
    fn each_file_counts_for_the_groups_that_came_with_its_list() {
        let (old, all, low, high) = (file(1, groups(3, 120)), groups(0, 128), groups(0, 64), groups(64, 128));
        let files = |restored: &Restored, groups| {
            let state = restored.state(&node(), groups).expect("the node was there");
            state.files.iter().map(|file| (file.file.number, file.groups)).collect::<Vec<_>>()
        };
        let one = checkpoint(&[(all, &[old])]);
        assert_eq!(files(&one, low), [(1, groups(3, 64))]);
        assert_eq!(files(&one, high), [(1, groups(64, 120))]);

        // Whatever the files say of themselves, as those of an earlier host do.
        let two = checkpoint(&[(low, &[old, file(2, low)]), (high, &[old, file(3, groups(70, 90))])]);
        let expected = [(1, groups(3, 64)), (2, low), (1, groups(64, 120)), (3, groups(70, 90))];
        assert_eq!(files(&two, all), expected);
        assert_eq!(files(&two, groups(96, 128)), [(1, groups(96, 120))], "files of other groups are left out");
    }

    #[test]
    fn lists_go_on_only_while_the_states_are_the_same() {
        let restored = checkpoint(&[(groups(0, 128), &[file(1, groups(0, 128))])]);
        assert_eq!(restored.files(&node(), &states(), groups(0, 64)).len(), 1);
        let mut others = states();
        others.swap(0, 1);
        assert!(restored.files(&node(), &others, groups(0, 64)).is_empty(), "files name states by their places");
        let mut others = states();
        others[1].ttl_ms = Some(1);
        assert!(restored.files(&node(), &others, groups(0, 64)).is_empty(), "merges go by the times to live");
    }
}
