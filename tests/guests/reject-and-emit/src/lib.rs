//! Emits every row, and rejects the first as well.
//! The host must say: an invalid result, the row was both rejected and emitted (contract, rule 17).

use contract::{Batch, Failure, Operator, Outcome, Rejection, Rows, emit};

struct RejectAndEmit;

impl Operator for RejectAndEmit {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        let rejections = vec![Rejection { row: 0, reason: "the guest cannot decide".into() }];
        Ok(Outcome { rejections, ..emit(Rows::All) })
    }
}

contract::export!(RejectAndEmit);
