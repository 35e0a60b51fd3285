//! How a new module may conduct itself on probation. Pure: counts go in, a sentence comes out if there are too many.

use serde::{Deserialize, Serialize};

/// Fewer events say little about how many fail, and fewer calls about how long they take: only at the end are they judged.
pub const TELLING: u64 = 100;

const MILLION: u128 = 1_000_000;

/// Beyond these the old module runs again. `None` bounds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProbationBounds {
    /// Of a million events, so many may fail: be rejected, or given up.
    pub failures_per_million: Option<u32>,
    /// Within so many microseconds 99 of 100 calls must end.
    pub call_p99_us: Option<u64>,
    /// So many hundredths of the time in which 99 of 100 calls of the old module ended they may take: 150 for half as much again.
    pub slowdown_percent: Option<u32>,
}

/// What was counted since the new module took over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conduct {
    /// Events that came.
    pub events: u64,
    /// Events of these that failed.
    pub failed: u64,
    /// Calls.
    pub calls: u64,
    /// Within so many microseconds half of them ended.
    pub call_p50_us: u64,
    /// Within so many microseconds 99 of 100 of them ended.
    pub call_p99_us: u64,
    /// The same of the old module; `None` if it was called too seldom to tell.
    pub old_call_p99_us: Option<u64>,
}

impl ProbationBounds {
    /// Nothing is bounded.
    pub const NONE: Self = Self { failures_per_million: None, call_p99_us: None, slowdown_percent: None };

    /// Which bound is broken, in words. Nothing is said of few events or calls: more are to come.
    #[must_use]
    pub fn broken_by(&self, conduct: &Conduct) -> Option<String> {
        self.judged(conduct, TELLING)
    }

    /// The same when no more are to come: as few as there are have to tell.
    #[must_use]
    pub fn broken_at_last(&self, conduct: &Conduct) -> Option<String> {
        self.judged(conduct, 1)
    }

    fn judged(&self, conduct: &Conduct, least: u64) -> Option<String> {
        let fails = self.fails_too_often(conduct, least);
        fails.or_else(|| self.is_too_slow(conduct, least)).or_else(|| self.is_slower(conduct, least))
    }

    fn fails_too_often(&self, conduct: &Conduct, least: u64) -> Option<String> {
        let Conduct { events, failed, .. } = *conduct;
        let most = self.failures_per_million.filter(|_| events >= least)?;
        let is_broken = u128::from(failed) * MILLION > u128::from(most) * u128::from(events);
        is_broken.then(|| {
            let rate = f64::from(most) / 1e6;
            format!("rolled back: {failed} of {events} events failed, which is more than the bound of {rate}")
        })
    }

    fn is_too_slow(&self, conduct: &Conduct, least: u64) -> Option<String> {
        let most = self.call_p99_us.filter(|_| conduct.calls >= least)?;
        let (took, in_words) = conduct.time_of_calls();
        (took > most).then(|| format!("rolled back: {in_words}; the bound is {most} us"))
    }

    fn is_slower(&self, conduct: &Conduct, least: u64) -> Option<String> {
        let (most, before) = self.slowdown_percent.zip(conduct.old_call_p99_us).filter(|_| conduct.calls >= least)?;
        let (took, in_words) = conduct.time_of_calls();
        let is_broken = u128::from(took) * 100 > u128::from(before) * u128::from(most);
        is_broken.then(|| {
            let times = f64::from(most) / 100.0;
            format!(
                "rolled back: {in_words}, and 99 of 100 took up to {before} us with the old module; the bound is {times} times \
                 as long"
            )
        })
    }
}

impl Conduct {
    /// What is held against a bound, and in words. The slowest of a few calls may be the first, on cold memory: of these
    /// the middle one stands for all.
    fn time_of_calls(&self) -> (u64, String) {
        let Self { calls, call_p50_us, call_p99_us, .. } = *self;
        let (took, share) = if calls >= TELLING { (call_p99_us, "99 of 100") } else { (call_p50_us, "half of the") };
        (took, format!("{share} calls, of {calls}, take up to {took} us"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conduct(events: u64, failed: u64, calls: u64, call_p99_us: u64, old: Option<u64>) -> Conduct {
        Conduct { events, failed, calls, call_p50_us: call_p99_us / 2, call_p99_us, old_call_p99_us: old }
    }

    #[test]
    fn each_bound_is_broken_by_more_than_it_and_not_by_it() {
        let rate = ProbationBounds { failures_per_million: Some(10_000), ..ProbationBounds::NONE };
        let p99 = ProbationBounds { call_p99_us: Some(500), ..ProbationBounds::NONE };
        let slower = ProbationBounds { slowdown_percent: Some(150), ..ProbationBounds::NONE };
        for (bounds, conduct, says) in [
            (rate, conduct(1_000, 10, 0, 0, None), None),
            (
                rate,
                conduct(1_000, 11, 0, 0, None),
                Some("11 of 1000 events failed, which is more than the bound of 0.01"),
            ),
            (rate, conduct(99, 99, 0, 0, None), None),
            (p99, conduct(0, 0, 100, 500, None), None),
            (p99, conduct(0, 0, 100, 501, None), Some("of 100, take up to 501 us; the bound is 500 us")),
            (p99, conduct(0, 0, 99, 9_999, None), None),
            (slower, conduct(0, 0, 100, 150, Some(100)), None),
            (
                slower,
                conduct(0, 0, 100, 151, Some(100)),
                Some("151 us, and 99 of 100 took up to 100 us with the old module; the bound is 1.5 times"),
            ),
            (slower, conduct(0, 0, 100, 9_999, None), None),
            (ProbationBounds::NONE, conduct(u64::MAX, u64::MAX, u64::MAX, u64::MAX, Some(1)), None),
        ] {
            let said = bounds.broken_by(&conduct);
            assert_eq!(said.is_some(), says.is_some(), "{bounds:?} {conduct:?}: {said:?}");
            let (said, says) = (said.unwrap_or_default(), says.unwrap_or_default());
            assert!(said.contains(says), "{said}");
        }
    }

    #[test]
    fn few_events_and_calls_tell_at_the_end_alone() {
        let rate = ProbationBounds { failures_per_million: Some(500_000), ..ProbationBounds::NONE };
        let p99 = ProbationBounds { call_p99_us: Some(500), ..ProbationBounds::NONE };
        let slower = ProbationBounds { slowdown_percent: Some(150), ..ProbationBounds::NONE };
        for (bounds, conduct, says) in [
            (rate, conduct(3, 2, 0, 0, None), Some("2 of 3 events failed")),
            (rate, conduct(2, 1, 0, 0, None), None),
            (rate, conduct(0, 0, 0, 0, None), None),
            (p99, conduct(0, 0, 3, 1_002, None), Some("half of the calls, of 3, take up to 501 us")),
            (p99, conduct(0, 0, 3, 1_000, None), None),
            (p99, conduct(0, 0, 0, 0, None), None),
            (slower, conduct(0, 0, 3, 302, Some(100)), Some("take up to 151 us, and 99 of 100 took up to 100 us")),
            (slower, conduct(0, 0, 3, 300, Some(100)), None),
        ] {
            assert_eq!(bounds.broken_by(&conduct), None, "{bounds:?} {conduct:?}");
            let said = bounds.broken_at_last(&conduct);
            assert_eq!(said.is_some(), says.is_some(), "{bounds:?} {conduct:?}: {said:?}");
            assert!(said.unwrap_or_default().contains(says.unwrap_or_default()));
        }
    }
}
