//! Emits to port 1; its descriptor has one output, port 0.
//! The host must say: an invalid result, the port and how many outputs are declared.

use contract::{Batch, Emission, Failure, Operator, Outcome, Rows};

struct UndeclaredPort;

impl Operator for UndeclaredPort {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        Ok(Outcome { emissions: vec![Emission { port: 1, rows: Rows::All }], rejections: vec![] })
    }
}

contract::export!(UndeclaredPort);
