//! One subtask of the model job: reads its split, counts each key, hands (key, count) to its sink.

use std::collections::{BTreeMap, VecDeque};

use gristmill_checkpoint::coordinator::Participant;
use gristmill_checkpoint::snapshot::SubtaskSnapshot;
use gristmill_checkpoint::{SplitPosition, StateFile};
use gristmill_types::{CheckpointId, KeyGroupRange, SubtaskIndex, Watermark};

use crate::world::{Counted, World, decode};

pub(crate) const ALL_GROUPS: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Subtask {
    pub(crate) at: u32,
    position: usize,
    counts: BTreeMap<u8, u64>,
    /// Changed since the last cut.
    dirty: BTreeMap<u8, u64>,
    /// Output since the last cut.
    output: Vec<Counted>,
    pub(crate) barriers: VecDeque<CheckpointId>,
    /// Cuts that are not durable yet.
    pub(crate) on_their_way: usize,
    pub(crate) said_that_it_ended: bool,
}

/// A subtask's part of a checkpoint, cut and not durable yet.
#[derive(Debug, Clone)]
pub(crate) struct Cut {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) by: Participant,
    pub(crate) snapshot: SubtaskSnapshot,
    pub(crate) state: BTreeMap<u8, u64>,
    pub(crate) output: Vec<Counted>,
}

impl Subtask {
    pub(crate) fn restored(at: u32, from: Option<&SubtaskSnapshot>, world: &mut World) -> Option<Self> {
        let mut subtask = Self { at, ..Self::default() };
        let Some(from) = from else { return Some(subtask) };
        let position = from.splits[0].position.as_slice().try_into().unwrap();
        subtask.position = u64::from_le_bytes(position) as usize;
        for StateFile { file, .. } in &from.files {
            let path = world.folder.file(file);
            let bytes = world.get(&path)?;
            if bytes.len() as u64 != file.bytes {
                return None;
            }
            subtask.counts.extend(decode(&bytes));
        }
        Some(subtask)
    }

    pub(crate) fn participant(&self) -> Participant {
        Participant { task: 0, subtask: SubtaskIndex(self.at) }
    }

    /// Takes one event, if there is one.
    pub(crate) fn process(&mut self, split: &[u8]) -> bool {
        let Some(key) = split.get(self.position) else { return false };
        let count = self.counts.entry(*key).or_default();
        *count += 1;
        self.dirty.insert(*key, *count);
        self.output.push((*key, *count));
        self.position += 1;
        true
    }

    pub(crate) fn cut(&mut self, checkpoint: CheckpointId) -> Cut {
        self.on_their_way += 1;
        let position =
            SplitPosition { split: self.at.to_string(), position: (self.position as u64).to_le_bytes().to_vec() };
        let snapshot = SubtaskSnapshot {
            subtask: SubtaskIndex(self.at),
            splits: vec![position],
            ended: self.said_that_it_ended,
            groups: ALL_GROUPS,
            watermark: Watermark::START,
            files: Vec::new(),
            sink: Vec::new(),
            counters: Vec::new(),
        };
        let (state, output) = (std::mem::take(&mut self.dirty), std::mem::take(&mut self.output));
        Cut { checkpoint, by: self.participant(), snapshot, state, output }
    }
}
