//! Checkpoints in words: those that the API tells of, and those that lie in storage.

use bytesize::ByteSize;
use indicatif::HumanCount;
use serde_json::Value;

use super::job_words::{restarts, storing};
use super::output::{field, number, table};
use crate::words::{self, counted};

/// What became of a job's checkpoints.
pub(super) fn checkpoints(answer: &Value) -> String {
    let mut counts = format!(
        "job {}: {} completed, {} failed",
        field(answer, "job"),
        HumanCount(number(answer, "completed")),
        HumanCount(number(answer, "failed")),
    );
    for (name, what) in [("under_way", "under way"), ("restored", "is what it went on from")] {
        if let Some(number) = answer[name].as_u64() {
            counts.push_str(&format!("; {number} {what}"));
        }
    }
    let mut lines = vec![counts];
    lines.extend(storing(answer));
    lines.extend(restarts(answer));
    let recent = list(answer, "recent");
    if !recent.is_empty() {
        let spreads = [("duration_ms", "DURATION MS"), ("inline_us", "INLINE US"), ("uploaded_bytes", "WRITTEN BYTES")];
        let rows = spreads.map(|(name, what)| {
            let spread = &answer[name];
            [what.to_owned()].into_iter().chain(["p50", "p99", "max"].map(|at| field(spread, at))).collect()
        });
        lines.push(table(&["RECENT ONES", "P50", "P99", "MAX"], &rows));
        lines.push(table(&COLUMNS, &recent.iter().map(row).collect::<Vec<_>>()));
    }
    let kept = list(answer, "kept");
    if !kept.is_empty() {
        lines.push("in storage:".to_owned());
        lines.extend(kept.iter().map(kept_in_a_line));
    }
    if let Some(why) = answer["kept_unknown"].as_str() {
        lines.push(format!("in storage: cannot be told: {why}"));
    }
    lines.join("\n")
}

const COLUMNS: [&str; 7] = ["CHECKPOINT", "STATUS", "AT", "MS", "BYTES", "WRITTEN", "CAUSE"];

fn row(one: &Value) -> Vec<String> {
    let columns = ["checkpoint", "status", "at", "duration_ms", "state_bytes", "uploaded_bytes", "cause"];
    columns.map(|column| field(one, column)).to_vec()
}

fn kept_in_a_line(kept: &Value) -> String {
    let what = match kept["checkpoint"].as_u64() {
        Some(number) => format!("checkpoint {number}, of {}", field(kept, "at")),
        None => format!("slot {}", field(kept, "slot")),
    };
    let damaged = field(kept, "damaged");
    if damaged.is_empty() { format!("  {what}") } else { format!("  {what}: {damaged}") }
}

/// One checkpoint with the part of each subtask.
pub(super) fn checkpoint(one: &Value) -> String {
    let mut lines = vec![table(&COLUMNS, &[row(one)])];
    let parts = list(one, "subtasks");
    if !parts.is_empty() {
        let columns = ["task", "subtask", "aligned_us", "inline_us", "durable_ms", "entries", "bytes"];
        let rows: Vec<_> = parts.iter().map(|part| columns.map(|column| field(part, column)).to_vec()).collect();
        let header = ["TASK", "SUBTASK", "ALIGNED US", "INLINE US", "DURABLE MS", "ENTRIES", "BYTES"];
        lines.push(table(&header, &rows));
    }
    lines.join("\n")
}

/// What lies in storage.
pub(super) fn inspection(found: &Value) -> String {
    let path = field(found, "path");
    let mut lines = match found["what"].as_str().unwrap_or_default() {
        "runs" => list(found, "runs").iter().flat_map(run).collect(),
        "savepoint" => saved(found),
        "chain-entry" => [vec![format!("{path}: an entry of a chain")], entry(&found["entry"])].concat(),
        "page" => [vec![format!("{path}: a page of a checkpoint")], snapshot(&found["snapshot"])].concat(),
        _ => vec![format!("{path}: a file of state, format version {}, {}", field(found, "version"), bytes(found))],
    };
    let damaged = list(found, "damaged");
    if damaged.is_empty() {
        lines.push("nothing is damaged".to_owned());
    } else {
        lines.push(format!("damaged, {}:", counted(damaged.len() as u64, "place")));
        lines.extend(damaged.iter().map(|one| format!("  {}: {}", field(one, "path"), field(one, "why"))));
    }
    lines.join("\n")
}

/// A savepoint, with what it holds of each node.
fn saved(found: &Value) -> Vec<String> {
    let (path, savepoint) = (field(found, "path"), &found["savepoint"]);
    if savepoint.is_null() {
        return vec![format!("{path}: a savepoint whose record cannot be read")];
    }
    let (job, run) = (field(savepoint, "job"), field(savepoint, "run"));
    let mut lines = vec![format!(
        "{path}: a savepoint of job `{job}`, by checkpoint {} of run {run}, {} key groups",
        field(savepoint, "checkpoint"),
        field(savepoint, "max_parallelism"),
    )];
    lines.extend(list(savepoint, "nodes").iter().flat_map(snapshot));
    lines
}

fn run(run: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "run {} of job {}, in {}",
        or_unknown(&run["run"]),
        or_unknown(&run["job"]),
        field(run, "folder")
    )];
    for filled in list(run, "chain") {
        let mut told = entry(filled).into_iter();
        lines.extend(told.next().map(|first| format!("slot {}: {first}", field(filled, "slot"))));
        lines.extend(told.map(|line| format!("  {line}")));
    }
    lines.push(format!(
        "{}, {}; {} of them, {}, are named by no checkpoint",
        counted(number(&run["files"], "count"), "file"),
        bytes(&run["files"]),
        HumanCount(number(&run["unnamed"], "count")),
        bytes(&run["unnamed"]),
    ));
    lines
}

fn entry(entry: &Value) -> Vec<String> {
    match entry["kind"].as_str().unwrap_or_default() {
        "claim" => {
            let from = match entry["restored"].as_u64() {
                Some(number) => format!("goes on from checkpoint {number}"),
                None => "begins at the beginning".to_owned(),
            };
            let (attempt, host, at) = (field(entry, "attempt"), field(entry, "host"), field(entry, "at"));
            vec![format!("attempt {attempt} on {host} at {at} {from}")]
        }
        "checkpoint" => decided(entry),
        _ => vec![format!("unreadable: {}", field(entry, "why"))],
    }
}

fn decided(one: &Value) -> Vec<String> {
    let mut first = format!(
        "{} {} by attempt {}, of {}",
        field(one, "reason"),
        field(one, "checkpoint"),
        field(one, "attempt"),
        field(one, "completed_at"),
    );
    if let Some(parent) = one["parent"].as_u64() {
        first.push_str(&format!(", after {parent}"));
    }
    if one["is_final"].as_bool() == Some(true) {
        first.push_str(match had_ended(one) {
            Some(true) => "; the last: the input had come to its end",
            Some(false) => "; the last before the job was stopped",
            None => "; the last",
        });
    }
    let mut lines = vec![first];
    for node in list(one, "nodes") {
        if node["snapshot"].is_null() {
            lines.push(format!("{}: page {} was not read", field(node, "node"), file(&node["page"])));
        } else {
            lines.extend(snapshot(&node["snapshot"]));
        }
    }
    for canary in list(one, "canaries") {
        lines.push(format!(
            "{}: module {} serves {} % of the key groups beside its own",
            field(canary, "node"),
            field(canary, "module"),
            number(canary, "share"),
        ));
    }
    for staged in list(one, "committables") {
        lines.push(format!(
            "staged by {} for checkpoint {}, not known to be committed: {}",
            field(staged, "sink"),
            field(staged, "staged_for"),
            field(staged, "payload"),
        ));
        lines.extend(list(staged, "files").iter().map(|one| format!("  {}: {}", file(one), bytes(one))));
    }
    lines
}

/// Whether all input had been read to its end; `None` if the pages do not say.
fn had_ended(checkpoint: &Value) -> Option<bool> {
    let subtasks = list(checkpoint, "nodes").iter().flat_map(|node| list(&node["snapshot"], "subtasks"));
    let mut sources = subtasks.filter(|part| !list(part, "splits").is_empty()).peekable();
    sources.peek()?;
    Some(sources.all(|part| part["ended"].as_bool() == Some(true)))
}

/// What a page says of its node.
fn snapshot(page: &Value) -> Vec<String> {
    if page.is_null() {
        return Vec::new();
    }
    let subtasks = list(page, "subtasks");
    let mut lines = vec![format!("{}: {}", field(page, "node"), counted(subtasks.len() as u64, "subtask"))];
    for part in subtasks {
        let subtask = field(part, "subtask");
        let ended = if part["ended"].as_bool() == Some(true) { ", ended" } else { "" };
        lines.extend(list(part, "splits").iter().map(|split| {
            format!("  {subtask}: split {} at {}{ended}", field(split, "split"), field(split, "position"))
        }));
        lines.extend(list(part, "files").iter().map(|state| {
            let entries = words::entries(number(state, "entries"));
            format!("  {subtask}: state {}: {entries}, {}", file(&state["file"]), bytes(&state["file"]))
        }));
        if !field(part, "sink").is_empty() {
            lines.push(format!("  {subtask}: writes on behind {}", field(part, "sink")));
        }
    }
    lines
}

/// A file's name below the folder of files.
fn file(file: &Value) -> String {
    format!("{}/{:016x}-{}", field(file, "attempt"), number(file, "number"), field(file, "hash"))
}

fn bytes(of: &Value) -> ByteSize {
    ByteSize(number(of, "bytes"))
}

fn or_unknown(value: &Value) -> &str {
    value.as_str().unwrap_or("unknown")
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn checkpoints_are_listed_with_their_spreads_and_what_is_left_in_storage() {
        let spread = json!({"p50": 4, "p99": 9, "max": 12});
        let answer = json!({
            "job": "orders", "completed": 2, "failed": 1, "under_way": 4, "restored": 1, "duration_ms": spread,
            "inline_us": spread, "uploaded_bytes": spread, "restarts": 0,
            "storing": {"since": "T3", "reason": "the mount is gone"},
            "recent": [
                {"checkpoint": 3, "status": "failed", "at": "T2", "cause": "too slow"},
                {"checkpoint": 2, "status": "completed", "at": "T1", "duration_ms": 4, "state_bytes": 100,
                 "uploaded_bytes": 50, "subtasks": []},
            ],
            "kept": [{"slot": 3, "checkpoint": null, "damaged": "cut off"}, {"slot": 1, "checkpoint": 1, "at": "T0"}],
        });
        let told = checkpoints(&answer);
        let expected = [
            "job orders: 2 completed, 1 failed; 4 under way; 1 is what it went on from",
            "storing does not succeed since T3, and is tried again: the mount is gone",
            "RECENT ONES    P50  P99  MAX",
            "DURATION MS      4    9   12",
            "INLINE US        4    9   12",
            "WRITTEN BYTES    4    9   12",
            "CHECKPOINT  STATUS     AT  MS  BYTES  WRITTEN  CAUSE",
            "         3  failed     T2                      too slow",
            "         2  completed  T1   4    100       50",
            "in storage:",
            "  slot 3: cut off",
            "  checkpoint 1, of T0",
        ];
        assert_eq!(told.lines().collect::<Vec<_>>(), expected, "{told}");
    }

    #[test]
    fn the_last_checkpoint_of_a_job_that_was_stopped_is_told_from_that_of_one_that_read_all() {
        let last = |parts: Value| {
            let nodes = json!([{"node": "in", "page": {}, "snapshot": {"node": "in", "subtasks": parts}}]);
            decided(&json!({"reason": "checkpoint", "checkpoint": 2, "is_final": true, "nodes": nodes})).swap_remove(0)
        };
        let part = |ended: bool| json!({"subtask": 0, "ended": ended, "splits": [{"split": "a", "position": "1"}]});
        assert!(last(json!([part(true), part(true)])).ends_with("the last: the input had come to its end"));
        assert!(last(json!([part(true), part(false)])).ends_with("the last before the job was stopped"));
        assert!(last(json!([])).ends_with("; the last"));
    }

    #[test]
    fn one_checkpoint_is_shown_with_the_part_of_each_subtask() {
        let one = json!({
            "checkpoint": 2, "status": "completed", "at": "T1", "duration_ms": 4, "state_bytes": 100, "uploaded_bytes": 50,
            "subtasks": [{"task": "in", "subtask": 0, "aligned_us": 1, "inline_us": 2, "durable_ms": 3, "entries": 4,
                          "bytes": 5}],
        });
        let told = checkpoint(&one);
        let last = told.lines().last().unwrap_or_default();
        assert_eq!(last, "in          0           1          2           3        4      5", "{told}");
    }
}
