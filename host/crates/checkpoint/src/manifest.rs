//! What a checkpoint is: one record that names everything else.
//!
//! Paged: what is known of each node stands in a page, a file of its own. A page that did not change since the parent is
//! not written again, so a checkpoint of an idle job costs the manifest alone.

use std::collections::BTreeSet;

use gristmill_types::{AttemptId, CheckpointId, CheckpointKind, JobId, MaxParallelism, NodeId, RunId};
use serde::{Deserialize, Serialize};

use crate::committable::Committable;
use crate::file::FileRef;
use crate::share::CanaryRef;

/// Where a node's page is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRef {
    /// Whose.
    pub node: NodeId,
    /// The page.
    pub file: FileRef,
}

/// A checkpoint. Once stored in its slot of the chain it is decided, and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The job.
    pub job: JobId,
    /// The run whose chain this is.
    pub run: RunId,
    /// The attempt that wrote it.
    pub attempt: AttemptId,
    /// The number that its barrier carried. Ascends along the chain; failed checkpoints leave gaps.
    pub checkpoint: CheckpointId,
    /// The checkpoint before it in the chain.
    pub parent: Option<CheckpointId>,
    /// Why it was made.
    pub kind: CheckpointKind,
    /// The input has come to its end: nothing follows it.
    pub is_final: bool,
    /// When its barrier was sent, in milliseconds since the epoch.
    pub started_ms: i64,
    /// When it was complete but for itself, in milliseconds since the epoch.
    pub completed_ms: i64,
    /// Key groups of the job; fixed for the life of the job.
    pub max_parallelism: MaxParallelism,
    /// A page for each node, by id.
    pub pages: Vec<PageRef>,
    /// All output that is staged and of which it is not known that it was committed, oldest first: that of this
    /// checkpoint, of failed ones before it, and of decided ones whose commit was not acknowledged yet.
    pub committables: Vec<Committable>,
    /// Second modules that serve a share of an operator; its page names the one that serves the rest.
    pub canaries: Vec<CanaryRef>,
}

impl Manifest {
    /// Files that the manifest itself names: pages, and what committers read. Pages name further ones.
    #[must_use]
    pub fn files(&self) -> BTreeSet<FileRef> {
        let pages = self.pages.iter().map(|page| page.file);
        pages.chain(self.committables.iter().flat_map(|committable| committable.files.iter().copied())).collect()
    }
}
