//! What the guests `tally` and `tally-timed` share: the one takes over from the other and gives way to it again, and nobody
//! sees in the output which of them counted.

use crate::{
    Batch, Column, Descriptor, Entries, Failure, Mapped, Migration, Operator, Outcome, Rows, StateKind, column,
    count::{self, COUNTS},
    emit, state,
};

/// How one of them keeps a count.
pub trait Kept {
    /// The schema version of the state.
    const VERSION: u32;

    /// The count in the bytes of an entry; `None` if it is none of this version.
    fn count(bytes: &[u8]) -> Option<u64>;

    /// The bytes of an entry after an event of this time.
    fn bytes(count: u64, time: i64) -> Vec<u8>;
}

/// Version 1: the count, u64, little-endian.
pub struct Plain;

impl Kept for Plain {
    const VERSION: u32 = 1;

    fn count(bytes: &[u8]) -> Option<u64> {
        bytes.try_into().ok().map(u64::from_le_bytes)
    }

    fn bytes(count: u64, _: i64) -> Vec<u8> {
        count.to_le_bytes().to_vec()
    }
}

/// Version 2: the count, then the time of the key's newest event.
pub struct Timed;

impl Kept for Timed {
    const VERSION: u32 = 2;

    fn count(bytes: &[u8]) -> Option<u64> {
        let (count, time) = bytes.split_first_chunk()?;
        (time.len() == 8).then_some(u64::from_le_bytes(*count))
    }

    fn bytes(count: u64, time: i64) -> Vec<u8> {
        [count.to_le_bytes(), time.to_le_bytes()].concat()
    }
}

/// Counts by key as `K` keeps it, emits the count as decimal text under the same key, and rewrites what the other one has.
pub struct Tally<K>(std::marker::PhantomData<K>);

impl<K: Kept> Operator for Tally<K> {
    fn describe() -> Descriptor {
        count::descriptor(K::VERSION, StateKind::Value)
    }

    fn process(events: Batch) -> Result<Outcome, Failure> {
        let rows: Vec<u32> = (0..events.timestamps.len() as u32).collect();
        let before = state::get(COUNTS, &rows);
        let mut counts = counts_in::<K>(&before.values)?;
        let mut newest = vec![(0, 0); counts.len()];
        let mut out = Vec::with_capacity(rows.len());
        for ((row, slot), time) in rows.iter().zip(&before.slots).zip(&events.timestamps) {
            counts[*slot as usize] += 1;
            newest[*slot as usize] = (*row, *time);
            out.push(Some(counts[*slot as usize].to_string()));
        }
        let row_of: Vec<u32> = newest.iter().map(|(row, _)| *row).collect();
        let after = counts.iter().zip(&newest).map(|(count, (_, time))| Some(K::bytes(*count, *time)));
        state::put(COUNTS, &row_of, &column::of(after));
        Ok(emit(Rows::Mapped(Mapped { rows, values: column::of(out) })))
    }
}

impl<K: Kept> Migration for Tally<K> {
    fn migrate(from: u32, to: u32, page: Entries) -> Result<Entries, Failure> {
        let values = match (from, to) {
            (Plain::VERSION, Timed::VERSION) => each(counts_in::<Plain>(&page.values)?, |count| Timed::bytes(count, 0)),
            (Timed::VERSION, Plain::VERSION) => each(counts_in::<Timed>(&page.values)?, |count| Plain::bytes(count, 0)),
            _ => return Err(Failure::Fatal(format!("there is no way from version {from} to version {to}"))),
        };
        Ok(Entries { values, ..page })
    }
}

fn each(counts: Vec<u64>, bytes: fn(u64) -> Vec<u8>) -> Column {
    column::of(counts.into_iter().map(|count| Some(bytes(count))))
}

/// An absent count is zero.
fn counts_in<K: Kept>(stored: &Column) -> Result<Vec<u64>, Failure> {
    let count = |bytes: Option<&[u8]>| bytes.map_or(Some(0), K::count);
    column::iter(stored).map(|bytes| count(bytes).ok_or_else(strange::<K>)).collect()
}

fn strange<K: Kept>() -> Failure {
    Failure::Fatal(format!("the state `counts` holds something that version {} never wrote", K::VERSION))
}
