//! Swaps on the wire.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is to run in an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SwapRequest {
    /// `name@version` or hash of an uploaded module.
    pub module: String,
    /// Its parameters; left out, they stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<serde_json::Value>,
    /// The operator's subtasks; left out, they stay as they are. Another number takes the mode `restart`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1)]
    pub parallelism: Option<NonZeroU32>,
    /// How.
    #[serde(default)]
    pub mode: SwapModeName,
    /// All subtasks have switched after this, such as `30s`, or none does. Default: 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// How long the way back stays open.
    #[serde(default)]
    pub probation: ProbationRequest,
    /// A swap that is not over makes room: one on probation is done, any other is taken back.
    #[serde(default)]
    pub supersede: bool,
    /// States that the module does not declare any more and whose entries may go, as `operator.state`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub drop: BTreeSet<String>,
    /// How it is taken back.
    #[serde(default)]
    pub way_back: WayBackName,
}

/// How a swap is taken back once the module has been called.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WayBackName {
    /// The old module takes over again, and what was rewritten is rewritten back; refused if the module cannot do that.
    #[default]
    Migrate,
    /// The job goes on from before the switch. Until the probation is over no checkpoint is taken and no output is committed.
    Rewind,
    /// If the module cannot rewrite back what it rewrites, there is no probation.
    None,
}

/// How a swap is made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SwapModeName {
    /// At the barrier of a checkpoint, while events flow.
    #[default]
    Barrier,
    /// The job starts again from its newest decided checkpoint; for one whose operator is stuck. Takes the place of a swap that
    /// is being taken back. No old instance stays, so `deadline`, `probation` and `way_back` mean nothing here.
    Restart,
    /// Not at all: it is only said whether it could be.
    DryRun,
}

/// A probation ends when its time has passed and its events have come, and after ten times its time in any case.
///
/// A bound that is broken ends it at once, and the old module runs again. Bounds are off unless given. Before a hundred events
/// have come, or a hundred calls, they judge nothing; as few as there are at the end are judged then.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbationRequest {
    /// Such as `60s`, the default; `0s` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Default: 10 000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// The share of events that may fail, from 0 to 1: those that the module rejects, and those that are given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_failure_rate: Option<f64>,
    /// The time within which 99 of 100 calls must end, such as `20ms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_call_p99: Option<String>,
    /// How many times as long as with the old module 99 of 100 calls may take, such as `2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_slowdown: Option<f64>,
}
