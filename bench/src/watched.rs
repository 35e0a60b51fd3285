//! The host's parts, with an eye on the sinks: when events come, and when none do.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gristmill::wiring::HostParts;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink};
use gristmill_types::EventBatch;

use crate::parts::Altered;

/// What the sinks of a job saw.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// When the first event came.
    pub(crate) first: Option<Instant>,
    /// Times without an event, each subtask for itself.
    pub(crate) gaps: Vec<Duration>,
}

/// These parts with an eye on every sink.
pub(crate) fn watched(host: HostParts) -> (Altered, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let eye = Arc::clone(&seen);
    let sink = Box::new(move |sink| eyed(sink, &eye));
    (Altered { host, source: None, sink }, seen)
}

/// A sink with an eye on it.
pub(crate) fn eyed(sink: Box<dyn Sink>, seen: &Arc<Mutex<Seen>>) -> Box<dyn Sink> {
    Box::new(Eye { sink, seen: Arc::clone(seen), last: None })
}

/// Shorter gaps are not worth remembering.
const GAP: Duration = Duration::from_millis(2);

struct Eye {
    sink: Box<dyn Sink>,
    seen: Arc<Mutex<Seen>>,
    last: Option<Instant>,
}

impl Sink for Eye {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        let now = Instant::now();
        match self.last.replace(now).map(|last| now - last) {
            None => drop(self.seen.lock().expect("nobody panics with it").first.get_or_insert(now)),
            Some(gap) if gap >= GAP => self.seen.lock().expect("nobody panics with it").gaps.push(gap),
            Some(_) => {}
        }
        self.sink.write(events)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.sink.flush()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.sink.finish()
    }
}
