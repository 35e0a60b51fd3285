//! Traps when any value contains `poison`; lets every row through otherwise.
//! The host must take a new instance, try once again, then bisect: the poisonous events go to the dead letters with the
//! trap and the backtrace, all others come out, in order.

use contract::{Batch, Failure, Operator, Outcome, Rows, emit, rows_with};

struct PoisonTrap;

impl Operator for PoisonTrap {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        if !rows_with("poison", &events).is_empty() {
            std::process::abort();
        }
        Ok(emit(Rows::All))
    }
}

contract::export!(PoisonTrap);
