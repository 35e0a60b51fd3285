//! Running jobs get more and fewer subtasks, under load and across kill -9: what they commit is as if nothing had happened.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::blocking::Client;
use serde_json::{Value, json};

use crate::documents::{often, posted, through};
use crate::guests::{example, odd};
use crate::host::{Host, eventually};
use crate::jobs::done;

const LINES: usize = 20;
const WORDS: usize = 97;

/// The lines of one post.
fn batch(number: usize) -> Vec<String> {
    (0..LINES).map(|line| format!("word-{}", (number * LINES + line) % WORDS)).collect()
}

/// Posts one batch after the other, each under a key of its own, until it is to stop or the host is gone. Gives the first
/// batch that was not taken for certain.
fn feed(client: &Client, address: &str, mut next: usize, is_enough: &AtomicBool) -> usize {
    while !is_enough.load(Ordering::SeqCst) {
        let lines: String = batch(next).iter().map(|word| format!("{{\"word\":\"{word}\"}}\n")).collect();
        let post = client.post(format!("{address}/v1/jobs/job/sources/events/events")).body(lines);
        let post = post.header("content-type", "application/x-ndjson").header("idempotency-key", format!("b-{next}"));
        match post.send() {
            Ok(answer) if answer.status() == 202 => next += 1,
            // Between two attempts nobody takes anything.
            Ok(_) => std::thread::sleep(Duration::from_millis(2)),
            Err(_) => return next,
        }
    }
    next
}

/// Does something while events come. Gives the first batch that was not taken for certain, and what was done.
fn under_load<T>(host: Host, next: usize, act: impl FnOnce(Host) -> T) -> (usize, T) {
    let (client, address, is_enough) = (host.client.clone(), host.address.clone(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(&client, &address, next, &is_enough));
        let done = act(host);
        is_enough.store(true, Ordering::SeqCst);
        (feeder.join().unwrap(), done)
    })
}

fn subtasks(host: &Host, job: &str) -> Vec<u64> {
    let described = host.json(&format!("/v1/jobs/{job}"));
    let nodes = described["report"]["nodes"].as_array().unwrap().iter();
    nodes.map(|node| node["subtasks"].as_array().unwrap().len() as u64).collect()
}

fn written_at_least(host: &Host, more: usize) {
    let lines = host.lines("job.out").len() + more;
    eventually("events are committed", || (host.lines("job.out").len() >= lines).then_some(()));
}

/// The counts of each word rise one by one, up to how often it was posted.
fn all_is_counted(host: &Host, batches: usize) {
    let mut posted: HashMap<String, u64> = HashMap::new();
    (0..batches).flat_map(batch).for_each(|word| *posted.entry(word).or_default() += 1);
    let mut seen: HashMap<String, u64> = HashMap::new();
    for line in host.lines("job.out") {
        let (word, count) = line.split_once(' ').unwrap();
        let before = seen.insert(word.to_owned(), count.parse().unwrap()).unwrap_or(0);
        assert_eq!(count, (before + 1).to_string(), "the counts of `{word}` rise one by one, in order");
    }
    assert_eq!(seen, posted);
}

fn rescaled_under_load(backend: &str) {
    let host = Host::start();
    host.push(&example("word-count"), "word-count@1");
    let mut document = often(through("word-count@1", "job", &posted()));
    document["checkpoint"]["backend"] = backend.into();
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.word".into();
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");

    let (next, (folder, begun)) = under_load(host, 0, |host| {
        written_at_least(&host, 3 * LINES);
        let words = host.cli_ok(&["job", "rescale", "job", "--operator", "it=3", "--wait"]);
        assert!(words.contains("rescale SUCCEEDED: it from 1 to 3 subtasks"), "{words}");
        assert_eq!(subtasks(&host, "job"), [1, 3, 1]);
        written_at_least(&host, 3 * LINES);
        let begun = host.post("/v1/jobs/job/rescale").json(&json!({"parallelism": 2, "operators": {"it": 16}}));
        let begun: Value = begun.send().unwrap().json().unwrap();
        (host.kill(), begun)
    });
    let host = Host::start_in(folder, &[]);
    let (next, host) = under_load(host, next, |host| {
        let operation = done(&host, &begun);
        assert_eq!(operation["status"], "SUCCEEDED", "written down, so the next host has finished it: {operation}");
        host.wait_for("job", "RUNNING");
        assert_eq!(subtasks(&host, "job"), [1, 16, 1]);
        written_at_least(&host, 3 * LINES);
        let words = host.cli_ok(&["job", "rescale", "job", "--operator", "it=2", "--wait"]);
        assert!(words.contains("it from 16 to 2 subtasks"), "{words}");
        written_at_least(&host, 3 * LINES);
        host
    });
    host.stop("job");
    all_is_counted(&host, next);
}

#[test]
fn a_keyed_job_in_memory_is_rescaled_under_load_and_killed_in_between() {
    rescaled_under_load("memory");
}

#[test]
fn a_keyed_job_in_rocksdb_is_rescaled_under_load_and_killed_in_between() {
    rescaled_under_load("rocksdb");
}

#[test]
fn sources_share_their_splits_anew() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    let generator = |rate: Value| json!({"generator": {"events": 6000, "rate": rate, "keys": 50}});
    host.submit(&through("echo@1", "calm", &generator(Value::Null)).to_string());
    host.submit(&often(through("echo@1", "job", &generator(json!(2000)))).to_string());
    for (subtasks, nodes) in [("3", [3, 3, 1]), ("2", [2, 2, 1])] {
        written_at_least(&host, 100);
        let words = host.cli_ok(&["job", "rescale", "job", "--parallelism", subtasks, "--wait"]);
        assert!(words.contains("rescale SUCCEEDED: events from "), "{words}");
        assert_eq!(self::subtasks(&host, "job"), nodes);
    }
    host.wait_for("calm", "FINISHED");
    host.wait_for("job", "FINISHED");
    let sorted = |name: &str| {
        let mut lines = host.lines(name);
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted("job.out").len(), 6000);
    assert_eq!(sorted("job.out"), sorted("calm.out"));
}

#[test]
fn a_module_its_parameters_and_its_subtasks_are_changed_in_one_step() {
    let host = Host::start();
    host.push(&example("filter"), "filter@1");
    let mut document = often(through("filter@1", "job", &posted()));
    document["operators"]["it"]["parameters"] = json!({"offset": 0, "letter": "a"});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host.feed("job", "a1\nb1");
    eventually("the first is committed", || (host.lines("job.out") == ["a1"]).then_some(()));
    let swap = ["operator", "swap", "job", "it", "filter@1", "--mode", "restart", "--parallelism", "2"];
    let words = host.cli_ok(&[&swap[..], &["--set-parameter", "letter=b", "--wait"]].concat());
    assert!(words.contains("swap SUCCEEDED"), "{words}");
    host.feed("job", "a2\nb2");
    eventually("the other is committed", || (host.lines("job.out") == ["a1", "b2"]).then_some(()));
    assert_eq!(subtasks(&host, "job"), [1, 2, 1]);
}

#[test]
fn what_cannot_be_is_refused_on_the_command_line_in_a_sentence() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    host.submit(&through("echo@1", "job", &posted()).to_string());
    host.wait_for("job", "RUNNING");
    for (arguments, says) in [
        (&["--parallelism", "1"][..], "no node would have another number of subtasks"),
        (&["--parallelism", "129"], ": parallelism: 129 subtasks cannot share 128 key groups"),
        (&["--operator", "ti=2"], "did you mean `it`?"),
        (&["--operator", "out=2"], "is a sink"),
        (&["--source", "events=2"], "has one subtask"),
        (&["--operator", "it"], "NAME=SUBTASKS"),
        (&[], "--parallelism"),
    ] {
        let output = host.cli(&[&["job", "rescale", "job", "--wait"], arguments].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(says), "{arguments:?}: {said}");
    }
    let words = host.cli_ok(&["job", "rescale", "job", "--parallelism", "3", "--dry-run"]);
    assert!(words.contains("it from 1 to 3 subtasks"), "{words}");
    assert_eq!((subtasks(&host, "job"), &host.json("/v1/jobs/job")["restarts"]), (vec![1, 1, 1], &json!(0)));
}
