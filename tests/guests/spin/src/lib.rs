//! Loops for ever in `process`.
//! The host must say: the call ran past its deadline (`limits.call`); each event, alone in the end, goes to the dead
//! letters, until `broken_after` of them in a row fail the job. Other jobs and the REST API notice nothing.

use contract::{Batch, Failure, Operator, Outcome};

struct Spin;

impl Operator for Spin {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        loop {
            std::hint::spin_loop();
        }
    }
}

contract::export!(Spin);
