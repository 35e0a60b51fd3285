//! The swap of one operator's module, as a state machine: facts go in, actions come out.
//!
//! The new instance of each subtask is prepared beside the old one. Once all have theirs, the barrier of an ordinary
//! checkpoint switches them; a manifest that names the new module decides the swap. Then the old instances stay for a
//! probation. Until that is over anything may send the operator back to its old module, in all subtasks; if a manifest may
//! have named the new one by then, the way back is over only when a later one names the old one, and all that was rewritten
//! is rewritten back.
//!
//! A swap that rewinds goes another way: from its barrier on no checkpoint begins until the probation is over, so nothing
//! that the new module does is committed, and no manifest names it. Its way back is another attempt, from before the switch.

mod bounds;

use std::collections::BTreeSet;

use gristmill_types::{CheckpointId, SubtaskIndex};
use serde::{Deserialize, Serialize};

use crate::share::Share;

pub use bounds::{Conduct, ProbationBounds, TELLING};

/// A probation lasts at most so many times its time, however few events come.
const LONGEST_PROBATION: u64 = 10;

/// How a swap is taken back once a subtask may have switched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Retreat {
    /// The old instances take their seats again, and what was rewritten is rewritten back.
    #[default]
    Seats,
    /// By another attempt, from before the switch: nothing is decided before the probation is over.
    Rewind,
    /// By another attempt, with the module that the newest manifest names: nothing can be rewritten back.
    Restart,
}

/// How long a swap may take, and how long it may be taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwapPolicy {
    /// All subtasks have switched after this, or none does.
    pub deadline_ms: u64,
    /// The probation lasts at least this.
    pub probation_ms: u64,
    /// And until so many events have passed through the new module, but no longer than ten times its time.
    pub probation_events: u64,
    /// It ends, and the old module runs again, if the new one is beyond these.
    pub bounds: ProbationBounds,
}

/// Where a swap is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SwapStage {
    /// The new instances are on their way to the subtasks.
    Preparing,
    /// All are there; the barrier is asked for.
    Prepared,
    /// The barrier is out.
    Switching,
    /// All have switched; no manifest says so yet.
    Switched,
    /// It is decided; the old instances stay warm.
    Probation,
    /// It is on probation, and nothing is decided until that is over: no checkpoint is taken, so no output is committed.
    Held,
    /// It is decided for a share of the key groups; the old instances serve the others.
    Canary,
    /// It is taken back; a manifest that says so is awaited.
    Undoing,
    /// The new module runs, and the old one is gone.
    Done,
    /// The old module runs.
    Undone,
}

impl SwapStage {
    /// The stage in a word, as serde writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Prepared => "prepared",
            Self::Switching => "switching",
            Self::Switched => "switched",
            Self::Probation => "probation",
            Self::Held => "held",
            Self::Canary => "canary",
            Self::Undoing => "undoing",
            Self::Done => "done",
            Self::Undone => "undone",
        }
    }
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwapEvent {
    /// Time has passed, and so many events have come to the operator since it switched.
    Tick {
        /// How many.
        events: u64,
        /// How the new module has done.
        conduct: Conduct,
    },
    /// A subtask has its instance.
    Took(SubtaskIndex),
    /// The barrier that switches is out.
    BarrierOut,
    /// The barrier of a checkpoint is out, this one or another.
    Began(CheckpointId),
    /// It has passed a subtask.
    Switched(SubtaskIndex),
    /// The manifest of this checkpoint is made, and cannot be taken back any more.
    Storing(CheckpointId),
    /// It is decided.
    Decided(CheckpointId),
    /// The operator is to go back to its old module.
    Withdrawn {
        /// Why.
        cause: String,
    },
    /// The probation is long enough, or the canary is to serve all.
    Promoted,
    /// The canary is to serve so much from the next barrier on.
    Widened(Share),
    /// All that the new module had rewritten is rewritten back.
    Returned,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SwapAction {
    /// The next barrier is to switch, and there is to be one now; manifests from it on name the new module.
    Switch,
    /// Said before [`Self::Switch`]: at that barrier the new instances, which are in place, serve so much.
    Widen(Share),
    /// Every subtask goes back to its old instance, or forgets the new one; manifests from now on name the old module.
    Recall,
    /// Every subtask gives its old instance away.
    LetGo,
    /// What the states of the other module hold is to be moved into those of the module that runs, in the background. Said
    /// when a manifest with all that can be there is decided.
    Rewrite,
    /// The hold is over: manifests from now on name the new module, and one is made now.
    Name,
    /// The job goes on from its newest checkpoint, with the module that it names.
    Rewind {
        /// Why.
        cause: String,
    },
}

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
        since: Option<CheckpointId>,
        by: Option<CheckpointId>,
    },
    /// It is decided, and state is being rewritten back.
    Returning {
        cause: String,
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
            Phase::Undoing { .. } | Phase::Returning { .. } => SwapStage::Undoing,
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
            Phase::Undoing { cause, .. } | Phase::Returning { cause } | Phase::Undone { cause } => Some(cause),
            Phase::Preparing { .. }
            | Phase::Prepared { .. }
            | Phase::Switching { .. }
            | Phase::Probation { .. }
            | Phase::Held { .. }
            | Phase::Naming { .. }
            | Phase::Done => None,
        }
    }

    /// Whether nothing follows any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Done | Phase::Undone { .. })
    }

    /// When [`SwapEvent::Tick`] is wanted at the latest; `None` if time changes nothing.
    #[must_use]
    pub fn next_tick_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Preparing { .. } | Phase::Prepared { .. } => Some(self.deadline_ms()),
            Phase::Switching { waiting, .. } if !waiting.is_empty() => Some(self.deadline_ms()),
            Phase::Switching { .. }
            | Phase::Naming { .. }
            | Phase::Undoing { .. }
            | Phase::Returning { .. }
            | Phase::Done
            | Phase::Undone { .. } => None,
            // Whoever asks looks as often as it can.
            Phase::Probation { since_ms } | Phase::Held { since_ms } if self.policy.bounds != ProbationBounds::NONE => {
                Some(*since_ms)
            }
            Phase::Probation { .. } if !self.share.is_whole() => None,
            Phase::Probation { since_ms } | Phase::Held { since_ms } => {
                Some(since_ms.saturating_add(self.policy.probation_ms))
            }
        }
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
                if let Phase::Undoing { since, .. } = &mut self.phase {
                    since.get_or_insert(checkpoint);
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
                    Phase::Undoing { since: Some(since), by: by @ None, .. } if *since <= checkpoint => {
                        *by = Some(checkpoint);
                    }
                    Phase::Preparing { .. }
                    | Phase::Prepared { .. }
                    | Phase::Switching { .. }
                    | Phase::Probation { .. }
                    | Phase::Held { .. }
                    | Phase::Naming { .. }
                    | Phase::Undoing { .. }
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
                | Phase::Done
                | Phase::Undone { .. } => Vec::new(),
            },
            SwapEvent::Returned => {
                if let Phase::Returning { cause } = &mut self.phase {
                    self.phase = Phase::Undone { cause: std::mem::take(cause) };
                }
                Vec::new()
            }
        }
    }

    /// A canary that is widened is in nobody's way: it waits for its barrier.
    fn deadline_ms(&self) -> u64 {
        if self.serves {
            return u64::MAX;
        }
        self.began_ms.saturating_add(self.policy.deadline_ms)
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
            Phase::Undoing { cause, by, .. } if *by == Some(checkpoint) => {
                let cause = std::mem::take(cause);
                if self.rewrites {
                    self.phase = Phase::Returning { cause };
                    return vec![SwapAction::Rewrite];
                }
                self.phase = Phase::Undone { cause };
            }
            Phase::Preparing { .. }
            | Phase::Prepared { .. }
            | Phase::Switching { .. }
            | Phase::Probation { .. }
            | Phase::Held { .. }
            | Phase::Naming { .. }
            | Phase::Undoing { .. }
            | Phase::Returning { .. }
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
            Phase::Undoing { .. } | Phase::Returning { .. } | Phase::Done | Phase::Undone { .. } => return Vec::new(),
        };
        self.phase = if is_named { Phase::Undoing { cause, since: None, by: None } } else { Phase::Undone { cause } };
        vec![SwapAction::Recall]
    }

    fn look_at_clock(&mut self, now_ms: u64, events: u64, conduct: &Conduct) -> Vec<SwapAction> {
        match &self.phase {
            Phase::Preparing { waiting, .. } if self.deadline_ms() <= now_ms => {
                let who = in_words(waiting);
                self.withdraw(format!(
                    "{who} did not take the new instance within {} ms, busy with a batch or still filling its state; \
                     `mode: restart` does not wait for it",
                    self.policy.deadline_ms
                ))
            }
            Phase::Prepared { .. } if self.deadline_ms() <= now_ms => {
                let after = self.policy.deadline_ms;
                self.withdraw(format!("no checkpoint could be begun within {after} ms; see the job's checkpoints"))
            }
            Phase::Switching { waiting, .. } if !waiting.is_empty() && self.deadline_ms() <= now_ms => {
                let who = in_words(waiting);
                self.withdraw(format!(
                    "the barrier that switches did not come through {who} within {} ms; `mode: restart` does not wait for \
                     it",
                    self.policy.deadline_ms
                ))
            }
            Phase::Probation { since_ms } | Phase::Held { since_ms } => {
                if let Some(cause) = self.policy.bounds.broken_by(conduct) {
                    return self.withdraw(cause);
                }
                if !self.share.is_whole() {
                    return Vec::new();
                }
                let elapsed_ms = now_ms.saturating_sub(*since_ms);
                let longest_ms = self.policy.probation_ms.saturating_mul(LONGEST_PROBATION);
                let is_long_enough = elapsed_ms >= self.policy.probation_ms && events >= self.policy.probation_events;
                match is_long_enough || elapsed_ms >= longest_ms {
                    true if self.rewinds() => self.name(),
                    true => self.let_go(),
                    false => Vec::new(),
                }
            }
            Phase::Preparing { .. }
            | Phase::Prepared { .. }
            | Phase::Switching { .. }
            | Phase::Naming { .. }
            | Phase::Undoing { .. }
            | Phase::Returning { .. }
            | Phase::Done
            | Phase::Undone { .. } => Vec::new(),
        }
    }
}

/// `subtask 0`, or `subtasks 0, 3`.
fn in_words(subtasks: &BTreeSet<SubtaskIndex>) -> String {
    let numbers: Vec<String> = subtasks.iter().map(ToString::to_string).collect();
    format!("subtask{} {}", if numbers.len() == 1 { "" } else { "s" }, numbers.join(", "))
}

#[cfg(test)]
mod tests;
