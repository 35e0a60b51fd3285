//! What a running job counts, and the report made of it. Counters change once a batch, never once an event.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use gristmill_ports::catalog::JobState;
use gristmill_ports::sink::SinkSummary;
use gristmill_ports::state::StateSize;
use gristmill_types::{JobId, MetricUpdate, NodeId, SubtaskIndex};
use serde::{Deserialize, Serialize};

/// A count that many threads may read and one thread adds to.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }
}

/// The counters of one subtask of one node.
#[derive(Debug, Default)]
pub(crate) struct NodeCounters {
    pub(crate) events_in: Count,
    pub(crate) bytes_in: Count,
    /// One for each output port.
    pub(crate) events_out: Vec<Count>,
    pub(crate) calls: Count,
    pub(crate) failed_calls: Count,
    pub(crate) faults: Count,
    pub(crate) retries: Count,
    pub(crate) dead_letters: Count,
    pub(crate) skipped: Count,
    pub(crate) log_lines_dropped: Count,
    /// Nanoseconds spent in calls of the operator, the reader or the writer.
    pub(crate) busy_ns: Count,
    /// Nanoseconds spent waiting for room in exchanges behind this node.
    pub(crate) blocked_ns: Count,
    state_keys: Count,
    state_bytes: Count,
    /// One for each metric of the descriptor.
    pub(crate) metrics: Vec<GuestMetric>,
    sink: Mutex<Option<SinkSummary>>,
}

impl NodeCounters {
    pub(crate) fn new(ports: usize, metrics: &[String]) -> Self {
        Self {
            events_out: (0..ports).map(|_| Count::default()).collect(),
            metrics: metrics.iter().map(|name| GuestMetric::new(name)).collect(),
            ..Self::default()
        }
    }

    pub(crate) fn note_state(&self, size: StateSize) {
        self.state_keys.set(size.keys);
        self.state_bytes.set(size.bytes);
    }

    pub(crate) fn note_sink(&self, summary: SinkSummary) {
        *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
    }

    pub(crate) fn count_metric(&self, update: MetricUpdate) {
        match update {
            MetricUpdate::Add { metric, delta } => {
                if let Some(metric) = self.metrics.get(metric as usize) {
                    metric.total.fetch_add(delta, Ordering::Relaxed);
                }
            }
            MetricUpdate::Observe { metric, value } => {
                if let Some(metric) = self.metrics.get(metric as usize) {
                    metric.observe(value);
                }
            }
        }
    }
}

/// A metric that a guest declared: a running total, and the distribution of what it observed.
#[derive(Debug)]
pub(crate) struct GuestMetric {
    name: String,
    total: AtomicI64,
    observed: Mutex<Observed>,
}

impl GuestMetric {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), total: AtomicI64::new(0), observed: Mutex::default() }
    }

    /// Counts a value. One that is no number has no place among numbers, and JSON has no word for it: it is left out.
    fn observe(&self, value: f64) {
        if !value.is_finite() {
            return;
        }
        let mut observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.min = if observed.count == 0 { value } else { observed.min.min(value) };
        observed.max = if observed.count == 0 { value } else { observed.max.max(value) };
        observed.count += 1;
        observed.sum = finite(observed.sum + value);
    }

    fn report(&self) -> MetricReport {
        MetricReport {
            name: self.name.clone(),
            total: self.total.load(Ordering::Relaxed),
            observed: *self.observed.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// A sum that went out of bounds stays at the bound.
fn finite(sum: f64) -> f64 {
    sum.clamp(f64::MIN, f64::MAX)
}

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
            .filter(|node| node.kind == "source")
            .map(|node| node.total.events_out.iter().sum::<u64>())
            .sum()
    }

    /// Events that reached sinks.
    #[must_use]
    pub fn events_written(&self) -> u64 {
        self.nodes.iter().filter(|node| node.kind == "sink").map(|node| node.total.events_in).sum()
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
    /// `source`, `operator` or `sink`.
    pub kind: String,
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
    /// Metrics of the guest.
    pub metrics: Vec<MetricReport>,
    /// What the sink took, once it has ended.
    pub sink: Option<SinkSummary>,
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
    pub(crate) fn of(counters: &NodeCounters) -> Self {
        const NS_IN_MS: u64 = 1_000_000;
        Self {
            events_in: counters.events_in.get(),
            bytes_in: counters.bytes_in.get(),
            events_out: counters.events_out.iter().map(Count::get).collect(),
            calls: counters.calls.get(),
            failed_calls: counters.failed_calls.get(),
            faults: counters.faults.get(),
            retries: counters.retries.get(),
            dead_letters: counters.dead_letters.get(),
            skipped: counters.skipped.get(),
            log_lines_dropped: counters.log_lines_dropped.get(),
            busy_ms: counters.busy_ns.get() / NS_IN_MS,
            blocked_ms: counters.blocked_ns.get() / NS_IN_MS,
            state_keys: counters.state_keys.get(),
            state_bytes: counters.state_bytes.get(),
            metrics: counters.metrics.iter().map(GuestMetric::report).collect(),
            sink: *counters.sink.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

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
        self.add_metrics(&other.metrics);
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
            let (one, two) = (sum.observed, other.observed);
            sum.observed = match (one.count, two.count) {
                (_, 0) => one,
                (0, _) => two,
                _ => Observed {
                    count: one.count + two.count,
                    sum: finite(one.sum + two.sum),
                    min: one.min.min(two.min),
                    max: one.max.max(two.max),
                },
            };
        }
    }
}
