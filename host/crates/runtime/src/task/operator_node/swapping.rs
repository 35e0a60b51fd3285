//! Two instances in one seat: the one that runs, and one that is to run or ran before.

use std::sync::Arc;
use std::time::Instant;

use gristmill_checkpoint::Share;
use gristmill_checkpoint::swap::Retreat;
use gristmill_ports::Operator;
use gristmill_ports::state::StateTime;
use gristmill_types::{CallFailure, EventBatch, ModuleHash, SubtaskIndex, SwapId};

use crate::checkpoint::desk::Desk;
use crate::checkpoint::told::Told;
use crate::ending::TaskEnd;
use crate::right_of_return::RightOfReturn;
use crate::states::FormerStates;
use crate::swap::{Instance, PageRewritten, SubtaskStep, SwapTold};
use crate::task::operator_node::{Canary, OperatorNode};
use crate::task::surroundings::Surroundings;

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

    /// A call failed, and nothing of it remains. On probation the old instance gets the same events, here or in another
    /// attempt, and the new one no others.
    pub(super) fn goes_back(&mut self, failure: &CallFailure, around: &Surroundings) -> AfterFault {
        let is_bad = match failure {
            CallFailure::Fault(_) | CallFailure::Fatal(_) => true,
            // Of an event, not of an entry that the version before has written.
            CallFailure::BadRecord(_) => self.cannot_rewrite,
            CallFailure::Transient(_) | CallFailure::Host(_) => false,
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

    /// Moves what these keys have in another schema, between two calls. Of keys for which that fails it is told how.
    pub(crate) fn rewrite_page(&mut self, keys: &EventBatch, around: &Surroundings) -> Result<PageRewritten, TaskEnd> {
        let time = StateTime { processing_ms: around.clock.now_ms(), event_ms: self.watermark.0 };
        let mut page = PageRewritten::default();
        if let Err(failure) = self.states.rewrite(keys, time) {
            self.unless_lost(&failure)?;
            // Again one by one: those that can be moved are, and the others are found.
            for row in 0..keys.len() {
                let key = keys.slice(row..row + 1);
                let moved = match self.states.rewrite(&key, time) {
                    // As of a call: the next try has a new instance, and it may have been the old one's fault, not the key's.
                    Err(CallFailure::Fault(_)) => self.states.rewrite(&key, time),
                    moved => moved,
                };
                if let Err(failure) = moved {
                    self.unless_lost(&failure)?;
                    page.failed += 1;
                    page.first_failure.get_or_insert_with(|| {
                        let key = String::from_utf8_lossy(key.keys().bytes_of(0)).escape_debug().to_string();
                        format!("key `{key}`: {failure}; go on by setting its state, or clearing it")
                    });
                }
            }
        }
        page.keys = keys.len() as u64 - page.failed;
        self.counters.note_state(self.states.backend.size());
        fail::fail_point!("state-page-rewritten");
        Ok(page)
    }

    /// What the host itself fails at may have moved a half of something: the state is that of the checkpoint, in another
    /// attempt.
    pub(super) fn unless_lost(&self, failure: &CallFailure) -> Result<(), TaskEnd> {
        match failure {
            CallFailure::Host(_) => Err(self.job_failure(&failure.to_string(), false)),
            CallFailure::Fault(_) | CallFailure::Fatal(_) | CallFailure::BadRecord(_) | CallFailure::Transient(_) => {
                Ok(())
            }
        }
    }

    /// The probation is over.
    pub(crate) fn let_go(&mut self, swap: SwapId, desk: &Desk) {
        if let Some(previous) = self.beside.previous.take_if(|one| one.swap == swap) {
            tell(desk, SwapTold::Given(previous.operator));
        }
    }
}
