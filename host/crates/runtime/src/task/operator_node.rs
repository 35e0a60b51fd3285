//! An operator in a chain: every call is a transaction, failures go by the table of rule 17.

mod handling;
mod inspecting;
mod canary;
mod swapping;
mod rewriting;
mod crashes;
mod teeing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_dataflow::document::FailurePolicy;
use gristmill_ports::state::{RestoredState, StateTime};
use gristmill_ports::{Call, ErrorKind, FileStore, Operator, PortError};
use gristmill_types::dead_letter::Reason;
use gristmill_types::{
    CallFailure, Emission, EventBatch, InputIndex, ModuleHash, NodeId, Outcome, PortIndex, Rejection, Rows, Watermark,
};

use crate::checkpoint::restored::StateToRestore;
use crate::counters::NodeCounters;
use crate::ending::TaskEnd;
use crate::event::JobEventKind;
use crate::failure::bisection::Part;
use crate::failure::reaction::{FailedCall, Reaction, react};
use crate::states::States;
use crate::tap::Tap;
pub(crate) use crate::task::operator_node::canary::Canary;
pub(crate) use crate::task::operator_node::crashes::CrashNotes;
pub(crate) use crate::task::operator_node::handling::Handling;
use crate::task::operator_node::swapping::AfterFault;
pub(crate) use crate::task::operator_node::swapping::Beside;
pub(crate) use crate::task::operator_node::teeing::Teeing;
use crate::task::surroundings::{Address, Surroundings, ns_since};

/// One subtask's operator with its state.
pub(crate) struct OperatorNode {
    pub(crate) id: NodeId,
    pub(crate) module: ModuleHash,
    /// Names of the inputs, for dead letters.
    pub(crate) inputs: Vec<String>,
    pub(crate) operator: Box<dyn Operator>,
    /// What a swap has put beside it.
    pub(crate) beside: Beside,
    pub(crate) states: States,
    /// Where its calls go for a shadow.
    pub(crate) teeing: Teeing,
    /// What the state is filled with before anything else.
    pub(crate) restore: Option<StateToRestore>,
    pub(crate) policy: FailurePolicy,
    /// A batch with more bytes is cut before it is handed to the guest (contract, rule 11).
    pub(crate) max_call_bytes: usize,
    pub(crate) counters: Arc<NodeCounters>,
    pub(crate) tap: Arc<Tap>,
    pub(crate) watermark: Watermark,
    /// Changes after every failed call, since the guest may have cached what then was rolled back.
    pub(crate) state_generation: u64,
    /// The last call failed before it was made: what its keys have in another schema could not be moved.
    pub(crate) cannot_rewrite: bool,
    /// Events in a row that were given up because of faults.
    pub(crate) faulty_run: u32,
    /// For calls that end in a fault.
    pub(crate) crashes: CrashNotes,
}

/// What left the operator by one call, in order.
pub(crate) type Output = Vec<(PortIndex, Arc<EventBatch>)>;

impl OperatorNode {
    /// Fills the state with what a checkpoint says it was.
    ///
    /// # Errors
    /// If that cannot be had.
    pub(crate) fn restore(&mut self, files: &dyn FileStore, around: &Surroundings) -> Result<(), TaskEnd> {
        let Some(StateToRestore { states, files: stored, groups }) = self.restore.take() else { return Ok(()) };
        let time = StateTime { processing_ms: around.clock.now_ms(), event_ms: self.watermark.0 };
        let from = RestoredState { states: &states, files: &stored, groups, time };
        self.counters.note_restoring(true);
        let restored = self.states.backend.restore(&from, files);
        self.counters.note_restoring(false);
        if files.is_over() {
            return Err(TaskEnd::Closed);
        }
        restored.map_err(|PortError { kind, message }| {
            let cause = format!("the state of operator `{}` cannot be restored: {message}", self.id);
            match kind {
                ErrorKind::Retry | ErrorKind::GivenUp => TaskEnd::passing(cause),
                ErrorKind::Fatal => TaskEnd::lasting(cause),
            }
        })?;
        self.counters.note_state(self.states.backend.size());
        Ok(())
    }

    /// Takes a batch in. Its calls are made by [`Self::advance`].
    pub(crate) fn accept(&self, input: InputIndex, batch: Arc<EventBatch>) -> Handling {
        self.counters.events_in.add(batch.len() as u64);
        self.counters.bytes_in.add(batch.bytes() as u64);
        match self.beside.canary() {
            None => Handling::new(input, batch, self.max_call_bytes),
            Some(canary) => self.parted(canary, input, batch),
        }
    }

    /// Makes calls until one takes effect: gives what left by it, or `None` once every event is dealt with.
    ///
    /// One call if all goes well. After a failed one the parts of the batch follow in the order of their events, each
    /// giving its output as soon as it took effect: the output of many calls is never held here at once.
    pub(crate) fn advance(
        &mut self,
        handling: &mut Handling,
        around: &mut Surroundings,
    ) -> Result<Option<Output>, TaskEnd> {
        loop {
            let made = self.advance_in_turn(handling, around)?;
            if made.is_some() || !handling.turn(self.max_call_bytes) {
                return Ok(made);
            }
        }
    }

    /// The same for the instance in the seat.
    fn make_calls(&mut self, handling: &mut Handling, around: &mut Surroundings) -> Result<Option<Output>, TaskEnd> {
        while let Some(mut part) = handling.pending.next() {
            if part.transients > 0 && self.follows_back(&around.desk) {
                self.tries_anew(&mut part);
            }
            let events = handling.events(&part);
            match self.call(handling.input, &events, around) {
                Ok(outcome) => {
                    if part.transients > 0 {
                        self.counters.note_going_on();
                    }
                    self.note_flow(around);
                    self.note_served(events.len(), outcome.rejections.len());
                    return self.take_effect(handling.input, &events, outcome, around).map(Some);
                }
                Err(failure) => {
                    // A job that is over ends its calls; that says nothing about the operator.
                    around.rest(Duration::ZERO)?;
                    self.note_crash(handling, &events, &failure, around);
                    match self.goes_back(&failure, &part, around) {
                        AfterFault::OldInstance => {
                            self.tries_anew(&mut part);
                            handling.pending.again(part);
                        }
                        // Whoever was told ends the attempt, and says why.
                        AfterFault::Rewound => return Err(self.job_failure(&failure.to_string(), false)),
                        AfterFault::Policy => self.recover(handling, part, &events, &failure, around)?,
                    }
                }
            }
        }
        crashes::hand_over(handling, around);
        self.counters.note_state(self.states.backend.size());
        Ok(None)
    }

    /// One call. On failure nothing of it remains.
    fn call(&mut self, input: InputIndex, batch: &EventBatch, around: &Surroundings) -> Result<Outcome, CallFailure> {
        let call = Call {
            watermark: self.watermark,
            processing_time_ms: around.clock.now_ms(),
            state_generation: self.state_generation,
        };
        self.crashes.note(call);
        let start = Instant::now();
        let time = StateTime { processing_ms: call.processing_time_ms, event_ms: self.watermark.0 };
        let rewritten = self.states.rewrite(batch, time);
        self.cannot_rewrite = rewritten.is_err();
        let result = rewritten.and_then(|()| {
            self.states.backend.begin(batch, time);
            let outcome = self.operator.process(&call, input, batch, &mut self.states.backend)?;
            self.states.backend.commit().map_err(|error| CallFailure::Host(error.to_string()))?;
            Ok(outcome)
        });
        if result.is_err() {
            self.states.backend.roll_back();
            self.state_generation += 1;
            self.counters.failed_calls.add(1);
        }
        let took_ns = ns_since(start);
        self.counters.calls.add(1);
        self.counters.call_times.note(took_ns);
        self.counters.busy_ns.add(took_ns);
        self.teeing.note(&call, took_ns);
        self.beside.note_call(took_ns, result.is_err());
        result
    }

    /// A call that succeeded: its metrics count, its rejections are set aside, its output leaves.
    fn take_effect(
        &mut self,
        input: InputIndex,
        batch: &Arc<EventBatch>,
        outcome: Outcome,
        around: &Surroundings,
    ) -> Result<Output, TaskEnd> {
        self.faulty_run = 0;
        outcome.metrics.into_iter().for_each(|update| self.counters.count_metric(update));
        if !outcome.rejections.is_empty() {
            self.reject(input, batch, &outcome.rejections, around)?;
        }
        let mut output = Vec::with_capacity(outcome.emissions.len());
        for Emission { port, rows } in outcome.emissions {
            let events = expanded(batch, rows);
            if events.is_empty() {
                continue;
            }
            self.counters.events_out[port.at()].add(events.len() as u64);
            self.tap.sample(around.subtask, port, &events);
            output.push((port, events));
        }
        self.teeing.offer(input, batch, &output, &outcome.rejections);
        Ok(output)
    }

    /// A call that failed: its events are tried again, bisected or set aside, as the table says.
    #[cold]
    fn recover(
        &mut self,
        handling: &mut Handling,
        mut part: Part,
        events: &EventBatch,
        failure: &CallFailure,
        around: &mut Surroundings,
    ) -> Result<(), TaskEnd> {
        // A job that is over does not wait for another try: the guest may need its whole deadline for each.
        around.rest(Duration::ZERO)?;
        let reaction = self.reaction(&part, failure, around);
        match failure {
            CallFailure::Fault(_) => part.faults += 1,
            CallFailure::Transient(_) => part.transients += 1,
            CallFailure::BadRecord(_) | CallFailure::Fatal(_) | CallFailure::Host(_) => {}
        }
        match reaction {
            Reaction::TryAgain => handling.pending.again(part),
            Reaction::TryLater(wait) => {
                self.counters.note_retry(&failure.to_string(), around.clock.now_ms());
                self.rest(wait, around)?;
                handling.pending.again(part);
            }
            Reaction::Split => handling.pending.split(part),
            Reaction::SetAside => {
                self.counters.note_going_on();
                self.note_faulty(failure);
                self.note_served(events.len(), events.len());
                self.set_aside(handling.input, events, failure, around)?;
            }
            Reaction::Skip => {
                self.counters.note_going_on();
                self.note_faulty(failure);
                self.note_served(events.len(), events.len());
                self.counters.skipped.add(events.len() as u64);
            }
            Reaction::FailJob(why) => return Err(self.job_failure(&why, true)),
            Reaction::FailAttempt(why) => return Err(self.job_failure(&why, false)),
        }
        Ok(())
    }

    fn reaction(&mut self, part: &Part, failure: &CallFailure, around: &mut Surroundings) -> Reaction {
        let failed_before = match failure {
            CallFailure::Fault(_) => {
                self.counters.faults.add(1);
                part.faults
            }
            CallFailure::Transient(_) => part.transients,
            CallFailure::BadRecord(_) | CallFailure::Fatal(_) | CallFailure::Host(_) => 0,
        };
        let call = FailedCall {
            failure,
            rows: part.rows.len(),
            is_whole: part.is_whole,
            failed_before,
            faulty_run: self.faulty_run,
            jitter: around.jitter(),
        };
        let reaction = react(call, &self.policy);
        let message = format!("a call with {} events failed: {failure}", part.rows.len());
        tracing::debug!(job = %around.job, operator = %self.id, subtask = %around.subtask, %message, ?reaction);
        // Single rows are reported as dead letters; the halves on the way to them would flood the log.
        if part.is_whole || matches!(reaction, Reaction::FailJob(_) | Reaction::FailAttempt(_)) {
            around.say(&self.id, JobEventKind::CallFailed { message, reaction: in_words(&reaction) });
        }
        reaction
    }

    /// An event was given up because of a fault. What the policy then does with it says nothing about the operator.
    fn note_faulty(&mut self, failure: &CallFailure) {
        if matches!(failure, CallFailure::Fault(_)) {
            self.faulty_run += 1;
        }
    }

    /// `lasts`: it would come again.
    fn job_failure(&self, why: &str, lasts: bool) -> TaskEnd {
        let cause = format!("operator `{}` (module {}): {why}", self.id, self.module);
        if lasts { TaskEnd::lasting(cause) } else { TaskEnd::passing(cause) }
    }

    fn address(&self, input: InputIndex) -> Address<'_> {
        Address {
            operator: &self.id,
            input: self.inputs.get(input.at()).map_or("", String::as_str),
            module: Some(self.module),
        }
    }

    fn reject(
        &self,
        input: InputIndex,
        batch: &EventBatch,
        rejections: &[Rejection],
        around: &Surroundings,
    ) -> Result<(), TaskEnd> {
        use gristmill_dataflow::document::operator::EventVerdict;
        match self.policy.bad_record {
            EventVerdict::DeadLetter => {
                let letter = |Rejection { row, reason }: &Rejection| {
                    let reason = Reason { kind: "bad-record".to_owned(), message: reason.clone() };
                    around.letter(&self.address(input), batch, *row as usize, reason)
                };
                let letters: Vec<_> = rejections.iter().map(letter).collect();
                self.counters.dead_letters.add(letters.len() as u64);
                around.set_aside(letters)
            }
            EventVerdict::Skip => {
                self.counters.skipped.add(rejections.len() as u64);
                Ok(())
            }
            EventVerdict::FailJob => Err(self.job_failure(&format!("bad record: {}", rejections[0].reason), true)),
        }
    }

    fn set_aside(
        &self,
        input: InputIndex,
        events: &EventBatch,
        failure: &CallFailure,
        around: &Surroundings,
    ) -> Result<(), TaskEnd> {
        let (kind, message, backtrace) = match failure {
            CallFailure::BadRecord(why) => ("bad-record", why.clone(), Vec::new()),
            CallFailure::Transient(why) => ("transient", why.clone(), Vec::new()),
            CallFailure::Fatal(why) => ("fatal", why.clone(), Vec::new()),
            CallFailure::Host(why) => ("host", why.clone(), Vec::new()),
            CallFailure::Fault(fault) => (fault.kind.as_str(), fault.message.clone(), fault.backtrace.clone()),
        };
        let letter = |row| {
            let reason = Reason { kind: kind.to_owned(), message: message.clone() };
            let mut letter = around.letter(&self.address(input), events, row, reason);
            letter.backtrace.clone_from(&backtrace);
            letter
        };
        let letters: Vec<_> = (0..events.len()).map(letter).collect();
        self.counters.dead_letters.add(letters.len() as u64);
        around.set_aside(letters)
    }
}

/// The events that an emission stands for.
pub(crate) fn expanded(batch: &Arc<EventBatch>, rows: Rows) -> Arc<EventBatch> {
    match rows {
        Rows::All => Arc::clone(batch),
        Rows::Selected(rows) if rows.len() == batch.len() => Arc::clone(batch),
        Rows::Selected(rows) => Arc::new(batch.gather(&rows)),
        Rows::Mapped { rows, values } => Arc::new(batch.gather_with_values(&rows, values)),
        Rows::Created(events) => Arc::new(events),
    }
}

fn in_words(reaction: &Reaction) -> String {
    match reaction {
        Reaction::TryAgain => "the same events are tried once more".to_owned(),
        Reaction::TryLater(wait) => format!("the same events are tried again in {} ms", wait.as_millis()),
        Reaction::Split => "the batch is bisected to find the event".to_owned(),
        Reaction::SetAside => "the events go to the dead letters".to_owned(),
        Reaction::Skip => "the events are skipped".to_owned(),
        Reaction::FailJob(why) => format!("the job fails: {why}"),
        Reaction::FailAttempt(why) => format!("the job starts again, if its restart strategy allows it: {why}"),
    }
}

#[cfg(test)]
mod tests;
