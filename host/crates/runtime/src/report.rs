//! What a job has done, as it is told to whoever asks, and kept when the job is over.

use gristmill_dataflow::plan::NodeKind;
use gristmill_ports::catalog::JobState;
use gristmill_ports::sink::SinkSummary;
use gristmill_types::{JobId, NodeId, SubtaskIndex};
use serde::{Deserialize, Serialize};

/// A distribution, in short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// Values observed.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least of them; zero if there is none.
    pub min: f64,
    /// The greatest of them; zero if there is none.
    pub max: f64,
}

impl Observed {
    /// Counts a value. One that is no number has no place among numbers, and JSON has no word for it: it is left out.
    pub(crate) fn observe(&mut self, value: f64) {
        if value.is_finite() {
            self.join(Self { count: 1, sum: value, min: value, max: value });
        }
    }

    /// Both together. A sum that went out of bounds stays at the bound.
    fn join(&mut self, other: Self) {
        *self = match (self.count, other.count) {
            (_, 0) => *self,
            (0, _) => other,
            (one, two) => Self {
                count: one + two,
                sum: (self.sum + other.sum).clamp(f64::MIN, f64::MAX),
                min: self.min.min(other.min),
                max: self.max.max(other.max),
            },
        };
    }
}

/// What a job has done so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobReport {
    /// The job.
    pub job: JobId,
    /// Where it is in its life.
    pub state: JobState,
    /// Why it failed, if it did.
    pub cause: Option<String>,
    /// Milliseconds since the start, until the end if it has ended.
    pub elapsed_ms: u64,
    /// Sources, operators and sinks, in the order of the plan.
    pub nodes: Vec<NodeReport>,
}

impl JobReport {
    /// Events that entered through sources.
    #[must_use]
    pub fn events_read(&self) -> u64 {
        self.nodes
            .iter()
            .filter(|node| node.kind == NodeKind::Source)
            .map(|node| node.total.events_out.iter().sum::<u64>())
            .sum()
    }

    /// Events that reached sinks.
    #[must_use]
    pub fn events_written(&self) -> u64 {
        self.nodes.iter().filter(|node| node.kind == NodeKind::Sink).map(|node| node.total.events_in).sum()
    }

    /// Dead letters of all nodes.
    #[must_use]
    pub fn dead_letters(&self) -> u64 {
        self.nodes.iter().map(|node| node.total.dead_letters).sum()
    }
}

/// One node's part of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its id.
    pub id: NodeId,
    /// What it is.
    pub kind: NodeKind,
    /// Names of its output ports.
    pub ports: Vec<String>,
    /// All subtasks together.
    pub total: Counts,
    /// Each subtask.
    pub subtasks: Vec<SubtaskReport>,
}

/// One subtask's part of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubtaskReport {
    /// Which.
    pub subtask: SubtaskIndex,
    /// What it counted.
    pub counts: Counts,
}

/// What one subtask, or all of a node's, counted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Events that came in (for a source: none).
    pub events_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Events that left, by output port.
    pub events_out: Vec<u64>,
    /// Calls of the operator that took effect or failed.
    pub calls: u64,
    /// Those that failed.
    pub failed_calls: u64,
    /// Those that failed by a fault of the guest.
    pub faults: u64,
    /// Tries of the same batch after a transient failure.
    pub retries: u64,
    /// Events set aside.
    pub dead_letters: u64,
    /// Events skipped by policy.
    pub skipped: u64,
    /// Log lines dropped over the limit.
    pub log_lines_dropped: u64,
    /// Milliseconds spent working.
    pub busy_ms: u64,
    /// Milliseconds spent waiting for room downstream.
    pub blocked_ms: u64,
    /// Distinct keys with state.
    pub state_keys: u64,
    /// Bytes of state.
    pub state_bytes: u64,
    /// Subtasks that are still filling their state with what the checkpoint has.
    #[serde(default)]
    pub restoring: u64,
    /// Metrics of the guest.
    pub metrics: Vec<MetricReport>,
    /// What the sink took, once it has ended.
    pub sink: Option<SinkSummary>,
    /// What it waits for, while it tries the same again (a source: until events come again); of several subtasks, what
    /// the one that has waited longest waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrying: Option<Retrying>,
}

/// An error that may pass, and that has not passed yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retrying {
    /// The error, as the last try met it.
    pub reason: String,
    /// When the first of these tries failed, in milliseconds since the epoch.
    pub since_ms: i64,
}

/// A guest's metric in a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricReport {
    /// Its name in the descriptor.
    pub name: String,
    /// The sum of all `add`s.
    pub total: i64,
    /// All `observe`s.
    pub observed: Observed,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.events_in += other.events_in;
        self.bytes_in += other.bytes_in;
        self.events_out.resize(self.events_out.len().max(other.events_out.len()), 0);
        self.events_out.iter_mut().zip(&other.events_out).for_each(|(sum, more)| *sum += more);
        self.calls += other.calls;
        self.failed_calls += other.failed_calls;
        self.faults += other.faults;
        self.retries += other.retries;
        self.dead_letters += other.dead_letters;
        self.skipped += other.skipped;
        self.log_lines_dropped += other.log_lines_dropped;
        self.busy_ms += other.busy_ms;
        self.blocked_ms += other.blocked_ms;
        self.state_keys += other.state_keys;
        self.state_bytes += other.state_bytes;
        self.restoring += other.restoring;
        self.add_metrics(&other.metrics);
        let waits = [self.retrying.take(), other.retrying.clone()];
        self.retrying = waits.into_iter().flatten().min_by_key(|retrying| retrying.since_ms);
        self.sink = match (self.sink, other.sink) {
            (Some(one), Some(two)) => Some(SinkSummary {
                events: one.events + two.events,
                bytes: one.bytes + two.bytes,
                checksum: one.checksum.wrapping_add(two.checksum),
            }),
            (one, two) => one.or(two),
        };
    }

    fn add_metrics(&mut self, others: &[MetricReport]) {
        if self.metrics.is_empty() {
            self.metrics = others.to_vec();
            return;
        }
        for (sum, other) in self.metrics.iter_mut().zip(others) {
            // A guest may add what it likes; it must not end the host's arithmetic.
            sum.total = sum.total.wrapping_add(other.total);
            sum.observed.join(other.observed);
        }
    }
}
