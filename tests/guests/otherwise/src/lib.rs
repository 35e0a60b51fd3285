//! Honest: lets every row through, and gives those whose value contains `planted` another value.
//! The host says nothing; beside `echo` it is a version that differs in exactly these.

use contract::{Batch, Failure, Mapped, Operator, Outcome, Rows, column, emit, rows_with};

struct Otherwise;

impl Operator for Otherwise {
    fn process(events: Batch) -> Result<Outcome, Failure> {
        let planted = rows_with("planted", &events);
        let rows: Vec<u32> = (0..events.timestamps.len() as u32).collect();
        let values = rows
            .iter()
            .zip(column::iter(&events.values))
            .map(|(row, value)| if planted.binary_search(row).is_ok() { Some(&b"otherwise"[..]) } else { value });
        let values = column::of(values);
        Ok(emit(Rows::Mapped(Mapped { rows, values })))
    }
}

contract::export!(Otherwise);
