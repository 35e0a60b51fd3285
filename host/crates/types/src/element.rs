//! What travels through a channel, in order.

use std::sync::Arc;

use crate::barrier::CheckpointBarrier;
use crate::batch::EventBatch;
use crate::event_time::Watermark;

/// One thing in a channel. Nothing overtakes anything else of the same channel.
#[derive(Debug, Clone)]
pub enum StreamElement {
    /// Events; shared, since several consumers may read one batch.
    Batch(Arc<EventBatch>),
    /// No more events at or before this time will come through this channel.
    Watermark(Watermark),
    /// The cut of a checkpoint.
    Barrier(CheckpointBarrier),
    /// This channel has nothing to say for now: leave it out of the minimum of watermarks until it speaks again.
    Idle,
    /// The last element of a channel.
    EndOfInput,
}

impl StreamElement {
    /// What the element costs of a channel's credit. Only batches cost: control must always get through.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.bytes(),
            Self::Watermark(_) | Self::Barrier(_) | Self::Idle | Self::EndOfInput => 0,
        }
    }
}
