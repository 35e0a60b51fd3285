//! Canaries of real guests in a real host: some keys through another version, more of them, across kill -9, and back.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::documents::{often, posted, through};
use crate::guests::odd;
use crate::host::{Host, eventually};

const CANARY: &str = "/v1/jobs/job/operators/it/canary";
const KEYS: usize = 200;

/// A host whose job lets `echo` through two subtasks by key, and which has these guests too.
fn echoing(guests: &[&str]) -> Host {
    let host = Host::start();
    for guest in ["echo"].iter().chain(guests) {
        host.push(&odd(guest), &format!("{guest}@1"));
    }
    let mut document = often(through("echo@1", "job", &posted()));
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.k".into();
    document["operators"]["it"]["parallelism"] = 2.into();
    document["restart"] = json!({"fixed": {"delay": "10ms", "attempts": 100}});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host
}

/// One event for each key. Those that go through `otherwise` come out so.
fn round(host: &Host, word: &str) {
    let lines: Vec<_> = (0..KEYS).map(|key| json!({"k": format!("key {key}"), "v": word}).to_string()).collect();
    host.feed("job", &lines.join("\n"));
}

/// How many lines came out by each version, once so many are there.
fn out(host: &Host, all: usize) -> (usize, usize) {
    let lines = eventually("all is committed", || Some(host.lines("job.out")).filter(|lines| lines.len() >= all));
    assert_eq!(lines.len(), all, "each event once");
    let new = lines.iter().filter(|line| *line == "otherwise").count();
    (all - new, new)
}

fn until(host: &Host, reached: impl Fn(&Value) -> bool) -> Value {
    eventually("the canary has come there", || Some(host.json(CANARY)).filter(|report| reached(report)))
}

fn served(report: &Value) -> (u64, u64) {
    let events = |who: &str| report[who]["events"].as_u64().unwrap();
    (events("primary_served"), events("canary_served"))
}

#[test]
fn a_canary_serves_some_keys_more_after_kill_9_and_takes_over_from_the_command_line() {
    let host = echoing(&["otherwise"]);
    let words = host.cli_ok(&[
        "operator",
        "canary",
        "job",
        "it",
        "otherwise@1",
        "--share",
        "10",
        "--probation",
        "0s",
        "--wait",
    ]);
    assert!(words.contains("serves 10 % (13 of 128 key groups)"), "{words}");
    round(&host, "planted");
    let (old, few) = out(&host, KEYS);
    assert!(0 < few && few < KEYS / 4, "{few} of {KEYS}");
    assert_eq!(
        served(&until(&host, |report| served(report).0 + served(report).1 == KEYS as u64)),
        (old as u64, few as u64)
    );

    let host = host.kill_and_restart();
    host.wait_for("job", "RUNNING");
    until(&host, |report| report["stage"] == "canary" && report["share"] == 10);
    round(&host, "planted");
    assert_eq!(out(&host, 2 * KEYS).1, 2 * few, "the same keys");

    let words = host.cli_ok(&["operator", "canary-widen", "job", "it", "--share", "50", "--wait"]);
    assert!(words.contains("canary: module") && words.contains("serves 50 % (64 of 128 key groups)"), "{words}");
    round(&host, "planted");
    let more = out(&host, 3 * KEYS).1 - 2 * few;
    assert!(few < more && more < KEYS, "{more} of {KEYS}");
    assert!(host.cli_ok(&["operator", "canary-report", "job", "it"]).contains("0 of them failed"));

    let words = host.cli_ok(&["operator", "canary-promote", "job", "it", "--wait"]);
    assert!(words.contains("done: module"), "{words}");
    round(&host, "planted");
    assert_eq!(out(&host, 4 * KEYS).1, 2 * few + more + KEYS);
    let module = || host.json("/v1/jobs/job")["document"]["operators"]["it"]["module"].clone();
    eventually("the document has it", || (module() == "otherwise@1").then_some(()));
}

#[test]
fn a_canary_that_traps_is_withdrawn_and_no_event_is_lost() {
    let host = echoing(&["poison-trap"]);
    let begin = ["--json", "operator", "canary", "job", "it", "poison-trap@1", "--share", "25"];
    let begun: Value = serde_json::from_str(&host.cli_ok(&begin)).unwrap();
    until(&host, |report| report["stage"] == "canary");
    round(&host, "sound");
    out(&host, KEYS);
    round(&host, "poison");
    let operation = crate::jobs::done(&host, &begun);
    assert_eq!(
        (&operation["status"], &operation["detail"]["stage"]),
        (&json!("FAILED"), &json!("undone")),
        "{operation}"
    );
    let cause = operation["detail"]["cause"].as_str().unwrap();
    assert!(cause.contains("rolled back") && cause.contains("trap"), "{cause}");
    assert!(host.log().contains("rolled back: module"), "the log says so too");
    out(&host, 2 * KEYS);
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    host.lines("job.out").into_iter().for_each(|line| *counts.entry(line).or_default() += 1);
    assert!(counts.values().all(|count| *count == 1) && counts.len() == 2 * KEYS, "each event once");
    assert!(host.letters("job").is_empty());
    let job = host.json("/v1/jobs/job");
    assert_eq!((&job["restarts"], &job["document"]["operators"]["it"]["module"]), (&json!(0), &json!("echo@1")));
    let words = host.cli_ok(&["operator", "canary-report", "job", "it"]);
    assert!(words.contains("undone: module") && words.contains(cause), "{words}");
    let withdrawn = host.cli(&["operator", "canary-withdraw", "job", "it"]);
    assert!(!withdrawn.status.success(), "there is none any more");
}
