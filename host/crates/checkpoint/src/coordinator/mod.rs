//! The checkpoints of one attempt of a job, as a state machine: events go in, actions come out.
//!
//! One checkpoint at a time: barriers are injected, every participant acknowledges its part once it is durable, the
//! manifest is stored, and with that the checkpoint is decided; only then its output is committed. What a failed
//! checkpoint has staged is never thrown away: its files and committables join the next one, since events behind them
//! were processed and will not be again.

mod words;
mod savepoints;
mod ledger;

use std::collections::{BTreeMap, BTreeSet};

use gristmill_types::descriptor::StateSpec;
use gristmill_types::{CheckpointBarrier, CheckpointId, CheckpointKind, NodeId, SubtaskIndex, Watermark};

use self::ledger::Ledger;
pub use self::words::{
    Ack, Action, End, Event, Failure, GiveUp, NodePart, NodeSetup, Now, Participant, Policy, Report, Setup, Staged,
    Stats, SubtaskStats, SwapNotice, ToStore,
};
use crate::snapshot::StateFile;

/// While more than this many decided committables wait for their commit, no further checkpoint is begun: a sink that
/// cannot commit must not fill the disk. What no checkpoint has decided yet does not count, since only the next one can.
const MOST_UNCOMMITTED: usize = 4096;

/// The state machine.
#[derive(Debug)]
pub struct Coordinator {
    policy: Policy,
    participants: BTreeSet<Participant>,
    ended: BTreeSet<Participant>,
    /// What each has acknowledged last.
    acked: BTreeMap<Participant, CheckpointId>,
    ledger: Ledger,
    phase: Phase,
    last_number: CheckpointId,
    /// When the next one is due by the clock.
    due_ms: Option<u64>,
    /// Not before this, unless somebody waits for it: the pause after a decided one.
    pause_until_ms: u64,
    /// Not before this, whoever waits: the pause after a failed one.
    retry_at_ms: u64,
    /// Somebody asked for one.
    requested: Option<CheckpointKind>,
    /// The last one is to become a savepoint.
    savepoint_at_end: bool,
    /// What the next barrier switches.
    swap: Option<SwapNotice>,
    /// Whether that swap, or one that has switched, holds checkpoints back.
    hold: Hold,
    /// States that the next checkpoint names so.
    renamed: BTreeMap<NodeId, Vec<StateSpec>>,
    suspending: bool,
    failures_in_a_row: u32,
    /// Since when checkpoints are skipped because parts of an earlier one are not durable yet.
    skipping_since_ms: Option<u64>,
    /// When the one that is being stored fails for being late, if it has not been decided.
    late_at_ms: u64,
    /// What storing suffers from.
    trouble: Option<String>,
    over: bool,
}

#[derive(Debug)]
enum Phase {
    Idle,
    /// Barriers are out.
    Collecting(Collecting),
    /// The manifest is on its way. It cannot be taken back any more: it may have been stored.
    Storing(Box<ToStore>),
    /// The last one is decided; its commits are awaited.
    Final(End),
}

/// Whether a swap holds checkpoints back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    None,
    /// From the barrier on that carries the swap.
    Ready,
    /// Now: none begins.
    Holds,
}

#[derive(Debug)]
struct Collecting {
    number: CheckpointId,
    kind: CheckpointKind,
    /// Somebody asked for it.
    requested: bool,
    is_final: bool,
    started: Now,
    acks: BTreeMap<Participant, Ack>,
}

impl Coordinator {
    /// The coordinator of an attempt whose slot is claimed and whose parts are restored.
    #[must_use]
    pub fn new(setup: Setup, now: Now) -> Self {
        Self {
            due_ms: setup.policy.every_ms.map(|every| now.monotonic_ms.saturating_add(every)),
            policy: setup.policy,
            participants: setup.participants.clone(),
            ended: BTreeSet::new(),
            acked: BTreeMap::new(),
            phase: Phase::Idle,
            last_number: setup.numbers_above,
            pause_until_ms: now.monotonic_ms,
            retry_at_ms: now.monotonic_ms,
            requested: None,
            savepoint_at_end: false,
            swap: None,
            hold: Hold::None,
            renamed: BTreeMap::new(),
            suspending: false,
            failures_in_a_row: 0,
            skipping_since_ms: None,
            late_at_ms: 0,
            trouble: None,
            over: false,
            ledger: Ledger::new(setup),
        }
    }

    /// When [`Event::Tick`] is wanted, on the monotonic clock; `None` if time changes nothing.
    #[must_use]
    pub fn next_tick_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Idle if self.over => None,
            Phase::Idle => self.begins_at_ms(),
            Phase::Collecting(collecting) => {
                Some(collecting.started.monotonic_ms.saturating_add(self.policy.timeout_ms))
            }
            Phase::Storing(_) => Some(self.late_at_ms),
            Phase::Final(_) => None,
        }
    }

    /// The checkpoint that is under way.
    #[must_use]
    pub fn under_way(&self) -> Option<CheckpointId> {
        match &self.phase {
            Phase::Collecting(collecting) => Some(collecting.number),
            Phase::Storing(to_store) => Some(to_store.manifest.checkpoint),
            Phase::Idle | Phase::Final(_) => None,
        }
    }

    /// Whether the one that is under way began behind the end of all input.
    #[must_use]
    pub fn is_last_under_way(&self) -> bool {
        match &self.phase {
            Phase::Collecting(collecting) => collecting.is_final,
            Phase::Storing(to_store) => to_store.manifest.is_final,
            Phase::Idle | Phase::Final(_) => false,
        }
    }

    /// The files of every state as they are now, oldest first, for whoever merges them.
    pub fn state_files(&self) -> impl Iterator<Item = (&NodeSetup, SubtaskIndex, &[StateFile])> {
        self.ledger.state_files()
    }

    /// How far event time had come in a subtask at the newest checkpoint that it acknowledged, or at one before. What had
    /// expired by then can leave its files: whoever restores them later is behind it.
    #[must_use]
    pub fn watermark(&self, node: &NodeId, subtask: SubtaskIndex) -> Watermark {
        self.ledger.watermark(node, subtask)
    }

    /// Takes an event in; says what is to be done, in this order.
    ///
    /// # Panics
    /// If a participant acknowledges a checkpoint behind a later one, or a node that the setup does not have. The books
    /// would be wrong from then on, and nothing may be decided by them.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        if self.over {
            return actions;
        }
        match event {
            Event::Tick => {}
            Event::Requested(kind) => self.request(kind),
            Event::SwapReady(swap) => (self.swap, self.hold) = (Some(swap), Hold::None),
            Event::SwapHolds(swap) => (self.swap, self.hold) = (Some(swap), Hold::Ready),
            Event::HoldOver(SwapNotice { node, module, share, states, .. }) => {
                self.hold = Hold::None;
                self.ledger.name_module(&node, module, share, states);
                self.request(CheckpointKind::Checkpoint);
            }
            Event::SwapUndone(SwapNotice { swap, node, module, share, states }) => {
                let was_never_sent = self.swap.take_if(|ready| ready.swap == swap).is_some();
                if was_never_sent {
                    self.hold = Hold::None;
                }
                // A canary that was to be widened is named already.
                if !was_never_sent || self.ledger.names_canary(&node) {
                    self.ledger.name_module(&node, module, share, states);
                    self.request(CheckpointKind::Checkpoint);
                }
            }
            Event::StatesAre { node, states } => _ = self.renamed.insert(node, states),
            Event::Suspend => self.suspending = true,
            Event::Ended(participant) => {
                if self.participants.contains(&participant) {
                    self.ended.insert(participant);
                }
            }
            Event::Acked(ack) => self.acked(now, *ack, &mut actions),
            Event::Declined { checkpoint, by, why } => {
                if matches!(&self.phase, Phase::Collecting(collecting) if collecting.number == checkpoint) {
                    let why = match &self.trouble {
                        Some(trouble) => format!("{why}, since storing does not succeed: {trouble}"),
                        None => why,
                    };
                    self.fail(now, Failure::Declined { by, why }, &mut actions);
                }
            }
            Event::Stored(checkpoint) => self.stored(now, checkpoint, &mut actions),
            Event::Stranger { slot, attempt } => {
                self.over = true;
                actions.push(Action::GiveUp(GiveUp::Fenced { slot, by: attempt }));
            }
            Event::Storing { trouble } => self.trouble = trouble,
            Event::Committed(ids) => self.ledger.committed(&ids),
            Event::Merged { node, subtask, replaced, by } => self.ledger.merged(&node, subtask, &replaced, by),
            Event::SavepointAtEnd => self.savepoint_at_end = true,
            Event::Carried(checkpoint) => self.ledger.carried(checkpoint),
            Event::SavepointOver(checkpoint) => self.ledger.savepoint_over(checkpoint),
            Event::Held(checkpoint) => self.ledger.hold(checkpoint),
            Event::Released(checkpoint) => self.ledger.release(checkpoint),
        }
        actions.extend(self.ledger.savepoints_to_seal().into_iter().map(Action::Seal));
        self.look_at_clock(now, &mut actions);
        self.look_at_hold(&mut actions);
        self.look_for_end(&mut actions);
        actions
    }

    fn all_ended(&self) -> bool {
        self.ended.len() == self.participants.len()
    }

    fn wants_one_at_once(&self) -> bool {
        self.all_ended() || self.suspending || self.requested.is_some() || self.swap.is_some()
    }

    /// When the next one begins, if nothing happens before.
    fn begins_at_ms(&self) -> Option<u64> {
        if self.hold == Hold::Holds {
            return None;
        }
        if self.wants_one_at_once() {
            return Some(self.retry_at_ms);
        }
        self.due_ms.map(|due| due.max(self.pause_until_ms).max(self.retry_at_ms))
    }

    fn has_room(&self) -> bool {
        self.ledger.handed_over() <= MOST_UNCOMMITTED
    }

    /// A savepoint is a checkpoint too: it serves whoever asked for either.
    fn request(&mut self, kind: CheckpointKind) {
        match kind {
            CheckpointKind::Checkpoint => _ = self.requested.get_or_insert(kind),
            CheckpointKind::Savepoint => self.requested = Some(kind),
        }
    }

    fn look_at_clock(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.over {
            return;
        }
        match &self.phase {
            Phase::Collecting(collecting) => {
                let elapsed_ms = now.monotonic_ms.saturating_sub(collecting.started.monotonic_ms);
                if elapsed_ms >= self.policy.timeout_ms {
                    let waiting = self.participants.iter().filter(|one| !collecting.acks.contains_key(one));
                    let waiting = waiting.copied().collect();
                    let trouble = self.trouble.clone();
                    self.fail(now, Failure::TimedOut { after_ms: elapsed_ms, waiting, trouble }, actions);
                }
            }
            Phase::Idle => {
                if self.begins_at_ms().is_some_and(|at| at <= now.monotonic_ms) {
                    if self.has_room() { self.begin(now, actions) } else { self.skip(now, actions) }
                }
            }
            Phase::Storing(to_store) if self.late_at_ms <= now.monotonic_ms => {
                let after_ms = now.monotonic_ms.saturating_sub(to_store.started.monotonic_ms);
                let failure = Failure::NotStored { after_ms, trouble: self.trouble.clone() };
                self.late_at_ms = now.monotonic_ms.saturating_add(self.policy.timeout_ms);
                let checkpoint = to_store.manifest.checkpoint;
                actions.push(Action::Report(Report::Failed { checkpoint, failure: failure.clone() }));
                self.count(now, failure, actions);
            }
            Phase::Storing(_) | Phase::Final(_) => {}
        }
    }

    /// One is due and cannot be begun. Whoever asked for it is told, and may ask again.
    fn skip(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.last_number = CheckpointId(self.last_number.0 + 1);
        self.requested = None;
        self.due_ms = self.policy.every_ms.map(|every| now.monotonic_ms.saturating_add(every));
        self.retry_at_ms = now.monotonic_ms.saturating_add(self.policy.pause_after_failure_ms);
        let failure = Failure::Uncommitted { committables: self.ledger.handed_over() };
        actions.push(Action::Report(Report::Failed { checkpoint: self.last_number, failure }));
    }

    fn begin(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.last_number = CheckpointId(self.last_number.0 + 1);
        let (number, requested) = (self.last_number, self.requested.take());
        let kind = match requested {
            _ if self.savepoint_at_end && self.all_ended() => CheckpointKind::Savepoint,
            Some(kind) => kind,
            None => CheckpointKind::Checkpoint,
        };
        self.due_ms = self.policy.every_ms.map(|every| now.monotonic_ms.saturating_add(every));
        self.phase = Phase::Collecting(Collecting {
            number,
            kind,
            requested: requested.is_some(),
            is_final: self.all_ended(),
            started: now,
            acks: BTreeMap::new(),
        });
        for (node, states) in std::mem::take(&mut self.renamed) {
            self.ledger.name_states(&node, states);
        }
        let swap = self.swap.take().map(|SwapNotice { swap, node, module, share, states }| {
            match self.hold {
                Hold::None => self.ledger.name_module(&node, module, share, states),
                Hold::Ready | Hold::Holds => self.hold = Hold::Holds,
            }
            swap
        });
        actions.push(Action::Inject(CheckpointBarrier { checkpoint: number, kind, swap }));
    }

    fn acked(&mut self, now: Now, mut ack: Ack, actions: &mut Vec<Action>) {
        match self.acked.insert(ack.by, ack.checkpoint) {
            Some(before) if before == ack.checkpoint => return,
            before => assert!(before < Some(ack.checkpoint), "acknowledgements come in the order of the barriers"),
        }
        // Files and committables count whatever becomes of the checkpoint.
        self.ledger.take_in(&mut ack);
        let Phase::Collecting(collecting) = &mut self.phase else { return };
        if ack.checkpoint != collecting.number || !self.participants.contains(&ack.by) {
            return;
        }
        collecting.acks.insert(ack.by, ack);
        if collecting.acks.len() < self.participants.len() {
            return;
        }
        let Phase::Collecting(Collecting { number, kind, is_final, started, acks, requested: _ }) =
            std::mem::replace(&mut self.phase, Phase::Idle)
        else {
            unreachable!("the phase was just looked at")
        };
        self.late_at_ms = started.monotonic_ms.saturating_add(self.policy.timeout_ms);
        let to_store = self.ledger.manifest(number, kind, is_final, (started, now), acks);
        self.phase = Phase::Storing(Box::new(to_store.clone()));
        actions.push(Action::Store(Box::new(to_store)));
    }

    fn stored(&mut self, now: Now, checkpoint: CheckpointId, actions: &mut Vec<Action>) {
        let to_store = match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Storing(to_store) if to_store.manifest.checkpoint == checkpoint => to_store,
            other => {
                self.phase = other;
                return;
            }
        };
        (self.failures_in_a_row, self.skipping_since_ms) = (0, None);
        self.pause_until_ms = now.monotonic_ms.saturating_add(self.policy.min_pause_ms);
        // What all have ended since its barrier does not make it final: there may be output behind it.
        let is_wanted_otherwise = self.savepoint_at_end && to_store.manifest.kind != CheckpointKind::Savepoint;
        if to_store.manifest.is_final && !is_wanted_otherwise {
            self.phase = Phase::Final(End::Input);
        } else if self.suspending {
            self.phase = Phase::Final(End::Suspended);
        }
        let duration_ms = now.monotonic_ms.saturating_sub(to_store.started.monotonic_ms);
        actions.push(Action::Report(Report::Completed { checkpoint, duration_ms, stats: to_store.stats.clone() }));
        let (permit, committables) = self.ledger.decided(&to_store);
        if !committables.is_empty() {
            actions.push(Action::Commit { permit, committables });
        }
        if to_store.manifest.kind == CheckpointKind::Savepoint {
            actions.push(Action::Carry(Box::new(to_store.manifest.clone())));
        }
        let garbage = self.ledger.retire(self.policy.keep);
        if !garbage.is_empty() {
            actions.push(Action::Delete(garbage));
        }
        actions.push(Action::Forget(self.ledger.oldest_splits()));
    }

    fn fail(&mut self, now: Now, failure: Failure, actions: &mut Vec<Action>) {
        let Phase::Collecting(collecting) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            unreachable!("only a checkpoint whose barriers are out fails")
        };
        let pause_ms = self.policy.min_pause_ms.max(self.policy.pause_after_failure_ms);
        self.retry_at_ms = now.monotonic_ms.saturating_add(pause_ms);
        actions.push(Action::Report(Report::Failed { checkpoint: collecting.number, failure: failure.clone() }));
        if collecting.requested {
            self.request(collecting.kind);
        }
        let counts = match &failure {
            Failure::TimedOut { .. } | Failure::NotStored { .. } => true,
            Failure::Uncommitted { .. } => false,
            // One that was skipped is none. But the parts that stand in its way have been late once more by then.
            Failure::Declined { .. } => {
                let since_ms = *self.skipping_since_ms.get_or_insert(collecting.started.monotonic_ms);
                now.monotonic_ms.saturating_sub(since_ms) >= self.policy.timeout_ms
            }
        };
        if counts {
            self.count(now, failure, actions);
        }
    }

    /// A failure counts against what is tolerated.
    fn count(&mut self, now: Now, failure: Failure, actions: &mut Vec<Action>) {
        self.skipping_since_ms = Some(now.monotonic_ms);
        self.failures_in_a_row += 1;
        if self.failures_in_a_row > self.policy.tolerated_failures {
            self.over = true;
            actions.push(Action::GiveUp(GiveUp::TooManyFailures { in_a_row: self.failures_in_a_row, last: failure }));
        }
    }

    fn look_at_hold(&mut self, actions: &mut Vec<Action>) {
        if self.over || self.hold != Hold::Holds || !matches!(self.phase, Phase::Idle) {
            return;
        }
        if self.suspending {
            // The next host goes on from before the switch.
            self.phase = Phase::Final(End::Suspended);
        } else if self.all_ended() {
            actions.push(Action::EndHold);
        }
    }

    fn look_for_end(&mut self, actions: &mut Vec<Action>) {
        let Phase::Final(end) = self.phase else { return };
        let is_settled = match end {
            End::Input => self.ledger.uncommitted() == 0 && self.ledger.has_no_savepoint_under_way(),
            // A host that goes down waits for no savepoint, nor for output that no checkpoint has decided.
            End::Suspended => self.ledger.handed_over() == 0,
        };
        if is_settled && !self.over {
            self.over = true;
            actions.push(Action::Finish(end));
        }
    }
}

#[cfg(test)]
mod tests;
