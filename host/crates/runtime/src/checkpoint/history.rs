//! What became of a job's checkpoints, for people.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use gristmill_checkpoint::coordinator::Stats;
use gristmill_types::{CheckpointId, SubtaskIndex};
use serde::{Deserialize, Serialize};

/// So many are remembered.
const REMEMBERED: usize = 100;

/// A job's checkpoints, and its restarts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CheckpointsReport {
    /// Decided so far by this host.
    pub completed: u64,
    /// Failed so far on this host.
    pub failed: u64,
    /// The one under way, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under_way: Option<CheckpointId>,
    /// What the one under way suffers from, if storing it does not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storing: Option<StoringTrouble>,
    /// When the newest was decided on this host, in milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_ms: Option<i64>,
    /// The one that the running attempt went on from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored: Option<CheckpointId>,
    /// From barrier to decision, of those remembered.
    pub duration_ms: Spread,
    /// Work done inline at the barrier, of all subtasks of those remembered.
    pub inline_us: Spread,
    /// Bytes written, of those remembered.
    pub uploaded_bytes: Spread,
    /// The newest first.
    pub recent: Vec<CheckpointReport>,
    /// How often the job has started again by itself.
    pub restarts: u64,
    /// Why it last did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_restart: Option<RestartReport>,
}

/// Storing does not succeed, and is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoringTrouble {
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
    /// Why it last did not.
    pub reason: String,
}

/// The middle and the tail of some numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Half of them are at most this.
    pub p50: u64,
    /// Of a hundred, ninety-nine are at most this.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Spread {
    fn of(mut numbers: Vec<u64>) -> Self {
        numbers.sort_unstable();
        // Nearest rank.
        let rank = |share: usize| numbers.get((numbers.len() * share).div_ceil(100).saturating_sub(1)).copied();
        let at = |share| rank(share).unwrap_or(0);
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

/// One checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckpointReport {
    /// Its number.
    pub checkpoint: CheckpointId,
    /// When it was decided or failed, in milliseconds since the epoch.
    pub at_ms: i64,
    /// What became of it.
    #[serde(flatten)]
    pub outcome: CheckpointOutcome,
}

/// What became of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum CheckpointOutcome {
    /// It is decided.
    Completed {
        /// From the barrier to the decision.
        duration_ms: u64,
        /// Bytes of everything that it names.
        state_bytes: u64,
        /// Bytes that were written for it.
        uploaded_bytes: u64,
        /// Each subtask's part.
        subtasks: Vec<SubtaskCheckpoint>,
    },
    /// It failed; what it had staged joins the next one.
    Failed {
        /// Why.
        cause: String,
    },
}

/// One subtask's part of a checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubtaskCheckpoint {
    /// The head of its task.
    pub task: String,
    /// Which.
    pub subtask: SubtaskIndex,
    /// From the first barrier of its channels to the last.
    pub aligned_us: u64,
    /// Work done inline at the barrier.
    pub inline_us: u64,
    /// From the barrier until all was durable.
    pub durable_ms: u64,
    /// Entries of state that were written.
    pub entries: u64,
    /// Bytes that were written.
    pub bytes: u64,
}

/// A restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartReport {
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// Why.
    pub cause: String,
}

/// Where it is remembered.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<CheckpointsReport>);

impl History {
    fn with<T>(&self, act: impl FnOnce(&mut CheckpointsReport) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn began(&self, restored: Option<CheckpointId>) {
        self.with(|report| (report.restored, report.under_way, report.storing) = (restored, None, None));
    }

    pub(crate) fn under_way(&self, checkpoint: Option<CheckpointId>) {
        self.with(|report| report.under_way = checkpoint);
    }

    /// Storing does not succeed, or does again.
    pub(crate) fn storing(&self, at_ms: i64, trouble: Option<String>) {
        self.with(|report| {
            let since_ms = report.storing.as_ref().map_or(at_ms, |before| before.since_ms);
            report.storing = trouble.map(|reason| StoringTrouble { since_ms, reason });
        });
    }

    pub(crate) fn restarted(&self, at_ms: i64, cause: &str) {
        self.with(|report| {
            (report.restarts, report.under_way, report.storing) = (report.restarts + 1, None, None);
            report.last_restart = Some(RestartReport { at_ms, cause: cause.to_owned() });
        });
    }

    /// One is decided. `heads` are the heads of the tasks, for people.
    pub(crate) fn completed(
        &self,
        checkpoint: CheckpointId,
        at_ms: i64,
        duration_ms: u64,
        stats: &Stats,
        heads: &[String],
    ) {
        let subtasks = stats.subtasks.iter().map(|(by, part)| SubtaskCheckpoint {
            task: heads.get(by.task).cloned().unwrap_or_default(),
            subtask: by.subtask,
            aligned_us: part.aligned_us,
            inline_us: part.inline_us,
            durable_ms: part.durable_ms,
            entries: part.entries,
            bytes: part.bytes,
        });
        let outcome = CheckpointOutcome::Completed {
            duration_ms,
            state_bytes: stats.state_bytes,
            uploaded_bytes: stats.uploaded_bytes,
            subtasks: subtasks.collect(),
        };
        self.remember(CheckpointReport { checkpoint, at_ms, outcome });
    }

    pub(crate) fn failed(&self, checkpoint: CheckpointId, at_ms: i64, cause: String) {
        self.remember(CheckpointReport { checkpoint, at_ms, outcome: CheckpointOutcome::Failed { cause } });
    }

    fn remember(&self, one: CheckpointReport) {
        self.with(|report| {
            match &one.outcome {
                CheckpointOutcome::Completed { .. } => {
                    (report.completed, report.decided_ms) = (report.completed + 1, Some(one.at_ms));
                }
                CheckpointOutcome::Failed { .. } => report.failed += 1,
            }
            let mut recent = VecDeque::from(std::mem::take(&mut report.recent));
            recent.push_front(one);
            recent.truncate(REMEMBERED);
            report.recent = recent.into();
        });
    }

    /// All that is remembered, with its spreads.
    pub(crate) fn report(&self) -> CheckpointsReport {
        let mut report = self.with(|report| report.clone());
        let (mut durations, mut inline, mut uploaded) = (Vec::new(), Vec::new(), Vec::new());
        for one in &report.recent {
            if let CheckpointOutcome::Completed { duration_ms, uploaded_bytes, subtasks, .. } = &one.outcome {
                durations.push(*duration_ms);
                uploaded.push(*uploaded_bytes);
                inline.extend(subtasks.iter().map(|part| part.inline_us));
            }
        }
        report.duration_ms = Spread::of(durations);
        report.inline_us = Spread::of(inline);
        report.uploaded_bytes = Spread::of(uploaded);
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_of_storing_keeps_its_beginning_and_is_over_when_it_is() {
        let history = History::default();
        let trouble = |since_ms, reason: &str| Some(StoringTrouble { since_ms, reason: reason.to_owned() });
        history.storing(5, Some("gone".to_owned()));
        history.storing(9, Some("still gone".to_owned()));
        assert_eq!(history.report().storing, trouble(5, "still gone"));
        history.storing(10, None);
        assert_eq!(history.report().storing, None);
        history.storing(12, Some("gone".to_owned()));
        assert_eq!(history.report().storing, trouble(12, "gone"));
        history.restarted(13, "2 checkpoints in a row failed");
        assert_eq!(history.report().storing, None, "the attempt is over");
    }

    #[test]
    fn a_spread_is_told_by_nearest_rank() {
        assert_eq!(Spread::of(Vec::new()), Spread::default());
        assert_eq!(Spread::of((1..=100).collect()), Spread { p50: 50, p99: 99, max: 100 });
        assert_eq!(Spread::of(vec![7]), Spread { p50: 7, p99: 7, max: 7 });
    }
}
