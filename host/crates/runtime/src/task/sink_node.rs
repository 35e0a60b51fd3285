//! A sink in a chain: retries what may pass, sets aside what it can never write, fails the attempt or the job otherwise.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_ports::sink::RefusedRow;
use gristmill_ports::{ErrorKind, PortError, Sink, StagedOutput};
use gristmill_types::dead_letter::Reason;
use gristmill_types::{CheckpointId, EventBatch, NodeId};

use crate::counters::NodeCounters;
use crate::ending::TaskEnd;
use crate::event::JobEventKind;
use crate::failure::reaction::backoff;
use crate::task::surroundings::{Address, Surroundings, ns_since};

/// The kind of reason of an event that a sink cannot write.
const ENCODE: &str = "encode";

/// One subtask's sink.
pub(crate) struct SinkNode {
    pub(crate) id: NodeId,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) counters: Arc<NodeCounters>,
    /// Something was written since the last flush.
    pub(crate) unflushed: bool,
}

impl SinkNode {
    pub(crate) fn write(&mut self, batch: &EventBatch, around: &mut Surroundings) -> Result<(), TaskEnd> {
        self.unflushed = true;
        let refused = self.persist(around, |sink| sink.write(batch))?;
        let bytes_of = |row: usize| batch.slice(row..row + 1).bytes();
        let refused_bytes: usize = refused.iter().map(|refused| bytes_of(refused.row as usize)).sum();
        self.counters.events_in.add((batch.len() - refused.len()) as u64);
        self.counters.bytes_in.add((batch.bytes() - refused_bytes) as u64);
        self.set_aside(batch, refused, around)
    }

    fn set_aside(&self, batch: &EventBatch, refused: Vec<RefusedRow>, around: &Surroundings) -> Result<(), TaskEnd> {
        if refused.is_empty() {
            return Ok(());
        }
        // A sink has one input, and it has no name.
        let address = Address { operator: &self.id, input: "", module: None };
        let letter = |RefusedRow { row, reason }| {
            around.letter(&address, batch, row as usize, Reason { kind: ENCODE.to_owned(), message: reason })
        };
        let letters: Vec<_> = refused.into_iter().map(letter).collect();
        self.counters.dead_letters.add(letters.len() as u64);
        around.set_aside(letters)
    }

    pub(crate) fn flush(&mut self, around: &mut Surroundings) -> Result<(), TaskEnd> {
        if self.unflushed {
            self.persist(around, |sink| sink.flush())?;
            self.unflushed = false;
        }
        Ok(())
    }

    /// Cuts for a checkpoint.
    pub(crate) fn pre_commit(
        &mut self,
        checkpoint: CheckpointId,
        around: &mut Surroundings,
    ) -> Result<Option<Box<dyn StagedOutput>>, TaskEnd> {
        let staged = self.persist(around, |sink| sink.pre_commit(checkpoint))?;
        self.unflushed = false;
        Ok(staged)
    }

    /// See [`Chain::salvage`](crate::task::chain::Chain::salvage).
    pub(crate) fn salvage(&mut self) {
        if std::mem::take(&mut self.unflushed)
            && let Err(error) = self.sink.flush()
        {
            tracing::warn!(sink = %self.id, %error, "what the sink still held is lost with the job");
        }
    }

    pub(crate) fn finish(&mut self, around: &mut Surroundings) -> Result<(), TaskEnd> {
        self.persist(around, |sink| sink.flush())?;
        self.unflushed = false;
        if let Some(summary) = self.persist(around, |sink| sink.finish())? {
            self.counters.note_sink(summary);
        }
        Ok(())
    }

    /// Does something until it is done: the sink says how often it may be tried by turning `Retry` into
    /// `GivenUp`.
    fn persist<T>(
        &mut self,
        around: &mut Surroundings,
        mut act: impl FnMut(&mut dyn Sink) -> Result<T, PortError>,
    ) -> Result<T, TaskEnd> {
        let mut failed_before = 0;
        loop {
            let start = Instant::now();
            let result = act(&mut *self.sink);
            self.counters.busy_ns.add(ns_since(start));
            let PortError { kind, message } = match result {
                Ok(done) => {
                    if failed_before > 0 {
                        self.counters.note_going_on();
                    }
                    return Ok(done);
                }
                Err(error) => error,
            };
            match kind {
                ErrorKind::Fatal => {
                    // It would be refused again.
                    self.unflushed = false;
                    return Err(TaskEnd::lasting(format!("sink `{}`: {message}", self.id)));
                }
                ErrorKind::GivenUp => {
                    self.unflushed = false;
                    return Err(TaskEnd::passing(format!("sink `{}`: {message}", self.id)));
                }
                ErrorKind::Retry => {
                    // A job that is over retries nothing, and does not say so either.
                    around.rest(Duration::ZERO)?;
                    self.counters.note_retry(&message, around.clock.now_ms());
                    around.say(&self.id, JobEventKind::Retrying { message });
                    let wait = backoff(failed_before, around.jitter());
                    around.rest(wait)?;
                    failed_before += 1;
                }
            }
        }
    }
}
