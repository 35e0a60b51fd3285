//! Savepoints in the making: decided checkpoints whose files stay until they are carried away, and whose output must be
//! committed before the savepoint is complete.

use std::collections::BTreeSet;

use gristmill_types::CheckpointId;

use super::words::ToStore;
use crate::committable::CommittableId;
use crate::file::FileRef;
use crate::retention::Splits;

/// Those of one attempt.
#[derive(Debug, Default)]
pub(super) struct Savepoints {
    under_way: Vec<UnderWay>,
}

#[derive(Debug)]
struct UnderWay {
    checkpoint: CheckpointId,
    stage: Stage,
    /// What it is made of; nothing once that is carried away.
    files: BTreeSet<FileRef>,
    /// Where the sources stood: what they had taken in behind that is carried too.
    splits: Splits,
    /// Output that was cut before it and is not known to be committed.
    open: BTreeSet<CommittableId>,
}

#[derive(Debug, PartialEq, Eq)]
enum Stage {
    /// Its files are on their way.
    Carrying,
    /// They are there.
    Carried,
    /// Its record is on its way.
    Sealing,
}

impl Savepoints {
    /// A checkpoint is decided that is to become one.
    pub(super) fn begin(&mut self, decided: &ToStore, open: BTreeSet<CommittableId>) {
        let (checkpoint, files) = (decided.manifest.checkpoint, decided.named.clone());
        let splits = decided.splits.clone();
        self.under_way.push(UnderWay { checkpoint, stage: Stage::Carrying, files, splits, open });
    }

    /// Its files are carried away. Gives them: they need not be kept for it any more.
    pub(super) fn carried(&mut self, checkpoint: CheckpointId) -> BTreeSet<FileRef> {
        let Some(one) = self.under_way.iter_mut().find(|one| one.checkpoint == checkpoint) else {
            return BTreeSet::new();
        };
        one.stage = Stage::Carried;
        std::mem::take(&mut one.files)
    }

    /// It is one, or will never be. Gives those of its files that were kept for it until now.
    pub(super) fn over(&mut self, checkpoint: CheckpointId) -> BTreeSet<FileRef> {
        let files = self.carried(checkpoint);
        self.under_way.retain(|one| one.checkpoint != checkpoint);
        files
    }

    pub(super) fn committed(&mut self, ids: &[CommittableId]) {
        for one in &mut self.under_way {
            ids.iter().for_each(|id| _ = one.open.remove(id));
        }
    }

    /// Those that from now on lack nothing but their record.
    pub(super) fn seal_ready(&mut self) -> Vec<CheckpointId> {
        let ready = |one: &&mut UnderWay| one.stage == Stage::Carried && one.open.is_empty();
        let seal = |one: &mut UnderWay| {
            one.stage = Stage::Sealing;
            one.checkpoint
        };
        self.under_way.iter_mut().filter(ready).map(seal).collect()
    }

    /// Whether none is in the making.
    pub(super) fn is_idle(&self) -> bool {
        self.under_way.is_empty()
    }

    /// Where the sources stood at the oldest that is not carried away yet.
    pub(super) fn oldest(&self) -> Option<(CheckpointId, &Splits)> {
        let oldest = self.under_way.iter().find(|one| one.stage == Stage::Carrying)?;
        Some((oldest.checkpoint, &oldest.splits))
    }

    /// Files that must stay.
    pub(super) fn pinned(&self) -> impl Iterator<Item = FileRef> + '_ {
        self.under_way.iter().flat_map(|one| one.files.iter().copied())
    }
}
