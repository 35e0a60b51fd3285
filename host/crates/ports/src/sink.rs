//! Where events go.

use gristmill_types::EventBatch;

use crate::error::PortError;

/// Writes the events of one subtask. Driven by one thread.
pub trait Sink: Send {
    /// Takes events; may keep them in a bounded buffer until [`Self::flush`]. Returns the rows that it can never write,
    /// ascending; all others were taken.
    ///
    /// # Errors
    /// `Retry`: nothing of this batch was taken; the caller hands over the same batch again after a backoff. `Fatal`:
    /// the job fails.
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError>;

    /// Brings everything taken so far out of the host. Called when the input pauses, and at its end.
    ///
    /// # Errors
    /// As for [`Self::write`]; what was not flushed is kept for the next try.
    fn flush(&mut self) -> Result<(), PortError>;

    /// Ends the sink after the last flush: closes files, gives a summary for the job's report where there is one.
    ///
    /// # Errors
    /// As for [`Self::write`].
    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError>;
}

/// An event that a sink can never write, however often it is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRow {
    /// Its row in the batch.
    pub row: u32,
    /// Why.
    pub reason: String,
}

/// What a sink took in its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct SinkSummary {
    /// Events.
    pub events: u64,
    /// Bytes of values.
    pub bytes: u64,
    /// The wrapping sum of the XXH3 of each value: the same for the same events in any order.
    pub checksum: u64,
}
