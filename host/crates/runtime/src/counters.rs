//! What subtasks count while they run. Counters change once a batch, never once an event.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use gristmill_ports::sink::SinkSummary;
use gristmill_ports::state::StateSize;
use gristmill_types::MetricUpdate;

use crate::call_times::CallTimes;
use crate::report::{Counts, MetricReport, Observed, Retrying};

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
    /// Of all calls, those that failed included.
    pub(crate) call_times: CallTimes,
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
    /// One while the state is being filled.
    restoring: Count,
    /// One for each metric of the descriptor.
    pub(crate) metrics: Vec<GuestMetric>,
    sink: Mutex<Option<SinkSummary>>,
    retrying: Mutex<Option<Retrying>>,
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

    /// The state is being filled with what a checkpoint has, or not any more.
    pub(crate) fn note_restoring(&self, is_restoring: bool) {
        self.restoring.set(is_restoring.into());
    }

    pub(crate) fn is_restoring(&self) -> bool {
        self.restoring.get() > 0
    }

    pub(crate) fn note_sink(&self, summary: SinkSummary) {
        *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(summary);
    }

    /// A try failed that is made again.
    pub(crate) fn note_retry(&self, reason: &str, now_ms: i64) {
        self.retries.add(1);
        let mut retrying = self.retrying.lock().unwrap_or_else(PoisonError::into_inner);
        let since_ms = retrying.as_ref().map_or(now_ms, |before| before.since_ms);
        *retrying = Some(Retrying { reason: reason.to_owned(), since_ms });
    }

    /// What was tried again is done, or given up.
    pub(crate) fn note_going_on(&self) {
        *self.retrying.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The counts that go with the events: a checkpoint keeps them, and an attempt that goes on from it sets them.
    pub(crate) fn lasting(&self) -> Vec<(String, u64)> {
        self.named().into_iter().map(|(name, count)| (name, count.get())).collect()
    }

    /// Sets what a checkpoint kept; what it did not begins anew.
    pub(crate) fn go_on_from(&self, kept: &[(String, u64)]) {
        for (name, count) in self.named() {
            let value = kept.iter().find(|(kept, _)| *kept == name).map_or(0, |(_, value)| *value);
            count.set(value);
        }
        self.note_going_on();
        *self.sink.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn named(&self) -> Vec<(String, &Count)> {
        let mut named = vec![
            ("events_in".to_owned(), &self.events_in),
            ("bytes_in".to_owned(), &self.bytes_in),
            ("dead_letters".to_owned(), &self.dead_letters),
            ("skipped".to_owned(), &self.skipped),
        ];
        let ports = self.events_out.iter().enumerate();
        named.extend(ports.map(|(port, count)| (format!("events_out.{port}"), count)));
        named
    }

    /// What was counted so far.
    pub(crate) fn counts(&self) -> Counts {
        const NS_IN_MS: u64 = 1_000_000;
        Counts {
            events_in: self.events_in.get(),
            bytes_in: self.bytes_in.get(),
            events_out: self.events_out.iter().map(Count::get).collect(),
            calls: self.calls.get(),
            failed_calls: self.failed_calls.get(),
            faults: self.faults.get(),
            retries: self.retries.get(),
            dead_letters: self.dead_letters.get(),
            skipped: self.skipped.get(),
            log_lines_dropped: self.log_lines_dropped.get(),
            busy_ms: self.busy_ns.get() / NS_IN_MS,
            blocked_ms: self.blocked_ns.get() / NS_IN_MS,
            state_keys: self.state_keys.get(),
            state_bytes: self.state_bytes.get(),
            restoring: self.restoring.get(),
            metrics: self.metrics.iter().map(GuestMetric::report).collect(),
            sink: *self.sink.lock().unwrap_or_else(PoisonError::into_inner),
            retrying: self.retrying.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
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

    fn observe(&self, value: f64) {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner).observe(value);
    }

    fn report(&self) -> MetricReport {
        MetricReport {
            name: self.name.clone(),
            total: self.total.load(Ordering::Relaxed),
            observed: *self.observed.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}
