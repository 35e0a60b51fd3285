//! The reader of posted events: those that an earlier attempt had not come to, from the log; then those that come.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use gristmill_checkpoint::SplitPosition;
use gristmill_ports::source::ReadBounds;
use gristmill_ports::{PortError, SourceBatch, SourceReader};
use gristmill_types::NodeId;

use super::OpenSource;
use super::intake::{Intake, Ready};
use super::log::LogReader;
use super::passage::{Logged, logged};
use crate::format::event_reader::EventReader;
use crate::source::position::{PositionWriter, read_position};

const VERSION: u8 = 1;

/// The one split of a source.
const SPLIT: &str = "log";

pub(super) struct HttpReader {
    pub(super) node: NodeId,
    pub(super) intake: Arc<Intake>,
    /// The events of earlier attempts.
    pub(super) earlier: Option<Earlier>,
    pub(super) events: EventReader,
    /// The number of the next event.
    pub(super) next: u64,
    pub(super) now_ms: i64,
    pub(super) _open: OpenSource,
}

/// Events that were in the log when the source opened.
pub(super) struct Earlier {
    log: LogReader,
    /// Read from the log, but not given yet.
    read: VecDeque<Logged>,
}

/// The number of the event at which a source goes on; `None` at its beginning.
///
/// # Errors
/// `Fatal` if the positions are not those of such a source.
pub(super) fn resumed_at(node: &NodeId, resume: Option<&[SplitPosition]>) -> Result<Option<u64>, PortError> {
    let position = resume.and_then(<[SplitPosition]>::first);
    position.map(|position| read_position(node, position, VERSION, |numbers| numbers.u64())).transpose()
}

impl SourceReader for HttpReader {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        bounds: ReadBounds,
    ) -> Poll<Result<Option<SourceBatch>, PortError>> {
        self.now_ms = bounds.now_ms;
        if let Some(earlier) = &mut self.earlier {
            match earlier.take(bounds) {
                Ok(events) if events.is_empty() => self.earlier = None,
                Ok(events) => return Poll::Ready(Ok(Some(self.decode(&events)))),
                Err(error) => return Poll::Ready(Err(of_source(&self.node, &error))),
            }
        }
        match self.intake.take(bounds.max_rows, bounds.max_bytes, context.waker()) {
            Ready::Events(events) => Poll::Ready(Ok(Some(self.decode(&events)))),
            Ready::Nothing => Poll::Pending,
            Ready::Ended => Poll::Ready(Ok(None)),
        }
    }

    fn positions(&self) -> Vec<SplitPosition> {
        vec![PositionWriter::new(VERSION).u64(self.next).of(SPLIT)]
    }

    fn forget_before(&mut self, oldest: &[SplitPosition]) {
        // A position that cannot be read keeps everything, which is never wrong.
        if let Ok(Some(oldest)) = resumed_at(&self.node, Some(oldest)) {
            self.intake.forget_before(oldest.min(self.next));
        }
    }

    fn stop(&mut self) -> bool {
        let something_is_left = self.intake.close();
        something_is_left || self.earlier.is_some()
    }

    fn hold(&mut self, held: bool) {
        self.intake.hold(held);
    }

    fn decode_again(&mut self, raw: &[u8], origin: &str) -> SourceBatch {
        self.events.read_again(raw, origin, self.now_ms)
    }
}

impl HttpReader {
    fn decode(&mut self, events: &[Logged]) -> SourceBatch {
        let mut batch = SourceBatch::default();
        for Logged { number, arrived_ms, event } in events {
            self.next = number + 1;
            // People count from one.
            let origin = || format!("{}:{}", self.node, number + 1);
            self.events.read(event, origin, *arrived_ms, &mut batch);
        }
        batch
    }
}

/// The error with the name of the source before it.
pub(super) fn of_source(node: &NodeId, error: &PortError) -> PortError {
    PortError { kind: error.kind, message: format!("source `{node}`: {error}") }
}

impl Earlier {
    pub(super) fn new(log: LogReader) -> Self {
        Self { log, read: VecDeque::new() }
    }

    /// At least one event, then as long as the bounds permit; none if there are none left.
    fn take(&mut self, bounds: ReadBounds) -> Result<Vec<Logged>, PortError> {
        let mut events = Vec::new();
        let mut bytes = 0;
        loop {
            while let Some(next) = self.read.front() {
                bytes += next.event.len();
                if !events.is_empty() && (events.len() >= bounds.max_rows || bytes > bounds.max_bytes) {
                    return Ok(events);
                }
                events.extend(self.read.pop_front());
            }
            match self.log.next_group() {
                Ok(Some(group)) => self.read.extend(logged(group)),
                // It is told when the events before it are out.
                Err(error) if events.is_empty() => return Err(error),
                Ok(None) | Err(_) => return Ok(events),
            }
        }
    }
}
