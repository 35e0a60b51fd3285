//! A savepoint: a cut of a job that stands on its own. It belongs to people: nothing deletes it but they.
//!
//! It is a folder: one record, and the files that the record names. State lies in it as one sorted file for each subtask of
//! an operator, without deletions and without what has expired, whatever backend wrote it; so two savepoints can be
//! laid beside each other, and one can be read at any parallelism. Nothing in it says where it is: the folder may be
//! moved. It is there once its record is, and the record is written last.
//!
//! It holds no output that waits for its commit: it is complete only when all that was cut before it is committed.
//!
//! Records of version 1 say neither how much there is of each state nor what was posted and not read yet.

use std::collections::BTreeMap;

use gristmill_types::{AttemptId, CheckpointId, JobId, MaxParallelism, NodeId, RunId};
use serde::{Deserialize, Serialize};

use crate::file::FileRef;
use crate::framed::{self, Damaged, Magic};
use crate::snapshot::NodeSnapshot;

/// The first bytes of the record.
pub const MAGIC: Magic = *b"GMSV";
const VERSION: u16 = 2;

/// The name of the record in the folder.
pub const RECORD: &str = "savepoint";

/// The record of a savepoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Savepoint {
    /// The job.
    pub job: JobId,
    /// The run of which it was taken.
    pub run: RunId,
    /// The attempt that took it.
    pub attempt: AttemptId,
    /// The number of its barrier.
    pub checkpoint: CheckpointId,
    /// When its barrier was sent, in milliseconds since the epoch.
    pub taken_ms: i64,
    /// The text of the job's document, as it ran then.
    pub document: String,
    /// Key groups; fixed for the life of the state.
    pub max_parallelism: MaxParallelism,
    /// What there is of each node, by id; state files are those of the savepoint's folder.
    pub nodes: Vec<NodeSnapshot>,
    /// Entries of each state of each node that has any, by the state's place: as they were counted in the files once these
    /// were stored. Unknown of a savepoint of version 1.
    pub entries: Option<BTreeMap<NodeId, Vec<u64>>>,
    /// What sources had taken in and nobody had read yet, where that is kept nowhere else.
    pub tails: Vec<Tail>,
}

/// Input that only the host had: posts that were acknowledged and not read yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// The source.
    pub source: NodeId,
    /// Where it is; the connector's own words.
    pub file: FileRef,
    /// Events in it.
    pub events: u64,
}

/// A record of version 1. No host has ever written a tail into one.
#[derive(Deserialize)]
struct Version1 {
    job: JobId,
    run: RunId,
    attempt: AttemptId,
    checkpoint: CheckpointId,
    taken_ms: i64,
    document: String,
    max_parallelism: MaxParallelism,
    nodes: Vec<NodeSnapshot>,
    tails: Vec<Version1Tail>,
}

#[derive(Deserialize)]
struct Version1Tail {
    source: NodeId,
    file: FileRef,
}

impl From<Version1> for Savepoint {
    fn from(old: Version1) -> Self {
        let tail = |Version1Tail { source, file }| Tail { source, file, events: 0 };
        Self {
            job: old.job,
            run: old.run,
            attempt: old.attempt,
            checkpoint: old.checkpoint,
            taken_ms: old.taken_ms,
            document: old.document,
            max_parallelism: old.max_parallelism,
            nodes: old.nodes,
            entries: None,
            tails: old.tails.into_iter().map(tail).collect(),
        }
    }
}

impl Savepoint {
    /// The record as it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        framed::encode(MAGIC, VERSION, self)
    }

    /// Reads a record.
    ///
    /// # Errors
    /// If it is damaged, was edited, or was written by a newer host.
    pub fn decode(record: &[u8]) -> Result<Self, Damaged> {
        let framed = framed::open(MAGIC, VERSION, record)?;
        match framed.version {
            1 => framed.content::<Version1>().map(Self::from),
            _ => framed.content(),
        }
    }

    /// All files that it names, each once, and for what.
    pub fn files(&self) -> impl Iterator<Item = (&NodeId, FileRef)> {
        let state = self.nodes.iter().flat_map(|node| node.files().map(move |file| (&node.node, file)));
        state.chain(self.tails.iter().map(|tail| (&tail.source, tail.file)))
    }

    /// What there is of a node.
    #[must_use]
    pub fn node(&self, id: &NodeId) -> Option<&NodeSnapshot> {
        self.nodes.iter().find(|node| node.node == *id)
    }

    /// What a source had taken in and nobody had read.
    #[must_use]
    pub fn tail(&self, source: &NodeId) -> Option<&Tail> {
        self.tails.iter().find(|tail| tail.source == *source)
    }

    /// Bytes of the record's files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files().map(|(_, file)| file.bytes).sum()
    }
}
