//! An operator whose module exports `processor`: a batch goes in as columns, an outcome comes back.

use gristmill_ports::operator::{Call, InstanceRecord, Operator};
use gristmill_ports::state::StateBackend;
use gristmill_types::{CallFailure, Column, EventBatch, InputIndex, Outcome};

use crate::bindings::types as wit;
use crate::guest_data::Phase;
use crate::instance::Instance;
use crate::outcome::Check;
use crate::seat::{Seat, failure_said};

/// One subtask of such an operator.
pub(crate) struct GuestOperator(Seat);

impl GuestOperator {
    /// An operator on an instance that has been opened.
    pub(crate) fn new(seat: Seat) -> Self {
        Self(seat)
    }
}

impl Operator for GuestOperator {
    fn process(
        &mut self,
        call: &Call,
        input: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        let mut instance = self.0.take()?;
        state.bound_reads(self.0.limits.memory_bytes);
        // The backend lives in the store for the length of the call; what stands in its place meanwhile has no size.
        std::mem::swap(state, &mut instance.data().state);
        let said = call_process(&mut instance, call, input, events);
        std::mem::swap(state, &mut instance.data().state);
        let said = match said? {
            Ok(said) => said,
            Err(failure) => {
                self.0.give_back(instance);
                return Err(failure_said(&failure));
            }
        };
        let check = Check {
            descriptor: &self.0.descriptor,
            context: &self.0.context,
            limits: &self.0.limits,
            events,
            budget: instance.data().budget(),
        };
        let mut outcome = check.outcome(said).map_err(CallFailure::Fault)?;
        outcome.metrics = std::mem::take(&mut instance.data().measured);
        self.0.give_back(instance);
        Ok(outcome)
    }

    fn record(&self) -> Option<InstanceRecord> {
        Some(self.0.record())
    }

    fn peak_memory(&self) -> Option<u64> {
        Some(self.0.peak_memory())
    }
}

fn call_process(
    instance: &mut Instance,
    call: &Call,
    input: InputIndex,
    events: &EventBatch,
) -> Result<Result<wit::Outcome, wit::Failure>, CallFailure> {
    let told = wit::Call {
        watermark: call.watermark.0,
        processing_time: call.processing_time_ms,
        state_generation: call.state_generation,
    };
    let batch = wit::BatchParam {
        timestamps: events.timestamps(),
        keys: borrowed(events.keys()),
        values: borrowed(events.values()),
    };
    instance.start_deadline();
    instance.call(Phase::Batch, call.processing_time_ms, |calls, store| {
        let processor = calls.processor.as_ref().expect("modules without `processor` make no such operator");
        processor.call_process(store, told, input.0, batch)
    })
}

/// A column as it is handed to a guest: its buffers, borrowed.
pub(crate) fn borrowed(column: &Column) -> wit::ColumnParam<'_> {
    wit::ColumnParam { ends: column.ends(), data: column.data(), nulls: column.nulls() }
}
