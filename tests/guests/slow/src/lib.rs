//! Honest, but spends time on each event: `rounds` of about a nanosecond (parameter; default 10 000).
//! The host says nothing; its exchanges fill and the source is held back, within their bounds.

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use contract::{Batch, Descriptor, Failure, Operator, Outcome, Rows, emit};

/// Steps for each event.
static ROUNDS: AtomicU64 = AtomicU64::new(0);

struct Slow;

impl Operator for Slow {
    fn describe() -> Descriptor {
        contract::descriptor_with("rounds", 10_000)
    }

    fn open(parameters: String) -> Result<(), Failure> {
        ROUNDS.store(contract::parameter(&parameters, "rounds")?, Relaxed);
        Ok(())
    }

    fn process(events: Batch) -> Result<Outcome, Failure> {
        let rounds = ROUNDS.load(Relaxed).saturating_mul(events.timestamps.len() as u64);
        // Each step needs the one before, so that no compiler and no processor can do several at once.
        let busy =
            (0..rounds).fold(1_u64, |last, round| last.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round));
        black_box(busy);
        Ok(emit(Rows::All))
    }
}

contract::export!(Slow);
