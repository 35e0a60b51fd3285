//! What a swap is told, and what it says.

use gristmill_types::{CheckpointId, SubtaskIndex};
use serde::{Deserialize, Serialize};

use super::bounds::{Conduct, ProbationBounds};
use crate::share::Share;

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
    /// It is taken back; a manifest that says so is awaited, without what it had rewritten.
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
