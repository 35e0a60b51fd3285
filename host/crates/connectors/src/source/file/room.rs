//! How much a batch may still take, and how far one call came.

use gristmill_ports::SourceBatch;

/// What one call may read without finding an event, so that control need not wait.
pub(super) const MOST_READ: usize = 8 << 20;

/// How far one call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The batch is full, or so much was read that control must have its turn.
    Paused,
    /// The file is at its end.
    Ended,
}

/// How much a batch may still take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// The time of events that have none.
    pub(super) now_ms: i64,
}

impl Room {
    /// Takes a place for an event of this size. `false`: there is none, and the event must wait for the next batch.
    pub(super) fn take(&mut self, bytes: usize, batch: &SourceBatch) -> bool {
        let fits = bytes <= self.bytes;
        if !is_empty(batch) && (self.rows == 0 || !fits) {
            return false;
        }
        // One that is larger than a whole batch comes alone.
        self.rows = if fits { self.rows.saturating_sub(1) } else { 0 };
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

/// Whether nothing is in it.
pub(super) fn is_empty(batch: &SourceBatch) -> bool {
    batch.events.is_empty() && batch.undecodable.is_empty()
}
