//! Imports `state`, and declares none.
//! The host must refuse it at upload: the module imports `gristmill:operator/state`, its descriptor declares no state
//! (contract, rule 2).

use contract::{Batch, Failure, Operator, Outcome, Rows, emit, state};

struct UndeclaredImport;

impl Operator for UndeclaredImport {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        state::get(0, &[0]);
        Ok(emit(Rows::All))
    }
}

contract::export!(UndeclaredImport);
