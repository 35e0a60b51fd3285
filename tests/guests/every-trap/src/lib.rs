//! Traps in every export; only the first, `describe`, is ever reached.
//! The host must refuse it at upload, and must not have called anything else.

use contract::{Batch, Descriptor, Failure, Operator, Outcome};

struct EveryTrap;

impl Operator for EveryTrap {
    fn describe() -> Descriptor {
        std::process::abort()
    }

    fn open(_parameters: String) -> Result<(), Failure> {
        std::process::abort()
    }

    fn process(_events: Batch) -> Result<Outcome, Failure> {
        std::process::abort()
    }
}

contract::export!(EveryTrap);
