//! A sink in a chain: retries what may pass, fails the job otherwise.

use std::sync::Arc;
use std::time::Instant;

use gristmill_ports::{ErrorKind, PortError, Sink};
use gristmill_types::{EventBatch, NodeId};

use crate::event::JobEventKind;
use crate::failure::reaction::backoff;
use crate::report::NodeCounters;
use crate::task::surroundings::{Surroundings, TaskEnd, ns_since};

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
        self.persist(around, |sink| sink.write(batch))?;
        self.counters.events_in.add(batch.len() as u64);
        self.counters.bytes_in.add(batch.bytes() as u64);
        Ok(())
    }

    pub(crate) fn flush(&mut self, around: &mut Surroundings) -> Result<(), TaskEnd> {
        if std::mem::take(&mut self.unflushed) {
            self.persist(around, |sink| sink.flush())?;
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self, around: &mut Surroundings) -> Result<(), TaskEnd> {
        self.persist(around, |sink| sink.flush())?;
        if let Some(summary) = self.persist(around, |sink| sink.finish())? {
            self.counters.note_sink(summary);
        }
        Ok(())
    }

    /// Does something until it is done: the sink says how often it may be tried by turning `Retry` into `Fatal`.
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
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            match kind {
                ErrorKind::Fatal => return Err(TaskEnd::Failed(format!("sink `{}`: {message}", self.id))),
                ErrorKind::Retry => {
                    self.counters.retries.add(1);
                    around.say(&self.id, JobEventKind::Retrying { message });
                    let wait = backoff(failed_before, around.jitter());
                    around.rest(wait)?;
                    failed_before += 1;
                }
            }
        }
    }
}
