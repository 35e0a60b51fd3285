//! How long calls take: counted in buckets, eight for each power of two of microseconds, so that a bound on the 99th in a
//! hundred is at most an eighth too high. One thread adds, many read.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits behind the first that tell the buckets of one power of two apart.
const FINE: u32 = 3;
const BUCKETS: usize = ((u64::BITS - FINE + 1) as usize) << FINE;

/// Counts of calls, by the time that they took.
#[derive(Debug)]
pub(crate) struct CallTimes(Box<[AtomicU64]>);

impl Default for CallTimes {
    fn default() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU64::new(0)).collect())
    }
}

impl CallTimes {
    /// A call took so long, in nanoseconds.
    pub(crate) fn note(&self, ns: u64) {
        self.0[bucket_of(ns / 1_000)].fetch_add(1, Ordering::Relaxed);
    }
}

/// The counts of several subtasks at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TimesSeen(Vec<u64>);

impl TimesSeen {
    pub(crate) fn of<'a>(subtasks: impl Iterator<Item = &'a CallTimes>) -> Self {
        let mut sums = vec![0; BUCKETS];
        for times in subtasks {
            sums.iter_mut().zip(&times.0).for_each(|(sum, count)| *sum += count.load(Ordering::Relaxed));
        }
        Self(sums)
    }

    /// What was counted since an earlier moment.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self(self.0.iter().zip(&earlier.0).map(|(now, then)| now.saturating_sub(*then)).collect())
    }

    pub(crate) fn calls(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Microseconds within which 99 of 100 calls ended; zero if there was none.
    pub(crate) fn p99_us(&self) -> u64 {
        self.within_us(99)
    }

    /// Microseconds within which so many of 100 calls ended; zero if there was none.
    pub(crate) fn within_us(&self, of_hundred: u64) -> u64 {
        let rank = self.calls().saturating_mul(of_hundred).div_ceil(100);
        let mut seen = 0;
        let found = self.0.iter().position(|count| {
            seen += count;
            seen >= rank && rank > 0
        });
        found.map_or(0, last_of)
    }
}

/// Small numbers have a bucket each.
fn bucket_of(us: u64) -> usize {
    if us < 1 << FINE {
        return us as usize;
    }
    let shift = us.ilog2() - FINE;
    ((shift as usize) << FINE) + (us >> shift) as usize
}

/// The largest number in a bucket.
fn last_of(bucket: usize) -> u64 {
    if bucket < 2 << FINE {
        return bucket as u64;
    }
    let shift = (bucket >> FINE) as u32 - 1;
    let first = ((bucket & ((1 << FINE) - 1)) as u64 + (1 << FINE)) << shift;
    first + ((1 << shift) - 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_time_lies_in_a_bucket_that_ends_at_most_an_eighth_behind_it(us: u64, shift in 0u32..64) {
            let us = us >> shift;
            let bucket = bucket_of(us);
            prop_assert!(bucket < BUCKETS);
            let last = last_of(bucket);
            prop_assert!(last >= us && last - us <= us / 8, "{us} is counted as {last}");
            prop_assert!(bucket == 0 || last_of(bucket - 1) < us);
        }
    }

    #[test]
    fn the_99th_of_a_hundred_is_told_since_a_moment() {
        let (one, other) = (CallTimes::default(), CallTimes::default());
        let seen = || TimesSeen::of([&one, &other].into_iter());
        assert_eq!((seen().calls(), seen().p99_us()), (0, 0));
        (0..98).for_each(|_| one.note(5_000));
        other.note(6_000);
        other.note(1_000_000);
        assert_eq!((seen().calls(), seen().p99_us()), (100, 6));
        let before = seen();
        (0..100).for_each(|_| other.note(2_000_000));
        let since = seen().since(&before);
        assert_eq!((since.calls(), since.p99_us()), (100, 2_047));
    }
}
