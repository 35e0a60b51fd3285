//! Reading at the pace of event times: one event after the other, each when it is due.
//!
//! What is read but not due is held, and the file's place is the one before it.

use std::task::Context;
use std::time::Duration;

use gristmill_ports::SourceBatch;

use super::FileReader;
use super::position::Place;
use super::room::{Progress, Room, is_empty};

/// The longest sleep: timers do not reach to the end of time.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// One event, and where the current file stood before it.
pub(super) struct Held {
    batch: SourceBatch,
    pub(super) before: Place,
}

impl FileReader {
    /// Fills the batch with events that are due, read one by one, and sees to it that the reader is woken for the next.
    pub(super) fn read_what_is_due(
        &mut self,
        room: &mut Room,
        batch: &mut SourceBatch,
        context: &Context<'_>,
    ) -> Result<Progress, String> {
        let now = self.opened.elapsed();
        while let Some(held) = self.next_to_replay(room.now_ms, is_empty(batch))? {
            let timestamp = held.batch.events.timestamps().first().copied();
            let bytes = held.batch.events.values().data().len();
            let clock = self.replay.as_mut().expect("the caller has looked");
            let due = timestamp.is_none_or(|timestamp| clock.is_due(timestamp, now));
            if !due || !room.take(bytes, batch) {
                if let Some(timestamp) = timestamp.filter(|_| !due) {
                    let wait = clock.wait_for(timestamp, now).clamp(Duration::from_millis(1), LONGEST_WAIT);
                    self.alarm.wake_after(wait, context.waker());
                }
                self.held = Some(held);
                return Ok(Progress::Paused);
            }
            batch.events.append(&held.batch.events);
            batch.undecodable.extend(held.batch.undecodable);
        }
        let is_over = self.current.is_none() && self.shelf.waiting.is_empty() && self.broken.is_none();
        Ok(if is_over && is_empty(batch) { Progress::Ended } else { Progress::Paused })
    }

    /// The event that is held, or else the next one. `None`: there is none at hand. Errors wait for the events before
    /// them unless `nothing_yet` came.
    fn next_to_replay(&mut self, now_ms: i64, nothing_yet: bool) -> Result<Option<Held>, String> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        let mut batch = SourceBatch::default();
        while self.broken.is_none() {
            let Some(file) = &mut self.current else {
                if self.open_next() {
                    continue;
                }
                return Ok(None);
            };
            let before = file.place();
            match file.read(&mut self.decoder, &mut Room { rows: 1, bytes: 0, now_ms }, &mut batch) {
                Ok(Progress::Ended) if is_empty(&batch) => self.finish_current(),
                Ok(Progress::Ended | Progress::Paused) => {
                    self.leave_out(&mut batch);
                    return Ok((!is_empty(&batch)).then_some(Held { batch, before }));
                }
                Err(reason) => {
                    self.broken = Some(reason);
                    if !is_empty(&batch) {
                        return Ok(Some(Held { batch, before }));
                    }
                }
            }
        }
        match self.broken.take() {
            Some(reason) if nothing_yet => Err(reason),
            reason => {
                self.broken = reason;
                Ok(None)
            }
        }
    }
}
