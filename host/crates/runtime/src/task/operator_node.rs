//! An operator in a chain: every call is a transaction, failures go by the table of rule 17.

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use gristmill_dataflow::document::FailurePolicy;
use gristmill_ports::{Call, Operator, StateBackend};
use gristmill_types::dead_letter::Reason;
use gristmill_types::{
    CallFailure, Emission, EventBatch, InputIndex, ModuleHash, OperatorId, Outcome, PortIndex, Rejection, Rows, Watermark,
};

use crate::event::JobEventKind;
use crate::failure::bisection::Bisection;
use crate::failure::reaction::{FailedCall, Reaction, react};
use crate::report::NodeCounters;
use crate::tap::Tap;
use crate::task::surroundings::{Address, Surroundings, TaskEnd, ns_since};

/// One subtask's operator with its state.
pub(crate) struct OperatorNode {
    pub(crate) id: OperatorId,
    pub(crate) module: ModuleHash,
    /// Names of the inputs, for dead letters.
    pub(crate) inputs: Vec<String>,
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) state: Box<dyn StateBackend>,
    pub(crate) policy: FailurePolicy,
    /// A batch with more bytes is cut before it is handed to the guest (contract, rule 11).
    pub(crate) max_call_bytes: usize,
    pub(crate) counters: Arc<NodeCounters>,
    pub(crate) tap: Arc<Tap>,
    pub(crate) watermark: Watermark,
    /// Changes after every failed call, since the guest may have cached what then was rolled back.
    pub(crate) state_generation: u64,
    /// Events in a row that were set aside because of faults.
    pub(crate) faulty_run: u32,
}

/// What left the operator, in order.
pub(crate) type Output = Vec<(PortIndex, Arc<EventBatch>)>;

impl OperatorNode {
    /// Handles a batch: as one call if all goes well. Output appears in the order of the events that caused it.
    pub(crate) fn handle(
        &mut self,
        input: InputIndex,
        batch: Arc<EventBatch>,
        around: &mut Surroundings,
    ) -> Result<Output, TaskEnd> {
        self.counters.events_in.add(batch.len() as u64);
        self.counters.bytes_in.add(batch.bytes() as u64);
        let mut output = Vec::new();
        if batch.bytes() <= self.max_call_bytes {
            self.handle_part(input, batch, around, &mut output)?;
        } else {
            for part in parts_within(&batch, self.max_call_bytes) {
                self.handle_part(input, Arc::new(batch.slice(part)), around, &mut output)?;
            }
        }
        self.counters.note_state(self.state.size());
        Ok(output)
    }

    fn handle_part(
        &mut self,
        input: InputIndex,
        batch: Arc<EventBatch>,
        around: &mut Surroundings,
        output: &mut Output,
    ) -> Result<(), TaskEnd> {
        match self.call(input, &batch, around) {
            Ok(outcome) => self.take_effect(input, &batch, outcome, around, output),
            Err(failure) => self.recover(input, &batch, failure, around, output),
        }
    }

    /// One call. On failure nothing of it remains.
    fn call(&mut self, input: InputIndex, batch: &EventBatch, around: &Surroundings) -> Result<Outcome, CallFailure> {
        let call = Call {
            watermark: self.watermark,
            processing_time_ms: around.clock.now_ms(),
            state_generation: self.state_generation,
        };
        let start = Instant::now();
        self.state.begin(batch);
        let result = self.operator.process(&call, input, batch, &mut self.state);
        let result = result.and_then(|outcome| match self.state.commit() {
            Ok(()) => Ok(outcome),
            Err(error) => Err(CallFailure::Fatal(error.to_string())),
        });
        if result.is_err() {
            self.state.roll_back();
            self.state_generation += 1;
            self.counters.failed_calls.add(1);
        }
        self.counters.calls.add(1);
        self.counters.busy_ns.add(ns_since(start));
        result
    }

    /// A call that succeeded: its metrics count, its rejections are set aside, its output leaves.
    fn take_effect(
        &mut self,
        input: InputIndex,
        batch: &Arc<EventBatch>,
        outcome: Outcome,
        around: &Surroundings,
        output: &mut Output,
    ) -> Result<(), TaskEnd> {
        self.faulty_run = 0;
        outcome.metrics.into_iter().for_each(|update| self.counters.count_metric(update));
        if !outcome.rejections.is_empty() {
            self.reject(input, batch, &outcome.rejections, around)?;
        }
        for Emission { port, rows } in outcome.emissions {
            let events = expanded(batch, rows);
            if events.is_empty() {
                continue;
            }
            self.counters.events_out[port.at()].add(events.len() as u64);
            self.tap.sample(around.subtask, port, &events);
            output.push((port, events));
        }
        Ok(())
    }

    /// A call that failed: tries again, bisects, sets aside, as the table says, until every event is dealt with.
    #[cold]
    fn recover(
        &mut self,
        input: InputIndex,
        batch: &Arc<EventBatch>,
        first: CallFailure,
        around: &mut Surroundings,
        output: &mut Output,
    ) -> Result<(), TaskEnd> {
        let mut bisection = Bisection::new(batch.len());
        let mut known_failure = Some(first);
        let mut failed_before = 0;
        while let Some(part) = bisection.next() {
            let events = if part.len() == batch.len() { Arc::clone(batch) } else { Arc::new(batch.slice(part.clone())) };
            let result = match known_failure.take() {
                Some(failure) => Err(failure),
                None => self.call(input, &events, around),
            };
            let failure = match result {
                Ok(outcome) => {
                    failed_before = 0;
                    self.take_effect(input, &events, outcome, around, output)?;
                    continue;
                }
                Err(failure) => failure,
            };
            let reaction = self.reaction(&failure, &part, batch.len(), failed_before, around);
            failed_before += 1;
            match reaction {
                Reaction::TryAgain => bisection.again(part),
                Reaction::TryLater(wait) => {
                    self.counters.retries.add(1);
                    around.rest(wait)?;
                    bisection.again(part);
                }
                Reaction::Split => {
                    failed_before = 0;
                    bisection.split(part);
                }
                Reaction::SetAside => {
                    failed_before = 0;
                    self.set_aside(input, &events, &failure, around)?;
                }
                Reaction::Skip => {
                    failed_before = 0;
                    self.counters.skipped.add(part.len() as u64);
                }
                Reaction::FailJob(why) => return Err(self.job_failure(&why)),
            }
        }
        Ok(())
    }

    fn reaction(
        &mut self,
        failure: &CallFailure,
        part: &Range<usize>,
        rows: usize,
        failed_before: u32,
        around: &mut Surroundings,
    ) -> Reaction {
        if matches!(failure, CallFailure::Fault(_)) {
            self.counters.faults.add(1);
        }
        let call = FailedCall {
            failure,
            rows: part.len(),
            is_whole: part.len() == rows,
            failed_before,
            faulty_run: self.faulty_run,
            jitter: around.jitter(),
        };
        let reaction = react(call, &self.policy);
        let message = format!("a call with {} events failed: {failure}", part.len());
        tracing::debug!(job = %around.job, operator = %self.id, subtask = %around.subtask, %message, ?reaction);
        // Single rows are reported as dead letters; the halves on the way to them would flood the log.
        if part.len() == rows || matches!(reaction, Reaction::FailJob(_)) {
            around.say(&self.id, JobEventKind::CallFailed { message, reaction: in_words(&reaction) });
        }
        reaction
    }

    fn job_failure(&self, why: &str) -> TaskEnd {
        TaskEnd::Failed(format!("operator `{}` (module {}): {why}", self.id, self.module))
    }

    fn address(&self, input: InputIndex) -> Address<'_> {
        Address { operator: &self.id, input: self.inputs.get(input.at()).map_or("", String::as_str), module: Some(self.module) }
    }

    fn reject(&self, input: InputIndex, batch: &EventBatch, rejections: &[Rejection], around: &Surroundings) -> Result<(), TaskEnd> {
        use gristmill_dataflow::document::operator::EventVerdict;
        match self.policy.bad_record {
            EventVerdict::DeadLetter => {
                let letter = |Rejection { row, reason }: &Rejection| {
                    let reason = Reason { kind: "bad-record".to_owned(), message: reason.clone() };
                    around.letter(&self.address(input), batch, *row as usize, reason)
                };
                let letters: Vec<_> = rejections.iter().map(letter).collect();
                self.counters.dead_letters.add(letters.len() as u64);
                around.set_aside(&letters)
            }
            EventVerdict::Skip => {
                self.counters.skipped.add(rejections.len() as u64);
                Ok(())
            }
            EventVerdict::FailJob => Err(self.job_failure(&format!("bad record: {}", rejections[0].reason))),
        }
    }

    fn set_aside(
        &mut self,
        input: InputIndex,
        events: &EventBatch,
        failure: &CallFailure,
        around: &Surroundings,
    ) -> Result<(), TaskEnd> {
        let (kind, message, backtrace) = match failure {
            CallFailure::BadRecord(why) => ("bad-record", why.clone(), Vec::new()),
            CallFailure::Transient(why) => ("transient", why.clone(), Vec::new()),
            CallFailure::Fatal(why) => ("fatal", why.clone(), Vec::new()),
            CallFailure::Fault(fault) => {
                self.faulty_run += 1;
                (fault.kind.as_str(), fault.message.clone(), fault.backtrace.clone())
            }
        };
        let letter = |row| {
            let reason = Reason { kind: kind.to_owned(), message: message.clone() };
            let mut letter = around.letter(&self.address(input), events, row, reason);
            letter.backtrace.clone_from(&backtrace);
            letter
        };
        let letters: Vec<_> = (0..events.len()).map(letter).collect();
        self.counters.dead_letters.add(letters.len() as u64);
        around.set_aside(&letters)
    }
}

/// The events that an emission stands for.
fn expanded(batch: &Arc<EventBatch>, rows: Rows) -> Arc<EventBatch> {
    match rows {
        Rows::All => Arc::clone(batch),
        Rows::Selected(rows) if rows.len() == batch.len() => Arc::clone(batch),
        Rows::Selected(rows) => Arc::new(batch.gather(&rows)),
        Rows::Mapped { rows, values } => Arc::new(batch.gather_with_values(&rows, values)),
        Rows::Created(events) => Arc::new(events),
    }
}

/// Cuts a batch into parts of at most `max_bytes` each; a single larger event is a part of its own.
fn parts_within(batch: &EventBatch, max_bytes: usize) -> Vec<Range<usize>> {
    let row_bytes = |row: usize| 24 + batch.keys().span(row).len() + batch.values().span(row).len();
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for row in 0..batch.len() {
        if row > start && bytes + row_bytes(row) > max_bytes {
            parts.push(start..row);
            (start, bytes) = (row, 0);
        }
        bytes += row_bytes(row);
    }
    parts.push(start..batch.len());
    parts
}

fn in_words(reaction: &Reaction) -> String {
    match reaction {
        Reaction::TryAgain => "the same events are tried once more".to_owned(),
        Reaction::TryLater(wait) => format!("the same events are tried again in {} ms", wait.as_millis()),
        Reaction::Split => "the batch is bisected to find the event".to_owned(),
        Reaction::SetAside => "the events go to the dead letters".to_owned(),
        Reaction::Skip => "the events are skipped".to_owned(),
        Reaction::FailJob(why) => format!("the job fails: {why}"),
    }
}

#[cfg(test)]
mod tests;
