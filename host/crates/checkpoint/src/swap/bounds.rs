//! How a new module may conduct itself on probation. Pure: counts go in, a sentence comes out if there are too many.

use serde::{Deserialize, Serialize};

/// Fewer events say nothing about how many fail, nor fewer calls about how long they take.
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
    /// Within so many microseconds 99 of 100 of them ended.
    pub call_p99_us: u64,
    /// The same of the old module; `None` if it was called too seldom to tell.
    pub old_call_p99_us: Option<u64>,
}

impl ProbationBounds {
    /// Nothing is bounded.
    pub const NONE: Self = Self { failures_per_million: None, call_p99_us: None, slowdown_percent: None };

    /// Which bound is broken, in words.
    #[must_use]
    pub fn broken_by(&self, conduct: &Conduct) -> Option<String> {
        self.fails_too_often(conduct).or_else(|| self.is_too_slow(conduct)).or_else(|| self.is_slower(conduct))
    }

    fn fails_too_often(&self, conduct: &Conduct) -> Option<String> {
        let Conduct { events, failed, .. } = *conduct;
        let most = self.failures_per_million.filter(|_| events >= TELLING)?;
        let is_broken = u128::from(failed) * MILLION > u128::from(most) * u128::from(events);
        is_broken.then(|| {
            let rate = f64::from(most) / 1e6;
            format!("rolled back: {failed} of {events} events failed, which is more than the bound of {rate}")
        })
    }

    fn is_too_slow(&self, conduct: &Conduct) -> Option<String> {
        let Conduct { calls, call_p99_us: took, .. } = *conduct;
        let most = self.call_p99_us.filter(|_| calls >= TELLING)?;
        (took > most)
            .then(|| format!("rolled back: 99 of 100 calls, of {calls}, take up to {took} us; the bound is {most} us"))
    }

    fn is_slower(&self, conduct: &Conduct) -> Option<String> {
        let Conduct { calls, call_p99_us: took, old_call_p99_us, .. } = *conduct;
        let (most, before) = self.slowdown_percent.zip(old_call_p99_us).filter(|_| calls >= TELLING)?;
        let is_broken = u128::from(took) * 100 > u128::from(before) * u128::from(most);
        is_broken.then(|| {
            let times = f64::from(most) / 100.0;
            format!(
                "rolled back: 99 of 100 calls, of {calls}, take up to {took} us, and {before} us with the old module; the bound \
                 is {times} times as long"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conduct(events: u64, failed: u64, calls: u64, call_p99_us: u64, old: Option<u64>) -> Conduct {
        Conduct { events, failed, calls, call_p99_us, old_call_p99_us: old }
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
                Some("151 us, and 100 us with the old module; the bound is 1.5 times"),
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
}
