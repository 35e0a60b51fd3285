//! Calls that end in a fault are kept by a real host, and made again without one.

use std::process::Output;

use serde_json::{Value, json};

use crate::documents::{often, posted, through};
use crate::guests::odd;
use crate::host::{Host, eventually, gristmill, text};

/// A host whose job runs this guest in `it`.
fn running(guest: &str, change: impl FnOnce(&mut Value), arguments: &[&str]) -> Host {
    let host = Host::start_with(arguments);
    host.push(&odd(guest), &format!("{guest}@1"));
    let mut document = often(through(&format!("{guest}@1"), "job", &posted()));
    change(&mut document);
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host
}

/// The bundles of the job, once there are so many.
fn crashes(host: &Host, count: usize) -> Vec<Value> {
    eventually("the bundles are written", || {
        let list = host.json("/v1/jobs/job/crashes")["crashes"].as_array().unwrap().clone();
        (list.len() >= count).then_some(list)
    })
}

/// Fetches a bundle into the host's folder.
fn fetch(host: &Host, crash: &Value) {
    let name = crash["name"].as_str().unwrap();
    let said = host.cli_ok(&["job", "crash", "job", name, "-o", "it.crash"]);
    assert!(said.contains("gristmill replay it.crash"), "{said}");
}

/// Makes the call of the fetched bundle again; gives what was printed as JSON.
fn replay(host: &Host, more: &[&str]) -> (Option<i32>, Value) {
    let output: Output =
        gristmill().args(["replay", "it.crash", "--json"]).args(more).current_dir(host.folder.path()).output().unwrap();
    let told = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output.status.code(), told)
}

#[test]
fn a_trap_is_kept_and_replayed_with_the_same_backtrace_and_a_fixed_module_passes() {
    let host = running("poison-trap", |_| {}, &[]);
    host.feed("job", "fine\npoison one\npoison two\nfine too\n");
    let [crash] = crashes(&host, 1).try_into().unwrap();
    let call = &crash["call"];
    assert_eq!(
        (&call["kind"], &call["events"], &call["calls_before"]),
        (&json!("trap"), &json!(1), &json!(0)),
        "{crash}"
    );
    let letters = host.wait_decided("job", 2);
    assert!(letters.iter().all(|letter| letter["crash"] == crash["name"]), "one for both: {letters:?}");
    assert!(host.cli_ok(&["job", "crashes", "job"]).contains(crash["name"].as_str().unwrap()));
    let events = host.cli_ok(&["job", "dead-letters", "job"]);
    assert!(events.contains(&format!("crash bundle {}", crash["name"].as_str().unwrap())), "{events}");

    // Bundles outlive the host, and what is fetched needs none.
    let mut host = host.kill_and_restart();
    assert_eq!(crashes(&host, 1), std::slice::from_ref(&crash));
    fetch(&host, &crash);
    host.terminate();
    let (code, told) = replay(&host, &[]);
    assert_eq!((code, &told["events"][0]["value"]["text"]), (Some(3), &json!("poison one")), "{told:#}");
    let ending = &told["ending"];
    assert_eq!((&ending["how"], &ending["same_backtrace"]), (&json!("fails-as-before"), &json!(true)), "{told:#}");
    assert_eq!(ending["backtrace"], letters[0]["backtrace"]);

    let (code, told) = replay(&host, &["--module", odd("echo").to_str().unwrap()]);
    assert_eq!((code, &told["ending"]["how"]), (Some(0), &json!("passes")), "{told:#}");
    assert_eq!(told["ending"]["emissions"][0]["events"][0]["value"]["text"], "poison one");
    let (code, told) = replay(&host, &["--module", odd("poison").to_str().unwrap()]);
    assert_eq!((code, &told["ending"]["how"]), (Some(1), &json!("fails-otherwise")), "{told:#}");
}

#[test]
fn the_state_of_the_key_is_as_it_was_before_the_call() {
    let keyed = |document: &mut Value| {
        document["sources"]["events"]["decode"] = "json".into();
        document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.k".into();
        document["checkpoint"]["backend"] = "rocksdb".into();
    };
    let host = running("trap-at-three", keyed, &[]);
    let lines: Vec<String> = ["a", "b", "a", "b", "a"].iter().map(|key| format!("{{\"k\":\"{key}\"}}\n")).collect();
    host.feed("job", &lines.concat());
    let [crash] = crashes(&host, 1).try_into().unwrap();
    assert_eq!((&crash["call"]["events"], &crash["call"]["entries"]), (&json!(1), &json!(5)), "{crash}");
    fetch(&host, &crash);
    let (code, told) = replay(&host, &[]);
    assert_eq!((code, &told["ending"]["how"]), (Some(3), &json!("fails-as-before")), "{told:#}");
    assert_eq!(told["log"][0]["message"], "found [2, 2, 2]", "value, list and map are there");
    let words = gristmill().args(["replay", "it.crash"]).current_dir(host.folder.path()).output().unwrap();
    assert!(text(&words.stdout).contains("it fails as before: trap: "), "{}", text(&words.stdout));
}

#[test]
fn a_call_that_is_made_again_draws_the_same_numbers_at_the_same_time() {
    let host = running("trap-drawn", |_| {}, &[]);
    host.feed("job", "one\n");
    let crash = crashes(&host, 1).remove(0);
    fetch(&host, &crash);
    let (code, told) = replay(&host, &[]);
    assert_eq!((code, &told["ending"]["how"]), (Some(3), &json!("fails-as-before")), "{told:#}");
    let drawn = told["log"][0]["message"].as_str().unwrap();
    let logged = host.json("/v1/jobs/job/logs?operator=it");
    let mut logged = logged["lines"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap());
    assert!(
        drawn.starts_with("drew ") && logged.any(|line| line == drawn),
        "`{drawn}` was not logged by the host: {logged:?}"
    );
}

#[test]
fn memory_deadline_and_an_invalid_result_are_kept_too() {
    for (guest, kind, limits) in [
        ("grow-memory", "memory limit", json!({"memory": "16MiB", "call": "30s"})),
        ("spin", "deadline", json!({"call": "200ms"})),
        ("lying-rows-range", "invalid result", json!({"call": "30s"})),
    ] {
        let host = running(guest, |document| document["operators"]["it"]["limits"] = limits, &[]);
        host.feed("job", "one\n");
        let crash = crashes(&host, 1).remove(0);
        assert_eq!(crash["call"]["kind"], kind, "{guest}");
        fetch(&host, &crash);
        let (code, told) = replay(&host, &[]);
        assert_eq!((code, &told["ending"]["how"]), (Some(3), &json!("fails-as-before")), "{guest}: {told:#}");
    }
}

#[test]
fn the_fault_that_ended_a_probation_is_kept() {
    let host = running("echo", |_| {}, &[]);
    let pushed = host.push(&odd("poison-trap"), "poison-trap@1");
    let swap = json!({"module": "poison-trap@1", "probation": {"time": "10m"}});
    let begun: Value = host.post("/v1/jobs/job/operators/it/swap").json(&swap).send().unwrap().json().unwrap();
    let operation = format!("/v1/operations/{}", begun["id"].as_str().unwrap());
    eventually("it is on probation", || (host.json(&operation)["detail"]["stage"] == "probation").then_some(()));
    host.feed("job", "poison\n");
    let crash = crashes(&host, 1).remove(0);
    assert_eq!(crash["call"]["module"], pushed["hash"]);
    eventually("the old version has the event", || (host.lines("job.out") == ["poison"]).then_some(()));
    fetch(&host, &crash);
    assert_eq!(replay(&host, &[]).0, Some(3));
}

#[test]
fn bundles_go_when_they_are_deleted_or_their_job_is_and_none_are_kept_if_none_are_wanted() {
    let host = running("poison-trap", |_| {}, &[]);
    host.feed("job", "poison\n");
    let crash = crashes(&host, 1).remove(0);
    let name = crash["name"].as_str().unwrap();
    assert!(host.cli_ok(&["job", "crash", "job", name, "--delete"]).contains("is deleted"));
    assert_eq!(host.get(&format!("/v1/jobs/job/crashes/{name}")).status(), 404);
    let unknown = host.cli(&["job", "crash", "job", name]);
    assert!(text(&unknown.stderr).contains("there is no crash bundle"), "{}", text(&unknown.stderr));
    assert_eq!(host.get("/v1/jobs/job/crashes/..%2f..%2faudit.log").status(), 404);
    host.feed("job", "poison\n");
    assert_eq!(crashes(&host, 1)[0]["name"], crash["name"], "the next one is kept again");
    host.stop("job");
    assert!(host.delete("/v1/jobs/job").status().is_success());
    assert!(!host.path("data/crashes/job").exists());

    let host = running("poison-trap", |_| {}, &["--crashes", "0"]);
    host.feed("job", "poison\n");
    assert_eq!(host.wait_decided("job", 1)[0]["crash"], Value::Null);
    assert_eq!(host.json("/v1/jobs/job/crashes")["crashes"], json!([]));
}
