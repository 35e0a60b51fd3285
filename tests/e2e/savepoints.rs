//! Savepoints by the command line: taken beside a stream, forked from, laid beside each other, stopped with.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::golden::copy;
use crate::guests::{example, odd};
use crate::host::{Host, eventually, text};

/// Counts posted words by key, into a file of the job's name.
fn counting(job: &str, operator: &str, backend: &str, parallelism: u64) -> Value {
    json!({
        "version": 1, "job": job, "checkpoint": {"every": "never", "backend": backend},
        "sources": {"events": {"from": {"http": {}}, "decode": "json"}},
        "operators": {operator: {
            "module": "word-count@1", "inputs": {"in": {"from": "events", "key_by": "$.word"}},
            "parallelism": parallelism,
        }},
        "sinks": {"out": {"inputs": [operator], "to": {"file": {"path": format!("{job}.out")}}}},
    })
}

fn words(words: &[&str]) -> String {
    words.iter().map(|word| format!("{{\"word\":\"{word}\"}}")).collect::<Vec<_>>().join("\n")
}

/// A host whose job `job` has counted a twice, b once; the savepoint `before` was taken then.
fn saved(backend: &str) -> Host {
    let host = Host::start();
    host.push(&example("word-count"), "word-count@1");
    host.submit(&counting("job", "it", backend, 1).to_string());
    host.wait_for("job", "RUNNING");
    host.feed("job", &words(&["a", "b", "a"]));
    host.wait_until("job", "events_written", 3);
    let told = host.cli_ok(&["savepoint", "create", "job", "--name", "before", "--wait"]);
    assert!(told.starts_with("savepoint SUCCEEDED: savepoint job/before, 2 entries"), "{told}");
    host
}

/// Submits a document from a savepoint by the command line, and posts these words into it.
fn begun(host: &Host, document: &Value, more: &[&str]) {
    let job = document["job"].as_str().unwrap();
    host.write("next.json", document.to_string());
    host.cli_ok(&[&["job", "submit", "next.json", "--savepoint"], more].concat());
    host.wait_for(job, "RUNNING");
    host.feed(job, &words(&["a", "c"]));
    host.wait_until(job, "events_written", 2);
    host.stop(job);
}

/// The number of the newest checkpoint that is kept.
fn newest(host: &Host) -> u64 {
    host.json("/v1/jobs/job/checkpoints")["kept"][0]["checkpoint"].as_u64().unwrap()
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort();
    lines
}

#[test]
fn a_savepoint_goes_from_one_backend_to_the_other_at_another_parallelism() {
    for (from, to) in [("memory", "rocksdb"), ("rocksdb", "memory")] {
        let host = saved(from);
        begun(&host, &counting("fork", "it", to, 2), &["job/before"]);
        assert_eq!(sorted(host.lines("fork.out")), ["a 3", "c 1"], "{from} to {to}");
        host.stop("job");
        assert_eq!(sorted(host.lines("job.out")), ["a 1", "a 2", "b 1"], "nothing of the fork, nothing twice");
    }
}

#[test]
fn a_host_that_dies_at_the_beginning_begins_from_the_savepoint_again() {
    let host = saved("memory");
    host.write("next.json", counting("fork", "it", "memory", 1).to_string());
    host.cli_ok(&["job", "submit", "next.json", "--savepoint", "job/before"]);
    host.wait_for("fork", "RUNNING");
    let host = host.kill_and_restart();
    host.wait_for("fork", "RUNNING");
    host.feed("fork", &words(&["a"]));
    host.wait_until("fork", "events_written", 1);
    host.stop("fork");
    assert_eq!(host.lines("fork.out"), ["a 3"]);
}

#[test]
fn what_does_not_fit_is_told_before_anything_starts_and_goes_only_by_name() {
    let host = saved("memory");
    host.write("next.json", counting("fork", "other", "memory", 1).to_string());
    let refused = host.cli(&["job", "submit", "next.json", "--savepoint", "job/before"]);
    assert_eq!(refused.status.code(), Some(2));
    let told = text(&refused.stderr);
    assert!(told.contains("the job has no `it`, of which there is something") && told.contains("`other`"), "{told}");
    let dry = host.cli_ok(&["job", "submit", "next.json", "--dry-run", "--savepoint", "job/before", "--drop", "it"]);
    for line in ["it: dropped", "other: new", "would run"] {
        assert!(dry.lines().any(|told| told == line), "{line}: {dry}");
    }
    assert_eq!(host.get("/v1/jobs/fork").status(), 404);
    begun(&host, &counting("fork", "other", "memory", 1), &["job/before", "--drop", "it"]);
    assert_eq!(sorted(host.lines("fork.out")), ["a 1", "c 1"]);
}

#[test]
fn two_savepoints_are_laid_beside_each_other() {
    let host = saved("rocksdb");
    host.feed("job", &words(&["a", "c"]));
    host.wait_until("job", "events_written", 5);
    host.cli_ok(&["job", "stop", "job", "--savepoint", "after", "--wait"]);
    host.wait_for("job", "STOPPED");
    let told = host.cli_ok(&["savepoint", "diff", "job/before", "job/after"]);
    assert!(told.contains("1 alike, 0 only in a, 1 only in b, 1 different"), "{told}");
    assert!(told.ends_with("differing: 2\n"), "{told}");
    let alike = host.cli_ok(&["savepoint", "diff", "job/after", "job/after", "--operator", "it"]);
    assert!(alike.contains("3 alike") && alike.ends_with("differing: 0\n"), "{alike}");
    // The last checkpoint of the job has what the savepoint before its stop has.
    for checkpoint in ["job@newest".to_owned(), format!("job@{}", newest(&host))] {
        let told = host.cli_ok(&["state", "diff", "job/before", &checkpoint]);
        assert!(told.ends_with("differing: 2\n"), "{told}");
        let alike = host.cli_ok(&["state", "diff", &checkpoint, "job/after"]);
        assert!(alike.contains("3 alike") && alike.ends_with("differing: 0\n"), "{alike}");
    }
    for (wrong, why) in [("job@x", "`job@x` is no checkpoint"), ("job@999", "there is no checkpoint `999`")] {
        let refused = host.cli(&["state", "diff", "job/before", wrong]);
        assert!(text(&refused.stderr).contains(why), "{}", text(&refused.stderr));
    }
    let refused = host.cli(&["savepoint", "diff", "job/before", "job/after", "--operator", "no"]);
    assert!(text(&refused.stderr).contains("there is no source, operator or sink `no`"), "{}", text(&refused.stderr));
}

#[test]
fn a_savepoint_is_looked_at_by_a_host_and_without_one() {
    let host = saved("memory");
    let listed = host.cli_ok(&["savepoint", "list"]);
    assert!(listed.lines().nth(1).is_some_and(|line| line.starts_with("job  before")), "{listed}");
    let seen: Value = serde_json::from_str(&host.cli_ok(&["--json", "savepoint", "inspect", "job", "before"])).unwrap();
    let states: BTreeMap<_, _> = seen["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["node"].as_str().unwrap(), &node["states"]))
        .collect();
    let counts = json!([{"name": "count", "kind": "value", "version": 1, "entries": 2}]);
    assert_eq!(states["it"], &counts, "{seen:#}");
    let hash = seen["nodes"].as_array().unwrap().iter().find_map(|node| node["module"].as_str()).unwrap();
    assert_eq!(host.json("/v1/jobs/job")["operators"]["it"]["module"].as_str().unwrap_or(hash), hash);
    let told = host.cli_ok(&["savepoint", "inspect", "job", "before"]);
    assert!(told.contains("(value v1, 2 entries)") && told.contains(&hash[..12]), "{told}");
    assert!(host.cli_ok(&["savepoint", "verify", "job", "before"]).contains("verify-savepoint SUCCEEDED"));

    // Nothing in it says where it is.
    let folder = host.path("data/checkpoints/savepoints/job/before");
    let moved = host.path("moved");
    std::fs::rename(&folder, &moved).unwrap();
    let inspect = |folder: &std::path::Path| host.cli(&["checkpoint", "inspect", folder.to_str().unwrap()]);
    let told = inspect(&moved);
    assert!(text(&told.stdout).contains("savepoint of job `job`") && told.status.success(), "{}", text(&told.stdout));
    let mut files = std::fs::read_dir(moved.join("files"))
        .unwrap()
        .flat_map(|attempt| std::fs::read_dir(attempt.unwrap().path()).unwrap());
    let file = files.next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[8] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let told = inspect(&moved);
    assert!(text(&told.stdout).contains("damaged, 1 place") && told.status.code() == Some(1), "{}", text(&told.stdout));

    // Under the name of another job it is one of its own, and damaged still.
    let elsewhere = host.path("data/checkpoints/savepoints/job/again");
    std::fs::rename(&moved, &elsewhere).unwrap();
    let verified = host.cli(&["savepoint", "verify", "job", "again"]);
    assert_eq!(verified.status.code(), Some(1));
    assert!(text(&verified.stdout).contains("is damaged"), "{}", text(&verified.stdout));
    host.cli_ok(&["savepoint", "delete", "job", "again"]);
    eventually("it is gone", || (!elsewhere.exists()).then_some(()));
}

/// Another host, with nothing on its disk but this savepoint of `job`.
fn elsewhere(from: &Host, name: &str) -> Host {
    let host = Host::start();
    let place = format!("data/checkpoints/savepoints/job/{name}");
    copy(&from.path(&place), &host.path(&place));
    host.push(&example("word-count"), "word-count@1");
    host
}

/// Begins `fork` from a savepoint and waits for so much output. Gives it, sorted.
fn forked(host: &Host, name: &str, events: u64) -> Vec<String> {
    host.write("next.json", counting("fork", "it", "memory", 1).to_string());
    host.cli_ok(&["job", "submit", "next.json", "--savepoint", &format!("job/{name}")]);
    host.wait_for("fork", "RUNNING");
    host.wait_until("fork", "events_written", events);
    host.stop("fork");
    sorted(host.lines("fork.out"))
}

#[test]
fn what_was_posted_and_not_read_goes_with_a_savepoint_wherever_that_goes() {
    let host = saved("memory");
    host.cli_ok(&["job", "pause", "job"]);
    host.feed("job", &words(&["a", "c"]));
    host.feed("job", &words(&["c"]));
    host.cli_ok(&["savepoint", "create", "job", "--name", "beside", "--wait"]);
    let told = host.cli_ok(&["savepoint", "inspect", "job", "beside"]);
    assert!(told.contains("events carries 3 posted events"), "{told}");
    assert!(host.cli_ok(&["savepoint", "verify", "job", "beside"]).contains("SUCCEEDED"));
    let there = elsewhere(&host, "beside");
    assert_eq!(forked(&there, "beside", 3), ["a 3", "c 1", "c 2"]);

    // What a job has not read when it is stopped with a savepoint is the other's to read.
    host.cli_ok(&["job", "resume", "job"]);
    host.wait_until("job", "events_written", 6);
    host.cli_ok(&["job", "pause", "job"]);
    host.feed("job", &words(&["a", "d"]));
    host.cli_ok(&["job", "stop", "job", "--savepoint", "last", "--wait"]);
    let here = ["a 1", "a 2", "a 3", "b 1", "c 1", "c 2"];
    assert_eq!(sorted(host.lines("job.out")), here);
    let there = elsewhere(&host, "last");
    assert_eq!(forked(&there, "last", 2), ["a 4", "d 1"]);
    // The job itself has it as well, if it is started again instead.
    host.cli_ok(&["job", "restart", "job"]);
    host.wait_until("job", "events_written", 2);
    host.stop("job");
    assert_eq!(sorted(host.lines("job.out")), ["a 1", "a 2", "a 3", "a 4", "b 1", "c 1", "c 2", "d 1"]);
}

#[test]
fn a_fork_that_dies_before_its_first_checkpoint_finds_what_it_was_given_and_what_came_since() {
    let host = saved("memory");
    host.cli_ok(&["job", "pause", "job"]);
    host.feed("job", &words(&["a"]));
    host.cli_ok(&["savepoint", "create", "job", "--name", "beside", "--wait"]);
    let there = elsewhere(&host, "beside");
    there.write("next.json", counting("fork", "it", "memory", 1).to_string());
    there.cli_ok(&["job", "submit", "next.json", "--savepoint", "job/beside"]);
    there.wait_for("fork", "RUNNING");
    there.feed("fork", &words(&["c"]));
    let there = there.kill_and_restart();
    there.wait_for("fork", "RUNNING");
    there.wait_until("fork", "events_written", 2);
    there.stop("fork");
    assert_eq!(sorted(there.lines("fork.out")), ["a 3", "c 1"]);
}

#[test]
fn a_job_is_drained_into_a_savepoint_that_has_all_that_was_posted() {
    let host = saved("memory");
    host.cli_ok(&["job", "pause", "job"]);
    host.feed("job", &words(&["a", "c"]));
    let told = host.cli_ok(&["job", "stop", "job", "--savepoint", "end", "--drain", "--wait"]);
    assert!(told.starts_with("stop-job SUCCEEDED"), "{told}");
    assert_eq!(sorted(host.lines("job.out")), ["a 1", "a 2", "a 3", "b 1", "c 1"]);
    let seen = host.json("/v1/jobs/job/savepoints/end");
    assert_eq!((&seen["entries"], &seen["nodes"][0]["tail"]["events"]), (&json!(3), &json!(0)), "{seen:#}");
    let there = elsewhere(&host, "end");
    there.write("next.json", counting("fork", "it", "memory", 1).to_string());
    there.cli_ok(&["job", "submit", "next.json", "--savepoint", "job/end"]);
    there.wait_for("fork", "RUNNING");
    there.feed("fork", &words(&["a"]));
    there.wait_until("fork", "events_written", 1);
    there.stop("fork");
    assert_eq!(there.lines("fork.out"), ["a 4"]);
}

#[test]
fn a_savepoint_of_many_keys_is_taken_beside_the_stream() {
    let host = Host::start();
    host.push(&odd("count"), "count@1");
    let document = json!({
        "version": 1, "job": "job", "checkpoint": {"every": "never"},
        "sources": {"events": {"from": {"generator": {"seed": 7, "keys": 100_000, "rate": 50_000}}}},
        "operators": {"it": {"module": "count@1", "inputs": {"in": {"from": "events", "key_by": "key"}}}},
        "sinks": {"out": {"inputs": ["it"], "to": {"blackhole": {}}}},
    });
    host.submit(&document.to_string());
    let read = host.wait_until("job", "events_read", 100_000)["events_read"].as_u64().unwrap();
    host.cli_ok(&["savepoint", "create", "job", "--wait"]);
    host.wait_until("job", "events_read", read + 50_000);
    let seen = host.json("/v1/jobs/job/savepoints/sp-1");
    assert!(seen["entries"].as_u64().unwrap() > 10_000, "{seen:#}");
    assert!(host.cli_ok(&["savepoint", "verify", "job", "sp-1"]).contains("SUCCEEDED"));
    assert_eq!(host.json("/v1/jobs/job")["restarts"], 0);
}
