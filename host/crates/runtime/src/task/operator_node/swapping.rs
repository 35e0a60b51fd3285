//! Two instances in one seat: the one that runs, and one that is to run or ran before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_checkpoint::Share;
use gristmill_checkpoint::swap::Retreat;
use gristmill_ports::Operator;
use gristmill_types::{CallFailure, ModuleHash, SubtaskIndex, SwapId};

use crate::checkpoint::desk::Desk;
use crate::checkpoint::told::Told;
use crate::ending::TaskEnd;
use crate::failure::bisection::Part;
use crate::right_of_return::RightOfReturn;
use crate::states::FormerStates;
use crate::swap::{Instance, SubtaskStep, SwapTold};
use crate::task::operator_node::{Canary, OperatorNode};
use crate::task::surroundings::Surroundings;

/// So often it is looked, between two tries, whether the swap is taken back.
const LOOK: Duration = Duration::from_millis(50);

/// What stands beside the instance that runs. Nothing, nearly always.
#[derive(Default)]
pub(crate) struct Beside {
    prepared: Option<Instance>,
    previous: Option<Previous>,
    /// Serves a share of the key groups.
    pub(super) canary: Option<Canary>,
    /// When a call last took effect.
    last: Option<Instant>,
}

impl Beside {
    /// Whether the old instance is at hand still.
    pub(super) fn is_on_probation(&self) -> bool {
        self.previous.is_some() || self.canary.as_ref().is_some_and(Canary::has_seat)
    }

    /// Whether the swap is being taken back, and the old instance may have its seat at once.
    fn is_taken_back(&self) -> bool {
        let previous = self.previous.as_ref().map(|previous| Arc::clone(&previous.right));
        let canary = || self.canary.as_ref().filter(|canary| canary.has_seat()).map(Canary::right);
        previous.or_else(canary).is_some_and(|right| right.is_used() && right.retreat() == Retreat::Seats)
    }

    pub(super) fn canary(&self) -> Option<&Canary> {
        self.canary.as_ref()
    }

    /// A call was made, by whose turn it is.
    pub(super) fn note_call(&self, took_ns: u64, has_failed: bool) {
        if let Some(canary) = &self.canary {
            canary.tally().note_call(took_ns, has_failed);
        }
    }
}

/// The instance that ran before a swap, warm.
struct Previous {
    swap: SwapId,
    module: ModuleHash,
    operator: Box<dyn Operator>,
    /// Nothing if both see them in the same way.
    states: Option<FormerStates>,
    /// A call of the new one has taken effect.
    flows: bool,
    /// Whether it may come back, and how.
    right: Arc<RightOfReturn>,
}

/// What becomes of events whose call failed.
pub(super) enum AfterFault {
    /// The old instance has its seat again, and gets them.
    OldInstance,
    /// Another attempt gets them.
    Rewound,
    /// As without a swap.
    Policy,
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

    /// Goes on with a canary that a checkpoint names.
    pub(crate) fn go_on_with(&mut self, canary: Canary) {
        self.beside.canary = Some(canary);
        fail::fail_point!("canary-goes-on");
    }

    /// The canary is to serve so much from the next barrier of its swap on.
    pub(crate) fn widen(&mut self, swap: SwapId, share: Share) {
        if let Some(canary) = self.beside.canary.as_mut().filter(|canary| canary.swap == swap) {
            canary.widen(share);
        }
    }

    /// The barrier of a swap passes, all before it is in the cut: the new instance takes the seat, or serves its share, or
    /// a larger one. Cannot fail.
    pub(crate) fn switch(&mut self, swap: SwapId, since: Instant, desk: &Desk) {
        match self.beside.prepared.take_if(|one| one.swap == swap) {
            Some(Instance { module, operator, canary: Some(terms), .. }) => {
                self.beside.canary = Some(Canary::begin(swap, module, operator, terms));
                fail::fail_point!("canary-begun");
            }
            Some(Instance { module, operator, states, right, canary: None, .. }) => {
                let states = self.states.hand_over(states);
                self.take_seat(swap, module, operator, Some(states), right);
            }
            None => {
                let Some(mut canary) = self.beside.canary.take_if(|canary| canary.swap == swap) else { return };
                if canary.passes_barrier().is_whole() {
                    let right = canary.right();
                    self.take_seat(swap, canary.module, canary.operator, None, right);
                } else {
                    self.beside.canary = Some(canary);
                    fail::fail_point!("canary-widened");
                }
            }
        }
        self.state_generation += 1;
        fail::fail_point!("swap-subtask-switched");
        let inline_us = u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX);
        tell_step(desk, swap, SubtaskStep::Switched { last: self.beside.last.take(), inline_us });
    }

    /// Another instance runs; the one that ran stays warm. `states`: how it saw them, if the other sees them otherwise.
    fn take_seat(
        &mut self,
        swap: SwapId,
        module: ModuleHash,
        operator: Box<dyn Operator>,
        states: Option<FormerStates>,
        right: Arc<RightOfReturn>,
    ) {
        let module = std::mem::replace(&mut self.module, module);
        let operator = std::mem::replace(&mut self.operator, operator);
        self.beside.previous = Some(Previous { swap, module, operator, states, flows: false, right });
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

    /// A call with this part of a batch failed, and nothing of it remains. On probation the old instance gets the same events,
    /// here or in another attempt, and the new one no others.
    pub(super) fn goes_back(&mut self, failure: &CallFailure, part: &Part, around: &Surroundings) -> AfterFault {
        let is_bad = match failure {
            CallFailure::Fault(_) | CallFailure::Fatal(_) => true,
            // Of an event, not of an entry that the version before has written.
            CallFailure::BadRecord(_) => self.cannot_rewrite,
            // The world was not ready for so long, or is not for this module: the old one has tries of its own.
            CallFailure::Transient(_) => part.transients >= self.policy.transient.retry,
            CallFailure::Host(_) => false,
        };
        let (swap, retreat) = if let Some(canary) = self.beside.canary.take_if(|canary| is_bad && canary.has_seat()) {
            let swap = canary.swap;
            self.withdraw(canary, &around.desk);
            (swap, Retreat::Seats)
        } else {
            let Some(previous) = self.beside.previous.take_if(|_| is_bad) else { return AfterFault::Policy };
            if !previous.right.used() {
                // The swap is done; the word of it is on its way.
                tell(&around.desk, SwapTold::Given(previous.operator));
                return AfterFault::Policy;
            }
            let (swap, retreat) = (previous.swap, previous.right.retreat());
            match retreat {
                Retreat::Seats => self.seat_again(previous, &around.desk),
                Retreat::Rewind | Retreat::Restart => {}
            }
            (swap, retreat)
        };
        tell_step(&around.desk, swap, SubtaskStep::Faulted(failure.to_string()));
        match retreat {
            Retreat::Seats => AfterFault::OldInstance,
            Retreat::Rewind | Retreat::Restart => AfterFault::Rewound,
        }
    }

    /// The swap is taken back while events are tried again: their batch may never end, and the word of it stands behind
    /// that. The old instance gets them.
    pub(super) fn follows_back(&mut self, desk: &Desk) -> bool {
        if !self.beside.is_taken_back() {
            return false;
        }
        if let Some(previous) = self.beside.previous.take() {
            self.seat_again(previous, desk);
        } else if let Some(canary) = self.beside.canary.take_if(|canary| canary.has_seat()) {
            self.withdraw(canary, desk);
        }
        true
    }

    /// Another instance gets events that failed.
    pub(super) fn tries_anew(&self, part: &mut Part) {
        if part.transients > 0 {
            self.counters.note_going_on();
        }
        (part.transients, part.faults) = (0, 0);
    }

    /// Waits before events are tried again; not any longer once the swap is taken back.
    pub(super) fn rest(&self, time: Duration, around: &Surroundings) -> Result<(), TaskEnd> {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.beside.is_taken_back() {
                return Ok(());
            }
            around.rest(if self.beside.is_on_probation() { left.min(LOOK) } else { left })?;
        }
    }

    /// Undoes a swap, as far as it has come here.
    pub(crate) fn recall(&mut self, swap: SwapId, desk: &Desk) {
        if let Some(unused) = self.beside.prepared.take_if(|one| one.swap == swap) {
            tell(desk, SwapTold::Given(unused.operator));
        }
        if let Some(previous) = self.beside.previous.take_if(|one| one.swap == swap) {
            self.seat_again(previous, desk);
        }
        if let Some(canary) = self.beside.canary.take_if(|one| one.swap == swap) {
            self.withdraw(canary, desk);
        }
    }

    /// The module that runs serves all again, at once.
    fn withdraw(&mut self, mut canary: Canary, desk: &Desk) {
        if canary.has_seat() {
            std::mem::swap(&mut self.module, &mut canary.module);
            std::mem::swap(&mut self.operator, &mut canary.operator);
        }
        self.state_generation += 1;
        fail::fail_point!("canary-withdrawn");
        tell(desk, SwapTold::Given(canary.operator));
    }

    fn seat_again(&mut self, previous: Previous, desk: &Desk) {
        self.module = previous.module;
        if let Some(states) = previous.states {
            self.states.take_back(states);
        }
        fail::fail_point!("swap-subtask-back");
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
