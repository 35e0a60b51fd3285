//! A set of letter numbers, as ranges: letters that are forgotten together stand together.

use std::collections::BTreeMap;
use std::ops::Range;

/// The set. Ranges that touch are one.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// First → one past the last.
    ranges: BTreeMap<u64, u64>,
}

impl Numbers {
    /// Takes numbers in of which none is there yet.
    pub(super) fn insert(&mut self, range: Range<u64>) {
        let Range { mut start, mut end } = range;
        if let Some(before) = self.ranges.range(..start).next_back().filter(|(_, end)| **end == start) {
            start = *before.0;
        }
        if let Some(behind) = self.ranges.remove(&end) {
            end = behind;
        }
        self.ranges.insert(start, end);
    }

    /// The range that holds a number.
    pub(super) fn around(&self, number: u64) -> Option<Range<u64>> {
        let (&start, &end) = self.ranges.range(..=number).next_back()?;
        (number < end).then_some(start..end)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        self.around(number).is_some()
    }

    /// Whether all of these are in the set.
    pub(super) fn covers(&self, numbers: Range<u64>) -> bool {
        numbers.is_empty() || self.around(numbers.start).is_some_and(|around| numbers.end <= around.end)
    }

    /// How many of these are in the set.
    pub(super) fn within(&self, numbers: Range<u64>) -> u64 {
        let first = self.around(numbers.start).map_or(numbers.start, |around| around.start);
        let ranges = self.ranges.range(first..numbers.end.max(first));
        ranges.map(|(&start, &end)| end.min(numbers.end) - start.max(numbers.start)).sum()
    }

    /// One past the highest.
    pub(super) fn end(&self) -> u64 {
        self.ranges.last_key_value().map_or(0, |(_, &end)| end)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_are_a_set(ranges in prop::collection::vec((0_u64..40, 1_u64..6), 0..12), asked in 0_u64..45, many in 0_u64..9) {
            let (mut numbers, mut model) = (Numbers::default(), BTreeSet::new());
            for (start, length) in ranges {
                if (start..start + length).all(|number| !model.contains(&number)) {
                    numbers.insert(start..start + length);
                    model.extend(start..start + length);
                }
            }
            let asked = asked..asked + many;
            prop_assert_eq!(numbers.contains(asked.start), model.contains(&asked.start));
            prop_assert_eq!(numbers.within(asked.clone()), model.range(asked.clone()).count() as u64);
            prop_assert_eq!(numbers.covers(asked.clone()), (asked.start..asked.end).all(|number| model.contains(&number)));
            prop_assert_eq!(numbers.end(), model.last().map_or(0, |last| last + 1));
        }
    }
}
