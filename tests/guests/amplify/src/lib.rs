//! Emits the whole batch a hundred thousand times: few bytes to return, very many to gather.
//! The host must say, for events of a kibibyte or more: the call's expanded output is above `limits.output`, before it
//! has gathered any of it (contract, rule 7). A call of one smaller event may pass: it is within the limit.

use contract::{Batch, Emission, Failure, Operator, Outcome, Rows};

/// How often.
const TIMES: usize = 100_000;

struct Amplify;

impl Operator for Amplify {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        let emissions = (0..TIMES).map(|_| Emission { port: 0, rows: Rows::All }).collect();
        Ok(Outcome { emissions, rejections: vec![] })
    }
}

contract::export!(Amplify);
