//! Creates two events whose column has `ends` that go back: 5, then 3.
//! The host must say: an invalid result, `ends` not ascending; nothing is read out of bounds.

use contract::{Batch, Column, Failure, Operator, Outcome, Rows, column, emit};

struct EndsBackwards;

impl Operator for EndsBackwards {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        Ok(emit(Rows::Created(Batch {
            timestamps: vec![events.timestamps[0]; 2],
            keys: column::of([None::<&[u8]>, None]),
            values: Column { ends: vec![5, 3], data: b"three".to_vec(), nulls: vec![] },
        })))
    }
}

contract::export!(EndsBackwards);
