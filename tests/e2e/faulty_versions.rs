//! New versions that are faulty, put into a job that runs: whatever they do, the job goes on with the old one, and somebody is
//! told why.

use serde_json::{Value, json};

use crate::documents::{often, posted, through};
use crate::guests::{example, odd};
use crate::host::{Host, eventually, text};
use crate::jobs::done;
use crate::swapping::{ask, echoing, module, refusal, written};

fn looked_at(host: &Host, operation: &Value) -> Value {
    host.json(&format!("/v1/operations/{}", operation["id"].as_str().unwrap()))
}

/// Begins a swap with a long probation, and waits for that.
fn on_probation(host: &Host, mut body: Value) -> Value {
    body["probation"]["time"] = "10m".into();
    let (status, operation) = ask(host, &body);
    assert_eq!(status, 202, "{operation}");
    let is_there = || (looked_at(host, &operation)["detail"]["stage"] == "probation").then_some(());
    eventually("it is on probation", is_there);
    operation
}

#[test]
fn what_is_no_version_at_all_is_refused_and_the_job_does_not_notice() {
    let host = echoing(&["list-map"]);
    host.push(&example("route"), "route@1");
    host.push(&example("filter"), "filter@1");
    for (name, bytes, says) in [
        ("garbage@1", b"no module".to_vec(), "this is not WebAssembly"),
        ("torn@1", std::fs::read(odd("echo")).unwrap()[..5_000].to_vec(), "upload the whole file"),
        ("other@1", std::fs::read(odd("wrong-world")).unwrap(), "export"),
    ] {
        let answer = host.post(&format!("/v1/modules?name={name}")).body(bytes).send().unwrap();
        assert_eq!(answer.status(), 422, "{name}");
        let problem: Value = answer.json().unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
        let said = refusal(&host, &json!({"module": name}));
        assert!(said.contains("no module"), "{said}");
    }
    for (swap, says) in [
        (json!({"module": "route@1"}), "sinks.out.inputs[0]: `it` has several output ports"),
        (json!({"module": "list-map@1"}), "operators.it.inputs.in: the module's input `in` must come keyed"),
        (
            json!({"module": "filter@1", "parameters": {"offset": 0, "letter": "a"}}),
            "`it` has the output ports out, and the new module kept; `mode: restart` goes on with other ports",
        ),
    ] {
        let said = refusal(&host, &swap);
        assert!(said.contains(says), "{said}");
    }
    host.feed("job", "a");
    written(&host, &["a"]);
    assert_eq!((&host.json("/v1/jobs/job")["restarts"], module(&host)), (&json!(0), json!("echo@1")));
}

#[test]
fn a_version_that_lacks_a_port_that_somebody_reads_is_refused_by_the_name_of_that_port() {
    let host = Host::start();
    host.push(&example("route"), "route@1");
    host.push(&odd("echo"), "echo@1");
    let mut document = often(through("route@1", "job", &posted()));
    document["sinks"]["out"]["inputs"] = json!(["it.small"]);
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    let said = refusal(&host, &json!({"module": "echo@1"}));
    assert!(said.contains("sinks.out.inputs[0]: `it` has no output port `small`"), "{said}");
    host.feed("job", "{\"amount\":1}");
    written(&host, &["{\"amount\":1}"]);
    assert_eq!((&host.json("/v1/jobs/job")["restarts"], module(&host)), (&json!(0), json!("route@1")));
}

#[test]
fn a_version_that_has_other_states_is_refused_by_the_name_of_the_state_that_would_be_lost() {
    let host = counting(3, &["list-map"]);
    let before = count_of(&host, "k1");
    let said = refusal(&host, &json!({"module": "list-map@1"}));
    let lost = "`it` does not declare state `counts` any more, of which there is something; drop it by name";
    assert!(said.contains(lost) && said.contains("`it.counts`"), "{said}");
    assert_eq!((module(&host), count_of(&host, "k1")), (json!("count@1"), before));
    assert_eq!(host.json("/v1/jobs/job")["restarts"], 0);
}

#[test]
fn from_the_command_line_too_a_state_goes_only_if_it_is_named() {
    let host = counting(3, &["list-map"]);
    let swap = ["operator", "swap", "job", "it", "list-map@1", "--probation", "0s", "--wait"];
    for (more, lacks) in [(&[][..], "drop it by name"), (&["--drop", "it.nothing"], "drop it by name")] {
        let refused = host.cli(&[&swap[..], more].concat());
        assert!(!refused.status.success() && text(&refused.stderr).contains(lacks), "{refused:?}");
        assert_eq!(module(&host), "count@1");
    }
    let told = host.cli_ok(&[&swap[..], &["--drop", "it.counts"]].concat());
    assert!(told.contains("swap SUCCEEDED: done"), "{told}");
    assert_eq!(module(&host), "list-map@1");
    let gone = host.cli(&["state", "get", "job", "it", "counts", "--key", "k1"]);
    assert!(text(&gone.stderr).contains("there is no state `counts`"), "{gone:?}");
}

#[test]
fn from_the_command_line_too_a_swap_makes_room_only_if_it_is_told() {
    let host = echoing(&["poison", "poison-reject"]);
    let first = on_probation(&host, json!({"module": "poison@1"}));
    let swap = ["operator", "swap", "job", "it", "poison-reject@1", "--probation", "0s", "--wait"];
    let refused = host.cli(&swap);
    assert!(
        !refused.status.success() && text(&refused.stderr).contains("of operator `it` is under way"),
        "{refused:?}"
    );
    assert_eq!(looked_at(&host, &first)["status"], "RUNNING");
    let told = host.cli_ok(&[&swap[..], &["--supersede"]].concat());
    assert!(told.contains("swap SUCCEEDED: done"), "{told}");
    assert_eq!(done(&host, &first)["status"], "SUCCEEDED", "one on probation is done");
    assert_eq!(module(&host), "poison-reject@1");
}

#[test]
fn a_version_that_fails_at_its_first_event_is_taken_back_and_the_old_one_takes_that_event() {
    for (guest, limits, says) in [
        ("spin", json!({"call": "200ms"}), "longer than 200ms"),
        ("grow-memory", json!({"memory": "32MiB"}), "more than its 32 MiB"),
        ("trap-process", json!({}), "trap"),
        ("fatal", json!({}), "the operator gives up"),
    ] {
        let host = Host::start();
        for name in ["echo", guest] {
            host.push(&odd(name), &format!("{name}@1"));
        }
        let mut document = often(through("echo@1", "job", &posted()));
        document["operators"]["it"]["limits"] = limits;
        host.submit(&document.to_string());
        host.wait_for("job", "RUNNING");
        host.feed("job", "a");
        written(&host, &["a"]);
        let operation = on_probation(&host, json!({"module": format!("{guest}@1")}));
        host.feed("job", "b\nc");
        let operation = done(&host, &operation);
        assert_eq!((&operation["status"], &operation["detail"]["stage"]), (&json!("FAILED"), &json!("undone")));
        let cause = operation["detail"]["cause"].as_str().unwrap();
        assert!(cause.contains("rolled back") && cause.contains(says), "{guest}: {cause}");
        written(&host, &["a", "b", "c"]);
        assert_eq!((host.letters("job").len(), module(&host)), (0, json!("echo@1")), "{guest}");
        assert_eq!(host.json("/v1/jobs/job")["restarts"], 0, "{guest}");
    }
}

#[test]
fn a_version_that_is_a_hundred_times_slower_is_taken_back() {
    let host = echoing(&["slow"]);
    let mut expected = Vec::new();
    let mut feed_one = |host: &Host| {
        let line = format!("line {}", expected.len());
        host.feed("job", &line);
        expected.push(line);
        // Each in a call of its own, so that a hundred calls are soon there; fewer tell nothing.
        host.wait_until("job", "events_written", expected.len() as u64);
    };
    (0..110).for_each(|_| feed_one(&host));
    let slow = json!({"module": "slow@1", "parameters": {"rounds": 10_000_000}, "probation": {"max_slowdown": 2}});
    let operation = on_probation(&host, slow);
    let is_over = |host: &Host| looked_at(host, &operation)["status"] != "RUNNING";
    (0..150).take_while(|_| !is_over(&host)).for_each(|_| feed_one(&host));
    let operation = done(&host, &operation);
    assert_eq!(operation["detail"]["stage"], "undone", "{operation}");
    let cause = operation["detail"]["cause"].as_str().unwrap();
    assert!(cause.contains("the bound is 2 times as long"), "{cause}");
    feed_one(&host);
    written(&host, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(module(&host), "echo@1");
}

/// A job that counts `keys` keys with version 1, one event for each.
fn counting(keys: usize, guests: &[&str]) -> Host {
    let host = Host::start();
    for guest in [&["count"], guests].concat() {
        host.push(&odd(guest), &format!("{guest}@1"));
    }
    let mut document = often(through("count@1", "job", &posted()));
    document["sources"]["events"]["decode"] = "json".into();
    document["operators"]["it"]["inputs"]["in"]["key_by"] = "$.key".into();
    document["operators"]["it"]["limits"] = json!({"call": "500ms"});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host.feed("job", &(0..keys).map(|key| format!("{{\"key\":\"k{key}\"}}\n")).collect::<String>());
    host.wait_until("job", "events_written", keys as u64);
    host.cli_ok(&["job", "checkpoint", "job", "--wait"]);
    host
}

fn count_of(host: &Host, key: &str) -> String {
    let seen = host.json(&format!("/v1/jobs/job/operators/it/state/counts?key={key}"));
    seen["entries"][0]["value"].to_string()
}

#[test]
fn a_migration_that_fails_is_found_on_real_entries_before_anything_is_touched() {
    let host = counting(1_500, &["migrate-trap", "migrate-spin", "migrate-refuse", "migrate-giant"]);
    let before = count_of(&host, "k7");
    for (guest, at, says) in [
        ("migrate-trap", json!({"at": 1}), "unreachable"),
        ("migrate-spin", json!({"at": 1}), "longer than 500ms"),
        ("migrate-refuse", Value::Null, "there is no way from version 1 to version 2"),
        // Past its output, or past its memory.
        ("migrate-giant", Value::Null, "raise `limits."),
    ] {
        let mut body = json!({"module": format!("{guest}@1"), "probation": {"time": "10m"}});
        if !at.is_null() {
            body["parameters"] = at;
        }
        let (status, problem) = ask(&host, &body);
        assert_eq!(status, 422, "{guest}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("cannot rewrite state `counts` of key `k"), "{guest}: {detail}");
        assert!(detail.contains(says), "{guest}: {detail}");
    }
    assert_eq!((module(&host), count_of(&host, "k7")), (json!("count@1"), before));
    assert_eq!(host.json("/v1/jobs/job")["restarts"], 0);
}

/// Not one of its own: an instance gives up after so many entries, and a new one rewrites those key by key.
#[test]
fn a_migration_that_fails_at_each_thousandth_entry_loses_none() {
    for guest in ["migrate-trap", "migrate-spin"] {
        let host = counting(1_500, &[guest]);
        let before = count_of(&host, "k7");
        let mut body = json!({"module": format!("{guest}@1"), "probation": {"time": "10m"}});
        let (status, problem) = ask(&host, &body);
        assert_eq!((status, module(&host)), (422, json!("count@1")), "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("cannot be rewritten back"), "{problem}");
        body["way_back"] = "none".into();
        let (status, operation) = ask(&host, &body);
        assert_eq!(status, 202, "{operation}");
        assert_eq!(done(&host, &operation)["status"], "SUCCEEDED");
        let rewritten = eventually("all is rewritten", || {
            host.log().lines().find(|line| line.contains("state is rewritten")).map(str::to_owned)
        });
        assert!(rewritten.contains("1500") && !rewritten.contains("first_failure"), "{rewritten}");
        assert_eq!(count_of(&host, "k7"), before);
    }
}

#[test]
fn an_operator_that_retries_for_ever_is_named_at_the_deadline_and_swapped_by_a_restart() {
    let host = Host::start();
    for guest in ["transient", "echo"] {
        host.push(&odd(guest), &format!("{guest}@1"));
    }
    let mut document = often(through("transient@1", "job", &posted()));
    document["operators"]["it"]["parameters"] = json!({"times": 1_000_000_000});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host.feed("job", "a");
    eventually("it tries again", || {
        let job = host.json("/v1/jobs/job").to_string();
        job.contains("the world is not ready").then_some(())
    });
    let (_, operation) = ask(&host, &json!({"module": "echo@1", "parameters": {}, "deadline": "500ms"}));
    let operation = done(&host, &operation);
    let cause = operation["detail"]["cause"].as_str().unwrap();
    assert!(cause.contains("subtask 0") && cause.contains("`mode: restart`"), "{cause}");
    let (_, operation) = ask(&host, &json!({"module": "echo@1", "parameters": {}, "mode": "restart"}));
    assert_eq!(done(&host, &operation)["status"], "SUCCEEDED");
    written(&host, &["a"]);
}
