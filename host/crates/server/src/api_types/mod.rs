//! What goes over the wire. Not the domain's own types: those may change, these are promises to clients.
//!
//! Clients read the same types back. Times are RFC 3339 texts in UTC; lists stand in objects, so that something may join
//! them later. Descriptors, plans, documents and reports are JSON as the host has them.

mod problem;
mod payload;
mod modules;
mod checkpoints;
mod savepoints;
mod jobs;
mod dead_letters;
mod crashes;
mod operations;
mod audit;
mod swaps;
mod rescale;
mod state;
mod shadows;
mod canaries;
mod bodies;

pub use audit::{AuditList, AuditOutcomeView, AuditView};
pub(crate) use bodies::{ModuleForm, RawBytes};
pub use canaries::{CanaryRequest, CanaryView, ServedView, WidenRequest};
pub use checkpoints::{
    CheckpointList, CheckpointView, KeptView, NewestCheckpoint, RestartRequest, RestartView, SpreadView, StoringView,
    SubtaskCheckpointView,
};
pub use crashes::{CrashList, CrashView, CrashedCall};
pub use dead_letters::{DeadLetterList, DeadLetterView, ReplayRequest};
pub use jobs::{DryRun, JobDetails, JobList, JobSummary, LogLine, LogList, OperatorView, SubmittedJob};
pub use modules::{ForgottenModule, ModuleList, ModuleView, PushAnswer, PushOutcome};
pub use operations::{OperationList, OperationView};
pub use payload::{Payload, TapView};
pub use problem::{DocumentProblem, Problem};
pub use rescale::RescaleRequest;
pub use savepoints::{
    DiffSample, OperatorDiffView, SavedNode, SavedState, SavepointDiff, SavepointList, SavepointRequest,
    SavepointSummary, SavepointView, StateDiffView, StopRequest,
};
pub use shadows::{PromoteRequest, ShadowEventView, ShadowFailureView, ShadowRequest, ShadowSampleView, ShadowView};
pub use state::{
    EditRequest, KeyEntryView, KeyStateView, StateCountView, StateEntryView, StateList, StatePageView, StateView,
    StoredView,
};
pub use swaps::{ProbationRequest, SwapModeName, SwapRequest, WayBackName};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How many events were taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// Events.
    pub accepted: usize,
}

/// Whether the host lives, or is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// `ok`.
    pub status: String,
    /// The host's version.
    pub version: String,
}

/// Milliseconds since the epoch as RFC 3339.
fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| time.to_string())
}

/// A domain value as JSON.
fn json<T: Serialize>(value: &T) -> serde_json::Value {
    serde_json::to_value(value).expect("derived, with text keys")
}
