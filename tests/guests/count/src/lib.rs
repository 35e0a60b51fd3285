//! Honest: counts the events of each key in a value state, and emits the count with each row; both u64, little-endian.
//! The host says nothing. The measure of a keyed count on the bare contract: one `get`, one `put`, every row out by
//! `mapped`.

use contract::{Batch, Column, Descriptor, Failure, Mapped, Operator, Outcome, Rows, StateKind, emit, state};

/// Its only state.
const COUNTS: u32 = 0;
/// Bytes of a count.
const WIDTH: usize = size_of::<u64>();

struct Count;

impl Operator for Count {
    fn describe() -> Descriptor {
        contract::keyed_descriptor(&[("counts", StateKind::Value)])
    }

    fn process(events: Batch) -> Result<Outcome, Failure> {
        let rows: Vec<u32> = (0..events.timestamps.len() as u32).collect();
        let before = state::get(COUNTS, &rows);
        let mut counts = decode(&before.values)?;

        // Rows of equal key share a slot: the running count of the slot is the count of the row.
        let mut one_row_of = vec![0; counts.len()];
        let mut out = Vec::with_capacity(rows.len() * WIDTH);
        for (row, slot) in rows.iter().zip(&before.slots) {
            let count = &mut counts[*slot as usize];
            *count += 1;
            one_row_of[*slot as usize] = *row;
            out.extend_from_slice(&count.to_le_bytes());
        }

        let after = counts.iter().flat_map(|count| count.to_le_bytes()).collect();
        state::put(COUNTS, &one_row_of, &fixed_width(after));
        Ok(emit(Rows::Mapped(Mapped { rows, values: fixed_width(out) })))
    }
}

/// The counts of the slots; an absent one is zero.
fn decode(stored: &Column) -> Result<Vec<u64>, Failure> {
    contract::column::iter(stored)
        .map(|count| match count {
            None => Ok(0),
            Some(bytes) => bytes.try_into().map(u64::from_le_bytes).map_err(|_| {
                Failure::Fatal(format!("the state `counts` holds {} bytes where {WIDTH} are a count", bytes.len()))
            }),
        })
        .collect()
}

/// A column of counts laid end to end.
fn fixed_width(data: Vec<u8>) -> Column {
    let ends = (1..=data.len() / WIDTH).map(|count| (count * WIDTH) as u32).collect();
    Column { ends, data, nulls: vec![] }
}

contract::export!(Count);
