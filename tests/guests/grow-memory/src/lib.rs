//! Allocates without end in `process`, and keeps it all.
//! The host must say: the guest asked for more than its memory (`limits.memory`), not merely that it trapped.

use contract::{Batch, Failure, Operator, Outcome};

struct GrowMemory;

impl Operator for GrowMemory {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        loop {
            std::mem::forget(std::hint::black_box(vec![1_u8; 1 << 20]));
        }
    }
}

contract::export!(GrowMemory);
