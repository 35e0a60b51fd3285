//! Fails every call with `fatal`.
//! The host must fail the job with the guest's words: no second try, no bisecting, no dead letters.

use contract::{Batch, Failure, Operator, Outcome};

struct Fatal;

impl Operator for Fatal {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        Err(Failure::Fatal("the operator gives up".into()))
    }
}

contract::export!(Fatal);
