//! Honest: `count`, version 3. The state is a map now: under `count` the count, u64, little-endian. It emits what `count`
//! emits. Migrates versions 1 and 2, values of which the first eight bytes are the count; there is no way back.
//! The host says nothing.

use contract::{
    Batch, Column, Descriptor, Entries, Failure, Mapped, Migration, Operator, Outcome, Rows, StateKind, column,
    count::{self, COUNTS},
    emit, state,
};

/// The only name in the map.
const NAME: &str = "count";

struct MigrateCountMap;

impl Operator for MigrateCountMap {
    fn describe() -> Descriptor {
        count::descriptor(3, StateKind::OrderedMap)
    }

    /// Reads and writes row by row: rows of one key follow one another.
    fn process(events: Batch) -> Result<Outcome, Failure> {
        let rows: Vec<u32> = (0..events.timestamps.len() as u32).collect();
        let mut counts = Vec::with_capacity(rows.len());
        for row in &rows {
            let before = state::map_get(COUNTS, &[*row], &names(1));
            let count = column::iter(&before).next().flatten().map_or(Ok(0), count_of)? + 1;
            let values = column::of([Some(count.to_le_bytes())]);
            state::map_put(COUNTS, &state::Entries { rows: vec![*row], keys: names(1), values });
            counts.push(Some(count.to_le_bytes()));
        }
        Ok(emit(Rows::Mapped(Mapped { rows, values: column::of(counts) })))
    }
}

impl Migration for MigrateCountMap {
    fn migrate(from: u32, to: u32, page: Entries) -> Result<Entries, Failure> {
        if !matches!((from, to), (1 | 2, 3)) {
            return Err(Failure::Fatal(format!("there is no way from version {from} to version {to}")));
        }
        let counts = column::iter(&page.values).map(|value| value.map(count_of).transpose());
        let counts = counts.map(|count| Ok(count?.map(u64::to_le_bytes))).collect::<Result<Vec<_>, Failure>>()?;
        let map_keys = names(page.owners.len());
        Ok(Entries { map_keys, values: column::of(counts), ..page })
    }
}

/// The first eight bytes.
fn count_of(bytes: &[u8]) -> Result<u64, Failure> {
    let count = bytes.first_chunk().copied().map(u64::from_le_bytes);
    count.ok_or_else(|| Failure::Fatal(format!("the state `counts` holds {} bytes, too few for a count", bytes.len())))
}

fn names(count: usize) -> Column {
    column::of(vec![Some(NAME); count])
}

contract::export!(MigrateCountMap);
contract::export_migration!(MigrateCountMap);
