//! Reads the state of a row that the batch does not have.
//! The host must say: a fault, the row and the number of rows.

use contract::{Batch, Descriptor, Failure, Operator, Outcome, Rows, StateKind, emit, state};

struct StateRowsRange;

impl Operator for StateRowsRange {
    fn describe() -> Descriptor {
        contract::keyed_descriptor(&[("only", StateKind::Value)])
    }

    fn process(events: Batch) -> Result<Outcome, Failure> {
        state::get(0, &[events.timestamps.len() as u32]);
        Ok(emit(Rows::All))
    }
}

contract::export!(StateRowsRange);
