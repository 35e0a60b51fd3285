//! Calls itself without end in `process`.
//! The host must say: the guest's stack overflowed; the host's own stack is not touched.

use contract::{Batch, Failure, Operator, Outcome};

struct StackBomb;

impl Operator for StackBomb {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        Err(Failure::Fatal(format!("the stack held, and says {}", dive(1))))
    }
}

/// Keeps no local in linear memory, so that the stack that overflows is the machine's, not the shadow stack.
#[inline(never)]
fn dive(depth: u64) -> u64 {
    if depth == 0 { 1 } else { dive(depth.wrapping_add(2)).rotate_left(7) ^ depth }
}

contract::export!(StackBomb);
