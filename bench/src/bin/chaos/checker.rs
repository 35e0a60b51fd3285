//! Counts what was lost, doubled and put out of order. Knows nothing of the host: only what rows there should be.
//!
//! A row is a key and a number. Each key has the numbers 1, 2, 3 and so on, as many as it has events, each once and in
//! this order; the order between keys means nothing.

use std::collections::HashMap;
use std::io::BufRead;

use anyhow::{Context, bail};

/// Key → how many rows it should have.
#[derive(Debug, Default)]
pub(crate) struct Expected(HashMap<String, usize>);

impl Expected {
    /// Counts the events of an undisturbed run: a key on each line.
    pub(crate) fn count(&mut self, keys: impl BufRead) -> anyhow::Result<()> {
        for key in keys.lines() {
            let key = key?;
            match self.0.get_mut(&key) {
                Some(count) => *count += 1,
                None => drop(self.0.insert(key, 1)),
            }
        }
        Ok(())
    }

    /// All rows that there should be.
    pub(crate) fn rows(&self) -> u64 {
        self.0.values().map(|count| *count as u64).sum()
    }
}

/// What is wrong with a sink's output, in rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// Not there.
    pub(crate) lost: u64,
    /// There once more than they should be; also such as should not be there at all.
    pub(crate) duplicated: u64,
    /// There behind a greater number of their key.
    pub(crate) reordered: u64,
}

impl Verdict {
    /// What is wrong with either.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            lost: self.lost + other.lost,
            duplicated: self.duplicated + other.duplicated,
            reordered: self.reordered + other.reordered,
        }
    }
}

/// What was found of one key.
struct Found {
    /// Whether number `i + 1` was seen.
    seen: Vec<bool>,
    /// The greatest number seen.
    highest: usize,
}

/// Looks at the rows of one sink, in the order in which it wrote them.
pub(crate) struct Checker {
    keys: HashMap<String, Found>,
    verdict: Verdict,
}

impl Checker {
    pub(crate) fn new(expected: &Expected) -> Self {
        let found = |count: &usize| Found { seen: vec![false; *count], highest: 0 };
        let keys = expected.0.iter().map(|(key, count)| (key.clone(), found(count))).collect();
        Self { keys, verdict: Verdict::default() }
    }

    /// Takes rows, `KEY,NUMBER` on each line.
    ///
    /// # Errors
    /// For a line that is no row, such as one that is there by halves.
    pub(crate) fn read(&mut self, rows: impl BufRead) -> anyhow::Result<()> {
        for row in rows.lines() {
            let row = row?;
            let Some((key, number)) = row.split_once(',') else { bail!("`{row}` is no row of the output") };
            self.take(key, number.parse().with_context(|| format!("`{row}` is no row of the output"))?);
        }
        Ok(())
    }

    fn take(&mut self, key: &str, number: usize) {
        let found = self.keys.get_mut(key);
        let Some((seen, highest)) = found.and_then(|Found { seen, highest }| {
            let seen = seen.get_mut(number.checked_sub(1)?)?;
            Some((seen, highest))
        }) else {
            self.verdict.duplicated += 1;
            return;
        };
        if std::mem::replace(seen, true) {
            self.verdict.duplicated += 1;
        } else if number < *highest {
            self.verdict.reordered += 1;
        } else {
            *highest = number;
        }
    }

    /// All rows were taken.
    pub(crate) fn verdict(self) -> Verdict {
        let unseen = self.keys.values().flat_map(|found| &found.seen).filter(|seen| !**seen);
        Verdict { lost: unseen.count() as u64, ..self.verdict }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said of rows, where `a` has three events and `b` has two.
    fn verdict(rows: &str) -> [u64; 3] {
        let mut expected = Expected::default();
        expected.count("a\nb\na\nb\na\n".as_bytes()).expect("keys");
        assert_eq!(expected.rows(), 5);
        let mut checker = Checker::new(&expected);
        checker.read(rows.replace(' ', "\n").as_bytes()).expect("rows");
        let Verdict { lost, duplicated, reordered } = checker.verdict();
        [lost, duplicated, reordered]
    }

    #[test]
    fn what_is_planted_is_found() {
        for (rows, lost_duplicated_reordered) in [
            ("a,1 b,1 a,2 b,2 a,3", [0, 0, 0]),
            ("b,1 b,2 a,1 a,2 a,3", [0, 0, 0]),
            // Lost: at the beginning, in the middle, at the end, a whole key, everything.
            ("a,2 a,3 b,1 b,2", [1, 0, 0]),
            ("a,1 a,3 b,1 b,2", [1, 0, 0]),
            ("a,1 a,2 b,1", [2, 0, 0]),
            ("a,1 a,2 a,3", [2, 0, 0]),
            ("", [5, 0, 0]),
            // Doubled: one row, a stretch, one more event than there was, a key that was never there, no number at all.
            ("a,1 a,1 a,2 a,3 b,1 b,2", [0, 1, 0]),
            ("a,1 a,2 a,3 a,1 a,2 a,3 b,1 b,2", [0, 3, 0]),
            ("a,1 a,2 a,3 a,4 b,1 b,2", [0, 1, 0]),
            ("a,1 a,2 a,3 b,1 b,2 c,1", [0, 1, 0]),
            ("a,0 a,1 a,2 a,3 b,1 b,2", [0, 1, 0]),
            // Out of order.
            ("a,2 a,1 a,3 b,1 b,2", [0, 0, 1]),
            ("a,3 a,2 a,1 b,1 b,2", [0, 0, 2]),
            // What one key lost does not make good for what another has too much.
            ("a,1 a,2 b,1 b,2 b,3", [1, 1, 0]),
            ("a,3 a,1 a,1 b,2", [2, 1, 1]),
        ] {
            assert_eq!(verdict(rows), lost_duplicated_reordered, "{rows}");
        }
    }

    #[test]
    fn a_torn_row_is_no_row() {
        let mut checker = Checker::new(&Expected::default());
        for torn in ["a", "a,", "a,1b,2", "a,-1"] {
            assert!(checker.read(torn.as_bytes()).is_err(), "{torn}");
        }
    }
}
