//! Honest: `count`, version 2. The state holds the count and the time of the key's newest event, 16 bytes; it emits what
//! `count` emits. Migrates the state of version 1, in which there is no time, and back.
//! The host says nothing.

use contract::{
    Batch, Column, Descriptor, Entries, Failure, Mapped, Migration, Operator, Outcome, Rows, StateKind, column,
    count::{self, COUNTS},
    emit, state,
};

/// The time of a key that version 1 had counted: before all others.
const UNKNOWN: i64 = i64::MIN;

struct MigrateCount;

/// What a key has.
#[derive(Clone, Copy)]
struct Seen {
    count: u64,
    newest: i64,
}

impl Seen {
    fn from_bytes(bytes: &[u8]) -> Result<Self, Failure> {
        let words: [u8; 16] = bytes.try_into().map_err(|_| wrong(bytes.len(), 16))?;
        let (count, newest) = words.split_at(8);
        Ok(Self {
            count: u64::from_le_bytes(count.try_into().expect("half of sixteen")),
            newest: i64::from_le_bytes(newest.try_into().expect("half of sixteen")),
        })
    }

    fn to_bytes(self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.count.to_le_bytes());
        bytes[8..].copy_from_slice(&self.newest.to_le_bytes());
        bytes
    }
}

impl Operator for MigrateCount {
    fn describe() -> Descriptor {
        count::descriptor(2, StateKind::Value)
    }

    fn process(events: Batch) -> Result<Outcome, Failure> {
        let rows: Vec<u32> = (0..events.timestamps.len() as u32).collect();
        let before = state::get(COUNTS, &rows);
        let of_slot = |seen: Option<&[u8]>| seen.map_or(Ok(Seen { count: 0, newest: UNKNOWN }), Seen::from_bytes);
        let mut seen = column::iter(&before.values).map(of_slot).collect::<Result<Vec<_>, _>>()?;

        let mut row_of = vec![0; seen.len()];
        let mut counts = Vec::with_capacity(rows.len());
        for ((row, slot), time) in rows.iter().zip(&before.slots).zip(&events.timestamps) {
            let seen = &mut seen[*slot as usize];
            *seen = Seen { count: seen.count + 1, newest: seen.newest.max(*time) };
            row_of[*slot as usize] = *row;
            counts.push(Some(seen.count.to_le_bytes()));
        }
        state::put(COUNTS, &row_of, &column::of(seen.iter().map(|seen| Some(seen.to_bytes()))));
        Ok(emit(Rows::Mapped(Mapped { rows, values: column::of(counts) })))
    }
}

impl Migration for MigrateCount {
    fn migrate(from: u32, to: u32, page: Entries) -> Result<Entries, Failure> {
        let values = match (from, to) {
            (1, 2) => each(&page.values, |bytes| {
                let count = u64::from_le_bytes(bytes.try_into().map_err(|_| wrong(bytes.len(), 8))?);
                Ok(Seen { count, newest: UNKNOWN }.to_bytes().to_vec())
            })?,
            (2, 1) => each(&page.values, |bytes| Ok(Seen::from_bytes(bytes)?.count.to_le_bytes().to_vec()))?,
            _ => return Err(Failure::Fatal(format!("there is no way from version {from} to version {to}"))),
        };
        Ok(Entries { values, ..page })
    }
}

/// A column of these values, each made another.
fn each(values: &Column, rewrite: impl Fn(&[u8]) -> Result<Vec<u8>, Failure>) -> Result<Column, Failure> {
    let rewritten: Result<Vec<_>, _> = column::iter(values).map(|value| value.map(&rewrite).transpose()).collect();
    Ok(column::of(rewritten?))
}

fn wrong(bytes: usize, wanted: usize) -> Failure {
    Failure::Fatal(format!("the state `counts` holds {bytes} bytes where {wanted} belong"))
}

contract::export!(MigrateCount);
contract::export_migration!(MigrateCount);
