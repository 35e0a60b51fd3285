//! The time that a guest sees (rule 18): the wall clock stands still during a call, the monotonic clock moves on by a
//! fixed step at each reading. So a replayed call reads the same times, and a runtime that waits comes to an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// By how much the monotonic clock moves at each reading, in nanoseconds.
const STEP_NS: u64 = 10_000;

/// The clocks of one instance. Clones show the same time.
#[derive(Debug, Clone, Default)]
pub(crate) struct GuestTime(Arc<Hands>);

#[derive(Debug, Default)]
struct Hands {
    wall_ms: AtomicI64,
    monotonic_ns: AtomicU64,
}

impl GuestTime {
    /// Sets the wall clock for the next call, in milliseconds since the epoch.
    pub(crate) fn begin_call(&self, processing_time_ms: i64) {
        self.0.wall_ms.store(processing_time_ms, Ordering::Relaxed);
    }

    /// Moves the monotonic clock on to a moment, as if the guest had slept until then.
    pub(crate) fn sleep_until(&self, instant_ns: u64) {
        self.0.monotonic_ns.fetch_max(instant_ns, Ordering::Relaxed);
    }

    /// Moves the monotonic clock on by a span, as if the guest had slept so long.
    pub(crate) fn sleep_for(&self, span_ns: u64) {
        let now = self.0.monotonic_ns.load(Ordering::Relaxed);
        self.sleep_until(now.saturating_add(span_ns));
    }
}

impl HostWallClock for GuestTime {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        // WASI knows no time before 1970.
        Duration::from_millis(u64::try_from(self.0.wall_ms.load(Ordering::Relaxed)).unwrap_or(0))
    }
}

impl HostMonotonicClock for GuestTime {
    fn resolution(&self) -> u64 {
        STEP_NS
    }

    fn now(&self) -> u64 {
        let before = self.0.monotonic_ns.load(Ordering::Relaxed);
        let now = before.saturating_add(STEP_NS);
        self.0.monotonic_ns.store(now, Ordering::Relaxed);
        now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Rule 18.
    #[test]
    fn the_wall_clock_stands_still_and_the_monotonic_clock_steps() {
        let time = GuestTime::default();
        time.begin_call(1_234);
        assert_eq!(
            (HostWallClock::now(&time), HostWallClock::now(&time)),
            (Duration::from_millis(1_234), Duration::from_millis(1_234))
        );
        let first = HostMonotonicClock::now(&time);
        assert_eq!(HostMonotonicClock::now(&time), first + STEP_NS);
        time.sleep_for(1_000_000_000);
        assert!(HostMonotonicClock::now(&time) > first + 1_000_000_000);
        time.begin_call(-5);
        assert_eq!(HostWallClock::now(&time), Duration::ZERO);
    }
}
