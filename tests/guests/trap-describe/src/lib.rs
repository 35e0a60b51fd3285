//! Traps in `describe`.
//! The host must refuse it at upload: `describe` trapped, with the backtrace.

use contract::{Descriptor, Operator};

struct TrapDescribe;

impl Operator for TrapDescribe {
    fn describe() -> Descriptor {
        std::process::abort()
    }
}

contract::export!(TrapDescribe);
