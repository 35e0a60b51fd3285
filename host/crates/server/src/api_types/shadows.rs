//! Shadows on the wire.

use gristmill_runtime::{ShadowEvent, ShadowFailure, ShadowReport, ShadowSample};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payload::Payload;
use super::swaps::ProbationRequest;

/// What is to run beside an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShadowRequest {
    /// `name@version` or hash of an uploaded module.
    pub module: String,
    /// Its parameters; left out, they are those of the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub parameters: Option<serde_json::Value>,
    /// How much may wait for it, such as `256MiB`, the default. One that falls further behind is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// Differences that are shown. Default: 20.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<usize>,
}

/// How the module of a shadow is to take the operator over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteRequest {
    /// All subtasks have switched after this, such as `30s`, or none does. Default: 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<String>,
    /// How long the way back stays open.
    #[serde(default)]
    pub probation: ProbationRequest,
}

/// What a shadow has found so far: all subtasks together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ShadowView {
    /// Beside which operator it runs.
    pub operator: String,
    /// Hash of the module that runs in the operator.
    pub primary: String,
    /// Hash of the module that runs in the shadow.
    pub shadow: String,
    /// `waiting` for a checkpoint, `following`, or `over`.
    pub stage: String,
    /// Why it is over.
    pub cause: Option<String>,
    /// The checkpoint that its state began with.
    pub from: Option<u64>,
    /// Calls that took effect in both.
    pub calls: u64,
    /// Events that these calls got.
    pub events: u64,
    /// Events that left the operator by these calls.
    pub compared: u64,
    /// Those of them that left the shadow with another value, key or time.
    pub differing: u64,
    /// Those that did not leave the shadow.
    pub missing: u64,
    /// Events that left the shadow only.
    pub extra: u64,
    /// Events that only one of both refused.
    pub rejections_differing: u64,
    /// Calls that took effect in the operator and failed in the shadow.
    pub failed_calls: u64,
    /// Events that these calls got.
    pub failed_events: u64,
    /// How they failed, by kind.
    pub failures: Vec<ShadowFailureView>,
    /// Nanoseconds that the operator's calls took for each event, by the clock on the wall.
    pub primary_ns_per_event: Option<f64>,
    /// The same of the shadow's, as its thread has worked: it stands back behind all others.
    pub shadow_ns_per_event: Option<f64>,
    /// Memory of the shadow's guests, at its highest.
    pub memory_bytes: u64,
    /// Bytes of the shadow's state.
    pub state_bytes: u64,
    /// Calls of the operator that wait for it.
    pub waiting_calls: u64,
    /// Bytes of their events.
    pub waiting_bytes: u64,
    /// The first differences.
    pub samples: Vec<ShadowSampleView>,
}

/// One kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowFailureView {
    /// `bad-record`, `transient`, `fatal`, `trap`, `deadline`, `memory limit`, `invalid result` or `output limit`.
    pub kind: String,
    /// So many calls failed so.
    pub calls: u64,
    /// How the first of them failed.
    pub message: String,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowSampleView {
    /// In which subtask.
    pub subtask: u32,
    /// Through which output port, counted from zero.
    pub port: u32,
    /// The event that led to it, if that is known.
    pub input: Option<ShadowEventView>,
    /// What left the operator.
    pub primary: Option<ShadowEventView>,
    /// What left the shadow.
    pub shadow: Option<ShadowEventView>,
}

/// An event of a sample.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShadowEventView {
    /// Event time, milliseconds since the epoch.
    pub timestamp: i64,
    /// Its key, if any.
    pub key: Option<Payload>,
    /// Its value, if any; only the beginning of a long one.
    pub value: Option<Payload>,
}

impl From<ShadowReport> for ShadowView {
    fn from(report: ShadowReport) -> Self {
        let counts = report.counts;
        let each = |ns: u64, events: u64| (events > 0).then(|| ns as f64 / events as f64);
        Self {
            operator: report.operator.to_string(),
            primary: report.primary.to_string(),
            shadow: report.shadow.to_string(),
            stage: report.stage.as_str().to_owned(),
            cause: report.cause,
            from: report.from.map(|checkpoint| checkpoint.0),
            calls: counts.calls,
            events: counts.events,
            compared: counts.compared,
            differing: counts.differing,
            missing: counts.missing,
            extra: counts.extra,
            rejections_differing: counts.rejections_differing,
            failed_calls: counts.failed_calls,
            failed_events: counts.failed_events,
            failures: report.failures.into_iter().map(ShadowFailureView::from).collect(),
            primary_ns_per_event: each(counts.primary_ns, counts.events),
            shadow_ns_per_event: each(counts.shadow_ns, counts.events),
            memory_bytes: counts.memory_bytes,
            state_bytes: counts.state_bytes,
            waiting_calls: report.waiting_calls as u64,
            waiting_bytes: report.waiting_bytes as u64,
            samples: report.samples.into_iter().map(ShadowSampleView::from).collect(),
        }
    }
}

impl From<ShadowFailure> for ShadowFailureView {
    fn from(ShadowFailure { kind, calls, message }: ShadowFailure) -> Self {
        Self { kind, calls, message }
    }
}

impl From<ShadowSample> for ShadowSampleView {
    fn from(ShadowSample { subtask, port, input, primary, shadow }: ShadowSample) -> Self {
        let [input, primary, shadow] = [input, primary, shadow].map(|event| event.map(ShadowEventView::from));
        Self { subtask: subtask.0, port: port.0, input, primary, shadow }
    }
}

impl From<ShadowEvent> for ShadowEventView {
    fn from(ShadowEvent { timestamp, key, value }: ShadowEvent) -> Self {
        Self { timestamp, key: key.map(Payload::from), value: value.map(Payload::from) }
    }
}
