//! Wishes from outside the stream.

use std::sync::{Arc, mpsc};

use gristmill_types::{EventBatch, InputIndex};

/// What a subtask may be told. Ending at once is not told: the inbox is closed.
#[derive(Debug)]
pub(crate) enum Control {
    /// To a source: hold still.
    Pause,
    /// To a source: go on.
    Resume,
    /// To a source: end here, as if the input had ended, but without its final watermark.
    Stop,
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

/// Tells those who put something back that it was taken in. Dropped without a word when the subtask ends before.
#[derive(Debug)]
pub(crate) struct TakenIn(mpsc::Sender<()>);

impl TakenIn {
    pub(crate) fn say(self) {
        // Nobody has to wait for it.
        let _ = self.0.send(());
    }
}

/// The other end of all [`TakenIn`] of one replay.
pub(crate) struct Receipts {
    sender: mpsc::Sender<()>,
    receiver: mpsc::Receiver<()>,
    given: usize,
}

impl Receipts {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel();
        Self { sender, receiver, given: 0 }
    }

    pub(crate) fn give(&mut self) -> TakenIn {
        self.given += 1;
        TakenIn(self.sender.clone())
    }

    /// Waits until all have spoken. `false` if one of them went without a word.
    pub(crate) fn wait(self) -> bool {
        drop(self.sender);
        self.receiver.iter().count() == self.given
    }
}
