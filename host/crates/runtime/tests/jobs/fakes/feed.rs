//! A source that gives what a test puts into it, when the test puts it there.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};

use gristmill_ports::source::{ReadBounds, Undecodable};
use gristmill_ports::{PortError, SourceBatch, SourceReader};
use gristmill_types::EventBatch;

use super::PATIENCE;

/// What one poll gives.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Events(EventBatch),
    /// Something at this place that is no event.
    Undecodable(&'static str),
    Error(PortError),
    End,
}

/// See the module. A clone is the same feed.
#[derive(Clone, Default)]
pub(crate) struct Feed(Arc<Shared>);

#[derive(Default)]
struct Shared {
    script: Mutex<Script>,
    moved: Condvar,
}

#[derive(Default)]
struct Script {
    steps: VecDeque<Step>,
    waker: Option<Waker>,
    /// Polls that gave something.
    taken: usize,
    /// The last poll found nothing.
    hungry: bool,
}

/// Values as a batch; the key is what stands before the colon, event `i` has time `i`.
pub(crate) fn events<T: AsRef<str>>(values: impl IntoIterator<Item = T>) -> EventBatch {
    let mut batch = EventBatch::default();
    for (time, value) in values.into_iter().enumerate() {
        let value = value.as_ref();
        let key = value.split_once(':').map(|(key, _)| key.as_bytes());
        batch.push(time as i64, key, Some(value.as_bytes()));
    }
    batch
}

impl Feed {
    /// A bounded source: these steps, then the end.
    pub(crate) fn bounded(steps: impl IntoIterator<Item = Step>) -> Self {
        let feed = Self::default();
        steps.into_iter().chain([Step::End]).for_each(|step| feed.push(step));
        feed
    }

    pub(crate) fn push(&self, step: Step) {
        let mut script = self.0.script.lock().unwrap();
        script.steps.push_back(step);
        let waker = script.waker.take();
        drop(script);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn push_values<T: AsRef<str>>(&self, values: impl IntoIterator<Item = T>) {
        self.push(Step::Events(events(values)));
    }

    pub(crate) fn wait_taken(&self, steps: usize) {
        self.wait(|script| script.taken >= steps, "so many steps were not taken");
    }

    /// Waits until all was taken and the source was asked for more.
    pub(crate) fn wait_hungry(&self) {
        self.wait(|script| script.hungry && script.steps.is_empty(), "the source was not read to its end");
    }

    /// Counts a step that another reader took.
    pub(crate) fn count(&self) {
        self.0.script.lock().unwrap().taken += 1;
        self.0.moved.notify_all();
    }

    pub(crate) fn taken(&self) -> usize {
        self.0.script.lock().unwrap().taken
    }

    fn wait(&self, until: impl Fn(&Script) -> bool, otherwise: &str) {
        let script = self.0.script.lock().unwrap();
        let waited = self.0.moved.wait_timeout_while(script, PATIENCE, |script| !until(script)).unwrap();
        assert!(!waited.1.timed_out(), "{otherwise}");
    }
}

impl SourceReader for Feed {
    fn poll_next(&mut self, context: &mut Context<'_>, _: ReadBounds) -> Poll<Result<Option<SourceBatch>, PortError>> {
        let mut script = self.0.script.lock().unwrap();
        let step = script.steps.pop_front();
        script.hungry = step.is_none();
        script.taken += usize::from(step.is_some());
        self.0.moved.notify_all();
        match step {
            None => {
                script.waker = Some(context.waker().clone());
                Poll::Pending
            }
            Some(Step::Events(events)) => Poll::Ready(Ok(Some(SourceBatch { events, undecodable: Vec::new() }))),
            Some(Step::Undecodable(origin)) => Poll::Ready(Ok(Some(undecodable(b"{", origin)))),
            Some(Step::Error(error)) => Poll::Ready(Err(error)),
            Some(Step::End) => Poll::Ready(Ok(None)),
        }
    }

    fn decode_again(&mut self, raw: &[u8], origin: &str) -> SourceBatch {
        match std::str::from_utf8(raw) {
            Ok(value) if value != "{" => SourceBatch { events: events([value]), undecodable: Vec::new() },
            _ => undecodable(raw, origin),
        }
    }
}

fn undecodable(raw: &[u8], origin: &str) -> SourceBatch {
    let undecodable =
        Undecodable { origin: origin.to_owned(), reason: "the object is not closed".into(), raw: raw.to_vec() };
    SourceBatch { events: EventBatch::default(), undecodable: vec![undecodable] }
}
