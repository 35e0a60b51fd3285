//! Creates events of 64 other keys on an output that it declared as keeping the key.
//! The host must say, at parallelism 2 or more: an invalid result, a created key belongs to another subtask's key
//! groups (contract, rule 14). At parallelism 1 every key is the subtask's own, and the events come out.

use contract::{Batch, Descriptor, Failure, Operator, Outcome, Rows, column, emit};

/// Enough for each of two subtasks to own some of them.
const KEYS: usize = 64;

struct CreatedKeys;

impl Operator for CreatedKeys {
    fn describe() -> Descriptor {
        contract::keyed_descriptor(&[])
    }

    fn process(events: Batch) -> Result<Outcome, Failure> {
        Ok(emit(Rows::Created(Batch {
            timestamps: vec![events.timestamps[0]; KEYS],
            keys: column::of((0..KEYS).map(|key| Some(format!("created-{key}")))),
            values: column::of((0..KEYS).map(|_| Some("created"))),
        })))
    }
}

contract::export!(CreatedKeys);
