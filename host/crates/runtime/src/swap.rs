//! The words of a swap: what subtasks are told and tell, and what is told of it outside.

use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Instant;

use gristmill_checkpoint::Share;
use gristmill_checkpoint::seating::Move;
use gristmill_checkpoint::swap::{Retreat, SwapPolicy, SwapStage};
use gristmill_ports::Operator;
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{EventBatch, ModuleHash, NodeId, SubtaskIndex, SwapId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::canary::CanaryTerms;
use crate::right_of_return::RightOfReturn;
use crate::states::NextStates;

/// What became of a swap so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SwapReport {
    /// Counts the swaps of the job in this process.
    pub swap: SwapId,
    /// Whose module is swapped.
    pub operator: NodeId,
    /// The module that ran before.
    pub old: ModuleHash,
    /// The module that is to run.
    pub new: ModuleHash,
    /// How far it is.
    pub stage: SwapStage,
    /// How much of the operator the new module serves, if it is a canary.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Why it is taken back, or was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Events that failed since all subtasks had switched: rejected by the new module, or given up. Told once the swap is done
    /// or is taken back.
    #[serde(default)]
    pub failed: u64,
    /// Of each subtask that has switched.
    pub pauses: Vec<SubtaskPause>,
    /// Microseconds of wall clock from the last event through the old module, of the subtask that stopped first, to the
    /// first one through the new module, of the subtask that began last. Not before all have begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_us: Option<u64>,
    /// How far the state is rewritten, if the new module has it in another schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewriting: Option<Rewritten>,
    /// Nothing of the job runs any more in this process. The manifest that it goes on from says which module it has.
    pub left_open: bool,
}

/// How far state is rewritten from one schema into another.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rewritten {
    /// Keys that were looked through in the background.
    pub keys: u64,
    /// Keys whose entries could not be rewritten. They stay in the old schema, and events with these keys fail.
    pub failed: u64,
    /// How the first of them failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_failure: Option<String>,
    /// All keys were looked through.
    pub is_over: bool,
}

/// How a subtask switched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubtaskPause {
    /// Which.
    pub subtask: SubtaskIndex,
    /// Microseconds from the end of the last call of the old module to the end of the first of the new one; nothing before
    /// that, or if the old one was never called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_us: Option<u64>,
    /// Microseconds of work at the barrier, the cut of the checkpoint included.
    pub inline_us: u64,
}

impl SwapReport {
    /// Whether nothing follows in this process.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left_open || matches!(self.stage, SwapStage::Done | SwapStage::Undone)
    }
}

/// The new instance of one subtask.
pub(crate) struct Instance {
    pub(crate) swap: SwapId,
    pub(crate) module: ModuleHash,
    pub(crate) operator: Box<dyn Operator>,
    /// How its states stand among those of the subtask.
    pub(crate) states: NextStates,
    /// Of the instance before it.
    pub(crate) right: Arc<RightOfReturn>,
    /// It serves a share at first.
    pub(crate) canary: Option<CanaryTerms>,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an instance of {} for swap {}", self.module, self.swap)
    }
}

/// What a subtask is told, of a node of its chain.
#[derive(Debug)]
pub(crate) enum SwapControl {
    /// Keep this beside the old instance until the barrier comes.
    Take { node: usize, instance: Box<Instance> },
    /// The canary serves so much from the next barrier of its swap on.
    Widen { node: usize, swap: SwapId, share: Share },
    /// Go back to the old instance, if it has switched; forget the new one in any case.
    Recall { node: usize, swap: SwapId },
    /// The old instance is of no use any more.
    LetGo { node: usize, swap: SwapId },
    /// Move what these keys have in the schema of another version.
    Rewrite { node: usize, keys: EventBatch, done: mpsc::Sender<PageRewritten> },
    /// All of that was moved.
    Rewritten { node: usize },
}

/// What became of a page of keys.
#[derive(Debug, Clone, Default)]
pub(crate) struct PageRewritten {
    /// Keys that have nothing in the other schema any more.
    pub(crate) keys: u64,
    /// Keys whose entries could not be rewritten, and stay where they are.
    pub(crate) failed: u64,
    /// How the first of them failed.
    pub(crate) first_failure: Option<String>,
}

impl SwapControl {
    /// The place of the node in its chain.
    pub(crate) fn node(&self) -> usize {
        match self {
            Self::Take { node, .. }
            | Self::Widen { node, .. }
            | Self::Recall { node, .. }
            | Self::LetGo { node, .. }
            | Self::Rewrite { node, .. }
            | Self::Rewritten { node } => *node,
        }
    }
}

/// What the driver of an attempt is told.
pub(crate) enum SwapTold {
    /// Somebody wants one, and all instances are open.
    Wanted(Box<SwapWanted>),
    /// Somebody wants it to end in this way.
    Ended(SwapWish),
    /// By a subtask.
    By { swap: SwapId, subtask: SubtaskIndex, step: SubtaskStep },
    /// Instances that are not needed any more are dropped where no event waits for that.
    Given(Box<dyn Operator>),
}

/// How somebody wants a swap to end, or to go on.
pub(crate) enum SwapWish {
    /// The old module is to run again.
    Withdraw { cause: String },
    /// The probation is long enough.
    Promote,
    /// The canary is to serve so much.
    Widen(Share),
}

/// How far a subtask is.
pub(crate) enum SubtaskStep {
    /// It has its instance.
    Took,
    /// The barrier has passed.
    Switched { last: Option<Instant>, inline_us: u64 },
    /// A call of the new instance took effect.
    Flows(Instant),
    /// A call of the new instance failed; the old one has the events now.
    Faulted(String),
}

/// A swap whose instances are open.
pub(crate) struct SwapWanted {
    pub(crate) swap: SwapId,
    pub(crate) node: NodeId,
    pub(crate) module: ModuleHash,
    pub(crate) old: ModuleHash,
    pub(crate) policy: SwapPolicy,
    pub(crate) retreat: Retreat,
    /// One for each subtask.
    pub(crate) instances: Vec<(Box<dyn Operator>, NextStates)>,
    /// All states of the operator once it has switched, and what is to be moved among them.
    pub(crate) states: Vec<StateSpec>,
    pub(crate) moves: Vec<Move>,
    /// It begins as a canary.
    pub(crate) canary: Option<CanaryTerms>,
    pub(crate) report: Arc<watch::Sender<SwapReport>>,
}
