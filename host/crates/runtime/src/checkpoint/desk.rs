//! Where a subtask hands its parts of checkpoints over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use gristmill_checkpoint::coordinator::Participant;
use gristmill_checkpoint::snapshot::SubtaskSnapshot;
use gristmill_ports::StagedOutput;
use gristmill_ports::state::FrozenState;
use gristmill_types::{CheckpointId, NodeId};

use crate::checkpoint::storer::StorerWork;
use crate::checkpoint::told::Told;

/// Parts of one subtask that may be on their way at once; then it declines. One more frozen generation would be one more
/// copy of all that changes.
const MOST_ON_THEIR_WAY: u32 = 2;

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

/// See the module.
pub(crate) struct Desk {
    pub(crate) by: Participant,
    pub(crate) storer: Sender<StorerWork>,
    pub(crate) supervisor: Sender<Told>,
    on_their_way: Arc<AtomicU32>,
}

/// Lives as long as a part is on its way.
pub(crate) struct OnItsWay(Arc<AtomicU32>);

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Desk {
    pub(crate) fn new(by: Participant, storer: Sender<StorerWork>, supervisor: Sender<Told>) -> Self {
        Self { by, storer, supervisor, on_their_way: Arc::default() }
    }

    /// The right to cut another part, if not too many are on their way.
    pub(crate) fn begin(&self) -> Option<OnItsWay> {
        if self.on_their_way.load(Ordering::Acquire) >= MOST_ON_THEIR_WAY {
            return None;
        }
        self.on_their_way.fetch_add(1, Ordering::AcqRel);
        Some(OnItsWay(Arc::clone(&self.on_their_way)))
    }

    /// Nobody is there any more only when the attempt is over, and then nothing is missed.
    pub(crate) fn hand_over(&self, cut: Cut) {
        let _ = self.storer.send(StorerWork::Part(Box::new(cut)));
    }

    pub(crate) fn decline(&self, checkpoint: CheckpointId, why: &str) {
        let _ = self.supervisor.send(Told::Declined { checkpoint, by: self.by, why: why.to_owned() });
    }

    pub(crate) fn ended(&self) {
        let _ = self.supervisor.send(Told::Ended(self.by));
    }
}
