//! Honest: keeps the rows whose byte 34 is `A`, as row numbers; with the generator's text, a quarter of them.
//! The host says nothing. The measure of a select on the bare contract.

use contract::{Batch, Failure, Operator, Outcome, Rows, emit};

/// Where the letter stands.
const PLACE: usize = 34;

struct Select;

impl Operator for Select {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        // By hand rather than through `column::iter`: a null has zero bytes, so it cannot match anyway.
        let (mut start, mut rows) = (0, Vec::with_capacity(events.values.ends.len()));
        for (row, end) in events.values.ends.iter().enumerate() {
            let value = &events.values.data[start..*end as usize];
            if value.get(PLACE) == Some(&b'A') {
                rows.push(row as u32);
            }
            start = *end as usize;
        }
        Ok(emit(Rows::Selected(rows)))
    }
}

contract::export!(Select);
