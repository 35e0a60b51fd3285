//! Jobs as the API tells of them: where it does, and what people are told.

use anyhow::Context;
use bytesize::ByteSize;
use gristmill_ports::catalog::JobState;
use gristmill_runtime::JobEventKind;
use gristmill_types::JobId;
use indicatif::HumanCount;
use serde::Deserialize;
use serde_json::Value;

use super::output::{field, number, table};
use crate::words::counted;

/// The address of a job, or of something of it.
pub(super) fn path(job: &JobId, rest: &str) -> String {
    format!("/v1/jobs/{job}{rest}")
}

/// Where a job is.
///
/// # Errors
/// If it is where this program knows no job to be: its host is of another version.
pub(super) fn state_of(job: &Value) -> anyhow::Result<JobState> {
    let unknown =
        || format!("the host says that the job is {}, which this version of gristmill does not know", job["state"]);
    JobState::deserialize(&job["state"]).with_context(unknown)
}

/// A job in a line.
pub(super) fn in_a_line(job: &Value) -> String {
    let mut line = format!(
        "job {} is {}: {} in, {} out, {}, {} ms",
        field(job, "job"),
        field(job, "state"),
        counted(number(job, "events_read"), "event"),
        HumanCount(number(job, "events_written")),
        counted(number(job, "dead_letters"), "dead letter"),
        field(job, "elapsed_ms"),
    );
    let cause = field(job, "cause");
    if !cause.is_empty() {
        line.push_str(&format!("\ncause: {cause}"));
    }
    line
}

pub(super) fn listed(answer: &Value) -> String {
    let columns = ["job", "state", "events_read", "events_written", "dead_letters", "elapsed_ms"];
    let row = |job: &Value| columns.map(|column| field(job, column)).to_vec();
    let rows: Vec<_> = answer["jobs"].as_array().into_iter().flatten().map(row).collect();
    table(&["JOB", "STATE", "IN", "OUT", "DEAD LETTERS", "MS"], &rows)
}

pub(super) fn inspected(job: &Value) -> String {
    let row = |node: &Value| {
        let total = &node["total"];
        let out: u64 = total["events_out"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
        let mut cells = vec![field(node, "id"), field(node, "kind"), field(total, "events_in"), out.to_string()];
        cells.extend(
            ["calls", "faults", "dead_letters", "busy_ms", "blocked_ms", "state_keys"].map(|name| field(total, name)),
        );
        cells
    };
    let rows: Vec<_> = nodes(job).map(row).collect();
    let header = ["NODE", "KIND", "IN", "OUT", "CALLS", "FAULTS", "DEAD LETTERS", "BUSY MS", "BLOCKED MS", "KEYS"];
    let mut lines = vec![in_a_line(job)];
    lines.extend(newest_checkpoint(job));
    lines.extend(storing(job));
    lines.extend(restarts(job));
    lines.extend([field(job, "rendering").trim_end().to_owned(), table(&header, &rows)]);
    lines.extend(nodes(job).filter_map(|node| retries(node, job)));
    lines.join("\n")
}

fn nodes(job: &Value) -> impl Iterator<Item = &Value> {
    job["report"]["nodes"].as_array().into_iter().flatten()
}

/// What the job would go on from.
fn newest_checkpoint(job: &Value) -> Option<String> {
    let newest = &job["newest_checkpoint"];
    let number = newest["checkpoint"].as_u64()?;
    Some(match newest["at"].as_str() {
        Some(at) => format!(
            "newest checkpoint: {number}, of {at}: {} in {} ms",
            ByteSize(self::number(newest, "state_bytes")),
            self::number(newest, "duration_ms"),
        ),
        None => format!("newest checkpoint: {number}, which the job went on from"),
    })
}

/// What storing a checkpoint suffers from.
pub(super) fn storing(of: &Value) -> Option<String> {
    let trouble = of.get("storing").filter(|trouble| !trouble.is_null())?;
    let (since, reason) = (field(trouble, "since"), field(trouble, "reason"));
    Some(format!("storing does not succeed since {since}, and is tried again: {reason}"))
}

/// What keeps a job from doing what it was asked for, as far as it is known.
pub(super) fn held_up(job: &Value) -> String {
    let mut why = Vec::from_iter(storing(job));
    why.extend(nodes(job).filter_map(|node| {
        let retrying = node["total"].get("retrying").filter(|retrying| !retrying.is_null())?;
        Some(format!("{} tries again: {}", field(node, "id"), field(retrying, "reason")))
    }));
    let cause = field(job, "cause");
    if !cause.is_empty() {
        why.push(cause);
    }
    let state = format!("job {} is {}", field(job, "job"), field(job, "state"));
    if why.is_empty() { state } else { format!("{state}; {}", why.join("; ")) }
}

/// How often the job has started again, and why it last did.
pub(super) fn restarts(job: &Value) -> Option<String> {
    let (count, last) = (number(job, "restarts"), &job["last_restart"]);
    (count > 0)
        .then(|| format!("{}, last of {}: {}", counted(count, "restart"), field(last, "at"), field(last, "cause")))
}

/// That a source or a sink has met errors that may pass. The job's events have the reasons.
fn retries(node: &Value, job: &Value) -> Option<String> {
    let tries = number(&node["total"], "retries");
    let why = format!("`gristmill job logs {} --follow` says why", field(job, "job"));
    (tries > 0).then(|| format!("{} tried again {}; {why}", field(node, "id"), counted(tries, "time")))
}

pub(super) fn log_lines(answer: &Value) -> String {
    let line = |line: &Value| {
        format!(
            "{} {:5} [{}] {}",
            field(line, "at"),
            field(line, "level"),
            field(line, "operator"),
            field(line, "message")
        )
    };
    answer["lines"].as_array().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

/// A job event in a line. One that this version does not know is given as it came.
pub(super) fn event_in_words(event: &Value) -> String {
    if let Some(missed) = event["missed"].as_u64() {
        return format!("{} missed: they came faster than they were read", counted(missed, "event"));
    }
    let Ok(kind) = JobEventKind::deserialize(event) else { return event.to_string() };
    let operator = field(event, "operator");
    let place = if operator.is_empty() { String::new() } else { format!("[{operator}] ") };
    let what = match kind {
        JobEventKind::State { state, cause } => format!("{state} {}", cause.unwrap_or_default()),
        JobEventKind::Log { level: _, row: _, message } => format!("{}: {message}", field(event, "level")),
        JobEventKind::DeadLetters { count, reason } => format!("{}: {reason}", counted(count, "dead letter")),
        JobEventKind::Crash { bundle, message } => format!("crash bundle {bundle}: {message}"),
        JobEventKind::CallFailed { message, reaction } => format!("{message}; {reaction}"),
        JobEventKind::LogDropped { lines } => format!("{} dropped", counted(lines, "log line")),
        JobEventKind::StateRewritten { keys, failed: 0, .. } => format!("state of {keys} keys is rewritten"),
        JobEventKind::StateRewritten { keys, failed, first_failure } => format!(
            "state of {keys} keys is rewritten, that of {failed} cannot be: {}",
            first_failure.as_deref().unwrap_or("unknown")
        ),
        JobEventKind::Swap { stage, message } => format!("swap {}: {message}", stage.as_str()),
        JobEventKind::Shadow { stage, message } => format!("shadow {}: {message}", stage.as_str()),
        JobEventKind::Retrying { message } => format!("retrying {message}"),
        JobEventKind::Checkpoint { checkpoint, duration_ms, uploaded_bytes } => {
            format!("checkpoint {checkpoint} after {duration_ms} ms, {}", ByteSize(uploaded_bytes))
        }
        JobEventKind::CheckpointFailed { checkpoint, cause } => format!("checkpoint {checkpoint} failed: {cause}"),
    };
    format!("{place}{}", what.trim_end())
}

pub(super) fn letters(answer: &Value) -> String {
    let letter = |letter: &Value| {
        let origin = field(letter, "origin");
        let place = if origin.is_empty() {
            field(letter, "operator")
        } else {
            format!("{} {origin}", field(letter, "operator"))
        };
        let replayed = if letter["replayed"].as_bool() == Some(true) { " (replayed)" } else { "" };
        let undecided = if letter["decided"].as_bool() == Some(false) { " (undecided)" } else { "" };
        let crash = letter["crash"].as_str().map_or_else(String::new, |name| format!("\n  crash bundle {name}"));
        format!(
            "#{}{replayed}{undecided} {place}: {}: {}\n  key {} value {}{crash}",
            field(letter, "number"),
            field(letter, "kind"),
            field(letter, "message"),
            payload(&letter["key"]),
            payload(&letter["value"]),
        )
    };
    let shown = || answer["letters"].as_array().into_iter().flatten();
    let mut lines: Vec<String> = shown().map(letter).collect();
    if shown().any(|letter| letter["decided"].as_bool() == Some(false)) {
        lines.push("undecided: of work that is not committed yet; goes away if the job goes back".to_owned());
    }
    lines.push(format!("{} in all", field(answer, "count")));
    lines.join("\n")
}

/// Bytes as the API gives them: text, or base64 where they are none.
pub(super) fn payload(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Object(_) => value["text"].as_str().or(value["base64"].as_str()).unwrap_or_default().to_owned(),
        _ => value.as_str().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn job_events_are_told_in_a_line() {
        let cases = [
            (json!({"kind": "state", "state": "FAILED", "cause": "disk full"}), "FAILED disk full"),
            (json!({"kind": "log", "operator": "it", "level": "warn", "message": "odd"}), "[it] warn: odd"),
            (json!({"kind": "dead-letters", "count": 2, "reason": "trap"}), "2 dead letters: trap"),
            (json!({"kind": "log-dropped", "lines": 7, "number": 3, "at_ms": 5}), "7 log lines dropped"),
            (
                json!({"kind": "checkpoint", "checkpoint": 7, "duration_ms": 12, "uploaded_bytes": 2048}),
                "checkpoint 7 after 12 ms, 2.0 KiB",
            ),
            (
                json!({"kind": "checkpoint-failed", "checkpoint": 8, "cause": "the disk is slow"}),
                "checkpoint 8 failed: the disk is slow",
            ),
            (json!({"missed": 4}), "4 events missed: they came faster than they were read"),
            (json!({"kind": "of-tomorrow"}), r#"{"kind":"of-tomorrow"}"#),
        ];
        for (event, words) in cases {
            assert_eq!(event_in_words(&event), words);
        }
    }

    #[test]
    fn a_job_tells_what_it_would_go_on_from_and_why_it_started_again() {
        let job = json!({
            "newest_checkpoint": {"checkpoint": 7, "at": "2026-01-01T00:00:00Z", "state_bytes": 2048, "duration_ms": 3},
            "restarts": 2, "last_restart": {"at": "2026-01-01T00:00:01Z", "cause": "disk full"},
        });
        let newest = "newest checkpoint: 7, of 2026-01-01T00:00:00Z: 2.0 KiB in 3 ms";
        assert_eq!(newest_checkpoint(&job).as_deref(), Some(newest));
        assert_eq!(restarts(&job).as_deref(), Some("2 restarts, last of 2026-01-01T00:00:01Z: disk full"));
        let fresh = json!({"newest_checkpoint": {"checkpoint": 7, "at": null}, "restarts": 0});
        let restored = "newest checkpoint: 7, which the job went on from";
        assert_eq!((newest_checkpoint(&fresh).as_deref(), restarts(&fresh)), (Some(restored), None));
    }

    #[test]
    fn a_letter_that_may_go_away_says_so() {
        let letter = |decided: bool| {
            json!({"number": 4, "replayed": false, "decided": decided, "operator": "it", "origin": "", "kind": "trap",
                   "message": "why", "key": null, "value": {"text": "x"}})
        };
        let told = |decided: bool| letters(&json!({"count": 1, "letters": [letter(decided)]}));
        assert_eq!(told(true), "#4 it: trap: why\n  key - value x\n1 in all");
        assert_eq!(
            told(false),
            "#4 (undecided) it: trap: why\n  key - value x\n\
             undecided: of work that is not committed yet; goes away if the job goes back\n1 in all"
        );
    }

    #[test]
    fn a_state_of_tomorrow_is_no_reason_to_wait_for_ever() {
        assert_eq!(state_of(&json!({"state": "PAUSED"})).ok(), Some(JobState::Paused));
        let error = state_of(&json!({"state": "HIBERNATING"})).expect_err("no such state");
        assert!(error.to_string().contains("the job is \"HIBERNATING\""), "{error}");
    }
}
