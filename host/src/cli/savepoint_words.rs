//! Savepoints in words.

use bytesize::ByteSize;
use indicatif::HumanCount;
use serde_json::Value;

use super::job_words::payload;
use super::output::{field, number, table};
use crate::words::{self, counted};

pub(super) fn listed(answer: &Value) -> String {
    let row = |one: &Value| {
        let bytes = ByteSize(number(one, "bytes")).to_string();
        let cells = ["job", "name", "taken_at", "checkpoint", "entries"].map(|column| field(one, column));
        [&cells[..], &[bytes, field(one, "damaged")]].concat()
    };
    let rows: Vec<_> = list(answer, "savepoints").iter().map(row).collect();
    table(&["JOB", "NAME", "TAKEN AT", "CHECKPOINT", "ENTRIES", "BYTES", "DAMAGED"], &rows)
}

/// A savepoint with what it holds of each node.
pub(super) fn inspected(one: &Value) -> String {
    let mut lines = vec![format!(
        "savepoint {}/{}, taken at {} by checkpoint {} of run {}: {} entries, {}, {} key groups",
        field(one, "job"),
        field(one, "name"),
        field(one, "taken_at"),
        field(one, "checkpoint"),
        field(one, "run"),
        HumanCount(number(one, "entries")),
        ByteSize(number(one, "bytes")),
        field(one, "max_parallelism"),
    )];
    let row = |node: &Value| {
        let state = |state: &Value| {
            let [name, kind, version] = ["name", "kind", "version"].map(|part| field(state, part));
            format!("{name} ({kind} v{version}, {})", words::entries(number(state, "entries")))
        };
        let states: Vec<String> = list(node, "states").iter().map(state).collect();
        let module: String = field(node, "module").chars().take(12).collect();
        let counts = ["node", "subtasks", "entries"].map(|column| field(node, column));
        let bytes = ByteSize(number(node, "bytes")).to_string();
        [&counts[..], &[bytes, field(node, "positions"), module, states.join(", ")]].concat()
    };
    let rows: Vec<_> = list(one, "nodes").iter().map(row).collect();
    lines.push(table(&["NODE", "SUBTASKS", "ENTRIES", "BYTES", "POSITIONS", "MODULE", "STATES"], &rows));
    let tail = |node: &Value| {
        let (events, bytes) = (number(&node["tail"], "events"), ByteSize(number(&node["tail"], "bytes")));
        format!("{} carries {}, {bytes}, that nobody had read", field(node, "node"), counted(events, "posted event"))
    };
    lines.extend(list(one, "nodes").iter().filter(|node| number(&node["tail"], "events") > 0).map(tail));
    lines.join("\n")
}

/// How two savepoints differ.
pub(super) fn diffed(answer: &Value) -> String {
    let mut lines = Vec::new();
    for operator in list(answer, "operators") {
        for state in list(operator, "states") {
            let count = |name| HumanCount(number(state, name));
            lines.push(format!(
                "{}.{}: {} alike, {} only in a, {} only in b, {} different",
                field(operator, "operator"),
                field(state, "state"),
                count("same"),
                count("only_a"),
                count("only_b"),
                count("different"),
            ));
            lines.extend(list(state, "samples").iter().map(sample));
        }
    }
    lines.push(format!("differing: {}", number(answer, "differing")));
    lines.join("\n")
}

fn sample(one: &Value) -> String {
    let mut key = payload(&one["key"]);
    if let Some(item) = one["item"].as_u64() {
        key.push_str(&format!("[{item}]"));
    }
    if !one["name"].is_null() {
        key.push_str(&format!("[{}]", payload(&one["name"])));
    }
    format!("  {key}: {} | {}", payload(&one["a"]), payload(&one["b"]))
}

/// What becomes of a savepoint in a job, a line for each node and state.
pub(super) fn fits(fits: &Value) -> Vec<String> {
    let told = |node: &Value| {
        let states = list(node, "states");
        if states.is_empty() {
            return vec![format!("{}: {}", field(node, "node"), field(node, "becomes"))];
        }
        let state =
            |state: &Value| format!("{}.{}: {}", field(node, "node"), field(state, "state"), field(state, "becomes"));
        states.iter().map(state).collect()
    };
    fits.as_array().into_iter().flatten().flat_map(told).collect()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_difference_is_told_in_numbers_and_samples() {
        let samples = json!([
            {"key": {"text": "k1"}, "a": {"text": "1"}, "b": {"text": "2"}},
            {"key": {"text": "k2"}, "item": 3, "b": {"base64": "/w=="}},
        ]);
        let state = json!({"state": "sum", "same": 7, "only_a": 0, "only_b": 1, "different": 1, "samples": samples});
        let told = diffed(&json!({"differing": 2, "operators": [{"operator": "op", "states": [state]}]}));
        let expected = [
            "op.sum: 7 alike, 0 only in a, 1 only in b, 1 different",
            "  k1: 1 | 2",
            "  k2[3]: - | /w==",
            "differing: 2",
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{told}");
    }

    #[test]
    fn what_becomes_of_a_savepoint_is_told_by_node_and_state() {
        let told = fits(&json!([
            {"becomes": "continued", "node": "in", "states": []},
            {"becomes": "continued", "node": "op", "states": [{"becomes": "same", "state": "sum"}]},
            {"becomes": "new", "node": "late"},
        ]));
        assert_eq!(told, ["in: continued", "op.sum: same", "late: new"]);
    }
}
