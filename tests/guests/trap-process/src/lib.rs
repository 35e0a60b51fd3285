//! Traps in every call of `process`.
//! The host must say: a trap, `unreachable`, with the guest's backtrace; after `broken_after` faulty events in a row,
//! that the operator is broken, not the data.

use contract::{Batch, Failure, Operator, Outcome};

struct TrapProcess;

impl Operator for TrapProcess {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        std::process::abort()
    }
}

contract::export!(TrapProcess);
