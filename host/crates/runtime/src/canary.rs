//! What is counted of two modules that serve one operator, each its share of the key groups.

use std::sync::Arc;

use gristmill_checkpoint::Share;
use gristmill_checkpoint::swap::{Conduct, SwapPolicy, TELLING};
use gristmill_types::MaxParallelism;
use serde::{Deserialize, Serialize};

use crate::call_times::{CallTimes, TimesSeen};
use crate::counters::Count;
use crate::right_of_return::RightOfReturn;

/// How a second module serves a share of an operator.
#[derive(Debug, Clone)]
pub(crate) struct CanaryTerms {
    /// How much at first.
    pub(crate) share: Share,
    /// Key groups of the job.
    pub(crate) max: MaxParallelism,
    /// What it may do, and the probation that follows when it serves all.
    pub(crate) policy: SwapPolicy,
    /// What is counted, by all subtasks.
    pub(crate) tally: Arc<CanaryTally>,
    /// Whether the module that it stands beside may still take over again.
    pub(crate) right: Arc<RightOfReturn>,
}

/// The counts of both modules since the canary began in this process.
#[derive(Debug, Default)]
pub(crate) struct CanaryTally {
    /// Of the module that ran before.
    pub(crate) old: ServedTally,
    /// Of the one that came.
    pub(crate) new: ServedTally,
}

/// The counts of one of them. Changed once a call.
#[derive(Debug, Default)]
pub(crate) struct ServedTally {
    events: Count,
    failed: Count,
    calls: Count,
    failed_calls: Count,
    times: CallTimes,
}

/// What came of one of two modules that serve one operator: all subtasks together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
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

impl ServedTally {
    /// A call was made.
    pub(crate) fn note_call(&self, took_ns: u64, has_failed: bool) {
        self.calls.add(1);
        self.failed_calls.add(has_failed.into());
        self.times.note(took_ns);
    }

    /// So many events were dealt with, and so many of them failed.
    pub(crate) fn note_events(&self, events: usize, failed: usize) {
        self.events.add(events as u64);
        self.failed.add(failed as u64);
    }

    pub(crate) fn served(&self) -> Served {
        let times = TimesSeen::of([&self.times].into_iter());
        Served {
            events: self.events.get(),
            failed: self.failed.get(),
            calls: self.calls.get(),
            failed_calls: self.failed_calls.get(),
            call_p50_us: times.within_us(50),
            call_p99_us: times.within_us(99),
        }
    }
}

impl CanaryTally {
    /// How the new module has done so far, beside the old one.
    pub(crate) fn conduct(&self) -> Conduct {
        let (old, Served { events, failed, calls, call_p50_us, call_p99_us, .. }) =
            (self.old.served(), self.new.served());
        let old_call_p99_us = (old.calls >= TELLING).then_some(old.call_p99_us);
        Conduct { events, failed, calls, call_p50_us, call_p99_us, old_call_p99_us }
    }
}
