//! The chain of a run: slots that are filled one after the other, each once and for ever.
//!
//! A slot is filled by put-if-absent, and an attempt puts only into the slot after the last one that it knows. A new
//! attempt first claims the next slot. Whoever was the owner before then finds a stranger where its next checkpoint
//! belongs, and knows that it is fenced. Claims are never deleted, so that this holds however late it wakes up.

use std::fmt;

use gristmill_types::{AttemptId, CheckpointId, CheckpointKind, JobId, MaxParallelism, RunId};
use serde::{Deserialize, Serialize};

use crate::committable::Committable;
use crate::framed::{self, Damaged, Magic};
use crate::manifest::{Manifest, PageRef};
use crate::permit::CommitPermit;

const MAGIC: Magic = *b"GMCK";
/// The newest version of an entry that is read here.
const KNOWN: u16 = 3;
/// The version in which manifests are written.
const MANIFEST_VERSION: u16 = 1;
/// The version of those that name canaries: version 1 has none.
const CANARY_VERSION: u16 = 3;
/// The version in which claims are written: those of version 1 do not say what stands before them.
const CLAIM_VERSION: u16 = 2;

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
    /// What the chain had when it was put; `None` in a claim of version 1.
    pub before: Option<Before>,
}

/// What a claim says of the chain before it, so that nobody reads further than to the newest claim.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// Slots that may hold a checkpoint. What is not named here is a claim, or was given up long ago.
    pub checkpoints: Vec<Slot>,
    /// Attempts that may have left something staged, oldest first.
    pub attempts: Vec<AttemptId>,
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
        match self {
            Self::Claim(_) => framed::encode(MAGIC, CLAIM_VERSION, self),
            Self::Checkpoint(manifest) if manifest.canaries.is_empty() => {
                let entry = EntryV1::Checkpoint(manifest.clone().into());
                framed::encode(MAGIC, MANIFEST_VERSION, &entry)
            }
            Self::Checkpoint(_) => framed::encode(MAGIC, CANARY_VERSION, self),
        }
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// If it is damaged, or written by a newer host.
    pub fn decode(record: &[u8]) -> Result<Self, Damaged> {
        let framed = framed::open(MAGIC, KNOWN, record)?;
        match framed.version {
            0 | 1 => framed.content::<EntryV1>().map(Self::from),
            _ => framed.content(),
        }
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

/// An entry of version 1: a law, never edited.
#[derive(Serialize, Deserialize)]
enum EntryV1 {
    Claim(ClaimV1),
    Checkpoint(ManifestV1),
}

#[derive(Serialize, Deserialize)]
struct ManifestV1 {
    job: JobId,
    run: RunId,
    attempt: AttemptId,
    checkpoint: CheckpointId,
    parent: Option<CheckpointId>,
    kind: CheckpointKind,
    is_final: bool,
    started_ms: i64,
    completed_ms: i64,
    max_parallelism: MaxParallelism,
    pages: Vec<PageRef>,
    committables: Vec<Committable>,
}

#[derive(Serialize, Deserialize)]
struct ClaimV1 {
    job: JobId,
    run: RunId,
    attempt: AttemptId,
    host: String,
    at_ms: i64,
    restored: Option<CheckpointId>,
    numbers_above: CheckpointId,
}

impl From<EntryV1> for ChainEntry {
    fn from(entry: EntryV1) -> Self {
        match entry {
            EntryV1::Claim(ClaimV1 { job, run, attempt, host, at_ms, restored, numbers_above }) => {
                Self::Claim(Claim { job, run, attempt, host, at_ms, restored, numbers_above, before: None })
            }
            EntryV1::Checkpoint(manifest) => Self::Checkpoint(manifest.into()),
        }
    }
}

/// What is lost here is nothing: a manifest with canaries has another version.
impl From<Manifest> for ManifestV1 {
    fn from(manifest: Manifest) -> Self {
        let Manifest { job, run, attempt, checkpoint, parent, kind, is_final, started_ms, completed_ms, .. } = manifest;
        let Manifest { max_parallelism, pages, committables, canaries: _, .. } = manifest;
        Self {
            job,
            run,
            attempt,
            checkpoint,
            parent,
            kind,
            is_final,
            started_ms,
            completed_ms,
            max_parallelism,
            pages,
            committables,
        }
    }
}

impl From<ManifestV1> for Manifest {
    fn from(manifest: ManifestV1) -> Self {
        let ManifestV1 { job, run, attempt, checkpoint, parent, kind, is_final, started_ms, completed_ms, .. } =
            manifest;
        let ManifestV1 { max_parallelism, pages, committables, .. } = manifest;
        Self {
            job,
            run,
            attempt,
            checkpoint,
            parent,
            kind,
            is_final,
            started_ms,
            completed_ms,
            max_parallelism,
            pages,
            committables,
            canaries: Vec::new(),
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
