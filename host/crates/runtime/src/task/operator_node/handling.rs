//! A batch on its way through an operator: what of it is still to be called. Pure; makes no calls.

use std::ops::Range;
use std::sync::Arc;

use gristmill_ports::crash::CrashBundle;
use gristmill_types::{EventBatch, InputIndex};

use crate::failure::bisection::{Bisection, Part};

/// Bytes of a row besides those of its key and value, at most: timestamp, hash, two ends, two nulls.
const ROW_BYTES: usize = 8 + 8 + 2 * 4 + 2 * 4;

/// One batch in an operator's hands.
pub(crate) struct Handling {
    pub(super) input: InputIndex,
    pub(super) pending: Bisection,
    /// The fewest of its events that ended in a fault together, until they are handed over.
    pub(super) crash: Option<Box<CrashBundle>>,
    /// Its calls are those of a canary, if there still is one.
    pub(super) is_canarys: bool,
    /// Rows that go to a canary when all others are dealt with.
    rest: Option<Arc<EventBatch>>,
    batch: Arc<EventBatch>,
}

impl Handling {
    /// A batch for an input; cut into parts that are called one after the other if it has more than `max_bytes`.
    pub(super) fn new(input: InputIndex, batch: Arc<EventBatch>, max_bytes: usize) -> Self {
        let pending = Bisection::new(parts_within(&batch, max_bytes));
        Self { input, pending, crash: None, is_canarys: false, rest: None, batch }
    }

    /// The same for a canary.
    pub(super) fn canarys(self) -> Self {
        Self { is_canarys: true, ..self }
    }

    /// The same, and these rows of the batch go to a canary.
    pub(super) fn and_canarys(self, rest: Arc<EventBatch>) -> Self {
        Self { rest: Some(rest), ..self }
    }

    /// All before is dealt with: the canary's turn comes, if it has rows.
    pub(super) fn turn(&mut self, max_bytes: usize) -> bool {
        let Some(rest) = self.rest.take() else { return false };
        *self = Self::new(self.input, rest, max_bytes).canarys();
        true
    }

    /// The events of a part; the batch itself if that is all of it.
    pub(super) fn events(&self, Part { rows, .. }: &Part) -> Arc<EventBatch> {
        if rows.len() == self.batch.len() { Arc::clone(&self.batch) } else { Arc::new(self.batch.slice(rows.clone())) }
    }
}

/// Cuts a batch into parts of at most `max_bytes` each; a single larger event is a part of its own.
fn parts_within(batch: &EventBatch, max_bytes: usize) -> Vec<Range<usize>> {
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    if batch.bytes() > max_bytes {
        for row in 0..batch.len() {
            let row_bytes = ROW_BYTES + batch.keys().span(row).len() + batch.values().span(row).len();
            if row > start && bytes + row_bytes > max_bytes {
                parts.push(start..row);
                (start, bytes) = (row, 0);
            }
            bytes += row_bytes;
        }
    }
    parts.push(start..batch.len());
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_batch_is_cut_into_parts_within_the_bound_that_cover_it(
            rows in prop::collection::vec((prop::option::of(0usize..9), prop::option::of(0usize..90)), 1..60),
            max_bytes in 0usize..600,
        ) {
            let mut batch = EventBatch::default();
            for (key, value) in &rows {
                let bytes = |length: &Option<usize>| length.map(|length| vec![b'x'; length]);
                batch.push(0, bytes(key).as_deref(), bytes(value).as_deref());
            }
            let batch = batch.hashed();
            let parts = parts_within(&batch, max_bytes);
            prop_assert_eq!(parts.iter().cloned().flatten().collect::<Vec<_>>(), (0..rows.len()).collect::<Vec<_>>());
            for part in parts {
                prop_assert!(part.len() == 1 || batch.slice(part).bytes() <= max_bytes);
            }
        }
    }
}
