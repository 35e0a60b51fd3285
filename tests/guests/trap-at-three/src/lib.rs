//! Counts the events of each key: in a value, in a list and in a map. Traps at the third of a key, if all three agree, and
//! logs what it found; otherwise every row is let through.
//! The host must keep the third event with the state as it was before: only so does the call trap again elsewhere.

use contract::{Batch, Descriptor, Failure, Operator, Outcome, Rows, StateKind, column, emit, log, state};

const VALUE: u32 = 0;
const LIST: u32 = 1;
const MAP: u32 = 2;
/// Bytes of a page; less than three entries have.
const PAGE: u32 = 1;

struct TrapAtThree;

impl Operator for TrapAtThree {
    fn describe() -> Descriptor {
        contract::keyed_descriptor(&[
            ("value", StateKind::Value),
            ("list", StateKind::AppendList),
            ("map", StateKind::OrderedMap),
        ])
    }

    fn process(events: Batch) -> Result<Outcome, Failure> {
        for row in 0..events.timestamps.len() as u32 {
            let found = [in_value(row), in_list(row), in_map(row)];
            if found == [2, 2, 2] {
                log::write(log::Level::Info, Some(row), &format!("found {found:?}"));
                std::process::abort();
            }
            let count = found[0] as u8;
            state::put(VALUE, &[row], &column::of([Some([count + 1])]));
            state::list_append(LIST, &[row], &column::of([Some([count])]));
            let entries =
                state::Entries { rows: vec![row], keys: column::of([Some([count])]), values: column::of([Some("x")]) };
            state::map_put(MAP, &entries);
        }
        Ok(emit(Rows::All))
    }
}

fn in_value(row: u32) -> usize {
    let read = state::get(VALUE, &[row]);
    column::iter(&read.values).flatten().next().map_or(0, |bytes| usize::from(bytes[0]))
}

fn in_list(row: u32) -> usize {
    let (mut found, mut after) = (0, None);
    loop {
        let page = state::list_scan(LIST, row, after.as_deref(), PAGE);
        found += page.values.ends.len();
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

fn in_map(row: u32) -> usize {
    let (mut found, mut after) = (0, None);
    loop {
        let page = state::map_scan(MAP, row, b"", after.as_deref(), PAGE);
        found += page.values.ends.len();
        match page.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}

contract::export!(TrapAtThree);
