//! The swap of one operator's module, as a state machine: facts go in, actions come out.
//!
//! The new instance of each subtask is prepared beside the old one. Once all have theirs, the barrier of an ordinary
//! checkpoint switches them; a manifest that names the new module decides the swap. Then the old instances stay for a
//! probation. Until that is over anything may send the operator back to its old module, in all subtasks; if a manifest may
//! have named the new one by then, the way back is over only when a later one names the old one, all that was rewritten is
//! rewritten back, and a manifest has it so.
//!
//! A swap that rewinds goes another way: from its barrier on no checkpoint begins until the probation is over, so nothing
//! that the new module does is committed, and no manifest names it. Its way back is another attempt, from before the switch.

mod awaited;
mod bounds;
mod clock;
mod words;

use std::collections::BTreeSet;

use gristmill_types::{CheckpointId, SubtaskIndex};

use crate::share::Share;

pub use awaited::Awaited;
pub use bounds::{Conduct, ProbationBounds, TELLING};
pub use words::{Retreat, SwapAction, SwapEvent, SwapPolicy, SwapStage};

/// The state machine.
#[derive(Debug, Clone)]
pub struct Swap {
    policy: SwapPolicy,
    began_ms: u64,
    /// The modules have states in different schemas.
    rewrites: bool,
    retreat: Retreat,
    subtasks: BTreeSet<SubtaskIndex>,
    /// How much the new module serves from its newest barrier on, or from the next. A canary is a probation of a share.
    share: Share,
    /// A manifest names it for a share, perhaps a smaller one.
    serves: bool,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    /// These have no instance yet; all of them.
    Preparing {
        waiting: BTreeSet<SubtaskIndex>,
        all: BTreeSet<SubtaskIndex>,
    },
    Prepared {
        all: BTreeSet<SubtaskIndex>,
    },
    /// The barrier has not passed these yet. A manifest may be made before all have said so.
    Switching {
        waiting: BTreeSet<SubtaskIndex>,
        named: Named,
    },
    Probation {
        since_ms: u64,
    },
    /// Of a swap that rewinds: no checkpoint has begun since its barrier.
    Held {
        since_ms: u64,
    },
    /// The same swap, when the hold is over: the first manifest made since then decides it.
    Naming {
        named: Named,
    },
    /// Decided by the first checkpoint that began since then: what subtasks did before they went back is in its files.
    Undoing {
        cause: String,
        awaited: Awaited,
    },
    /// It is decided, and state is being rewritten back.
    Returning {
        cause: String,
    },
    /// All of it is. A checkpoint that began before then still has states that only the new module can read, and whoever
    /// went on from it would need that: it is not over before a later one is decided.
    Returned {
        cause: String,
        awaited: Awaited,
    },
    Done,
    Undone {
        cause: String,
    },
}

/// What manifests say of the new module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Nowhere,
    /// In one that is on its way.
    By(CheckpointId),
    Decided,
}

impl Swap {
    /// A swap whose instances are sent to these subtasks.
    #[must_use]
    pub fn new(policy: SwapPolicy, subtasks: BTreeSet<SubtaskIndex>, now_ms: u64) -> Self {
        let phase = Phase::Preparing { waiting: subtasks.clone(), all: subtasks.clone() };
        let share = Share::WHOLE;
        Self {
            policy,
            began_ms: now_ms,
            rewrites: false,
            retreat: Retreat::Seats,
            subtasks,
            share,
            serves: false,
            phase,
        }
    }

    /// The same with a new module that serves so much at first.
    #[must_use]
    pub fn of_share(self, share: Share) -> Self {
        Self { share, ..self }
    }

    /// A canary that serves already: the manifest that an attempt goes on from says so.
    #[must_use]
    pub fn serving(self, share: Share) -> Self {
        let since_ms = self.began_ms;
        Self { share, serves: true, phase: Phase::Probation { since_ms }, ..self }
    }

    /// The same between modules that have states in different schemas.
    #[must_use]
    pub fn that_rewrites(self, rewrites: bool) -> Self {
        Self { rewrites, ..self }
    }

    /// The same, taken back in this way.
    #[must_use]
    pub fn that_retreats(self, retreat: Retreat) -> Self {
        Self { retreat, ..self }
    }

    /// Whether nothing is decided before its probation is over.
    #[must_use]
    pub fn rewinds(&self) -> bool {
        self.retreat == Retreat::Rewind
    }

    /// Where it is.
    #[must_use]
    pub fn stage(&self) -> SwapStage {
        match &self.phase {
            Phase::Preparing { .. } => SwapStage::Preparing,
            Phase::Prepared { .. } => SwapStage::Prepared,
            Phase::Switching { waiting, .. } if waiting.is_empty() => SwapStage::Switched,
            Phase::Switching { .. } => SwapStage::Switching,
            Phase::Probation { .. } if !self.share.is_whole() => SwapStage::Canary,
            Phase::Probation { .. } => SwapStage::Probation,
            Phase::Held { .. } => SwapStage::Held,
            Phase::Naming { .. } => SwapStage::Switched,
            Phase::Undoing { .. } | Phase::Returning { .. } | Phase::Returned { .. } => SwapStage::Undoing,
            Phase::Done => SwapStage::Done,
            Phase::Undone { .. } => SwapStage::Undone,
        }
    }

    /// How much the new module serves from its newest barrier on, or from the next.
    #[must_use]
    pub fn share(&self) -> Share {
        self.share
    }

    /// Why it is being taken back, or was.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        match &self.phase {
            Phase::Undoing { cause, .. }
            | Phase::Returning { cause }
            | Phase::Returned { cause, .. }
            | Phase::Undone { cause } => Some(cause),
            Phase::Preparing { .. }
            | Phase::Prepared { .. }
            | Phase::Switching { .. }
            | Phase::Probation { .. }
            | Phase::Held { .. }
            | Phase::Naming { .. }
            | Phase::Done => None,
        }
    }

    /// Whether it goes on only when another manifest is decided.
    #[must_use]
    pub fn awaits_manifest(&self) -> bool {
        matches!(self.phase, Phase::Undoing { .. } | Phase::Returned { .. } | Phase::Naming { .. })
    }

    /// Which bound is broken if no event comes any more, in words.
    #[must_use]
    pub fn broken_at_last(&self, conduct: &Conduct) -> Option<String> {
        self.policy.bounds.broken_at_last(conduct)
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Undone { .. })
    }

    /// Takes an event in; says what is to be done.
    pub fn handle(&mut self, now_ms: u64, event: SwapEvent) -> Vec<SwapAction> {
        match event {
            SwapEvent::Tick { events, conduct } => self.look_at_clock(now_ms, events, &conduct),
            SwapEvent::Took(subtask) => self.took(subtask),
            SwapEvent::BarrierOut => {
                if let Phase::Prepared { all } = &self.phase {
                    self.phase = Phase::Switching { waiting: all.clone(), named: Named::Nowhere };
                }
                Vec::new()
            }
            SwapEvent::Began(checkpoint) => {
                if let Phase::Undoing { awaited, .. } | Phase::Returned { awaited, .. } = &mut self.phase {
                    awaited.began(checkpoint);
                }
                Vec::new()
            }
            SwapEvent::Switched(subtask) => {
                if let Phase::Switching { waiting, .. } = &mut self.phase {
                    waiting.remove(&subtask);
                }
                self.look_for_decision(now_ms)
            }
            SwapEvent::Storing(checkpoint) => {
                match &mut self.phase {
                    Phase::Switching { .. } if self.retreat == Retreat::Rewind => {}
                    Phase::Switching { named: named @ Named::Nowhere, .. }
                    | Phase::Naming { named: named @ Named::Nowhere } => *named = Named::By(checkpoint),
                    Phase::Undoing { awaited, .. } | Phase::Returned { awaited, .. } => awaited.storing(checkpoint),
                    Phase::Preparing { .. }
                    | Phase::Prepared { .. }
                    | Phase::Switching { .. }
                    | Phase::Probation { .. }
                    | Phase::Held { .. }
                    | Phase::Naming { .. }
                    | Phase::Returning { .. }
                    | Phase::Done
                    | Phase::Undone { .. } => {}
                }
                Vec::new()
            }
            SwapEvent::Decided(checkpoint) => self.decided(now_ms, checkpoint),
            SwapEvent::Withdrawn { cause } => self.withdraw(cause),
            SwapEvent::Widened(share) => self.widen(share),
            SwapEvent::Promoted => match self.phase {
                Phase::Probation { .. } if !self.share.is_whole() => self.widen(Share::WHOLE),
                Phase::Probation { .. } => self.let_go(),
                Phase::Held { .. } => self.name(),
                Phase::Preparing { .. }
                | Phase::Prepared { .. }
                | Phase::Switching { .. }
                | Phase::Naming { .. }
                | Phase::Undoing { .. }
                | Phase::Returning { .. }
                | Phase::Returned { .. }
                | Phase::Done
                | Phase::Undone { .. } => Vec::new(),
            },
            SwapEvent::Returned => {
                if let Phase::Returning { cause } = &mut self.phase {
                    self.phase = Phase::Returned { cause: std::mem::take(cause), awaited: Awaited::default() };
                }
                Vec::new()
            }
        }
    }

    fn took(&mut self, subtask: SubtaskIndex) -> Vec<SwapAction> {
        let Phase::Preparing { waiting, all } = &mut self.phase else { return Vec::new() };
        waiting.remove(&subtask);
        if !waiting.is_empty() {
            return Vec::new();
        }
        self.phase = Phase::Prepared { all: std::mem::take(all) };
        vec![SwapAction::Switch]
    }

    fn decided(&mut self, now_ms: u64, checkpoint: CheckpointId) -> Vec<SwapAction> {
        match &mut self.phase {
            Phase::Switching { named, .. } if *named == Named::By(checkpoint) => *named = Named::Decided,
            Phase::Naming { named } if *named == Named::By(checkpoint) => {
                let mut actions = if self.rewrites { vec![SwapAction::Rewrite] } else { Vec::new() };
                actions.extend(self.let_go());
                return actions;
            }
            Phase::Undoing { cause, awaited } if awaited.is_met_by(checkpoint) => {
                let cause = std::mem::take(cause);
                if self.rewrites {
                    self.phase = Phase::Returning { cause };
                    return vec![SwapAction::Rewrite];
                }
                self.phase = Phase::Undone { cause };
            }
            Phase::Returned { cause, awaited } if awaited.is_met_by(checkpoint) => {
                self.phase = Phase::Undone { cause: std::mem::take(cause) };
            }
            Phase::Preparing { .. }
            | Phase::Prepared { .. }
            | Phase::Switching { .. }
            | Phase::Probation { .. }
            | Phase::Held { .. }
            | Phase::Naming { .. }
            | Phase::Undoing { .. }
            | Phase::Returning { .. }
            | Phase::Returned { .. }
            | Phase::Done
            | Phase::Undone { .. } => {}
        }
        self.look_for_decision(now_ms)
    }

    fn look_for_decision(&mut self, now_ms: u64) -> Vec<SwapAction> {
        let Phase::Switching { waiting, named } = &self.phase else { return Vec::new() };
        if !waiting.is_empty() {
            return Vec::new();
        }
        if self.rewinds() {
            self.phase = Phase::Held { since_ms: now_ms };
            return if self.policy.probation_ms == 0 { self.name() } else { Vec::new() };
        }
        if *named != Named::Decided {
            return Vec::new();
        }
        let mut actions = if self.rewrites { vec![SwapAction::Rewrite] } else { Vec::new() };
        self.serves = true;
        if self.policy.probation_ms == 0 && self.share.is_whole() {
            actions.extend(self.let_go());
        } else {
            self.phase = Phase::Probation { since_ms: now_ms };
        }
        actions
    }

    fn widen(&mut self, share: Share) -> Vec<SwapAction> {
        let is_canary = matches!(self.phase, Phase::Probation { .. });
        if !is_canary || share <= self.share {
            return Vec::new();
        }
        self.share = share;
        self.phase = Phase::Prepared { all: self.subtasks.clone() };
        vec![SwapAction::Widen(share), SwapAction::Switch]
    }

    fn let_go(&mut self) -> Vec<SwapAction> {
        self.phase = Phase::Done;
        vec![SwapAction::LetGo]
    }

    fn name(&mut self) -> Vec<SwapAction> {
        self.phase = Phase::Naming { named: Named::Nowhere };
        vec![SwapAction::Name]
    }

    fn withdraw(&mut self, cause: String) -> Vec<SwapAction> {
        let is_named = match &self.phase {
            Phase::Preparing { .. } | Phase::Prepared { .. } => self.serves,
            Phase::Switching { .. } | Phase::Held { .. } if self.rewinds() => {
                self.phase = Phase::Undone { cause: cause.clone() };
                return vec![SwapAction::Rewind { cause }];
            }
            // A manifest that names the new module may stand already: it is asked when the job goes on.
            Phase::Naming { .. } => return vec![SwapAction::Rewind { cause }],
            Phase::Switching { .. } if self.retreat == Retreat::Restart => return vec![SwapAction::Rewind { cause }],
            // Subtasks that have switched may have rewritten something.
            Phase::Switching { named, .. } => self.serves || self.rewrites || *named != Named::Nowhere,
            Phase::Probation { .. } | Phase::Held { .. } => true,
            Phase::Undoing { .. }
            | Phase::Returning { .. }
            | Phase::Returned { .. }
            | Phase::Done
            | Phase::Undone { .. } => return Vec::new(),
        };
        let awaited = Awaited::default();
        self.phase = if is_named { Phase::Undoing { cause, awaited } } else { Phase::Undone { cause } };
        vec![SwapAction::Recall]
    }
}

#[cfg(test)]
mod tests;
