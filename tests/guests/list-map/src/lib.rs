//! Honest: obeys the command in each value on the list and the map of its key, and emits the answer in its place.
//!
//! | command | answer |
//! |---|---|
//! | `append TEXT` | `ok` |
//! | `list` | the entries in order, with commas between |
//! | `forget` | `ok`; the list is empty |
//! | `put NAME TEXT` | `ok` |
//! | `get NAME` | the text, or `-` |
//! | `delete NAME` | `ok` |
//! | `scan` or `scan PREFIX` | `NAME=TEXT` ascending by name, with commas between |
//! | `clear` | `ok`; the map is empty |
//!
//! Scans ask for pages of 16 bytes, so that a handful of entries needs several. Any other command is rejected.
//! The host says nothing else.

use contract::{
    Batch, Column, Descriptor, Failure, Mapped, Operator, Outcome, Rejection, Rows, StateKind, column, emit, state,
};

/// The list.
const LIST: u32 = 0;
/// The map.
const MAP: u32 = 1;
/// Bytes of a page.
const PAGE: u32 = 16;

struct ListMap;

impl Operator for ListMap {
    fn describe() -> Descriptor {
        contract::keyed_descriptor(&[("list", StateKind::AppendList), ("map", StateKind::OrderedMap)])
    }

    fn process(events: Batch) -> Result<Outcome, Failure> {
        let (mut rows, mut answers, mut rejections) = (vec![], vec![], vec![]);
        for (row, command) in (0..).zip(column::iter(&events.values)) {
            let command = String::from_utf8_lossy(command.unwrap_or_default());
            match obey(row, &command) {
                Some(answer) => {
                    rows.push(row);
                    answers.push(Some(answer));
                }
                None => rejections.push(Rejection { row, reason: format!("`{command}` is not a command") }),
            }
        }
        Ok(Outcome { rejections, ..emit(Rows::Mapped(Mapped { rows, values: column::of(answers) })) })
    }
}

/// The answer to one command, or none when it is not one.
fn obey(row: u32, command: &str) -> Option<String> {
    let words: Vec<&str> = command.splitn(3, ' ').collect();
    match words[..] {
        ["append", text] => state::list_append(LIST, &[row], &one(text)),
        ["list"] => return Some(list(row)),
        ["forget"] => state::list_clear(LIST, &[row]),
        ["put", name, text] => put(row, name, one(text)),
        ["get", name] => return Some(texts(&state::map_get(MAP, &[row], &one(name))).remove(0)),
        ["delete", name] => put(row, name, column::of([None::<&[u8]>])),
        ["scan"] => return Some(scan(row, "")),
        ["scan", prefix] => return Some(scan(row, prefix)),
        ["clear"] => state::map_clear(MAP, &[row]),
        _ => return None,
    }
    Some("ok".into())
}

/// Puts one entry into the map; a null deletes.
fn put(row: u32, name: &str, values: Column) {
    state::map_put(MAP, &state::Entries { rows: vec![row], keys: one(name), values });
}

/// All entries of the list.
fn list(row: u32) -> String {
    let (mut entries, mut after) = (vec![], None);
    loop {
        let page = state::list_scan(LIST, row, after.as_deref(), PAGE);
        entries.extend(texts(&page.values));
        match page.next {
            Some(next) => after = Some(next),
            None => return entries.join(","),
        }
    }
}

/// All entries of the map whose name begins so.
fn scan(row: u32, prefix: &str) -> String {
    let (mut entries, mut after) = (vec![], None);
    loop {
        let page = state::map_scan(MAP, row, prefix.as_bytes(), after.as_deref(), PAGE);
        let pairs = texts(&page.keys).into_iter().zip(texts(&page.values));
        entries.extend(pairs.map(|(name, text)| format!("{name}={text}")));
        match page.next {
            Some(next) => after = Some(next),
            None => return entries.join(","),
        }
    }
}

/// A column of one text.
fn one(text: &str) -> Column {
    column::of([Some(text)])
}

/// The values as text; a null is `-`.
fn texts(values: &Column) -> Vec<String> {
    column::iter(values)
        .map(|value| value.map_or("-".into(), |text| String::from_utf8_lossy(text).into_owned()))
        .collect()
}

contract::export!(ListMap);
