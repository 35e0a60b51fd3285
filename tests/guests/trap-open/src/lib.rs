//! Traps in `open`.
//! The host must admit the module, and say of the job that `open` trapped, before the first event is read.

use contract::{Failure, Operator};

struct TrapOpen;

impl Operator for TrapOpen {
    fn open(_parameters: String) -> Result<(), Failure> {
        std::process::abort()
    }
}

contract::export!(TrapOpen);
