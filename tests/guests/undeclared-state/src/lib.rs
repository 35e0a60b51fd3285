//! Declares one state, and reads another.
//! The host must say: a fault, the index of the state and how many are declared. Not a panic.

use contract::{Batch, Descriptor, Failure, Operator, Outcome, Rows, StateKind, emit, state};

struct UndeclaredState;

impl Operator for UndeclaredState {
    fn describe() -> Descriptor {
        contract::keyed_descriptor(&[("only", StateKind::Value)])
    }

    fn process(_events: Batch) -> Result<Outcome, Failure> {
        state::get(1, &[0]);
        Ok(emit(Rows::All))
    }
}

contract::export!(UndeclaredState);
