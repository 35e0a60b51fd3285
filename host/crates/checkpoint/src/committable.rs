//! Output that is durable and not visible yet.

use std::fmt;

use gristmill_types::{AttemptId, CheckpointId, NodeId};
use serde::{Deserialize, Serialize};

use crate::file::FileRef;
use crate::readable;

/// Names a committable within its run, for ever: whoever commits it twice recognizes it.
///
/// Never a subtask or a bare checkpoint number: two attempts may count the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommittableId {
    /// The attempt that staged it.
    pub attempt: AttemptId,
    /// Counts within the attempt.
    pub number: u64,
}

impl fmt::Display for CommittableId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.attempt, self.number)
    }
}

/// What a sink staged for a checkpoint: durable, invisible, and committed once that checkpoint is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committable {
    /// Which.
    pub id: CommittableId,
    /// Whose.
    pub sink: NodeId,
    /// The checkpoint whose barrier closed it. A later one may be the first to be decided with it.
    pub staged_for: CheckpointId,
    /// What the sink's committer needs to know; it begins with a version of the connector's own.
    #[serde(serialize_with = "readable::bytes")]
    pub payload: Vec<u8>,
    /// Files in checkpoint storage that the committer reads; kept until it has committed.
    pub files: Vec<FileRef>,
}
