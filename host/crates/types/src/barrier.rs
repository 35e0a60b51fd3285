//! The marker that cuts a stream into before and after a checkpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Counts the checkpoints of a run, from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CheckpointId(pub u64);

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a cut is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckpointKind {
    /// By the host, for recovery.
    Checkpoint,
    /// By a person, kept until deleted.
    Savepoint,
}

/// Counts the swaps of a run within one host, from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SwapId(pub u64);

impl fmt::Display for SwapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Travels through every channel in its place among the events: all before it belongs to the checkpoint, nothing
/// after it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CheckpointBarrier {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// Why.
    pub kind: CheckpointKind,
    /// The swap that is made where it passes: what was prepared for it runs from then on, and nothing else.
    pub swap: Option<SwapId>,
}
