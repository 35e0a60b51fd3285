//! Canaries on the wire.

use gristmill_runtime::{CanaryReport, Served};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::swaps::ProbationRequest;

/// What is to serve some keys of an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CanaryRequest {
    /// `name@version` or hash of an uploaded module.
    pub module: String,
    /// How many of a hundred key groups it serves at first, rounded up.
    #[schema(minimum = 1, maximum = 99)]
    pub share: u32,
    /// Its parameters; left out, they are those of the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<serde_json::Value>,
    /// It serves in all subtasks after this, such as `30s`, or in none. Default: 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// Its bounds hold for as long as the canary lasts. Time and events are those of the probation when it has taken over.
    #[serde(default)]
    pub probation: ProbationRequest,
    /// A swap that is not over makes room: one on probation is done, any other is taken back, as another canary is.
    #[serde(default)]
    pub supersede: bool,
}

/// How much a canary is to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WidenRequest {
    /// How many of a hundred key groups, more than so far. With 100 its module takes over.
    #[schema(minimum = 1, maximum = 100)]
    pub share: u32,
}

/// What a canary came to so far: all subtasks together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CanaryView {
    /// Of which operator.
    pub operator: String,
    /// Hash of the module that serves the rest.
    pub primary: String,
    /// Hash of the module that serves the share.
    pub canary: String,
    /// `canary` while both serve; else the step that is taken, as in the operation of a swap; `done` or `undone` in the end.
    pub stage: String,
    /// Why it was withdrawn.
    pub cause: Option<String>,
    /// How many of a hundred key groups it serves, or served last.
    pub share: u32,
    /// So many key groups these are.
    pub key_groups: u32,
    /// Of so many.
    pub max_parallelism: u32,
    /// What the primary did since the canary began, or since the host was started.
    pub primary_served: ServedView,
    /// What the canary did.
    pub canary_served: ServedView,
}

/// What one of two modules did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServedView {
    /// Events that it dealt with.
    pub events: u64,
    /// Those of them that it rejected, or that were given up.
    pub failed: u64,
    /// Calls, those that failed included.
    pub calls: u64,
    /// Calls that failed.
    pub failed_calls: u64,
    /// Half of the calls ended within so many microseconds.
    pub call_p50_us: u64,
    /// And 99 of 100 within so many.
    pub call_p99_us: u64,
}

impl From<CanaryReport> for CanaryView {
    fn from(CanaryReport { swap, share, key_groups, max_parallelism, old, new }: CanaryReport) -> Self {
        Self {
            operator: swap.operator.to_string(),
            primary: swap.old.to_string(),
            canary: swap.new.to_string(),
            stage: swap.stage.as_str().to_owned(),
            cause: swap.cause,
            share: share.percent(),
            key_groups,
            max_parallelism,
            primary_served: old.into(),
            canary_served: new.into(),
        }
    }
}

impl From<Served> for ServedView {
    fn from(Served { events, failed, calls, failed_calls, call_p50_us, call_p99_us }: Served) -> Self {
        Self { events, failed, calls, failed_calls, call_p50_us, call_p99_us }
    }
}
