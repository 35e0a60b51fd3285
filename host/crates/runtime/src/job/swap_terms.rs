//! How a swap is to be made, and why it is not.

use std::collections::BTreeSet;

use gristmill_checkpoint::swap::{SwapPolicy, SwapStage};
use gristmill_types::{ModuleHash, NodeId, SubtaskIndex, SwapId};

use crate::job::handle::NotRunning;
use crate::swap::SwapReport;

/// Why a swap is not made. Nothing was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwapRefused {
    /// Nothing of the job runs right now.
    #[error(transparent)]
    NotRunning(#[from] NotRunning),
    /// There is no such operator.
    #[error("job `{job}` has no operator `{operator}`")]
    NoSuchOperator {
        /// The job.
        job: gristmill_types::JobId,
        /// What was named.
        operator: NodeId,
    },
    /// Another one is under way.
    #[error(
        "swap {swap} of operator `{operator}` is under way: wait until it is done, roll it back, or say `supersede`"
    )]
    Busy {
        /// Which.
        swap: SwapId,
        /// Of which operator.
        operator: NodeId,
    },
    /// A canary serves some of an operator's keys, or is about to take a step.
    #[error("a canary with module {module} serves operator `{operator}` (stage {}): promote or withdraw it first", stage.as_str())]
    Canary {
        /// Which module.
        module: ModuleHash,
        /// Which operator.
        operator: NodeId,
        /// How far it is.
        stage: SwapStage,
    },
    /// A shadow runs beside an operator of the job.
    #[error("a shadow with module {module} runs beside operator `{operator}`: promote or discard it first")]
    Shadowed {
        /// Which module.
        module: ModuleHash,
        /// Beside which operator.
        operator: NodeId,
    },
    /// It does not fit into the place of the old one while events flow.
    #[error("{0}")]
    Misfit(String),
    /// An instance cannot be opened.
    #[error("module {module} cannot be opened in subtask {subtask}: {why}")]
    CannotOpen {
        /// The new module.
        module: ModuleHash,
        /// Where.
        subtask: SubtaskIndex,
        /// What it said.
        why: String,
    },
}

/// How a swap is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SwapTerms {
    /// How long it may take, and how long it may be taken back.
    pub policy: SwapPolicy,
    /// States that the new module does not declare and that may go, as `operator.state`.
    pub dropped: BTreeSet<String>,
    /// How it is taken back.
    pub way_back: WayBack,
}

/// How a swap is taken back once the new module has been called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WayBack {
    /// The old module takes its seat again, and what was rewritten is rewritten back. Refused if the new module cannot.
    #[default]
    Migrate,
    /// The job goes on from before the switch. Nothing is committed during the probation.
    Rewind,
    /// Not at all if what the new module rewrites cannot be rewritten back: then there is no probation.
    None,
}

impl SwapRefused {
    /// Something that is under way is in the way.
    pub(in crate::job) fn busy_with(report: &SwapReport) -> Self {
        let SwapReport { swap, operator, new, stage, share, .. } = report.clone();
        match share {
            None => Self::Busy { swap, operator },
            Some(_) => Self::Canary { module: new, operator, stage },
        }
    }
}

impl From<SwapPolicy> for SwapTerms {
    fn from(policy: SwapPolicy) -> Self {
        Self { policy, ..Self::default() }
    }
}
