//! The chain of a run: slots that are filled one after the other, each once and for ever.
//!
//! A slot is filled by put-if-absent, and an attempt puts only into the slot after the last one that it knows. A new
//! attempt first claims the next slot. Whoever was the owner before then finds a stranger where its next checkpoint
//! belongs, and knows that it is fenced. Claims are never deleted, so that this holds however late it wakes up.

use std::fmt;

use gristmill_types::{AttemptId, CheckpointId, JobId, RunId};
use serde::{Deserialize, Serialize};

use crate::framed::{self, Damaged, Magic};
use crate::manifest::Manifest;
use crate::permit::CommitPermit;

const MAGIC: Magic = *b"GMCK";
const VERSION: u16 = 1;

/// A place in the chain, counted from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub u64);

impl Slot {
    /// The slot behind this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Slot {
    /// Twenty digits, so that names sort as numbers do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:020}", self.0)
    }
}

/// An attempt takes the run over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The job.
    pub job: JobId,
    /// The run.
    pub run: RunId,
    /// Who takes it.
    pub attempt: AttemptId,
    /// Where it runs, for people.
    pub host: String,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The checkpoint that it goes on from.
    pub restored: Option<CheckpointId>,
    /// Checkpoints of this attempt have higher numbers than this.
    pub numbers_above: CheckpointId,
}

/// What fills a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChainEntry {
    /// An attempt begins.
    Claim(Claim),
    /// A checkpoint is decided.
    Checkpoint(Manifest),
}

impl ChainEntry {
    /// The entry as it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        framed::encode(MAGIC, VERSION, self)
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// If it is damaged, or written by a newer host.
    pub fn decode(record: &[u8]) -> Result<Self, Damaged> {
        framed::decode(MAGIC, VERSION, record)
    }

    /// Who wrote it.
    #[must_use]
    pub fn attempt(&self) -> AttemptId {
        match self {
            Self::Claim(claim) => claim.attempt,
            Self::Checkpoint(manifest) => manifest.attempt,
        }
    }
}

/// An entry that was read back from its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub entry: ChainEntry,
    /// The right to commit what it lists: a checkpoint that stands in the chain is decided. None for a claim.
    pub permit: Option<CommitPermit>,
}

/// Reads a record that stands in a slot of the chain.
///
/// # Errors
/// If it is damaged, or written by a newer host.
pub fn read_back(record: &[u8]) -> Result<Found, Damaged> {
    let entry = ChainEntry::decode(record)?;
    let permit = match &entry {
        ChainEntry::Claim(_) => None,
        ChainEntry::Checkpoint(manifest) => Some(CommitPermit::of_decided(manifest)),
    };
    Ok(Found { entry, permit })
}
