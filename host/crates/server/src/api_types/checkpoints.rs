//! Checkpoints and restarts on the wire.

use gristmill_checkpoint::Slot;
use gristmill_checkpoint::recovery::Fact;
use gristmill_runtime::{
    CheckpointOutcome, CheckpointReport, CheckpointsReport, RestartReport, Spread, StoringTrouble, SubtaskCheckpoint,
};
use gristmill_types::CheckpointId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time;

/// What became of a job's checkpoints on this host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointList {
    /// The job.
    pub job: String,
    /// So many were decided.
    pub completed: u64,
    /// So many failed.
    pub failed: u64,
    /// The one that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<u64>,
    /// What storing it suffers from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storing: Option<StoringView>,
    /// The one that the job went on from when it last started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<u64>,
    /// Milliseconds from the barrier to the decision, of the recent ones.
    pub duration_ms: SpreadView,
    /// Microseconds of work done inline at the barrier, of all subtasks of the recent ones.
    pub inline_us: SpreadView,
    /// Bytes that were written, of the recent ones.
    pub uploaded_bytes: SpreadView,
    /// The last hundred, newest first.
    pub recent: Vec<CheckpointView>,
    /// What is in checkpoint storage, newest first. A job that does not run can go on from any of these; of one that runs
    /// they come and go.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptView>,
    /// Why it cannot be told what is in storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_unknown: Option<String>,
    /// How often the job has started again.
    pub restarts: u64,
    /// When and why it last did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_restart: Option<RestartView>,
}

impl CheckpointList {
    pub(crate) fn new(
        job: &str,
        report: CheckpointsReport,
        kept: Result<Vec<(Slot, Fact)>, impl std::fmt::Display>,
    ) -> Self {
        let (kept, kept_unknown) = match kept {
            Ok(kept) => (kept, None),
            Err(why) => (Vec::new(), Some(why.to_string())),
        };
        Self {
            kept_unknown,
            job: job.to_owned(),
            completed: report.completed,
            failed: report.failed,
            under_way: report.under_way.map(|one| one.0),
            storing: report.storing.map(StoringView::from),
            restored: report.restored.map(|one| one.0),
            duration_ms: report.duration_ms.into(),
            inline_us: report.inline_us.into(),
            uploaded_bytes: report.uploaded_bytes.into(),
            recent: report.recent.into_iter().map(CheckpointView::from).collect(),
            kept: kept.into_iter().filter_map(|(slot, fact)| KeptView::of(slot, fact)).collect(),
            restarts: report.restarts,
            last_restart: report.last_restart.map(RestartView::from),
        }
    }
}

/// Storing a checkpoint does not succeed, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoringView {
    /// Since when.
    pub since: String,
    /// Why it last did not.
    pub reason: String,
}

impl From<StoringTrouble> for StoringView {
    fn from(StoringTrouble { since_ms, reason }: StoringTrouble) -> Self {
        Self { since: time(since_ms), reason }
    }
}

/// The middle and the tail of some numbers, by nearest rank; zeros if there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpreadView {
    /// Half of them are at most this.
    pub p50: u64,
    /// Of a hundred, ninety-nine are at most this.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl From<Spread> for SpreadView {
    fn from(Spread { p50, p99, max }: Spread) -> Self {
        Self { p50, p99, max }
    }
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CheckpointView {
    /// Its number. One that was not stored in time has failed, and may be decided later: then it stands here twice.
    /// Numbers ascend; those of checkpoints that failed may be used again when the job has restarted.
    pub checkpoint: u64,
    /// `under-way`, `completed`, `failed`, or `kept`: it is in storage, and was made before this host can remember.
    pub status: String,
    /// When it was decided or failed; null while it is under way.
    pub at: Option<String>,
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Milliseconds from the barrier to the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Bytes of everything that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<u64>,
    /// Bytes that were written for it, its own record among them; the rest was there from earlier ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded_bytes: Option<u64>,
    /// Each subtask's part.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subtasks: Vec<SubtaskCheckpointView>,
}

impl CheckpointView {
    fn bare(checkpoint: CheckpointId, status: &str, at_ms: Option<i64>) -> Self {
        Self {
            checkpoint: checkpoint.0,
            status: status.to_owned(),
            at: at_ms.map(time),
            cause: None,
            duration_ms: None,
            state_bytes: None,
            uploaded_bytes: None,
            subtasks: Vec::new(),
        }
    }

    /// One that is not over.
    pub(crate) fn under_way(checkpoint: CheckpointId) -> Self {
        Self::bare(checkpoint, "under-way", None)
    }

    /// One that only storage knows of.
    pub(crate) fn kept(fact: &Fact) -> Option<Self> {
        match fact {
            Fact::Checkpoint(manifest) | Fact::Incomplete(manifest, _) => {
                let duration_ms = manifest.completed_ms.saturating_sub(manifest.started_ms);
                let bare = Self::bare(manifest.checkpoint, "kept", Some(manifest.completed_ms));
                Some(Self { duration_ms: u64::try_from(duration_ms).ok(), ..bare })
            }
            Fact::Claim(_) | Fact::Damaged(_) => None,
        }
    }
}

impl From<CheckpointReport> for CheckpointView {
    fn from(CheckpointReport { checkpoint, at_ms, outcome }: CheckpointReport) -> Self {
        match outcome {
            CheckpointOutcome::Completed { duration_ms, state_bytes, uploaded_bytes, subtasks } => Self {
                duration_ms: Some(duration_ms),
                state_bytes: Some(state_bytes),
                uploaded_bytes: Some(uploaded_bytes),
                subtasks: subtasks.into_iter().map(SubtaskCheckpointView::from).collect(),
                ..Self::bare(checkpoint, "completed", Some(at_ms))
            },
            CheckpointOutcome::Failed { cause } => {
                Self { cause: Some(cause), ..Self::bare(checkpoint, "failed", Some(at_ms)) }
            }
        }
    }
}

/// One subtask's part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SubtaskCheckpointView {
    /// The first node of its task.
    pub task: String,
    /// Which of the task's subtasks.
    pub subtask: u32,
    /// Microseconds from the first barrier of its channels to the last.
    pub aligned_us: u64,
    /// Microseconds of work done inline at the barrier.
    pub inline_us: u64,
    /// Milliseconds from the barrier until all was durable.
    pub durable_ms: u64,
    /// Entries of state that were written.
    pub entries: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

impl From<SubtaskCheckpoint> for SubtaskCheckpointView {
    fn from(part: SubtaskCheckpoint) -> Self {
        let SubtaskCheckpoint { task, subtask, aligned_us, inline_us, durable_ms, entries, bytes } = part;
        Self { task, subtask: subtask.0, aligned_us, inline_us, durable_ms, entries, bytes }
    }
}

/// A checkpoint in storage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeptView {
    /// Its place in the chain.
    pub slot: u64,
    /// Its number; null if its record cannot be read.
    pub checkpoint: Option<u64>,
    /// When it was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// What is wrong with its record. Files that it names are not looked at here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub damaged: Option<String>,
}

impl KeptView {
    fn of(Slot(slot): Slot, fact: Fact) -> Option<Self> {
        let readable = |checkpoint: CheckpointId, completed_ms, damaged| {
            Some(Self { slot, checkpoint: Some(checkpoint.0), at: Some(time(completed_ms)), damaged })
        };
        match fact {
            Fact::Claim(_) => None,
            Fact::Checkpoint(manifest) => readable(manifest.checkpoint, manifest.completed_ms, None),
            Fact::Incomplete(manifest, why) => readable(manifest.checkpoint, manifest.completed_ms, Some(why)),
            Fact::Damaged(why) => Some(Self { slot, checkpoint: None, at: None, damaged: Some(why.to_string()) }),
        }
    }
}

/// A restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RestartView {
    /// When.
    pub at: String,
    /// Why.
    pub cause: String,
}

impl From<RestartReport> for RestartView {
    fn from(RestartReport { at_ms, cause }: RestartReport) -> Self {
        Self { at: time(at_ms), cause }
    }
}

/// The newest checkpoint of a job, in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NewestCheckpoint {
    /// Its number.
    pub checkpoint: u64,
    /// When it was decided; null if it is the one that the job went on from, and none was made since.
    pub at: Option<String>,
    /// Milliseconds from the barrier to the decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Bytes of everything that it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_bytes: Option<u64>,
}

impl NewestCheckpoint {
    /// The newest of a report, if there is one.
    pub(crate) fn of(report: &CheckpointsReport) -> Option<Self> {
        let decided = report.recent.iter().find_map(|one| match &one.outcome {
            CheckpointOutcome::Completed { duration_ms, state_bytes, .. } => Some(Self {
                checkpoint: one.checkpoint.0,
                at: Some(time(one.at_ms)),
                duration_ms: Some(*duration_ms),
                state_bytes: Some(*state_bytes),
            }),
            CheckpointOutcome::Failed { .. } => None,
        });
        let restored = || {
            let CheckpointId(checkpoint) = report.restored?;
            Some(Self { checkpoint, at: None, duration_ms: None, state_bytes: None })
        };
        decided.or_else(restored)
    }
}

/// How a job is restarted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartRequest {
    /// A checkpoint to go on from though a newer one may be visible already: what was written since comes once more. 0 is
    /// the beginning. Only for a job that does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<u64>,
}
