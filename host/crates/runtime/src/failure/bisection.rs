//! Finding the events of a batch that cannot be processed, without losing, doubling or reordering the others. Pure.

use std::ops::Range;

/// The parts of a batch still to be tried, first to last.
#[derive(Debug)]
pub(crate) struct Bisection {
    /// The next part on top. Parts are disjoint, ascending from top to bottom, and cover all rows not yet dealt with.
    pending: Vec<Part>,
}

/// Some events of a batch that are tried together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// Which.
    pub(crate) rows: Range<usize>,
    /// Whether it was there from the beginning, not made by [`Bisection::split`].
    pub(crate) is_whole: bool,
    /// How often exactly these events have failed for a transient reason. Counted apart from faults: neither kind may
    /// eat up the tries of the other, and together they still come to an end.
    pub(crate) transients: u32,
    /// How often exactly these events have ended in a fault.
    pub(crate) faults: u32,
}

impl Part {
    fn new(rows: Range<usize>, is_whole: bool) -> Self {
        Self { rows, is_whole, transients: 0, faults: 0 }
    }
}

impl Bisection {
    /// Begins with these parts, ascending.
    pub(crate) fn new(parts: Vec<Range<usize>>) -> Self {
        Self { pending: parts.into_iter().rev().map(|rows| Part::new(rows, true)).collect() }
    }

    /// The next part to try. It is dealt with, unless it is handed back by [`Self::split`] or [`Self::again`].
    pub(crate) fn next(&mut self) -> Option<Part> {
        self.pending.pop()
    }

    /// The part failed as a whole: its halves are tried next, the left one first.
    ///
    /// # Panics
    /// If the part has one row; such a row is set aside instead.
    pub(crate) fn split(&mut self, Part { rows, .. }: Part) {
        assert!(rows.len() > 1, "a single row cannot be split");
        let middle = rows.start + rows.len() / 2;
        self.pending.push(Part::new(middle..rows.end, false));
        self.pending.push(Part::new(rows.start..middle, false));
    }

    /// The same part is tried next once more.
    pub(crate) fn again(&mut self, part: Part) {
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
            let cut = poison.len() / 3;
            let mut bisection = Bisection::new([0..cut, cut..poison.len()].into_iter().filter(|part| !part.is_empty()).collect());
            let (mut passed, mut set_aside, mut calls) = (Vec::new(), Vec::new(), 0);
            while let Some(part) = bisection.next() {
                calls += 1;
                match poison[part.rows.clone()].iter().any(|&poison| poison) {
                    false => passed.extend(part.rows),
                    true if part.rows.len() == 1 => set_aside.push(part.rows.start),
                    true => bisection.split(part),
                }
            }
            let expect = |wanted: bool| (0..poison.len()).filter(|&row| poison[row] == wanted).collect::<Vec<_>>();
            prop_assert_eq!(passed, expect(false));
            prop_assert_eq!(set_aside, expect(true));
            prop_assert!(calls <= 2 * poison.len());
        }
    }

    #[test]
    fn one_poison_event_in_1024_costs_21_calls() {
        let mut bisection = Bisection::new(vec![Range { start: 0, end: 1024 }]);
        let mut calls = 0;
        while let Some(part) = bisection.next() {
            calls += 1;
            if part.rows.contains(&700) && part.rows.len() > 1 {
                bisection.split(part);
            }
        }
        assert_eq!(calls, 21);
    }
}
