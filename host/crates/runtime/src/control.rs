//! Wishes from outside the stream.

use std::sync::{Arc, mpsc};

use gristmill_checkpoint::SplitPosition;
use gristmill_types::{CheckpointBarrier, CheckpointId, EventBatch, InputIndex};

use crate::shadow::ShadowControl;
use crate::state_access::StateControl;
use crate::swap::SwapControl;

/// What a subtask may be told. Ending at once is not told: the inbox is closed.
#[derive(Debug)]
pub(crate) enum Control {
    /// To a source: hold still.
    Pause,
    /// To a source: go on.
    Resume,
    /// To a source: take nothing new in, or do so again. What was taken in is read on.
    Hold(bool),
    /// To a source: end here, as if the input had ended, but without its final watermark.
    Stop,
    /// To a source: end where it stands. What was taken in and not read stays where it is kept.
    StopHere,
    /// To a source: end here, and event time with it.
    Drain,
    /// To a source, ended or not: send this barrier.
    Barrier(CheckpointBarrier),
    /// To a source: nothing before these positions is asked for again.
    Forget(Arc<Vec<SplitPosition>>),
    /// To a subtask that has come to the end of its input: all is committed.
    Leave,
    /// A step of a swap.
    Swap(SwapControl),
    /// Somebody looks at the state of a key, or changes it.
    State(StateControl),
    /// The calls of a node are to go into a tee as well.
    Shadow(ShadowControl),
    /// Events that were set aside come back to a node of the chain.
    Replay {
        /// Which node of the chain.
        node: usize,
        /// Which of its inputs.
        input: InputIndex,
        /// The events; keyed and hashed if the input is keyed.
        events: Arc<EventBatch>,
        /// Whom to tell.
        taken: TakenIn,
    },
    /// To a source: raw input that could not be decoded is decoded again.
    Decode {
        /// The input.
        raw: Vec<u8>,
        /// Where it stood.
        origin: String,
        /// Whom to tell.
        taken: TakenIn,
    },
}

impl Control {
    /// Whether it concerns a subtask that has come to the end of its input, too.
    pub(crate) fn is_for_those_who_left(&self) -> bool {
        match self {
            Self::Barrier(_) | Self::Forget(_) | Self::Leave | Self::Swap(_) | Self::State(_) | Self::Shadow(_) => true,
            Self::Hold(_) => true,
            Self::Pause
            | Self::Resume
            | Self::Stop
            | Self::StopHere
            | Self::Drain
            | Self::Replay { .. }
            | Self::Decode { .. } => false,
        }
    }
}

/// Tells those who put something back that it was taken in. Dropped without a word when the subtask ends before.
#[derive(Debug)]
pub(crate) struct TakenIn {
    number: usize,
    sender: mpsc::Sender<(usize, CheckpointId)>,
}

impl TakenIn {
    /// Says so; `passed` is the checkpoint whose barrier the subtask passed last.
    pub(crate) fn say(self, passed: CheckpointId) {
        // Nobody has to wait for it.
        let _ = self.sender.send((self.number, passed));
    }
}

/// The other end of all [`TakenIn`] of one replay.
pub(crate) struct Receipts {
    sender: mpsc::Sender<(usize, CheckpointId)>,
    receiver: mpsc::Receiver<(usize, CheckpointId)>,
    given: usize,
}

impl Receipts {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver, given: 0 }
    }

    pub(crate) fn give(&mut self) -> TakenIn {
        self.given += 1;
        TakenIn { number: self.given - 1, sender: self.sender.clone() }
    }

    /// Waits until all have spoken: what each has said, in the order in which they were given. `None` if one of them
    /// went without a word.
    pub(crate) fn wait(self) -> Option<Vec<CheckpointId>> {
        drop(self.sender);
        let mut said: Vec<_> = self.receiver.iter().collect();
        said.sort_unstable();
        (said.len() == self.given).then(|| said.into_iter().map(|(_, passed)| passed).collect())
    }
}
