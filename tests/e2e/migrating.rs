//! Swaps to a version that keeps its state in another schema: real guests, both backends, kill -9 in the middle, and back.

use serde_json::{Value, json};

use crate::documents::{often, posted, through};
use crate::guests::{example, odd};
use crate::host::{Host, eventually};
use crate::jobs::done;

/// A host that has both versions of the word count, and a job that counts words with the first.
fn counting(backend: &str) -> Host {
    let host = Host::start();
    for version in ["word-count", "word-count-v2"] {
        host.push(&example(version), &format!("{version}@1"));
    }
    host.submit(&document("job", "word-count@1", backend).to_string());
    host.wait_for("job", "RUNNING");
    host
}

fn document(job: &str, module: &str, backend: &str) -> Value {
    let mut document = often(through(module, job, &posted()));
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
    document["operators"]["it"]["parallelism"] = 2.into();
    document["checkpoint"]["backend"] = backend.into();
    document["restart"] = json!({"fixed": {"delay": "10ms", "attempts": 100}});
    document
}

fn feed(host: &Host, words: &[&str]) {
    host.feed("job", &words.iter().map(|word| format!("{{\"word\":\"{word}\"}}")).collect::<Vec<_>>().join("\n"));
}

/// Waits for all that is committed; of each line the word and its count.
fn counts(host: &Host, file: &str, expected: &[&str]) -> Vec<String> {
    let mut expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
    expected.sort_unstable();
    eventually("all is committed", || {
        let lines = host.lines(file);
        let mut counts: Vec<String> =
            lines.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        counts.sort_unstable();
        (counts == expected).then_some(lines)
    })
}

fn rewritten(host: &Host, operation: &Value) -> Value {
    let id = operation["id"].as_str().unwrap();
    eventually("all keys are rewritten", || {
        let seen = host.json(&format!("/v1/operations/{id}"));
        (seen["detail"]["rewriting"]["is_over"] == true).then_some(seen)
    })
}

#[test]
fn counts_are_rewritten_for_a_new_version_while_words_come() {
    for backend in ["memory", "rocksdb"] {
        let host = counting(backend);
        feed(&host, &["to", "be", "or", "not", "to", "be"]);
        counts(&host, "job.out", &["to 1", "be 1", "or 1", "not 1", "to 2", "be 2"]);
        let would = host.cli_ok(&["operator", "swap", "job", "it", "word-count-v2@1", "--mode", "dry-run", "--wait"]);
        assert!(would.contains("SUCCEEDED"), "{would}");
        let words = host.cli_ok(&["operator", "swap", "job", "it", "word-count-v2@1", "--probation", "0s", "--wait"]);
        assert!(words.contains("swap SUCCEEDED: done"), "{words}");
        feed(&host, &["to", "to", "that"]);
        counts(&host, "job.out", &["to 1", "be 1", "or 1", "not 1", "to 2", "be 2", "to 3", "to 4", "that 1"]);
        let host = host.kill_and_restart();
        host.wait_for("job", "RUNNING");
        feed(&host, &["or", "to"]);
        let all = ["to 1", "be 1", "or 1", "not 1", "to 2", "be 2", "to 3", "to 4", "that 1", "or 2", "to 5"];
        let lines = counts(&host, "job.out", &all);
        assert!(lines.iter().any(|line| line.starts_with("to 5 after ")), "the new version tells more: {lines:?}");
        assert_eq!(host.letters("job").len(), 0);
    }
}

#[test]
fn a_swap_to_another_schema_is_taken_back_with_all_that_came_meanwhile() {
    let host = counting("memory");
    feed(&host, &["to", "be"]);
    counts(&host, "job.out", &["to 1", "be 1"]);
    let body = json!({"module": "word-count-v2@1", "probation": {"time": "10m"}});
    let operation: Value = host.post("/v1/jobs/job/operators/it/swap").json(&body).send().unwrap().json().unwrap();
    let id = operation["id"].as_str().unwrap();
    eventually("it is on probation", || {
        (host.json(&format!("/v1/operations/{id}"))["detail"]["stage"] == "probation").then_some(())
    });
    feed(&host, &["to", "or"]);
    counts(&host, "job.out", &["to 1", "be 1", "to 2", "or 1"]);
    let seen = rewritten(&host, &operation);
    assert_eq!(seen["detail"]["rewriting"]["failed"], 0, "{seen}");
    let words = host.cli_ok(&["operator", "rollback", "job", "it", "--wait"]);
    assert!(words.contains("SUCCEEDED"), "{words}");
    assert_eq!(done(&host, &operation)["detail"]["stage"], "undone");
    let host = host.kill_and_restart();
    host.wait_for("job", "RUNNING");
    feed(&host, &["to", "or", "be"]);
    let lines = counts(&host, "job.out", &["to 1", "be 1", "to 2", "or 1", "to 3", "or 2", "be 2"]);
    assert!(!lines.last().unwrap().contains("after"), "{lines:?}");
}

#[test]
fn a_job_begins_from_a_savepoint_in_another_schema() {
    let host = counting("rocksdb");
    feed(&host, &["to", "be", "to"]);
    counts(&host, "job.out", &["to 1", "be 1", "to 2"]);
    host.cli_ok(&["savepoint", "create", "job", "--name", "before", "--wait"]);
    host.stop("job");
    let fork = document("fork", "word-count-v2@1", "memory");
    host.write("fork.json", fork.to_string());
    let would = host.cli_ok(&["job", "submit", "fork.json", "--savepoint", "job/before", "--dry-run"]);
    assert!(would.contains("migrated") && would.contains("it: `migrate` was tried on 2 keys, 2 entries"), "{would}");
    host.cli_ok(&["job", "submit", "fork.json", "--savepoint", "job/before"]);
    host.wait_for("fork", "RUNNING");
    host.feed("fork", "{\"word\":\"to\"}\n{\"word\":\"or\"}");
    counts(&host, "fork.out", &["to 3", "or 1"]);
}

/// What a module does while it may be rewound is seen by nobody, and a host that comes back knows nothing of it.
#[test]
fn a_swap_that_may_be_rewound_commits_nothing_before_its_probation_is_over() {
    let host = counting("rocksdb");
    feed(&host, &["to", "be"]);
    counts(&host, "job.out", &["to 1", "be 1"]);
    let swap = |host: &Host| -> Value {
        let body = json!({"module": "word-count-v2@1", "way_back": "rewind", "probation": {"time": "10m"}});
        let operation: Value = host.post("/v1/jobs/job/operators/it/swap").json(&body).send().unwrap().json().unwrap();
        let id = operation["id"].as_str().unwrap();
        eventually("output is held back", || {
            (host.json(&format!("/v1/operations/{id}"))["detail"]["stage"] == "held").then_some(())
        });
        feed(host, &["to", "or"]);
        eventually("events flow through both instances", || {
            let seen = host.json(&format!("/v1/operations/{id}"));
            seen["detail"]["pauses"].as_array().unwrap().iter().any(|one| one["pause_us"].is_u64()).then_some(())
        });
        operation
    };
    let operation = swap(&host);
    assert_eq!(host.lines("job.out").len(), 2, "nothing of the new version is committed");
    let host = host.kill_and_restart();
    host.wait_for("job", "RUNNING");
    let lines = counts(&host, "job.out", &["to 1", "be 1", "to 2", "or 1"]);
    assert!(lines.iter().all(|line| !line.contains("after")), "the old version has made all of it: {lines:?}");
    let seen = done(&host, &operation);
    assert_eq!((&seen["status"], &seen["detail"]["stage"]), (&json!("FAILED"), &json!("undone")), "{seen}");
    let operation = swap(&host);
    let words = host.cli_ok(&["operator", "rollback", "job", "it", "--wait"]);
    assert!(words.contains("SUCCEEDED"), "{words}");
    assert_eq!(done(&host, &operation)["detail"]["stage"], "undone");
    counts(&host, "job.out", &["to 1", "be 1", "to 2", "or 1", "to 3", "or 2"]);
    let swap = ["operator", "swap", "job", "it", "word-count-v2@1", "--way-back", "rewind"];
    host.cli_ok(&[&swap[..], &["--probation", "1s", "--probation-events", "0", "--wait"]].concat());
    feed(&host, &["to", "to"]);
    let lines = counts(&host, "job.out", &["to 1", "be 1", "to 2", "or 1", "to 3", "or 2", "to 4", "to 5"]);
    assert!(lines.iter().any(|line| line.starts_with("to 5 after ")), "{lines:?}");
}

#[test]
fn a_savepoint_that_cannot_be_rewritten_is_told_with_its_key_before_anything_starts() {
    let host = Host::start();
    for guest in ["count", "migrate-refuse"] {
        host.push(&odd(guest), &format!("{guest}@1"));
    }
    let document = |job: &str, module: &str| {
        let mut document = through(&format!("{module}@1"), job, &json!({"generator": {"keys": 3, "rate": 1000}}));
        document["operators"]["it"]["inputs"]["in"]["key_by"] = "key".into();
        document
    };
    host.submit(&document("job", "count").to_string());
    host.wait_until("job", "events_written", 100);
    host.cli_ok(&["savepoint", "create", "job", "--name", "before", "--wait"]);
    host.write("fork.json", document("fork", "migrate-refuse").to_string());
    let would = host.cli(&["job", "submit", "fork.json", "--savepoint", "job/before", "--dry-run"]);
    let told = String::from_utf8_lossy(&would.stdout).into_owned();
    assert!(told.contains("cannot rewrite state `counts` of key `") && told.contains("would not run"), "{told}");
    assert_eq!(would.status.code(), Some(2));
    assert_eq!(host.get("/v1/jobs/fork").status(), 404);
}
