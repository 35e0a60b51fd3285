//! The right to make output visible.

use gristmill_types::{CheckpointId, RunId};

use crate::manifest::Manifest;

/// Says that a checkpoint is decided. What it lists may be committed, and nothing else.
///
/// Only this crate makes one: from a manifest that was stored, or read back from the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitPermit {
    run: RunId,
    checkpoint: CheckpointId,
}

impl CommitPermit {
    /// The permit of a manifest that stands in the chain.
    pub(crate) fn of_decided(manifest: &Manifest) -> Self {
        Self { run: manifest.run, checkpoint: manifest.checkpoint }
    }

    /// The run whose output it is: half of the name under which a committable is known to the outside.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The checkpoint that was decided.
    #[must_use]
    pub fn checkpoint(&self) -> CheckpointId {
        self.checkpoint
    }
}
