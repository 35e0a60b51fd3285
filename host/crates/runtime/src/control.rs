//! Wishes from outside the stream.

use std::sync::Arc;

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
    },
    /// To a source: raw input that could not be decoded is decoded again.
    Decode {
        /// The input.
        raw: Vec<u8>,
        /// Where it stood.
        origin: String,
    },
}
