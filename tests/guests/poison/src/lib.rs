//! Fails the whole call with `bad-record` when any value contains `poison`; lets every row through otherwise.
//! The host must bisect: the poisonous events go to the dead letters with the reason, all others come out, in order.

use contract::{Batch, Failure, Operator, Outcome, Rows, emit, rows_with};

struct Poison;

impl Operator for Poison {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        if rows_with("poison", &events).is_empty() {
            Ok(emit(Rows::All))
        } else {
            Err(Failure::BadRecord("the value contains `poison`".into()))
        }
    }
}

contract::export!(Poison);
