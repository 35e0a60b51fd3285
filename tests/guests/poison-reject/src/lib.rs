//! Rejects the rows whose value contains `poison`, one by one, and emits the others.
//! The host must dead-letter those rows with the reason, without a second call.

use contract::{Batch, Failure, Operator, Outcome, Rejection, Rows, emit, rows_with};

struct PoisonReject;

impl Operator for PoisonReject {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        let poisonous = rows_with("poison", &events);
        let rows = 0..events.timestamps.len() as u32;
        let healthy = rows.filter(|row| poisonous.binary_search(row).is_err()).collect();
        let reject = |row| Rejection { row, reason: "the value contains `poison`".into() };
        Ok(Outcome { rejections: poisonous.into_iter().map(reject).collect(), ..emit(Rows::Selected(healthy)) })
    }
}

contract::export!(PoisonReject);
