//! When a replayed event is due: the gaps between event times, divided by a speed.
//!
//! Pure: time is passed in. Begins with the first event that it sees.

use std::time::Duration;

/// The pace of one subtask's files.
#[derive(Debug, Clone)]
pub(super) struct ReplayClock {
    speed: f64,
    /// How far in event time an earlier clock had come.
    from: Option<i64>,
    /// When the first event came, and the event time of then.
    start: Option<(Duration, i64)>,
}

impl ReplayClock {
    /// A clock that runs `speed` times as fast as time. Finite and above zero. It begins with its first event, or goes
    /// on from where an earlier one had come.
    pub(super) fn new(speed: f64, from: Option<i64>) -> Self {
        Self { speed, from, start: None }
    }

    /// Whether an event is due that comes now. One that is out of order is due with the one before it.
    pub(super) fn is_due(&mut self, timestamp: i64, now: Duration) -> bool {
        self.start.get_or_insert((now, self.from.unwrap_or(timestamp)));
        self.reached(now).is_some_and(|reached| timestamp <= reached)
    }

    /// How far in event time the clock has come.
    pub(super) fn reached(&self, now: Duration) -> Option<i64> {
        let Some((since, start)) = self.start else { return self.from };
        let passed_ms = now.saturating_sub(since).as_secs_f64() * 1000.0 * self.speed;
        // Casts saturate.
        Some(start.saturating_add(passed_ms as i64))
    }

    /// How long until an event is due.
    pub(super) fn wait_for(&self, timestamp: i64, now: Duration) -> Duration {
        let Some((since, start)) = self.start else { return Duration::ZERO };
        let gap_ms = timestamp.saturating_sub(start).max(0) as f64 / self.speed;
        let due = Duration::try_from_secs_f64(gap_ms / 1000.0).unwrap_or(Duration::MAX);
        since.saturating_add(due).saturating_sub(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn gaps_are_divided_by_the_speed() {
        let mut clock = ReplayClock::new(60.0, None);
        assert_eq!(clock.reached(ms(100)), None);
        assert!(clock.is_due(0, ms(500)) && !clock.is_due(60_000, ms(500)));
        assert_eq!(clock.wait_for(60_000, ms(500)), ms(1000));
        assert!(!clock.is_due(60_000, ms(1499)) && clock.is_due(60_000, ms(1500)) && clock.is_due(59_000, ms(1500)));
        assert!(!clock.is_due(120_000, ms(2499)) && clock.is_due(120_000, ms(2500)));
    }

    #[test]
    fn a_clock_goes_on_where_an_earlier_one_had_come() {
        let mut earlier = ReplayClock::new(60.0, None);
        assert!(earlier.is_due(0, ms(0)));
        let mut clock = ReplayClock::new(60.0, earlier.reached(ms(250)));
        assert_eq!(clock.reached(ms(7000)), Some(15_000));
        assert!(!clock.is_due(60_000, ms(9000)), "the gap that was begun is kept to its end");
        assert_eq!(clock.wait_for(60_000, ms(9000)), ms(750));
        assert!(clock.is_due(60_000, ms(9750)));
    }

    #[test]
    fn times_at_the_ends_of_time_do_no_harm() {
        let mut clock = ReplayClock::new(1e-300, None);
        assert!(clock.is_due(i64::MIN, ms(0)) && !clock.is_due(i64::MAX, ms(0)));
        assert_eq!(clock.wait_for(i64::MAX, ms(0)), Duration::MAX);
        let mut clock = ReplayClock::new(1e300, None);
        assert!(clock.is_due(i64::MIN, ms(0)) && !clock.is_due(0, ms(1)));
    }
}
