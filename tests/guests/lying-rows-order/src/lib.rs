//! Selects the rows in descending order, and the first row twice.
//! The host must say: an invalid result, `selected` is not strictly ascending, and where.

use contract::{Batch, Failure, Operator, Outcome, Rows, emit};

struct LyingRowsOrder;

impl Operator for LyingRowsOrder {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        Ok(emit(Rows::Selected((0..events.timestamps.len() as u32).rev().chain([0]).collect())))
    }
}

contract::export!(LyingRowsOrder);
