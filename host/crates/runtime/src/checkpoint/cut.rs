//! A subtask's part of a checkpoint on its way, and all that the thread which stores is asked for.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use gristmill_checkpoint::coordinator::{Participant, ToStore};
use gristmill_checkpoint::retention::Garbage;
use gristmill_checkpoint::snapshot::SubtaskSnapshot;
use gristmill_ports::StagedOutput;
use gristmill_ports::state::FrozenState;
use gristmill_types::{CheckpointId, NodeId};

/// What the storer is to do.
pub(crate) enum StorerWork {
    /// Make this durable, then acknowledge it.
    Part(Box<Cut>),
    /// Store this in its slot.
    Manifest(Box<ToStore>),
    /// Delete this.
    Garbage(Garbage),
    /// Delete these paths: what a crash has left behind.
    Sweep(Vec<String>),
}

/// A subtask's part of a checkpoint, cut and not durable yet.
pub(crate) struct Cut {
    pub(crate) checkpoint: CheckpointId,
    pub(crate) by: Participant,
    pub(crate) nodes: Vec<NodeCut>,
    /// When the barrier came.
    pub(crate) since: Instant,
    /// From the first barrier of the subtask's channels to the last.
    pub(crate) aligned: Duration,
    /// Work done inline at the barrier.
    pub(crate) inline: Duration,
    /// Counts the part until it is dropped.
    pub(crate) _on_its_way: OnItsWay,
}

/// A node's part of it.
pub(crate) struct NodeCut {
    pub(crate) node: NodeId,
    /// Without the files that are still to be written.
    pub(crate) snapshot: SubtaskSnapshot,
    /// State that is to be stored.
    pub(crate) frozen: Option<Box<dyn FrozenState>>,
    /// Output that is to be sealed.
    pub(crate) staged: Option<Box<dyn StagedOutput>>,
}

/// Lives as long as a part is on its way.
pub(crate) struct OnItsWay(Arc<AtomicU32>);

impl OnItsWay {
    pub(crate) fn new(count: &Arc<AtomicU32>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(count))
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
