//! Appends to a state that it declared as a value.
//! The host must say: a fault, the state's name, its kind and what was tried.

use contract::{Batch, Descriptor, Failure, Operator, Outcome, Rows, StateKind, column, emit, state};

struct StateWrongKind;

impl Operator for StateWrongKind {
    fn describe() -> Descriptor {
        contract::keyed_descriptor(&[("only", StateKind::Value)])
    }

    fn process(_events: Batch) -> Result<Outcome, Failure> {
        state::list_append(0, &[0], &column::of([Some("entry")]));
        Ok(emit(Rows::All))
    }
}

contract::export!(StateWrongKind);
