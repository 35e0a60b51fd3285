//! Selects one row more than the batch has.
//! The host must say: an invalid result, the row and the number of rows.

use contract::{Batch, Failure, Operator, Outcome, Rows, emit};

struct LyingRowsRange;

impl Operator for LyingRowsRange {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        Ok(emit(Rows::Selected((0..=events.timestamps.len() as u32).collect())))
    }
}

contract::export!(LyingRowsRange);
