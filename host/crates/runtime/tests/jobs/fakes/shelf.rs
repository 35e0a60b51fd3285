//! A sink that keeps what is written, and refuses or holds still when told.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink};
use gristmill_types::{EventBatch, SubtaskIndex};

use super::PATIENCE;

/// See the module. A clone is the same shelf; all subtasks of a sink share one.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Shared>);

#[derive(Default)]
struct Shared {
    content: Mutex<Content>,
    moved: Condvar,
}

#[derive(Default)]
pub(crate) struct Content {
    /// Subtask and value of each event.
    pub(crate) events: Vec<(SubtaskIndex, String)>,
    /// Batches that were written.
    pub(crate) writes: usize,
    /// Events that were flushed.
    pub(crate) flushed: usize,
    pub(crate) finished: usize,
    /// Writes that were refused.
    pub(crate) refused: usize,
    /// What the next writes say instead of taking anything.
    refusals: VecDeque<PortError>,
    /// What every write says.
    refusal: Option<PortError>,
    /// Values that cannot be written.
    unwritable: Vec<String>,
    /// Writes wait.
    shut: bool,
    /// Writes that began.
    pub(crate) begun: usize,
}

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.content.lock().unwrap()
    }

    pub(crate) fn writer(&self, subtask: SubtaskIndex) -> Box<dyn Sink> {
        Box::new(Writer { shelf: self.clone(), subtask })
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&Content) -> T) -> T {
        look(&self.lock())
    }

    pub(crate) fn values(&self) -> Vec<String> {
        self.look(|content| content.events.iter().map(|(_, value)| value.clone()).collect())
    }

    /// Values in an order that does not depend on subtasks.
    pub(crate) fn sorted(&self) -> Vec<String> {
        let mut values = self.values();
        values.sort_unstable();
        values
    }

    pub(crate) fn wait(&self, until: impl Fn(&Content) -> bool) {
        let (content, late) =
            self.0.moved.wait_timeout_while(self.lock(), PATIENCE, |content| !until(content)).unwrap();
        assert!(!late.timed_out(), "the sink got no further than {:?}", content.events);
    }

    /// Waits until so many events are there, and gives their values.
    pub(crate) fn wait_for(&self, events: usize) -> Vec<String> {
        self.wait(|content| content.events.len() >= events);
        self.values()
    }

    pub(crate) fn refuse_next(&self, errors: impl IntoIterator<Item = PortError>) {
        self.lock().refusals.extend(errors);
    }

    pub(crate) fn refuse_all(&self, error: PortError) {
        self.lock().refusal = Some(error);
    }

    /// From now on exactly these values cannot be written.
    pub(crate) fn cannot_write<T: Into<String>>(&self, values: impl IntoIterator<Item = T>) {
        self.lock().unwritable = values.into_iter().map(Into::into).collect();
    }

    /// Writes wait from now on.
    pub(crate) fn shut(&self) {
        self.lock().shut = true;
    }

    pub(crate) fn open(&self) {
        self.lock().shut = false;
        self.0.moved.notify_all();
    }
}

struct Writer {
    shelf: Shelf,
    subtask: SubtaskIndex,
}

impl Writer {
    /// Waits while the shelf is shut, then writes it down.
    fn note<T>(&self, note: impl FnOnce(&mut Content) -> T) -> T {
        let mut content = self.shelf.0.moved.wait_while(self.shelf.lock(), |content| content.shut).unwrap();
        let result = note(&mut content);
        self.shelf.0.moved.notify_all();
        result
    }
}

impl Sink for Writer {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        self.shelf.lock().begun += 1;
        self.shelf.0.moved.notify_all();
        self.note(|content| {
            if let Some(error) = content.refusals.pop_front().or(content.refusal.clone()) {
                content.refused += 1;
                return Err(error);
            }
            content.writes += 1;
            let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap_or(b"null").to_vec()).unwrap();
            let mut unwritable = Vec::new();
            for (row, value) in (0..).zip(events.values().iter().map(text)) {
                match content.unwritable.contains(&value) {
                    true => unwritable.push(RefusedRow { row, reason: format!("`{value}` cannot be written") }),
                    false => content.events.push((self.subtask, value)),
                }
            }
            Ok(unwritable)
        })
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.note(|content| content.flushed = content.events.len());
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.note(|content| content.finished += 1);
        let events = self.shelf.look(|content| content.events.iter().filter(|(by, _)| *by == self.subtask).count());
        Ok(Some(SinkSummary { events: events as u64, bytes: 0, checksum: 0 }))
    }
}
