//! Calls that ended in a fault are written down, so that they can be made again elsewhere: the events, what was kept for
//! their keys, clocks, and what the instance was opened with. Off the way of calls that go well.

mod before;

use gristmill_ports::Call;
use gristmill_ports::crash::{CrashBundle, CrashName};
use gristmill_ports::state::StateTime;
use gristmill_types::failure::GuestFault;
use gristmill_types::{CallFailure, EventBatch};

use crate::event::JobEventKind;
use crate::task::operator_node::OperatorNode;
use crate::task::operator_node::crashes::before::Before;
use crate::task::operator_node::handling::Handling;
use crate::task::surroundings::Surroundings;

/// Bytes of an event besides those of its key and value, and of what else stands in a bundle.
const BESIDES: usize = 4 << 10;

/// What a bundle needs and nothing else does.
#[derive(Debug, Default)]
pub(crate) struct CrashNotes {
    /// The call that was made last.
    last: Option<Call>,
}

impl CrashNotes {
    pub(super) fn note(&mut self, call: Call) {
        self.last = Some(call);
    }
}

impl OperatorNode {
    /// A call failed, and nothing of it remains. If it was a fault, it may be the best one to write down.
    ///
    /// An instance that had handled other calls may have failed for what these left in its memory, so calls on fresh
    /// instances are preferred: after a fault each part is tried on one. The fewest events of a batch that fail together are
    /// what is kept: one event at once, several when the batch is dealt with. On probation there is no second try, since the
    /// old module takes the events: that call is kept as it was.
    #[cold]
    pub(super) fn note_crash(
        &mut self,
        handling: &mut Handling,
        events: &EventBatch,
        failure: &CallFailure,
        around: &Surroundings,
    ) {
        let CallFailure::Fault(fault) = failure else { return };
        if self.cannot_rewrite {
            // The call was not made: it is `migrate` that failed.
            return;
        }
        let (Some(call), Some(instance)) = (self.crashes.last, self.operator.record()) else { return };
        let fault = GuestFault { message: around.veil.hide(&fault.message), ..fault.clone() };
        let on_probation = self.beside.is_on_probation();
        let is_smaller = handling.crash.as_ref().is_none_or(|kept| events.len() < kept.events.len());
        if !on_probation && (instance.calls > 0 || !is_smaller) {
            return;
        }
        let at_ms = around.clock.now_ms();
        let name = CrashName::of(&self.id, self.module, fault.kind.as_str(), &fault.message, &fault.backtrace);
        let Some(room) = around.crashes.room(&around.job, &name, at_ms) else { return };
        let Some(room) = room.checked_sub(BESIDES + events.bytes() + instance.parameters.len()) else { return };
        let time = StateTime { processing_ms: call.processing_time_ms, event_ms: call.watermark.0 };
        let Before { states, left_out } =
            Before::read(&mut *self.states.backend, &instance.descriptor, events, time, room);
        let bundle = CrashBundle {
            job: around.job.clone(),
            run: around.run,
            operator: self.id.clone(),
            module: self.module,
            at_ms,
            fault,
            instance,
            call: call.into(),
            input: handling.input,
            events: events.clone(),
            states,
            left_out,
            code: None,
        };
        handling.crash = Some(Box::new(bundle));
        if on_probation || events.len() == 1 {
            hand_over(handling, around);
        }
    }
}

/// Gives away what was written down of a batch, if anything was.
pub(super) fn hand_over(handling: &mut Handling, around: &Surroundings) {
    let Some(bundle) = handling.crash.take() else { return };
    let (name, operator, message) = (bundle.name().to_string(), bundle.operator.clone(), bundle.fault.to_string());
    if around.crashes.keep(*bundle) {
        around.say(&operator, JobEventKind::Crash { bundle: name, message });
    }
}

#[cfg(test)]
mod tests;
