//! Reads its state in `open`, where there is no row and so no key.
//! The host must admit the module, and say of the job: state used outside a call that has rows (contract, rule 19).

use contract::{Descriptor, Failure, Operator, StateKind, state};

struct EarlyState;

impl Operator for EarlyState {
    fn describe() -> Descriptor {
        contract::keyed_descriptor(&[("only", StateKind::Value)])
    }

    fn open(_parameters: String) -> Result<(), Failure> {
        state::get(0, &[0]);
        Ok(())
    }
}

contract::export!(EarlyState);
