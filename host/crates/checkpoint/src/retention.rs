//! Which checkpoints are kept, and what becomes garbage when one is not.
//!
//! Only decided checkpoints count. A file goes when nothing that is kept names it: no retained checkpoint, no list of
//! the running attempt, nothing in flight. Slots go before files, so that a crash in between leaves garbage and never
//! a checkpoint with holes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gristmill_types::{CheckpointId, NodeId};

use crate::chain::Slot;
use crate::file::FileRef;
use crate::layout::RunFolder;
use crate::snapshot::SplitPosition;

/// Where the splits of each source stood at a checkpoint.
pub type Splits = BTreeMap<NodeId, Vec<SplitPosition>>;

/// A decided checkpoint that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retained {
    /// Where it stands in the chain.
    pub slot: Slot,
    /// Which it is.
    pub checkpoint: CheckpointId,
    /// Everything that it names, pages and what they name included.
    pub files: BTreeSet<FileRef>,
    /// Where the splits of each source stood.
    pub splits: Splits,
}

/// What may be deleted, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Garbage {
    /// Slots of checkpoints.
    pub slots: Vec<Slot>,
    /// Files that only they named.
    pub files: Vec<FileRef>,
}

impl Garbage {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.files.is_empty()
    }
}

/// Keeps the newest `keep` of the decided checkpoints, oldest first, and at least one. `pinned` are files that something
/// else needs.
pub fn retire(decided: &mut VecDeque<Retained>, keep: usize, pinned: &BTreeSet<FileRef>) -> Garbage {
    let mut garbage = Garbage::default();
    let mut candidates = BTreeSet::new();
    while decided.len() > keep.max(1) {
        let retired = decided.pop_front().expect("there are more than are kept");
        garbage.slots.push(retired.slot);
        candidates.extend(retired.files);
    }
    let is_needed = |file: &FileRef| pinned.contains(file) || decided.iter().any(|kept| kept.files.contains(file));
    garbage.files = candidates.into_iter().filter(|file| !is_needed(file)).collect();
    garbage
}

/// What a crash has left behind: paths of files that earlier attempts wrote and nothing names. `listed` are all files of
/// the run, **listed before the claim was put**, `named` all checkpoints that somebody may yet go on from.
///
/// Before: a host may be stopped between its claim and this. When it goes on, its successor's files are there too, and
/// named by checkpoints of which it knows nothing. They are not in a list that is older than the claim.
pub fn left_behind<'a>(
    folder: &RunFolder,
    listed: impl IntoIterator<Item = String>,
    named: impl IntoIterator<Item = &'a Retained>,
) -> Vec<String> {
    let named = named.into_iter().flat_map(|one| &one.files);
    let named: BTreeSet<String> = named.map(|file| folder.file(file)).collect();
    listed.into_iter().filter(|path| !named.contains(path)).collect()
}

#[cfg(test)]
mod tests;
