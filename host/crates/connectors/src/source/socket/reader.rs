//! The reader of what came over a connection. It has no position: what was read and is in no checkpoint is lost with the
//! attempt.

use std::sync::Arc;
use std::task::{Context, Poll};

use gristmill_ports::source::ReadBounds;
use gristmill_ports::{PortError, SourceBatch, SourceReader};

use super::Hangup;
use crate::arrivals::{Arrivals, Item, Taken};
use crate::format::decoder::cut_off;
use crate::format::event_reader::EventReader;

pub(super) struct SocketReader {
    pub(super) arrivals: Arc<Arrivals>,
    pub(super) events: EventReader,
    /// The address of the peer.
    pub(super) from: String,
    /// Events so far.
    pub(super) number: u64,
    pub(super) now_ms: i64,
    pub(super) _hangup: Hangup,
}

impl SourceReader for SocketReader {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        bounds: ReadBounds,
    ) -> Poll<Result<Option<SourceBatch>, PortError>> {
        self.now_ms = bounds.now_ms;
        match self.arrivals.take(bounds.max_rows, bounds.max_bytes, context.waker()) {
            Taken::Items(items) => Poll::Ready(Ok(Some(self.decode(&items)))),
            Taken::Nothing => Poll::Pending,
            Taken::Trouble(error) => Poll::Ready(Err(error)),
            Taken::Ended(how) => Poll::Ready(how.map(|()| None)),
        }
    }

    fn stop(&mut self) -> bool {
        self.arrivals.close()
    }

    fn decode_again(&mut self, raw: &[u8], origin: &str) -> SourceBatch {
        self.events.read_again(raw, origin, self.now_ms)
    }
}

impl SocketReader {
    fn decode(&mut self, items: &[Item]) -> SourceBatch {
        let mut batch = SourceBatch::default();
        for item in items {
            self.number += 1;
            let origin = || format!("{}:{}", self.from, self.number);
            match item {
                Item::Event(raw) => self.events.read(raw, origin, self.now_ms, &mut batch),
                Item::Cut { head, reason } => batch.undecodable.push(cut_off(&origin(), head, reason.clone())),
            }
        }
        batch
    }
}
