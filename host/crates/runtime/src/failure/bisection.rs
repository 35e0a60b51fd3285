//! Finding the events of a batch that cannot be processed, without losing, doubling or reordering the others. Pure.

use std::ops::Range;

/// The parts of a batch still to be tried, first to last.
#[derive(Debug)]
pub(crate) struct Bisection {
    /// The next part on top. Parts are disjoint, ascending from top to bottom, and cover all rows not yet dealt with.
    pending: Vec<Range<usize>>,
}

impl Bisection {
    /// The whole batch in one part.
    pub(crate) fn new(rows: usize) -> Self {
        Self { pending: vec![0..rows] }
    }

    /// The next part to try. It is dealt with, unless it is handed back by [`Self::split`] or [`Self::again`].
    pub(crate) fn next(&mut self) -> Option<Range<usize>> {
        self.pending.pop()
    }

    /// The part failed as a whole: its halves are tried next, the left one first.
    ///
    /// # Panics
    /// If the part has one row; such a row is set aside instead.
    pub(crate) fn split(&mut self, part: Range<usize>) {
        assert!(part.len() > 1, "a single row cannot be split");
        let middle = part.start + part.len() / 2;
        self.pending.push(middle..part.end);
        self.pending.push(part.start..middle);
    }

    /// The same part is tried next once more.
    pub(crate) fn again(&mut self, part: Range<usize>) {
        self.pending.push(part);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_event_is_lost_or_doubled_and_order_is_kept(poison in prop::collection::vec(any::<bool>(), 1..300)) {
            let mut bisection = Bisection::new(poison.len());
            let (mut passed, mut set_aside, mut calls) = (Vec::new(), Vec::new(), 0);
            while let Some(part) = bisection.next() {
                calls += 1;
                match poison[part.clone()].iter().any(|&poison| poison) {
                    false => passed.extend(part),
                    true if part.len() == 1 => set_aside.push(part.start),
                    true => bisection.split(part),
                }
            }
            let expect = |wanted: bool| (0..poison.len()).filter(|&row| poison[row] == wanted).collect::<Vec<_>>();
            prop_assert_eq!(passed, expect(false));
            prop_assert_eq!(set_aside, expect(true));
            prop_assert!(calls < 2 * poison.len());
        }
    }

    #[test]
    fn one_poison_event_in_1024_costs_21_calls() {
        let mut bisection = Bisection::new(1024);
        let mut calls = 0;
        while let Some(part) = bisection.next() {
            calls += 1;
            if part.contains(&700) && part.len() > 1 {
                bisection.split(part);
            }
        }
        assert_eq!(calls, 21);
    }
}
