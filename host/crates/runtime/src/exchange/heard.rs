//! What a subtask hears, and how much at once.

use std::sync::Arc;
use std::time::Duration;

use gristmill_types::{CheckpointBarrier, EventBatch, InputIndex, Watermark};

use crate::control::Control;

/// Everything a subtask can ever hear.
#[derive(Debug)]
pub(crate) enum Heard {
    /// A wish from outside the stream.
    Control(Control),
    /// Events for an input.
    Batch(InputIndex, Arc<EventBatch>),
    /// A channel's watermark.
    Watermark(usize, Watermark),
    /// A channel has nothing to say for now.
    Idle(usize),
    /// A channel has ended: only barriers still come through it.
    End,
    /// All channels have delivered this barrier; since the first of them so much time has passed.
    Barrier(CheckpointBarrier, Duration),
    /// Nothing within the time given.
    Quiet,
    /// The job is over; leave at once.
    Closed,
}

/// The inbox of a subtask is closed: the job is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the job is over")]
pub(crate) struct Closed;

/// Bounds of what one hearing may bring together from what has queued up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GatherBounds {
    /// Batches are brought together until this many events.
    pub(crate) rows: usize,
    /// Or this many bytes.
    pub(crate) bytes: usize,
    /// How long a small batch may wait for company.
    pub(crate) delay: Duration,
}
