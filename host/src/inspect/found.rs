//! What can lie at a path of checkpoint storage, as it is shown to people and programs. Shapes only.

use gristmill_checkpoint::{
    CanaryRef, ChainEntry, Claim, Committable, FileRef, Manifest, NodeSnapshot, Savepoint, Slot,
};
use gristmill_types::{AttemptId, CheckpointId, CheckpointKind, JobId, MaxParallelism, NodeId, RunId};
use serde::Serialize;

/// What lies at a path.
#[derive(Debug, Serialize)]
pub(crate) struct Inspection {
    /// Where.
    pub(crate) path: String,
    /// What.
    #[serde(flatten)]
    pub(crate) found: Found,
    /// Everything that is missing, or not as it was written.
    pub(crate) damaged: Vec<Damage>,
}

/// The sorts of things that there are.
#[derive(Debug, Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub(crate) enum Found {
    /// The folder of one run, or one that holds several.
    Runs {
        /// Each of them, by path.
        runs: Vec<Run>,
    },
    /// The folder of a savepoint.
    Savepoint {
        /// Its record; null if it cannot be read.
        savepoint: Option<Box<Savepoint>>,
    },
    /// One slot of a chain.
    ChainEntry {
        /// What fills it.
        entry: Entry,
    },
    /// What a checkpoint knows of one node.
    Page {
        /// Its content; null if it cannot be read.
        snapshot: Option<Box<NodeSnapshot>>,
    },
    /// A file of state. Only its first bytes are looked at.
    StateFile {
        /// Its length.
        bytes: u64,
        /// The version of its format.
        version: u16,
    },
}

/// Something that is wrong.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Damage {
    /// Where.
    pub(crate) path: String,
    /// What.
    pub(crate) why: String,
}

/// A run: its chain, and all its files.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    /// Its folder.
    pub(crate) folder: String,
    /// The job, as its records say.
    pub(crate) job: Option<JobId>,
    /// The run, as its records say.
    pub(crate) run: Option<RunId>,
    /// The chain, oldest first.
    pub(crate) chain: Vec<Filled>,
    /// All its files.
    pub(crate) files: Tally,
    /// Those that no checkpoint of the chain names: of a checkpoint under way, or garbage.
    pub(crate) unnamed: Tally,
}

/// Files in numbers.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// How many.
    pub(crate) count: u64,
    /// Their lengths.
    pub(crate) bytes: u64,
}

impl Tally {
    pub(super) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// A slot of the chain and what fills it.
#[derive(Debug, Serialize)]
pub(crate) struct Filled {
    /// Its place.
    pub(crate) slot: Slot,
    /// What fills it.
    #[serde(flatten)]
    pub(crate) entry: Entry,
}

/// What fills a slot.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Entry {
    /// An attempt begins.
    Claim {
        /// The attempt.
        attempt: AttemptId,
        /// Where it ran.
        host: String,
        /// When it began.
        at: String,
        /// What it went on from.
        restored: Option<CheckpointId>,
        /// Its checkpoints have higher numbers.
        numbers_above: CheckpointId,
    },
    /// A checkpoint is decided.
    Checkpoint(Box<Checkpoint>),
    /// Nobody knows.
    Unreadable {
        /// Why.
        why: String,
    },
}

/// A checkpoint with its pages.
#[derive(Debug, Serialize)]
pub(crate) struct Checkpoint {
    /// Its number.
    pub(crate) checkpoint: CheckpointId,
    /// The checkpoint before it.
    pub(crate) parent: Option<CheckpointId>,
    /// Who wrote it.
    pub(crate) attempt: AttemptId,
    /// Why it was made.
    pub(crate) reason: CheckpointKind,
    /// Nothing follows it: the input had come to its end.
    pub(crate) is_final: bool,
    /// When its barrier was sent.
    pub(crate) started_at: String,
    /// When it was complete.
    pub(crate) completed_at: String,
    /// Key groups of the job.
    pub(crate) max_parallelism: MaxParallelism,
    /// Each node, by id.
    pub(crate) nodes: Vec<Node>,
    /// Output that is staged and not known to be committed.
    pub(crate) committables: Vec<Committable>,
    /// Second modules, and how many of a hundred key groups each serves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) canaries: Vec<CanaryRef>,
}

/// A node as it stands in a checkpoint.
#[derive(Debug, Serialize)]
pub(crate) struct Node {
    /// Which.
    pub(crate) node: NodeId,
    /// Its page.
    pub(crate) page: FileRef,
    /// What the page says; null if it cannot be read, or is not there to be read.
    pub(crate) snapshot: Option<NodeSnapshot>,
}

impl Entry {
    /// What a slot holds; `page` finds what a page says.
    pub(super) fn new(entry: ChainEntry, mut page: impl FnMut(&NodeId, &FileRef) -> Option<NodeSnapshot>) -> Self {
        match entry {
            ChainEntry::Claim(Claim { job: _, run: _, attempt, host, at_ms, restored, numbers_above, before: _ }) => {
                Self::Claim { attempt, host, at: time(at_ms), restored, numbers_above }
            }
            ChainEntry::Checkpoint(manifest) => {
                let pages = manifest.pages.iter();
                let nodes = pages.map(|one| Node {
                    node: one.node.clone(),
                    page: one.file,
                    snapshot: page(&one.node, &one.file),
                });
                let nodes = nodes.collect();
                let Manifest { checkpoint, parent, attempt, is_final, max_parallelism, .. } = manifest;
                let Manifest { committables, canaries, .. } = manifest;
                Self::Checkpoint(Box::new(Checkpoint {
                    checkpoint,
                    parent,
                    attempt,
                    reason: manifest.kind,
                    is_final,
                    started_at: time(manifest.started_ms),
                    completed_at: time(manifest.completed_ms),
                    max_parallelism,
                    nodes,
                    committables,
                    canaries,
                }))
            }
        }
    }
}

/// Milliseconds since the epoch as RFC 3339.
fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}
