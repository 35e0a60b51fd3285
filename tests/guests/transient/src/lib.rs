//! Fails its first calls with `transient` (parameter `times`), then lets every row through.
//! The host must try the same batch again, with backoff, in the same instance; no event is lost or doubled.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use contract::{Batch, Descriptor, Failure, Operator, Outcome, Rows, emit};

/// Calls that will still fail. Outlives a call, as the host keeps the instance after an `err`.
static LEFT: AtomicU64 = AtomicU64::new(0);

struct Transient;

impl Operator for Transient {
    fn describe() -> Descriptor {
        contract::descriptor_with("times", 3)
    }

    fn open(parameters: String) -> Result<(), Failure> {
        LEFT.store(contract::parameter(&parameters, "times")?, Relaxed);
        Ok(())
    }

    fn process(_events: Batch) -> Result<Outcome, Failure> {
        let left = LEFT.load(Relaxed);
        if left == 0 {
            return Ok(emit(Rows::All));
        }
        LEFT.store(left - 1, Relaxed);
        Err(Failure::Transient(format!("the world is not ready, {left} more times")))
    }
}

contract::export!(Transient);
