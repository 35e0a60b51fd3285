//! Writes ten thousand log lines of a kibibyte in every call, and is honest otherwise.
//! The host must let the rows through, keep `limits.log` bytes a second, and say how many lines it dropped.

use contract::{Batch, Failure, Operator, Outcome, Rows, emit, log};

/// In each call.
const LINES: usize = 10_000;

struct LogFlood;

impl Operator for LogFlood {
    fn process(_events: Batch) -> Result<Outcome, Failure> {
        let line = "flood ".repeat(171);
        for _ in 0..LINES {
            log::write(log::Level::Info, None, &line);
        }
        Ok(emit(Rows::All))
    }
}

contract::export!(LogFlood);
