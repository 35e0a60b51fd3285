//! Requests on their way: events are gathered into NDJSON bodies, each with a name that its retries keep.
//!
//! Knows nothing of HTTP but what a body and an idempotency key are.

use std::collections::VecDeque;

use gristmill_ports::parts::PartContext;
use gristmill_types::EventBatch;
use xxhash_rust::xxh3::xxh3_128;

use crate::format::encode::write_lines;

/// A body is not made longer than this, however many events a request may hold.
const ENOUGH: usize = 8 << 20;

/// A request that was not answered yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) body: Vec<u8>,
    /// The same for every try of this request, and for no request that differs: see the sink's documentation.
    pub(super) idempotency_key: String,
}

/// Requests in the order in which they are sent; the last may still be filled.
pub(super) struct Requests {
    /// Job, run, sink and subtask: what a key begins with.
    name: String,
    rows_each: usize,
    ready: VecDeque<Request>,
    /// The lines of the next request.
    open: Vec<u8>,
    open_rows: usize,
    /// Events that the subtask has taken in this run before those of the next request.
    first: u64,
}

impl Requests {
    /// Requests of a subtask that has taken `taken` events in this run.
    pub(super) fn new(context: &PartContext, rows_each: usize, taken: u64) -> Self {
        let name = format!("{}/{}/{}/{}", context.job, context.run, context.node, context.subtask);
        Self { name, rows_each, ready: VecDeque::new(), open: Vec::new(), open_rows: 0, first: taken }
    }

    /// Takes events over; full requests become ready.
    pub(super) fn add(&mut self, events: &EventBatch) {
        let mut from = 0;
        while from < events.len() {
            let until = events.len().min(from + self.rows_each - self.open_rows);
            let until = (from..until).find(|&row| self.reaches_enough(events, from, row)).map_or(until, |row| row + 1);
            write_lines(&events.slice(from..until), &mut self.open);
            self.open_rows += until - from;
            if self.open_rows == self.rows_each || self.open.len() >= ENOUGH {
                self.seal();
            }
            from = until;
        }
    }

    /// Whether the body is long enough with these rows.
    fn reaches_enough(&self, events: &EventBatch, from: usize, last: usize) -> bool {
        let values = events.values();
        self.open.len() + values.span(last).end - values.span(from).start >= ENOUGH
    }

    /// Makes the open request ready, however few events it has.
    pub(super) fn seal(&mut self) {
        if self.open_rows == 0 {
            return;
        }
        let body = std::mem::take(&mut self.open);
        // Where a request is cut depends on when its events came; without the hash, one that was cut elsewhere after a
        // restart would be taken for what was sent before, and its further events would be lost.
        let idempotency_key = format!("{}/{}/{:032x}", self.name, self.first, xxh3_128(&body));
        self.ready.push_back(Request { body, idempotency_key });
        self.first += self.open_rows as u64;
        self.open_rows = 0;
    }

    /// The request to send next.
    pub(super) fn first(&self) -> Option<&Request> {
        self.ready.front()
    }

    /// The first request was taken.
    pub(super) fn remove_first(&mut self) {
        self.ready.pop_front();
    }
}
