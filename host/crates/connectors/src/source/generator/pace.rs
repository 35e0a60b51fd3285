//! How many events are due.
//!
//! Pure: time is passed in. Event `i` is due `i / rate` seconds after the first.

use std::time::Duration;

/// The pace of one source. Every subtask keeps its own, and they agree but for the moment at which they began.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// Events a second.
    rate: u32,
    /// The event that was due at `since`.
    first: u64,
    since: Duration,
}

impl Pace {
    /// A pace at which event `first` is due now.
    pub(super) fn new(rate: u32, first: u64, now: Duration) -> Self {
        Self { rate, first, since: now }
    }

    /// The first event that is not due yet. A source that is more than a second behind (the job was paused, or cannot
    /// keep up) goes on from `next` at its pace, instead of catching up in one burst.
    pub(super) fn due_until(&mut self, next: u64, now: Duration) -> u64 {
        let until = self.due(now);
        if until.saturating_sub(next) > u64::from(self.rate) {
            (self.first, self.since) = (next, now);
            return next + 1;
        }
        until
    }

    /// How long until an event is due.
    pub(super) fn wait_for(&self, event: u64, now: Duration) -> Duration {
        let after = u128::from(event.saturating_sub(self.first)) * 1_000_000_000 / u128::from(self.rate);
        let due = self.since.saturating_add(Duration::from_nanos(u64::try_from(after).unwrap_or(u64::MAX)));
        due.saturating_sub(now)
    }

    fn due(&self, now: Duration) -> u64 {
        let elapsed = now.saturating_sub(self.since).as_nanos();
        let events = elapsed * u128::from(self.rate) / 1_000_000_000;
        self.first.saturating_add(u64::try_from(events).unwrap_or(u64::MAX)).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_second_brings_as_many_events_as_the_rate_says() {
        let mut pace = Pace::new(100, 0, ms(5000));
        assert_eq!(pace.due_until(0, ms(5000)), 1);
        assert_eq!(pace.due_until(1, ms(5009)), 1);
        assert_eq!(pace.due_until(1, ms(5010)), 2);
        assert_eq!(pace.due_until(50, ms(6000)), 101);
        assert_eq!(pace.wait_for(101, ms(6000)), ms(10));
        assert_eq!(pace.wait_for(50, ms(6000)), ms(0));
    }

    #[test]
    fn a_source_that_fell_behind_goes_on_at_its_pace() {
        let mut pace = Pace::new(100, 0, ms(0));
        assert_eq!(pace.due_until(10, ms(60_000)), 11);
        assert_eq!(pace.due_until(11, ms(60_010)), 12);
    }
}
