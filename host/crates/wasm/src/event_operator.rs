//! An operator whose module exports `event-handler`: one call an event, with the guarantees of a batch around it.
//!
//! A bad record takes back the writes of its own event and rejects that row; any other failure is the whole batch's.
//! The call limit counts for the batch, as for any operator: the events share one deadline, and a batch that takes longer
//! is faulted, and bisected by the caller like any other (rule 17).

use gristmill_ports::operator::{Call, InstanceRecord, Operator};
use gristmill_ports::state::StateBackend;
use gristmill_types::{CallFailure, Emission, EventBatch, InputIndex, Outcome, PortIndex, Rejection, Rows};

use crate::bindings::event_handler::{EventParam, EventResult};
use crate::bindings::types::Failure;
use crate::fault::over_output_limit;
use crate::guest_data::Phase;
use crate::instance::Instance;
use crate::log_gate::cut;
use crate::seat::{Seat, failure_said};

/// The one output port of the synthesized descriptor (rule 5).
const OUT: PortIndex = PortIndex(0);

/// One subtask of such an operator.
pub(crate) struct EventOperator(Seat);

impl EventOperator {
    /// An operator on an instance.
    pub(crate) fn new(seat: Seat) -> Self {
        Self(seat)
    }
}

impl Operator for EventOperator {
    fn process(
        &mut self,
        call: &Call,
        _: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        let mut instance = self.0.take()?;
        state.bound_reads(self.0.limits.memory_bytes);
        std::mem::swap(state, &mut instance.data().state);
        instance.start_deadline();
        let mut batch = Batch {
            call,
            events,
            left: self.0.limits.output_bytes,
            created: EventBatch::default(),
            outcome: Outcome::default(),
        };
        let handled = (0..events.len()).try_for_each(|row| batch.event(&mut instance, row));
        std::mem::swap(state, &mut instance.data().state);
        match handled {
            Ok(()) => {
                self.0.give_back(instance);
                Ok(batch.into_outcome())
            }
            Err(End::Said(failure)) => {
                self.0.give_back(instance);
                Err(failure)
            }
            Err(End::Stopped(failure)) => Err(failure),
            Err(End::OverLimit) => Err(CallFailure::Fault(over_output_limit(&self.0.limits))),
        }
    }

    fn record(&self) -> Option<InstanceRecord> {
        Some(self.0.record())
    }

    fn peak_memory(&self) -> Option<u64> {
        Some(self.0.peak_memory())
    }
}

/// Why a batch is not gone through to its end.
enum End {
    /// The guest returned a failure of the whole batch.
    Said(CallFailure),
    /// The guest was stopped; its instance is lost.
    Stopped(CallFailure),
    /// The events together handed over too much.
    OverLimit,
}

/// A batch being gone through.
struct Batch<'a> {
    call: &'a Call,
    events: &'a EventBatch,
    /// Bytes that the batch may still hand over.
    left: usize,
    created: EventBatch,
    outcome: Outcome,
}

impl Batch<'_> {
    fn event(&mut self, instance: &mut Instance, row: usize) -> Result<(), End> {
        let event = EventParam {
            timestamp: self.events.timestamps()[row],
            key: self.events.keys().get(row),
            value: self.events.values().get(row),
        };
        // Rows of a batch are numbered in 32 bits throughout the contract.
        let row = row as u32;
        let mark = instance.data().state.mark();
        let said = instance
            .call(Phase::Event { row }, self.call.processing_time_ms, |calls, store| {
                let handler = calls.event_handler.as_ref().expect("modules without it make no such operator");
                handler.call_on_event(store, event)
            })
            .map_err(End::Stopped)?;
        self.spend(instance.data().spent())?;
        match said {
            Ok(events) => self.take_over(instance, events),
            Err(Failure::BadRecord(reason)) => {
                instance.data().state.roll_back_to(mark);
                self.outcome.rejections.push(Rejection { row, reason: cut(&reason).to_owned() });
                Ok(())
            }
            Err(failure @ (Failure::Transient(_) | Failure::Fatal(_))) => Err(End::Said(failure_said(&failure))),
        }
    }

    fn take_over(&mut self, instance: &mut Instance, events: Vec<EventResult>) -> Result<(), End> {
        for event in events {
            let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
            self.spend(size_of::<i64>() + length(&event.key) + length(&event.value))?;
            self.created.push(event.timestamp, event.key.as_deref(), event.value.as_deref());
        }
        self.outcome.metrics.append(&mut instance.data().measured);
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), End> {
        self.left = self.left.checked_sub(bytes).ok_or(End::OverLimit)?;
        Ok(())
    }

    fn into_outcome(mut self) -> Outcome {
        if !self.created.is_empty() {
            self.outcome.emissions.push(Emission { port: OUT, rows: Rows::Created(self.created) });
        }
        self.outcome
    }
}
