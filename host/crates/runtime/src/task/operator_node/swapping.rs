//! Two instances in one seat: the one that runs, and one that is to run or ran before.

use std::time::Instant;

use gristmill_ports::Operator;
use gristmill_types::{CallFailure, ModuleHash, SubtaskIndex, SwapId};

use crate::checkpoint::desk::Desk;
use crate::checkpoint::told::Told;
use crate::swap::{Instance, SubtaskStep, SwapTold};
use crate::task::operator_node::OperatorNode;
use crate::task::surroundings::Surroundings;

/// What stands beside the instance that runs. Nothing, nearly always.
#[derive(Default)]
pub(crate) struct Beside {
    prepared: Option<Instance>,
    previous: Option<Previous>,
    /// When a call last took effect.
    last: Option<Instant>,
}

impl Beside {
    /// Whether the old instance is at hand still.
    pub(super) fn is_on_probation(&self) -> bool {
        self.previous.is_some()
    }
}

/// The instance that ran before a swap, warm.
struct Previous {
    swap: SwapId,
    module: ModuleHash,
    operator: Box<dyn Operator>,
    /// A call of the new one has taken effect.
    flows: bool,
}

fn tell(desk: &Desk, told: SwapTold) {
    // Nobody is there any more only when the attempt is over.
    let _ = desk.supervisor.send(Told::Swap(told));
}

fn tell_step(desk: &Desk, swap: SwapId, step: SubtaskStep) {
    let subtask: SubtaskIndex = desk.by.subtask;
    tell(desk, SwapTold::By { swap, subtask, step });
}

impl OperatorNode {
    /// Takes the instance that is to run from the barrier of its swap on.
    pub(crate) fn take_instance(&mut self, instance: Instance, around: &Surroundings) {
        let swap = instance.swap;
        let unused = self.beside.prepared.replace(instance).map(|unused| unused.operator);
        let unused = unused.into_iter().chain(self.beside.previous.take().map(|previous| previous.operator));
        unused.for_each(|operator| tell(&around.desk, SwapTold::Given(operator)));
        tell_step(&around.desk, swap, SubtaskStep::Took);
    }

    /// The barrier of a swap passes, all before it is in the cut: the new instance takes the seat. Cannot fail.
    pub(crate) fn switch(&mut self, swap: SwapId, since: Instant, desk: &Desk) {
        let Some(Instance { module, operator, .. }) = self.beside.prepared.take_if(|one| one.swap == swap) else {
            return;
        };
        let old = Previous {
            swap,
            module: std::mem::replace(&mut self.module, module),
            operator: std::mem::replace(&mut self.operator, operator),
            flows: false,
        };
        self.beside.previous = Some(old);
        self.state_generation += 1;
        let inline_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        tell_step(desk, swap, SubtaskStep::Switched { last: self.beside.last.take(), inline_us });
    }

    /// A call took effect.
    pub(super) fn note_flow(&mut self, around: &Surroundings) {
        let now = Instant::now();
        self.beside.last = Some(now);
        if let Some(previous) = self.beside.previous.as_mut().filter(|previous| !previous.flows) {
            previous.flows = true;
            tell_step(&around.desk, previous.swap, SubtaskStep::Flows(now));
        }
    }

    /// A call failed, and nothing of it remains. On probation the old instance gets the same events, and the new one no
    /// others: then true.
    pub(super) fn goes_back(&mut self, failure: &CallFailure, around: &Surroundings) -> bool {
        let is_bad = match failure {
            CallFailure::Fault(_) | CallFailure::Fatal(_) => true,
            CallFailure::BadRecord(_) | CallFailure::Transient(_) | CallFailure::Host(_) => false,
        };
        let Some(previous) = self.beside.previous.take_if(|_| is_bad) else { return false };
        let swap = previous.swap;
        self.seat_again(previous, &around.desk);
        tell_step(&around.desk, swap, SubtaskStep::Faulted(failure.to_string()));
        true
    }

    /// Undoes a swap, as far as it has come here.
    pub(crate) fn recall(&mut self, swap: SwapId, desk: &Desk) {
        if let Some(unused) = self.beside.prepared.take_if(|one| one.swap == swap) {
            tell(desk, SwapTold::Given(unused.operator));
        }
        if let Some(previous) = self.beside.previous.take_if(|one| one.swap == swap) {
            self.seat_again(previous, desk);
        }
    }

    fn seat_again(&mut self, previous: Previous, desk: &Desk) {
        self.module = previous.module;
        self.state_generation += 1;
        tell(desk, SwapTold::Given(std::mem::replace(&mut self.operator, previous.operator)));
    }

    /// The probation is over.
    pub(crate) fn let_go(&mut self, swap: SwapId, desk: &Desk) {
        if let Some(previous) = self.beside.previous.take_if(|one| one.swap == swap) {
            tell(desk, SwapTold::Given(previous.operator));
        }
    }
}
