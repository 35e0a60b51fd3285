//! When a replayed event is due: the gaps between event times, divided by a speed.
//!
//! Pure: time is passed in. Begins with the first event that it sees.

use std::time::Duration;

/// The pace of one subtask's files.
#[derive(Debug, Clone)]
pub(super) struct ReplayClock {
    speed: f64,
    /// When the first event came, and its event time.
    start: Option<(Duration, i64)>,
}

impl ReplayClock {
    /// A clock that runs `speed` times as fast as time. Finite and above zero.
    pub(super) fn new(speed: f64) -> Self {
        Self { speed, start: None }
    }

    /// How many of these events, in their order, are due. An event that is out of order is due with the one before it.
    pub(super) fn due(&mut self, timestamps: &[i64], now: Duration) -> usize {
        let Some(&first) = timestamps.first() else { return 0 };
        let (since, start) = *self.start.get_or_insert((now, first));
        let passed_ms = now.saturating_sub(since).as_secs_f64() * 1000.0 * self.speed;
        // Casts saturate.
        let until = start.saturating_add(passed_ms as i64);
        timestamps.iter().position(|&timestamp| timestamp > until).unwrap_or(timestamps.len())
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
        let mut clock = ReplayClock::new(60.0);
        let minutes = [0, 60_000, 59_000, 120_000];
        assert_eq!(clock.due(&minutes, ms(500)), 1);
        assert_eq!(clock.wait_for(60_000, ms(500)), ms(1000));
        assert_eq!(clock.due(&minutes[1..], ms(1499)), 0);
        assert_eq!(clock.due(&minutes[1..], ms(1500)), 2);
        assert_eq!(clock.due(&minutes[3..], ms(2500)), 1);
    }

    #[test]
    fn times_at_the_ends_of_time_do_no_harm() {
        let mut clock = ReplayClock::new(1e-300);
        assert_eq!(clock.due(&[i64::MIN, i64::MAX], ms(0)), 1);
        assert_eq!(clock.wait_for(i64::MAX, ms(0)), Duration::MAX);
        assert_eq!(ReplayClock::new(1e300).due(&[i64::MIN, 0], ms(1)), 1);
    }
}
