//! The swap of an attempt: hears its subtasks, asks the state machine, has done what it says.

mod acting;
mod saying;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use gristmill_checkpoint::Share;
use gristmill_checkpoint::coordinator::Event;
use gristmill_checkpoint::seating::Move;
use gristmill_checkpoint::swap::{Awaited, Conduct, Swap, SwapAction, SwapEvent, SwapStage};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{CheckpointBarrier, CheckpointId, CheckpointKind, ModuleHash, NodeId, SubtaskIndex, SwapId};
use tokio::sync::watch;

use crate::canary::CanaryTerms;
use crate::control::Control;
use crate::job::attempt::Attempt;
use crate::job::begin::now;
use crate::job::conduct::Comparison;
use crate::job::modules::CanaryThere;
use crate::job::shared::{JobShared, NodeSeat};
use crate::right_of_return::RightOfReturn;
use crate::swap::{Instance, SubtaskPause, SubtaskStep, SwapControl, SwapReport, SwapTold, SwapWanted, SwapWish};

/// So often it is looked at the clock and at the events of a probation.
const LOOK_MS: u64 = 20;

/// The swap that is under way, if one is.
pub(crate) struct SwapsUnderWay<'a> {
    job: &'a JobShared,
    attempt: Arc<Attempt>,
    current: Option<UnderWay>,
    /// An operator that goes back to its old module: what is being rewritten for the new one is of no use any more.
    recalled: Option<NodeId>,
    /// Why the job is to go on from its newest checkpoint.
    rewound: Option<String>,
    /// What a swap of an earlier attempt had rewritten is rewritten back: a checkpoint without it.
    returned: Option<Awaited>,
}

struct UnderWay {
    swap: SwapId,
    node: NodeId,
    old: ModuleHash,
    new: ModuleHash,
    machine: Swap,
    right: Arc<RightOfReturn>,
    /// The coordinator has heard of it.
    is_told: bool,
    /// It is a canary, or began as one.
    canary: Option<CanaryTerms>,
    report: Arc<watch::Sender<SwapReport>>,
    /// Events that had come to the operator when the probation began.
    events_before: u64,
    /// What is compared with what came before.
    comparison: Comparison,
    /// The last event through the old instance and the first through the new one, of each subtask.
    through: BTreeMap<SubtaskIndex, (Option<Instant>, Option<Instant>)>,
    /// All states of the operator from the switch on, and what is to be moved among them.
    states: Vec<StateSpec>,
    moves: Vec<Move>,
    /// How many there were before.
    states_before: usize,
    /// What is to be rewritten from now on, until somebody begins with it.
    to_rewrite: Option<Vec<Move>>,
}

impl<'a> SwapsUnderWay<'a> {
    pub(crate) fn new(job: &'a JobShared, attempt: &Arc<Attempt>) -> Self {
        let mut swaps =
            Self { job, attempt: Arc::clone(attempt), current: None, recalled: None, rewound: None, returned: None };
        swaps.current = swaps.canary_there();
        swaps
    }

    /// The canary that the attempt goes on with.
    fn canary_there(&self) -> Option<UnderWay> {
        let CanaryThere { swap, operator: node, old, parts, terms, report } = self.job.modules().canary()?;
        let seat = self.seat(&node);
        let (subtasks, now_ms) = (seat.parallelism.subtasks().collect(), now(&*self.job.parts.clock()).monotonic_ms);
        let states = self.job.modules().states(&node).to_vec();
        Some(UnderWay {
            swap,
            old,
            new: parts.module,
            machine: Swap::new(terms.policy, subtasks, now_ms).serving(terms.share),
            right: Arc::clone(&terms.right),
            is_told: true,
            canary: Some(terms),
            report,
            events_before: 0,
            comparison: Comparison::begin(seat),
            through: BTreeMap::new(),
            states_before: states.len(),
            node,
            states,
            moves: Vec::new(),
            to_rewrite: None,
        })
    }

    /// When [`Self::tick`] is wanted at the latest.
    pub(crate) fn next_tick_ms(&self, now_ms: u64) -> Option<u64> {
        let due = self.current.as_ref().and_then(|current| current.machine.next_tick_ms());
        due.map(|due| due.max(now_ms.saturating_add(LOOK_MS)))
    }

    /// Takes a word in; gives what the coordinator is told.
    pub(crate) fn hear(&mut self, now_ms: u64, told: SwapTold) -> Vec<Event> {
        match told {
            SwapTold::Wanted(wanted) => {
                self.begin(now_ms, *wanted);
                Vec::new()
            }
            // Its instances are still being opened: it is not begun then.
            SwapTold::Ended(SwapWish::Withdraw { cause }) if self.current.is_none() => {
                let opening = self.job.modules().under_way().cloned();
                if let Some(report) = opening.filter(|report| report.borrow().stage == SwapStage::Preparing) {
                    report.send_modify(|report| (report.stage, report.cause) = (SwapStage::Undone, Some(cause)));
                }
                Vec::new()
            }
            SwapTold::Ended(SwapWish::Withdraw { cause }) => self.tell(now_ms, SwapEvent::Withdrawn { cause }),
            SwapTold::Ended(SwapWish::Widen(share)) => self.tell(now_ms, SwapEvent::Widened(share)),
            SwapTold::Ended(SwapWish::Promote) => self.tell(now_ms, SwapEvent::Promoted),
            SwapTold::By { swap, subtask, step } if self.current.as_ref().is_some_and(|one| one.swap == swap) => {
                self.stepped(now_ms, subtask, step)
            }
            // Of one that is over.
            SwapTold::By { .. } => Vec::new(),
            SwapTold::Given(instance) => {
                drop(instance);
                Vec::new()
            }
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now_ms: u64) -> Vec<Event> {
        let Some(current) = &self.current else { return Vec::new() };
        let events = self.events_in(&current.node).saturating_sub(current.events_before);
        let conduct = self.conduct(current);
        self.tell(now_ms, SwapEvent::Tick { events, conduct })
    }

    fn conduct(&self, current: &UnderWay) -> Conduct {
        match &current.canary {
            Some(canary) if current.machine.stage() == SwapStage::Canary => canary.tally.conduct(),
            Some(_) | None => current.comparison.conduct(self.seat(&current.node)),
        }
    }

    /// Whether a swap goes on only when another manifest is decided.
    pub(crate) fn awaits_manifest(&self) -> bool {
        self.returned.is_some() || self.current.as_ref().is_some_and(|current| current.machine.awaits_manifest())
    }

    /// A barrier is sent.
    pub(crate) fn injected(&mut self, now_ms: u64, barrier: &CheckpointBarrier) -> Vec<Event> {
        let mut events = match &self.current {
            Some(current) if barrier.swap == Some(current.swap) => self.tell(now_ms, SwapEvent::BarrierOut),
            Some(_) | None => Vec::new(),
        };
        self.returned.iter_mut().for_each(|awaited| awaited.began(barrier.checkpoint));
        events.extend(self.tell(now_ms, SwapEvent::Began(barrier.checkpoint)));
        events
    }

    /// A manifest is made.
    pub(crate) fn storing(&mut self, now_ms: u64, checkpoint: CheckpointId) -> Vec<Event> {
        self.returned.iter_mut().for_each(|awaited| awaited.storing(checkpoint));
        self.tell(now_ms, SwapEvent::Storing(checkpoint))
    }

    /// It stands in its slot.
    pub(crate) fn decided(&mut self, now_ms: u64, checkpoint: CheckpointId) -> Vec<Event> {
        if self.returned.take_if(|awaited| awaited.is_met_by(checkpoint)).is_some() {
            self.job.modules().returned();
        }
        self.tell(now_ms, SwapEvent::Decided(checkpoint))
    }

    /// The attempt is over. What a manifest has decided stays so; what is open is settled when the job goes on.
    pub(crate) fn close(self) {
        let Some(UnderWay { machine, report, .. }) = self.current else { return };
        match machine.stage() {
            SwapStage::Probation => report.send_modify(|report| report.stage = SwapStage::Done),
            // The next attempt looks whether something is to be rewritten back.
            SwapStage::Undoing => self.job.modules().taken_back(),
            SwapStage::Preparing
            | SwapStage::Prepared
            | SwapStage::Switching
            | SwapStage::Switched
            | SwapStage::Held
            | SwapStage::Canary
            | SwapStage::Done
            | SwapStage::Undone => {}
        }
    }

    fn begin(&mut self, now_ms: u64, wanted: SwapWanted) {
        let SwapWanted { swap, node, module, policy, retreat, instances, states, moves, canary, report, old } = wanted;
        // The attempt that it was meant for has ended meanwhile.
        if report.borrow().is_over() {
            return;
        }
        let seat = self.seat(&node);
        let subtasks = seat.parallelism.subtasks().collect();
        let fresh = || Arc::new(RightOfReturn::new(retreat));
        let right = canary.as_ref().map_or_else(fresh, |canary| Arc::clone(&canary.right));
        for (inbox, (operator, states)) in self.attempt.inboxes[seat.task].iter().zip(instances) {
            let instance = Box::new(Instance {
                swap,
                module,
                operator,
                states,
                right: Arc::clone(&right),
                canary: canary.clone(),
            });
            inbox.tell(Control::Swap(SwapControl::Take { node: seat.place, instance }));
        }
        let share = canary.as_ref().map_or(Share::WHOLE, |canary| canary.share);
        let machine = Swap::new(policy, subtasks, now_ms).of_share(share);
        let machine = machine.that_rewrites(!moves.is_empty()).that_retreats(retreat);
        let comparison = Comparison::begin(seat);
        self.current = Some(UnderWay {
            swap,
            old,
            new: module,
            machine,
            right,
            is_told: false,
            canary,
            report,
            events_before: 0,
            comparison,
            through: BTreeMap::new(),
            states_before: self.job.modules().states(&node).len(),
            node,
            states,
            moves,
            to_rewrite: None,
        });
    }

    fn stepped(&mut self, now_ms: u64, subtask: SubtaskIndex, step: SubtaskStep) -> Vec<Event> {
        let parallelism = self.current.as_ref().map(|current| self.seat(&current.node).parallelism);
        let Some((current, parallelism)) = self.current.as_mut().zip(parallelism) else { return Vec::new() };
        match step {
            SubtaskStep::Took => self.tell(now_ms, SwapEvent::Took(subtask)),
            SubtaskStep::Switched { last, inline_us } => {
                current.through.insert(subtask, (last, None));
                current.report.send_modify(|report| {
                    report.pauses.retain(|pause| pause.subtask != subtask);
                    report.pauses.push(SubtaskPause { subtask, pause_us: None, inline_us });
                });
                self.tell(now_ms, SwapEvent::Switched(subtask))
            }
            SubtaskStep::Flows(first) => {
                current.flows(subtask, parallelism, first);
                Vec::new()
            }
            SubtaskStep::Faulted(why) => {
                let cause = format!("rolled back: module {} failed in subtask {subtask}: {why}", current.new);
                self.tell(now_ms, SwapEvent::Withdrawn { cause })
            }
        }
    }

    fn tell(&mut self, now_ms: u64, event: SwapEvent) -> Vec<Event> {
        let Some(current) = &mut self.current else { return Vec::new() };
        let (before, machine) = (current.machine.stage(), current.machine.clone());
        let actions = current.machine.handle(now_ms, event);
        if actions.contains(&SwapAction::LetGo) && !current.right.ended() {
            // A subtask goes back, and its word is on its way.
            current.machine = machine;
            return Vec::new();
        }
        let stage = current.machine.stage();
        if stage != before {
            self.moved(before, stage);
        }
        let mut told: Vec<Event> = actions.iter().filter_map(|action| self.act(action)).collect();
        if stage == SwapStage::Undone {
            told.extend(self.forget_added());
        }
        self.current.take_if(|current| current.machine.is_over() && current.to_rewrite.is_none());
        told
    }

    /// The swap is undone: what the new module had in states of its own is nobody's, and no later module is to find it.
    fn forget_added(&self) -> Option<Event> {
        let UnderWay { node, states_before, .. } = self.current.as_ref()?;
        let mut modules = self.job.modules();
        let mut states = modules.states(node).to_vec();
        let added = states.get_mut(*states_before..).filter(|added| !added.is_empty())?;
        added.iter_mut().for_each(|state| state.name.clear());
        modules.states_are(node, states.clone());
        Some(Event::StatesAre { node: node.clone(), states })
    }

    /// An operator for whose new module nothing is to be rewritten any more.
    pub(crate) fn take_recalled(&mut self) -> Option<NodeId> {
        self.recalled.take()
    }

    /// Why the job is to go on from before a switch.
    pub(crate) fn take_rewound(&mut self) -> Option<String> {
        self.rewound.take()
    }

    /// No call comes any more: a hold is of no use, and what came is all there is to judge by.
    pub(crate) fn ended(&mut self, now_ms: u64) -> Vec<Event> {
        let judged = self.current.as_ref().map(|current| current.machine.broken_at_last(&self.conduct(current)));
        let event = judged.flatten().map_or(SwapEvent::Promoted, |cause| SwapEvent::Withdrawn { cause });
        self.tell(now_ms, event)
    }

    /// Why no savepoint can be taken now, if it cannot.
    pub(crate) fn holding(&self) -> Option<String> {
        let holds = |stage| matches!(stage, SwapStage::Switching | SwapStage::Switched | SwapStage::Held);
        let current = self.current.as_ref()?;
        if !current.machine.rewinds() || !holds(current.machine.stage()) {
            return None;
        }
        Some(format!(
            "nothing is decided while swap {} of operator `{}` is on probation, since it would be rewound: wait until it is \
             over, or roll it back",
            current.swap, current.node
        ))
    }

    /// What is to be moved in the background from now on, and where.
    pub(crate) fn take_rewrite(&mut self) -> Option<(NodeId, Vec<Move>)> {
        let current = self.current.as_mut()?;
        let moves = current.to_rewrite.take()?;
        let node = current.node.clone();
        self.current.take_if(|current| current.machine.is_over());
        Some((node, moves))
    }

    /// Whether a swap of this operator may still be taken back, so that nothing of it may be forgotten.
    pub(crate) fn may_go_back(&self, node: &NodeId) -> bool {
        let current = self.current.as_ref().filter(|current| current.node == *node);
        current.is_some_and(|current| match current.machine.stage() {
            SwapStage::Preparing
            | SwapStage::Prepared
            | SwapStage::Switching
            | SwapStage::Switched
            | SwapStage::Held
            | SwapStage::Canary
            | SwapStage::Probation => true,
            SwapStage::Undoing | SwapStage::Done | SwapStage::Undone => false,
        })
    }

    /// All that was moved among the states of this operator is where it is to be.
    pub(crate) fn rewritten(&mut self, now_ms: u64, node: &NodeId) -> Vec<Event> {
        let mut events = match &self.current {
            Some(current) if current.node == *node => self.tell(now_ms, SwapEvent::Returned),
            Some(_) | None => Vec::new(),
        };
        if self.job.modules().returns(node) {
            if self.current.is_none() {
                self.returned = Some(Awaited::default());
            }
            events.push(Event::Requested(CheckpointKind::Checkpoint));
        }
        events
    }

    fn seat(&self, node: &NodeId) -> &NodeSeat {
        self.job.nodes.iter().find(|seat| seat.id == *node).expect("whoever wanted the swap has found the seat")
    }

    fn events_in(&self, node: &NodeId) -> u64 {
        self.seat(node).counters.iter().map(|counters| counters.events_in.get()).sum()
    }
}
