//! Where events come from.

use std::task::{Context, Poll};

use gristmill_checkpoint::SplitPosition;
use gristmill_types::EventBatch;

use crate::error::PortError;

/// Reads the split of a source that belongs to one subtask. Driven by one thread.
pub trait SourceReader: Send {
    /// The next events: whatever is at hand, up to `bounds`, without waiting for more.
    ///
    /// `Pending` means that nothing is at hand; the reader then wakes the waker of `context` as soon as there is, from
    /// whichever thread. `Ready(Ok(None))` is the end of the source; it is not polled again.
    ///
    /// May block for as long as a local disk takes, never for longer: control waits behind it.
    ///
    /// # Errors
    /// `Retry` to be polled again after a backoff, `Fatal` to fail the job.
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        bounds: ReadBounds,
    ) -> Poll<Result<Option<SourceBatch>, PortError>>;

    /// Where the splits of this reader stand: behind everything that [`Self::poll_next`] has returned, before everything
    /// else. A source opened at these positions goes on exactly there. Cheap: asked at every checkpoint.
    ///
    /// A source that cannot be read again, such as a socket, has none; what it had read is lost with the attempt.
    fn positions(&self) -> Vec<SplitPosition> {
        Vec::new()
    }

    /// Nothing before these positions will be asked for again, by anybody; they come from [`Self::positions`].
    fn forget_before(&mut self, _oldest: &[SplitPosition]) {}

    /// The job stops: nothing new is taken in from now on. Whether something is left that cannot be read again, such as
    /// a post that was accepted: then [`Self::poll_next`] is called on until it ends.
    ///
    /// Sources that can be read again leave nothing, and are simply not polled again.
    fn stop(&mut self) -> bool {
        false
    }

    /// Nothing new is taken in while this is held: whoever offers something is told to come again. What was taken in before
    /// stays, and is read on.
    ///
    /// Only for sources that others put something into.
    fn hold(&mut self, _held: bool) {}

    /// Decodes raw bytes that were set aside earlier, as if they had just been read: the replay of a dead letter.
    fn decode_again(&mut self, raw: &[u8], origin: &str) -> SourceBatch;
}

/// How much one poll may return.
#[derive(Debug, Clone, Copy)]
pub struct ReadBounds {
    /// Events.
    pub max_rows: usize,
    /// Bytes of keys and values; a single larger event still comes, alone.
    pub max_bytes: usize,
    /// The host's wall clock: the time of events that carry none of their own.
    pub now_ms: i64,
}

/// What one poll returned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceBatch {
    /// Events that were understood.
    pub events: EventBatch,
    /// Input that was not; goes to the dead letters.
    pub undecodable: Vec<Undecodable>,
}

/// A piece of input that could not be made an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecodable {
    /// Where it stood, such as `flights.jsonl:17`.
    pub origin: String,
    /// What is wrong with it.
    pub reason: String,
    /// The input itself.
    pub raw: Vec<u8>,
}
