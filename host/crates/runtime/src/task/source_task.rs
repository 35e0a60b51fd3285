//! The loop of a subtask that reads a source.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use gristmill_ports::source::{ReadBounds, Undecodable};
use gristmill_ports::{ErrorKind, PortError, SourceBatch, SourceReader};
use gristmill_types::dead_letter::Reason;
use gristmill_types::{CheckpointBarrier, DeadLetter, EventBatch, NodeId, Watermark};

use crate::control::Control;
use crate::counters::NodeCounters;
use crate::ending::TaskEnd;
use crate::event::JobEventKind;
use crate::failure::reaction::backoff;
use crate::task::chain::{Chain, SourcePosition};
use crate::task::surroundings::ns_since;

/// One subtask of a source, with the chain behind it.
pub(crate) struct SourceTask {
    pub(crate) id: NodeId,
    pub(crate) reader: Box<dyn SourceReader>,
    pub(crate) chain: Chain,
    pub(crate) counters: Arc<NodeCounters>,
    pub(crate) max_rows: usize,
    pub(crate) max_bytes: usize,
    /// How long a small batch may wait for company.
    pub(crate) max_delay: Duration,
}

/// How the reading came to its end.
enum Ended {
    /// The source has no more: event time is complete.
    Input,
    /// By request: event time is not.
    Stop,
    /// By request, as if the source had no more; in another life of the job it has.
    Drain,
}

/// Where a source is to stop.
enum Stopped {
    /// Behind what it has taken in and cannot read again.
    Behind(Ended),
    /// Where it stands.
    Here(Ended),
}

impl SourceTask {
    /// Reads until the source ends or is told to, and lingers until all of it is committed.
    pub(crate) fn run(&mut self) -> Result<(), TaskEnd> {
        let ended = self.run_to_end()?;
        self.linger(&ended)
    }

    /// Reads until the source ends or is told to.
    fn run_to_end(&mut self) -> Result<Ended, TaskEnd> {
        let ended = self.read()?;
        while let Some(control) = self.chain.around.inbox.leave()? {
            self.replay(control)?;
        }
        match ended {
            Ended::Input | Ended::Drain => self.chain.watermark(Watermark::END)?,
            Ended::Stop => {}
        }
        self.chain.end()?;
        Ok(ended)
    }

    /// Passes barriers on, and does nothing else, until told to leave.
    fn linger(&mut self, ended: &Ended) -> Result<(), TaskEnd> {
        loop {
            match self.chain.around.inbox.control()? {
                Some(Control::Leave) => return Ok(()),
                // One that was stopped has more to read, in another life of the job.
                Some(Control::Barrier(barrier)) => self.cut(barrier, matches!(ended, Ended::Input))?,
                Some(Control::Forget(oldest)) => self.reader.forget_before(&oldest),
                Some(Control::Hold(held)) => self.reader.hold(held),
                Some(Control::Swap(step)) => self.chain.swap(step)?,
                Some(Control::State(asked)) => self.chain.act_on_state(&asked)?,
                Some(Control::Shadow(shadow)) => self.chain.shadow(shadow),
                Some(
                    Control::Pause
                    | Control::Resume
                    | Control::Stop
                    | Control::StopHere
                    | Control::Drain
                    | Control::Replay { .. }
                    | Control::Decode { .. },
                ) => {}
                None if self.chain.drain_slice() => {}
                None => self.chain.around.inbox.sleep(None)?,
            }
        }
    }

    /// The cut of a checkpoint: where the source stands, and all that its chain made of what came before.
    fn cut(&mut self, barrier: CheckpointBarrier, ended: bool) -> Result<(), TaskEnd> {
        let position = SourcePosition { splits: self.reader.positions(), ended };
        self.chain.barrier(barrier, Duration::ZERO, Some(position))
    }

    fn read(&mut self) -> Result<Ended, TaskEnd> {
        let waker = Waker::from(Arc::clone(&self.chain.around.inbox));
        let mut context = Context::from_waker(&waker);
        let mut held = Held::default();
        let mut failed_before = 0;
        let mut stopping = None;
        loop {
            match self.obey(&mut held)? {
                Some(Stopped::Behind(ended)) if self.reader.stop() => stopping = Some(ended),
                Some(Stopped::Behind(ended) | Stopped::Here(ended)) => {
                    self.emit(held.take())?;
                    return Ok(ended);
                }
                None => {}
            }
            let bounds = ReadBounds {
                max_rows: self.max_rows,
                max_bytes: self.max_bytes,
                now_ms: self.chain.around.clock.now_ms(),
            };
            let start = Instant::now();
            let polled = self.reader.poll_next(&mut context, bounds);
            self.counters.busy_ns.add(ns_since(start));
            match polled {
                Poll::Ready(Ok(Some(batch))) => {
                    if std::mem::take(&mut failed_before) > 0 {
                        self.counters.note_going_on();
                    }
                    self.take(batch, &mut held)?;
                    self.chain.flush_if_due()?;
                    self.chain.drain_slice();
                }
                Poll::Ready(Ok(None)) => {
                    self.counters.note_going_on();
                    self.emit(held.take())?;
                    return Ok(stopping.unwrap_or(Ended::Input));
                }
                Poll::Ready(Err(error)) => {
                    self.emit(held.take())?;
                    self.endure(error, failed_before)?;
                    failed_before += 1;
                }
                // Whatever wakes the source has been noted meanwhile: nothing is missed.
                Poll::Pending if self.chain.drain_slice() => {}
                Poll::Pending => {
                    let patience = held.time_left();
                    if patience.is_none() {
                        self.chain.flush()?;
                    }
                    self.chain.around.inbox.sleep(patience)?;
                }
            }
            if held.is_due() {
                self.emit(held.take())?;
            }
        }
    }

    /// Does what control asks for; returns once it lets the reading go on, or ends it.
    fn obey(&mut self, held: &mut Held) -> Result<Option<Stopped>, TaskEnd> {
        let mut paused = false;
        loop {
            match self.chain.around.inbox.control()? {
                Some(Control::Pause) => paused = true,
                Some(Control::Resume) => paused = false,
                Some(Control::Hold(held)) => self.reader.hold(held),
                Some(Control::Stop) => return Ok(Some(Stopped::Behind(Ended::Stop))),
                Some(Control::Drain) => return Ok(Some(Stopped::Behind(Ended::Drain))),
                Some(Control::StopHere) => return Ok(Some(Stopped::Here(Ended::Stop))),
                Some(Control::Barrier(barrier)) => {
                    self.emit(held.take())?;
                    self.cut(barrier, false)?;
                }
                Some(Control::Forget(oldest)) => self.reader.forget_before(&oldest),
                Some(Control::Swap(step)) => self.chain.swap(step)?,
                Some(Control::State(asked)) => self.chain.act_on_state(&asked)?,
                Some(Control::Shadow(shadow)) => self.chain.shadow(shadow),
                // Only those who have come to their end are sent away.
                Some(Control::Leave) => {}
                Some(replayed @ (Control::Replay { .. } | Control::Decode { .. })) => self.replay(replayed)?,
                None if paused => {
                    self.emit(held.take())?;
                    if !self.chain.drain_slice() {
                        self.chain.flush()?;
                        self.chain.around.inbox.sleep(None)?;
                    }
                }
                None => return Ok(None),
            }
        }
    }

    /// Takes in what was set aside before. Of a source that ends, this is all that it still obeys.
    fn replay(&mut self, control: Control) -> Result<(), TaskEnd> {
        match control {
            Control::Replay { node, input, events, taken } => {
                self.chain.deliver(node, input, events)?;
                taken.say(self.chain.around.passed);
                Ok(())
            }
            Control::Decode { raw, origin, taken } => {
                let again = self.reader.decode_again(&raw, &origin);
                self.set_aside(again.undecodable)?;
                self.emit(again.events)?;
                taken.say(self.chain.around.passed);
                Ok(())
            }
            Control::Hold(held) => {
                self.reader.hold(held);
                Ok(())
            }
            Control::Pause
            | Control::Resume
            | Control::Stop
            | Control::StopHere
            | Control::Drain
            | Control::Barrier(_)
            | Control::Forget(_)
            | Control::Swap(_)
            | Control::State(_)
            | Control::Shadow(_)
            | Control::Leave => Ok(()),
        }
    }

    /// Sends a batch on, or keeps a small one for company.
    fn take(&mut self, batch: SourceBatch, held: &mut Held) -> Result<(), TaskEnd> {
        self.set_aside(batch.undecodable)?;
        if self.max_delay.is_zero() {
            return self.emit(batch.events);
        }
        held.add(&batch.events, self.max_delay);
        if held.events.len() >= self.max_rows || held.events.bytes() >= self.max_bytes {
            self.emit(held.take())?;
        }
        Ok(())
    }

    fn emit(&mut self, events: EventBatch) -> Result<(), TaskEnd> {
        if events.is_empty() { Ok(()) } else { self.chain.emit(Arc::new(events)) }
    }

    fn endure(&mut self, error: PortError, failed_before: u32) -> Result<(), TaskEnd> {
        match error.kind {
            ErrorKind::Fatal => Err(TaskEnd::lasting(format!("source `{}`: {}", self.id, error.message))),
            ErrorKind::GivenUp => Err(TaskEnd::passing(format!("source `{}`: {}", self.id, error.message))),
            ErrorKind::Retry => {
                self.counters.note_retry(&error.message, self.chain.around.clock.now_ms());
                self.chain.around.say(&self.id, JobEventKind::Retrying { message: error.message });
                let wait = backoff(failed_before, self.chain.around.jitter());
                self.chain.flush()?;
                // Control ends the wait: a job with a source that is out of reach can still be stopped at once.
                Ok(self.chain.around.inbox.sleep(Some(wait))?)
            }
        }
    }

    fn set_aside(&mut self, undecodable: Vec<Undecodable>) -> Result<(), TaskEnd> {
        if undecodable.is_empty() {
            return Ok(());
        }
        self.counters.dead_letters.add(undecodable.len() as u64);
        let at_ms = self.chain.around.clock.now_ms();
        let letter = |Undecodable { origin, reason, raw }| DeadLetter {
            operator: self.id.clone(),
            input: String::new(),
            module: None,
            reason: Reason { kind: "decode".to_owned(), message: reason },
            backtrace: Vec::new(),
            origin,
            timestamp: at_ms,
            key: None,
            value: Some(raw),
            at_ms,
        };
        let letters: Vec<_> = undecodable.into_iter().map(letter).collect();
        self.chain.around.set_aside(letters)
    }
}

/// Events that wait for company.
#[derive(Default)]
struct Held {
    events: EventBatch,
    until: Option<Instant>,
}

impl Held {
    fn add(&mut self, events: &EventBatch, delay: Duration) {
        if self.events.is_empty() && !events.is_empty() {
            self.until = Instant::now().checked_add(delay);
        }
        self.events.append(events);
    }

    fn take(&mut self) -> EventBatch {
        self.until = None;
        std::mem::take(&mut self.events)
    }

    fn time_left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    fn is_due(&self) -> bool {
        self.time_left().is_some_and(|left| left.is_zero())
    }
}

#[cfg(test)]
mod tests;
