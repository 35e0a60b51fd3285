//! A savepoint: a cut of a job that stands on its own. It belongs to people: nothing deletes it but they.
//!
//! It is a folder: one record, and the files that the record names. State lies in it as one sorted file for each subtask of
//! an operator, without deletions and without what has expired, whatever backend wrote it; so two savepoints can be
//! laid beside each other, and one can be read at any parallelism. Nothing in it says where it is: the folder may be
//! moved. It is there once its record is, and the record is written last.
//!
//! It holds no output that waits for its commit: it is complete only when all that was cut before it is committed.

use gristmill_types::{AttemptId, CheckpointId, JobId, MaxParallelism, NodeId, RunId};
use serde::{Deserialize, Serialize};

use crate::file::FileRef;
use crate::framed::{self, Damaged, Magic};
use crate::snapshot::NodeSnapshot;

/// The first bytes of the record.
pub const MAGIC: Magic = *b"GMSV";
const VERSION: u16 = 1;

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
    /// What sources had taken in and nobody had read yet, where that is kept nowhere else. No host of this version writes any:
    /// the place is kept in the format.
    pub tails: Vec<Tail>,
}

/// Input that only the host had: posts that were acknowledged and not read yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// The source.
    pub source: NodeId,
    /// Where it is; the connector's own words.
    pub file: FileRef,
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
        framed::decode(MAGIC, VERSION, record)
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

    /// Bytes of the record's files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files().map(|(_, file)| file.bytes).sum()
    }
}
