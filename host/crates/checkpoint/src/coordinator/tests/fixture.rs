//! A coordinator at a desk: short words for events, short words for actions. Two subtasks of one task with the operator
//! `count` and the sink `out`, unless said otherwise.

use std::collections::VecDeque;

use gristmill_types::{AttemptId, KeyGroupRange, MaxParallelism, ModuleHash, NodeId, RunId, SubtaskIndex, Watermark};

use super::super::*;
use crate::committable::Committable;
use crate::file::{FileHash, FileRef};
use crate::manifest::Manifest;
use crate::retention::{Garbage, Retained, Splits};
use crate::snapshot::{StateFile, SubtaskSnapshot};
use crate::{CommittableId, NodeSnapshot, Slot, SplitPosition};

pub(super) const ME: AttemptId = AttemptId(7);

pub(super) const POLICY: Policy = Policy {
    every_ms: Some(1_000),
    min_pause_ms: 0,
    pause_after_failure_ms: 100,
    timeout_ms: 500,
    tolerated_failures: 1,
    keep: 1,
};

pub(super) fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

pub(super) fn participant(subtask: u32) -> Participant {
    Participant { task: 0, subtask: SubtaskIndex(subtask) }
}

/// File number `n`, of this attempt.
pub(super) fn file(number: u64) -> FileRef {
    FileRef { attempt: ME, number, hash: FileHash([number as u8; 32]), bytes: 10 }
}

pub(super) fn state_file(number: u64) -> StateFile {
    StateFile { file: file(number), entries: 1, groups: KeyGroupRange { start: 0, end: 128 } }
}

/// A checkpoint that an earlier attempt left, with its source as far as its number says.
pub(super) fn retained(slot: u64, checkpoint: u64, files: BTreeSet<FileRef>) -> Retained {
    Retained { slot: Slot(slot), checkpoint: CheckpointId(checkpoint), files, splits: splits(checkpoint) }
}

pub(super) fn splits(position: u64) -> Splits {
    let split = SplitPosition { split: "a".to_owned(), position: vec![position as u8] };
    [(node("in"), vec![split])].into()
}

/// A committable of this attempt.
pub(super) fn id(number: u64) -> CommittableId {
    CommittableId { attempt: ME, number }
}

/// See the module.
pub(super) struct Desk {
    pub(super) coordinator: Coordinator,
    pub(super) now_ms: u64,
    /// What acknowledgements say of event time.
    pub(super) watermark: Watermark,
    /// Where its splits stand, if it has any.
    pub(super) position: Option<u64>,
}

impl Desk {
    pub(super) fn new(policy: Policy) -> Self {
        Self::restored(policy, VecDeque::new(), Vec::new())
    }

    /// A desk of an attempt that restored the newest of these, with these files in its first subtask.
    pub(super) fn restored(policy: Policy, retained: VecDeque<Retained>, files: Vec<StateFile>) -> Self {
        Self::taken_over(policy, retained, Vec::new(), files)
    }

    /// A desk of an attempt that begins anew, since somebody gave these up.
    pub(super) fn having_given_up(policy: Policy, given_up: Vec<Retained>) -> Self {
        Self::taken_over(policy, VecDeque::new(), given_up, Vec::new())
    }

    fn taken_over(
        policy: Policy,
        retained: VecDeque<Retained>,
        given_up: Vec<Retained>,
        files: Vec<StateFile>,
    ) -> Self {
        let last = retained.back().map(|last| last.checkpoint);
        let of = |name, files| NodeSetup { node: node(name), module: None, canary: None, states: Vec::new(), files };
        let setup = Setup {
            job: "orders".parse().unwrap(),
            run: RunId(1),
            attempt: ME,
            max_parallelism: MaxParallelism::DEFAULT,
            policy,
            participants: [participant(0), participant(1)].into(),
            nodes: vec![of("count", vec![files]), of("out", Vec::new())],
            next_slot: Slot(1),
            numbers_above: last.unwrap_or(CheckpointId(0)),
            parent: last,
            retained,
            given_up,
        };
        let now = Now { monotonic_ms: 0, wall_ms: 0 };
        Self { coordinator: Coordinator::new(setup, now), now_ms: 0, watermark: Watermark::START, position: None }
    }

    pub(super) fn tell(&mut self, event: Event) -> Vec<Action> {
        self.coordinator.handle(Now { monotonic_ms: self.now_ms, wall_ms: self.now_ms as i64 }, event)
    }

    pub(super) fn after(&mut self, ms: u64) -> Vec<Action> {
        self.now_ms += ms;
        self.tell(Event::Tick)
    }

    /// An acknowledgement with these new files of state, and with one piece of output for each of these files.
    pub(super) fn ack(&mut self, checkpoint: u64, subtask: u32, state: &[u64], output: &[u64]) -> Vec<Action> {
        let part = |name, files| NodePart {
            node: node(name),
            snapshot: SubtaskSnapshot {
                subtask: SubtaskIndex(subtask),
                splits: self.position.map_or_else(Vec::new, |at| splits(at).into_values().flatten().collect()),
                ended: false,
                groups: KeyGroupRange { start: 0, end: 128 },
                watermark: self.watermark,
                files,
                sink: Vec::new(),
                counters: Vec::new(),
            },
        };
        let staged = |number: &u64| Staged { sink: node("out"), payload: Vec::new(), files: vec![file(*number)] };
        let ack = Ack {
            checkpoint: CheckpointId(checkpoint),
            by: participant(subtask),
            nodes: vec![part("count", state.iter().copied().map(state_file).collect()), part("out", Vec::new())],
            staged: output.iter().map(staged).collect(),
            stats: SubtaskStats::default(),
        };
        self.tell(Event::Acked(Box::new(ack)))
    }

    /// Both subtasks acknowledge without anything new. Gives the manifest.
    pub(super) fn ack_all(&mut self, checkpoint: u64) -> ToStore {
        self.ack(checkpoint, 0, &[], &[]);
        to_store(&self.ack(checkpoint, 1, &[], &[])).expect("all have acknowledged")
    }

    pub(super) fn stored(&mut self, checkpoint: u64) -> Vec<Action> {
        self.tell(Event::Stored(CheckpointId(checkpoint)))
    }

    pub(super) fn committed(&mut self, numbers: &[u64]) -> Vec<Action> {
        self.tell(Event::Committed(numbers.iter().copied().map(id).collect()))
    }

    /// Begins the next checkpoint by the clock, and decides it. Gives the actions of the decision.
    pub(super) fn decide_next(&mut self) -> Vec<Action> {
        let begun = self.after(1_000);
        let number = injected(&begun).expect("one is due");
        self.ack_all(number);
        self.stored(number)
    }
}

pub(super) fn injected(actions: &[Action]) -> Option<u64> {
    actions.iter().find_map(|action| match action {
        Action::Inject(barrier) => Some(barrier.checkpoint.0),
        _ => None,
    })
}

pub(super) fn to_store(actions: &[Action]) -> Option<ToStore> {
    actions.iter().find_map(|action| match action {
        Action::Store(to_store) => Some((**to_store).clone()),
        _ => None,
    })
}

/// Numbers of the committables that are to be committed.
pub(super) fn to_commit(actions: &[Action]) -> Vec<u64> {
    let of = |action: &Action| match action {
        Action::Commit { committables, .. } => numbers(committables),
        _ => Vec::new(),
    };
    actions.iter().flat_map(of).collect()
}

pub(super) fn garbage(actions: &[Action]) -> Garbage {
    let found = actions.iter().find_map(|action| match action {
        Action::Delete(garbage) => Some(garbage.clone()),
        _ => None,
    });
    found.unwrap_or_default()
}

/// Before which positions sources need keep nothing.
pub(super) fn forgotten(actions: &[Action]) -> Option<Splits> {
    actions.iter().find_map(|action| match action {
        Action::Forget(splits) => Some(splits.clone()),
        _ => None,
    })
}

pub(super) fn finished(actions: &[Action]) -> Option<End> {
    actions.iter().find_map(|action| match action {
        Action::Finish(end) => Some(*end),
        _ => None,
    })
}

pub(super) fn given_up(actions: &[Action]) -> Option<&GiveUp> {
    actions.iter().find_map(|action| match action {
        Action::GiveUp(why) => Some(why),
        _ => None,
    })
}

pub(super) fn numbers(committables: &[Committable]) -> Vec<u64> {
    committables.iter().map(|one| one.id.number).collect()
}

/// Numbers of the files of state that the manifest names for a subtask, in their order.
pub(super) fn state_of(stored: &ToStore, subtask: usize) -> Vec<u64> {
    let page = page_of(stored, "count");
    page.subtasks[subtask].files.iter().map(|file| file.file.number).collect()
}

/// The module that the manifest names for the operator.
pub(super) fn module_of(stored: &ToStore) -> Option<ModuleHash> {
    page_of(stored, "count").module
}

fn page_of(stored: &ToStore, name: &str) -> NodeSnapshot {
    let Manifest { pages, .. } = &stored.manifest;
    let file = pages.iter().find(|page| page.node == node(name)).expect("each node has a page").file;
    let (_, bytes) = stored.pages.iter().find(|(stored, _)| *stored == file).expect("the page has changed");
    NodeSnapshot::decode(bytes).unwrap()
}
