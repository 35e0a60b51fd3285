//! The wall clock, for callers that bring no clock of their own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gristmill_ports::Clock;

/// The clock of the machine.
#[derive(Debug)]
pub(crate) struct WallClock;

impl Clock for WallClock {
    fn now_ms(&self) -> i64 {
        self.monotonic().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}
