//! Where a subtask hands its parts of checkpoints over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;

use gristmill_checkpoint::coordinator::Participant;
use gristmill_types::CheckpointId;

use crate::checkpoint::cut::{Cut, OnItsWay, StorerWork};
use crate::checkpoint::told::Told;

/// Parts of one subtask that may be on their way at once; then it declines. One more frozen generation would be one more
/// copy of all that changes.
const MOST_ON_THEIR_WAY: u32 = 2;

/// See the module.
pub(crate) struct Desk {
    pub(crate) by: Participant,
    pub(crate) storer: Sender<StorerWork>,
    pub(crate) supervisor: Sender<Told>,
    on_their_way: Arc<AtomicU32>,
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
        Some(OnItsWay::new(&self.on_their_way))
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
