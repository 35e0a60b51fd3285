//! How a new module does, beside the one that it took over from: by the counters of its operator, which run on across a swap.

use gristmill_checkpoint::swap::{Conduct, TELLING};

use crate::call_times::TimesSeen;
use crate::counters::NodeCounters;
use crate::job::shared::NodeSeat;

/// What the counters of an operator said at one moment.
pub(super) struct Seen {
    events: u64,
    /// Rejected, or given up.
    failed: u64,
    times: TimesSeen,
}

impl Seen {
    pub(super) fn now(seat: &NodeSeat) -> Self {
        let sum = |count: fn(&NodeCounters) -> u64| seat.counters.iter().map(|one| count(one)).sum();
        Self {
            events: sum(|counters| counters.events_in.get()),
            failed: sum(|counters| counters.dead_letters.get() + counters.skipped.get()),
            times: TimesSeen::of(seat.counters.iter().map(|counters| &counters.call_times)),
        }
    }
}

/// The counters before a swap, and when all subtasks had switched.
pub(super) struct Comparison {
    asked: Seen,
    switched: Option<Seen>,
}

impl Comparison {
    /// The instances are on their way: what is counted from now on is the old module's.
    pub(super) fn begin(seat: &NodeSeat) -> Self {
        Self { asked: Seen::now(seat), switched: None }
    }

    /// All have switched: what is counted from now on is the new module's. Said again, it changes nothing.
    pub(super) fn switched(&mut self, seen: Seen) {
        self.switched.get_or_insert(seen);
    }

    /// How the new module has done so far.
    pub(super) fn conduct(&self, seat: &NodeSeat) -> Conduct {
        let Some(switched) = &self.switched else { return Conduct::default() };
        let now = Seen::now(seat);
        let times = now.times.since(&switched.times);
        Conduct {
            events: now.events.saturating_sub(switched.events),
            failed: now.failed.saturating_sub(switched.failed),
            calls: times.calls(),
            call_p50_us: times.within_us(50),
            call_p99_us: times.p99_us(),
            old_call_p99_us: self.old_p99_us(switched),
        }
    }

    /// Since the swap was asked for, or, if that was only a moment, since the job began in this process.
    fn old_p99_us(&self, switched: &Seen) -> Option<u64> {
        let lately = switched.times.since(&self.asked.times);
        let times = [&lately, &switched.times].into_iter().find(|times| times.calls() >= TELLING)?;
        Some(times.p99_us())
    }
}
