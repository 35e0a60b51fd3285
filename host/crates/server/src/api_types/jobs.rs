//! Jobs on the wire.

use std::collections::BTreeMap;

use gristmill_dataflow::JobPlan;
use gristmill_runtime::{JobEvent, JobEventKind, JobReport, JobStatus};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{DocumentProblem, NewestCheckpoint, RestartView, StoringView, json, time};
use crate::control::{Assessment, JobView, OperatorAssessment, Submitted};

/// A job in short.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobSummary {
    /// Its id.
    pub job: String,
    /// `STARTING`, `RUNNING`, `RESTARTING`, `PAUSED`, `STOPPING`, `FINISHED`, `STOPPED`, `CANCELLED` or `FAILED`.
    pub state: String,
    /// Why it failed, or starts again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The hash of the module of each operator.
    pub modules: BTreeMap<String, String>,
    /// Events that entered through sources.
    pub events_read: u64,
    /// Events that reached sinks.
    pub events_written: u64,
    /// Events set aside in this run.
    pub dead_letters: u64,
    /// Milliseconds from its start until now, or until its end.
    pub elapsed_ms: u64,
    /// How often it has started again on this host.
    #[serde(default)]
    pub restarts: u64,
    /// When and why it last did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restart: Option<RestartView>,
    /// When it was submitted.
    pub created_at: String,
    /// When its state last changed.
    pub changed_at: String,
}

impl From<&JobView> for JobSummary {
    fn from(job: &JobView) -> Self {
        let status = job.status();
        let report = job.report();
        let checkpoints = job.checkpoints();
        let count = |of: fn(&JobReport) -> u64| report.as_ref().map_or(0, of);
        Self {
            job: job.record.id.to_string(),
            state: status.state.to_string(),
            cause: status.cause,
            modules: job.record.modules.iter().map(|(operator, hash)| (operator.clone(), hash.to_string())).collect(),
            events_read: count(|report| report.events_read()),
            events_written: count(|report| report.events_written()),
            dead_letters: count(|report| report.dead_letters()),
            elapsed_ms: count(|report| report.elapsed_ms),
            restarts: checkpoints.restarts,
            last_restart: checkpoints.last_restart.map(RestartView::from),
            created_at: time(job.record.created_ms),
            changed_at: time(job.record.changed_ms),
        }
    }
}

/// All jobs, by id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobList {
    /// The jobs.
    pub jobs: Vec<JobSummary>,
}

/// All about a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobDetails {
    /// The job in short.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// The document, defaults written out, placeholders left in place.
    #[schema(value_type = Object)]
    pub document: Value,
    /// Tasks and exchanges; null once the job is over and its modules are gone.
    #[schema(value_type = Option<Object>)]
    pub plan: Option<Value>,
    /// The plan in lines of text.
    pub rendering: Option<String>,
    /// Its newest checkpoint that this host knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest_checkpoint: Option<NewestCheckpoint>,
    /// What storing the next one suffers from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storing: Option<StoringView>,
    /// Counters of each source, operator and sink; null if the job never came to run.
    #[schema(value_type = Option<Object>)]
    pub report: Option<Value>,
}

impl JobDetails {
    pub(crate) fn new(job: &JobView, plan: Option<&JobPlan>) -> Self {
        let checkpoints = job.checkpoints();
        Self {
            summary: JobSummary::from(job),
            document: job.record.document.clone(),
            plan: plan.map(json),
            rendering: plan.map(gristmill_dataflow::describe),
            newest_checkpoint: NewestCheckpoint::of(&checkpoints),
            storing: checkpoints.storing.map(StoringView::from),
            report: job.report().map(|report| {
                let JobStatus { state, cause } = job.status();
                json(&JobReport { state, cause, ..report })
            }),
        }
    }
}

/// One operator of a submitted document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct OperatorView {
    /// The operator.
    pub operator: String,
    /// Its module as the document names it.
    pub module: String,
    /// The module's hash; a name pushed anew does not change a job.
    pub hash: String,
    /// Parameters with defaults filled in and placeholders left in place.
    #[schema(value_type = Object)]
    pub parameters: Value,
}

impl From<OperatorAssessment> for OperatorView {
    fn from(operator: OperatorAssessment) -> Self {
        Self {
            operator: operator.operator.to_string(),
            module: operator.module,
            hash: operator.hash.to_string(),
            parameters: operator.parameters,
        }
    }
}

/// What would become of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DryRun {
    /// Whether it would be started.
    pub ok: bool,
    /// The job's name, if the text is a document at all.
    pub job: Option<String>,
    /// Errors and warnings, in the order of the text.
    pub problems: Vec<DocumentProblem>,
    /// Its operators; empty if there are errors.
    pub operators: Vec<OperatorView>,
    /// Tasks and exchanges; null if there are errors.
    #[schema(value_type = Option<Object>)]
    pub plan: Option<Value>,
    /// The plan in lines of text.
    pub rendering: Option<String>,
    /// What becomes of each node and state of the savepoint that it would begin from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub savepoint: Option<Value>,
    /// Of each operator whose module would rewrite state of the savepoint: which states, and how many keys and entries it has
    /// rewritten in a try.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub migration: Option<Value>,
}

impl From<Assessment> for DryRun {
    fn from(assessment: Assessment) -> Self {
        Self {
            ok: assessment.can_run(),
            job: assessment.job.map(String::from),
            problems: assessment.problems.into_iter().map(DocumentProblem::from).collect(),
            operators: assessment.operators.into_iter().map(OperatorView::from).collect(),
            plan: assessment.plan.as_ref().map(json),
            rendering: assessment.plan.as_ref().map(gristmill_dataflow::describe),
            savepoint: assessment.savepoint.as_ref().map(json),
            migration: (!assessment.migration.is_empty()).then(|| json(&assessment.migration)),
        }
    }
}

/// A job that has been started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SubmittedJob {
    /// The job.
    #[serde(flatten)]
    pub summary: JobSummary,
    /// What its author may want to look at; the job runs in spite of it.
    pub warnings: Vec<DocumentProblem>,
    /// Its operators.
    pub operators: Vec<OperatorView>,
    /// The plan in lines of text.
    pub rendering: Option<String>,
}

impl From<Submitted> for SubmittedJob {
    fn from(submitted: Submitted) -> Self {
        let thought = DryRun::from(submitted.assessment);
        Self {
            summary: JobSummary::from(&submitted.job),
            warnings: thought.problems,
            operators: thought.operators,
            rendering: thought.rendering,
        }
    }
}

/// A line that a guest logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Counts the job's events; log lines are some of them.
    pub number: u64,
    /// When.
    pub at: String,
    /// Who.
    pub operator: Option<String>,
    /// Which of its subtasks.
    pub subtask: Option<u32>,
    /// `trace`, `debug`, `info`, `warn` or `error`; `dropped` for a note that lines were dropped over the limit.
    pub level: String,
    /// The line.
    pub message: String,
}

impl LogLine {
    /// The line in an event, if it is one.
    pub(crate) fn of(event: &JobEvent) -> Option<Self> {
        let (level, message) = match &event.kind {
            JobEventKind::Log { level, message, .. } => (level.as_str().to_owned(), message.clone()),
            JobEventKind::LogDropped { lines } => {
                ("dropped".to_owned(), format!("{lines} lines were dropped, over the operator's log limit"))
            }
            JobEventKind::State { .. }
            | JobEventKind::CallFailed { .. }
            | JobEventKind::Crash { .. }
            | JobEventKind::DeadLetters { .. }
            | JobEventKind::Retrying { .. }
            | JobEventKind::Swap { .. }
            | JobEventKind::StateRewritten { .. }
            | JobEventKind::Shadow { .. }
            | JobEventKind::Checkpoint { .. }
            | JobEventKind::CheckpointFailed { .. } => return None,
        };
        Some(Self {
            number: event.number,
            at: time(event.at_ms),
            operator: event.operator.as_ref().map(ToString::to_string),
            subtask: event.subtask.map(|subtask| subtask.0),
            level,
            message,
        })
    }
}

/// The most recent log lines of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogList {
    /// Oldest first.
    pub lines: Vec<LogLine>,
}
