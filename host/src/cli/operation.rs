//! Long actions: begun, then looked at until they are done.

use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use indicatif::HumanCount;
use serde_json::Value;

use super::api::Api;
use super::job_words::held_up;
use super::output::{Output, field, number};
use crate::words::counted;

/// How often an operation is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Looks in vain until it is said what is waited for, and until it is looked whether that has changed.
const LOOKS_IN_SILENCE: u32 = 30;

/// Prints an operation, once it is done if it is to be waited for. What takes long is told of on the way.
pub(super) async fn report(begun: Value, wait: bool, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let mut operation = begun;
    let (mut looks, mut said) = (0, String::new());
    while wait && field(&operation, "status") == "RUNNING" {
        tokio::time::sleep(LOOK_EVERY).await;
        operation = api.get(&format!("/v1/operations/{}", field(&operation, "id"))).await?;
        looks += 1;
        if looks % LOOKS_IN_SILENCE == 0 && field(&operation, "status") == "RUNNING" {
            // Words on the way are worth no failure: the job may be gone by now.
            let Ok(job) = api.get(&format!("/v1/jobs/{}", field(&operation, "job"))).await else { continue };
            let word = format!("waiting for {}: {}", field(&operation, "kind"), held_up(&job));
            if word != said {
                out.note(&word);
                said = word;
            }
        }
    }
    out.result(&operation, in_words)?;
    Ok(if field(&operation, "status") == "FAILED" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn in_words(operation: &Value) -> String {
    let detail = &operation["detail"];
    let mut line = format!("{} {}", field(operation, "kind"), field(operation, "status"));
    if !detail["state"].is_null() {
        line.push_str(&format!(": job {} is {}", field(operation, "job"), field(detail, "state")));
    }
    if let Some(replayed) = detail["replayed"].as_u64() {
        line.push_str(&format!(": {} put back", HumanCount(replayed)));
        let left_out =
            [("refused", "refused"), ("undecided", "not decided yet"), ("already_replayed", "put back before")];
        for (name, what) in left_out {
            if number(detail, name) > 0 {
                line.push_str(&format!(", {} {what}", HumanCount(number(detail, name))));
            }
        }
    }
    if !detail["savepoint"].is_null() {
        line.push_str(&format!(": savepoint {}/{}", field(operation, "job"), field(detail, "savepoint")));
        if let (Some(entries), Some(bytes)) = (detail["entries"].as_u64(), detail["bytes"].as_u64()) {
            line.push_str(&format!(", {} entries, {}", HumanCount(entries), ByteSize(bytes)));
        }
    } else if let Some(checkpoint) = detail["checkpoint"].as_u64() {
        line.push_str(&format!(": checkpoint {checkpoint}"));
        if let Some(duration_ms) = detail["duration_ms"].as_u64() {
            let (whole, written) = (number(detail, "state_bytes"), number(detail, "uploaded_bytes"));
            let (whole, written) = (ByteSize(whole), ByteSize(written));
            line.push_str(&format!(", {duration_ms} ms, names {whole}, wrote {written}"));
        }
    }
    let entry = &detail["entry"];
    if !entry.is_null() {
        line.push_str(&format!(": {}.{} of {}", field(entry, "operator"), field(entry, "state"), field(entry, "key")));
        if !entry["name"].is_null() {
            line.push_str(&format!("[{}]", field(entry, "name")));
        }
    }
    if let Some(stage) = detail["stage"].as_str() {
        line.push_str(&format!(": {stage}, module {} in the place of {}", field(detail, "new"), field(detail, "old")));
        if let Some(longest) = detail["pause_max_us"].as_u64() {
            line.push_str(&format!(", longest pause {:.1} ms", longest as f64 / 1000.0));
        }
    }
    line.push_str(&rewriting(detail));
    for node in detail["nodes"].as_array().into_iter().flatten() {
        line.push_str(&format!(
            ": {} from {} to {} subtasks",
            field(node, "node"),
            field(node, "from"),
            field(node, "to")
        ));
    }
    if let Some(took_ms) = detail["took_ms"].as_u64() {
        line.push_str(&format!(": goes on after {took_ms} ms"));
    }
    for name in ["message", "cause"] {
        if !detail[name].is_null() {
            line.push_str(&format!(": {}", field(detail, name)));
        }
    }
    for damaged in detail["damaged"].as_array().into_iter().flatten() {
        line.push_str(&format!("\n  {}: {}", field(damaged, "node"), field(damaged, "why")));
    }
    for reason in detail["reasons"].as_array().into_iter().flatten() {
        line.push_str(&format!("\n  #{}: {}", field(reason, "number"), field(reason, "message")));
    }
    line
}

/// What a swap does to state in another schema, or would do; nothing if there is none.
fn rewriting(detail: &Value) -> String {
    let (tried, done) = (&detail["migration"], &detail["rewriting"]);
    if !tried.is_null() {
        return format!(", {} of state would be rewritten", counted(number(tried, "keys"), "key"));
    }
    match done["is_over"].as_bool() {
        Some(true) => format!(", {} of state rewritten", counted(number(done, "keys"), "key")),
        Some(false) => format!(", {} of state rewritten so far", counted(number(done, "keys"), "key")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_holds_a_job_up_is_told() {
        let mut job = json!({"job": "a", "state": "STOPPING"});
        assert_eq!(held_up(&job), "job a is STOPPING");
        job["storing"] = json!({"since": "T", "reason": "the mount is gone"});
        job["report"] = json!({"nodes": [{"id": "out", "total": {"retrying": {"reason": "503"}}}]});
        assert_eq!(
            held_up(&job),
            "job a is STOPPING; storing does not succeed since T, and is tried again: the mount is gone; out tries \
             again: 503"
        );
    }

    #[test]
    fn an_operation_is_told_in_words() {
        let cases = [
            (json!({"kind": "cancel-job", "status": "RUNNING", "job": "a", "detail": {}}), "cancel-job RUNNING"),
            (
                json!({"kind": "stop-job", "status": "SUCCEEDED", "job": "a", "detail": {"state": "STOPPED", "cause": null}}),
                "stop-job SUCCEEDED: job a is STOPPED",
            ),
            (
                json!({"kind": "replay-dead-letters", "status": "SUCCEEDED", "job": "a", "detail": {
                    "replayed": 2, "already_replayed": 1, "undecided": 3, "refused": 0, "reasons": []}}),
                "replay-dead-letters SUCCEEDED: 2 put back, 3 not decided yet, 1 put back before",
            ),
            (
                json!({"kind": "replay-dead-letters", "status": "FAILED", "job": "a", "detail": {
                    "replayed": 2, "already_replayed": 0, "refused": 1,
                    "reasons": [{"number": 1, "message": "no input `in`"}]}}),
                "replay-dead-letters FAILED: 2 put back, 1 refused\n  #1: no input `in`",
            ),
            (
                json!({"kind": "savepoint", "status": "SUCCEEDED", "job": "a", "detail": {
                    "savepoint": "before", "checkpoint": 7, "entries": 1200, "bytes": 2048}}),
                "savepoint SUCCEEDED: savepoint a/before, 1,200 entries, 2.0 KiB",
            ),
            (
                json!({"kind": "verify-savepoint", "status": "FAILED", "job": "a", "detail": {
                    "savepoint": "before", "entries": 0, "bytes": 9, "damaged": [{"node": "op", "why": "torn"}]}}),
                "verify-savepoint FAILED: savepoint a/before, 0 entries, 9 B\n  op: torn",
            ),
            (
                json!({"kind": "checkpoint", "status": "SUCCEEDED", "job": "a", "detail": {
                    "checkpoint": 7, "duration_ms": 12, "state_bytes": 4096, "uploaded_bytes": 2048}}),
                "checkpoint SUCCEEDED: checkpoint 7, 12 ms, names 4.0 KiB, wrote 2.0 KiB",
            ),
            (
                json!({"kind": "checkpoint", "status": "FAILED", "job": "a", "detail": {
                    "checkpoint": 7, "cause": "it was not complete after 9 ms"}}),
                "checkpoint FAILED: checkpoint 7: it was not complete after 9 ms",
            ),
        ];
        let swapped = json!({"kind": "swap", "status": "FAILED", "job": "a", "detail": {
            "stage": "undone", "new": "n", "old": "o", "pause_max_us": 1250, "cause": "rolled back: it trapped"}});
        assert_eq!(
            in_words(&swapped),
            "swap FAILED: undone, module n in the place of o, longest pause 1.2 ms: rolled back: it trapped"
        );
        let migrating =
            |detail| in_words(&json!({"kind": "swap", "status": "SUCCEEDED", "job": "a", "detail": detail}));
        let tried = json!({"migration": {"keys": 3, "entries": 4}, "message": "it could be made"});
        assert_eq!(migrating(tried), "swap SUCCEEDED, 3 keys of state would be rewritten: it could be made");
        let done = json!({"stage": "done", "new": "n", "old": "o", "rewriting": {"keys": 1, "is_over": true}});
        assert_eq!(migrating(done), "swap SUCCEEDED: done, module n in the place of o, 1 key of state rewritten");
        let rescaled = json!({"kind": "rescale", "status": "SUCCEEDED", "job": "a", "detail": {
            "nodes": [{"node": "count", "from": 1, "to": 4}], "restored": 7, "took_ms": 210}});
        assert_eq!(in_words(&rescaled), "rescale SUCCEEDED: count from 1 to 4 subtasks: goes on after 210 ms");
        for (operation, words) in cases {
            assert_eq!(in_words(&operation), words);
        }
    }
}
