//! Swaps of real guests in a real host: while events come, rolled back, refused, across kill -9.

use serde_json::{Value, json};

use crate::documents::{often, posted, through};
use crate::guests::{example, odd};
use crate::host::{Host, eventually};
use crate::jobs::done;

pub(crate) const SWAP: &str = "/v1/jobs/job/operators/it/swap";

/// A host whose job runs `echo`, and which has these guests too.
pub(crate) fn echoing(guests: &[&str]) -> Host {
    let host = Host::start();
    for guest in ["echo"].iter().chain(guests) {
        host.push(&odd(guest), &format!("{guest}@1"));
    }
    let mut document = often(through("echo@1", "job", &posted()));
    document["restart"] = json!({"fixed": {"delay": "10ms", "attempts": 100}});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host
}

pub(crate) fn ask(host: &Host, body: &Value) -> (u16, Value) {
    let answer = host.post(SWAP).json(body).send().unwrap();
    (answer.status().as_u16(), answer.json().unwrap())
}

/// Asks for a swap that is refused; gives the sentence.
pub(crate) fn refusal(host: &Host, body: &Value) -> String {
    let (status, problem) = ask(host, body);
    assert_eq!(status, 422, "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

/// Begins a swap and waits until it is on probation; gives its operation.
fn on_probation(host: &Host, module: &str) -> Value {
    let (status, operation) = ask(host, &json!({"module": module, "probation": {"time": "10m"}}));
    assert_eq!(status, 202, "{operation}");
    let id = operation["id"].as_str().unwrap();
    eventually("it is on probation", || {
        let seen = host.json(&format!("/v1/operations/{id}"));
        (seen["detail"]["stage"] == "probation").then_some(())
    });
    operation
}

pub(crate) fn written(host: &Host, lines: &[&str]) {
    eventually("all is committed", || (host.lines("job.out") == lines).then_some(()));
}

pub(crate) fn module(host: &Host) -> Value {
    host.json("/v1/jobs/job")["document"]["operators"]["it"]["module"].clone()
}

#[test]
fn a_module_is_swapped_from_the_command_line_while_events_come() {
    let host = echoing(&["poison"]);
    host.feed("job", "a");
    let words = host.cli_ok(&["operator", "swap", "job", "it", "poison@1", "--probation", "0s", "--wait"]);
    assert!(words.contains("swap SUCCEEDED: done"), "{words}");
    host.feed("job", "b");
    written(&host, &["a", "b"]);
    assert_eq!(module(&host), "poison@1");
    let host = host.kill_and_restart();
    host.wait_for("job", "RUNNING");
    assert_eq!(module(&host), "poison@1");
    host.feed("job", "poison");
    eventually("the new version refuses it", || (host.letters("job").len() == 1).then_some(()));
    written(&host, &["a", "b"]);
}

#[test]
fn parameters_alone_are_swapped_at_a_barrier_and_outlast_the_host() {
    let host = Host::start();
    host.push(&example("filter"), "filter@1");
    let mut document = often(through("filter@1", "job", &posted()));
    document["operators"]["it"]["parameters"] = json!({"offset": 0, "letter": "a"});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host.feed("job", "a1\nb1");
    written(&host, &["a1"]);
    let swap = ["operator", "swap", "job", "it", "--probation", "0s", "--wait", "--param"];
    let words = host.cli_ok(&[&swap[..], &["letter=b"]].concat());
    assert!(words.contains("swap SUCCEEDED: done"), "{words}");
    host.feed("job", "a2\nb2");
    written(&host, &["a1", "b2"]);
    let parameters = |host: &Host| host.json("/v1/jobs/job")["document"]["operators"]["it"]["parameters"].clone();
    assert_eq!(parameters(&host), json!({"offset": 0, "letter": "b"}));
    assert_eq!(host.json("/v1/jobs/job")["restarts"], 0);
    let refused = host.cli(&[&swap[..], &["letter=b"]].concat());
    assert!(crate::host::text(&refused.stderr).contains("with these parameters already"), "{refused:?}");
    let host = host.kill_and_restart();
    host.wait_for("job", "RUNNING");
    host.feed("job", "a3\nb3");
    written(&host, &["a1", "b2", "b3"]);
}

#[test]
fn a_version_that_traps_is_rolled_back_and_the_old_one_takes_the_same_events() {
    let host = echoing(&["poison-trap"]);
    host.feed("job", "a");
    let operation = on_probation(&host, "poison-trap@1");
    host.feed("job", "b\npoison\nc");
    let operation = done(&host, &operation);
    assert_eq!((&operation["status"], &operation["detail"]["stage"]), (&json!("FAILED"), &json!("undone")));
    let cause = operation["detail"]["cause"].as_str().unwrap();
    assert!(cause.contains("rolled back") && cause.contains("trap"), "{cause}");
    written(&host, &["a", "b", "poison", "c"]);
    assert_eq!((host.letters("job").len(), module(&host)), (0, json!("echo@1")));
    assert_eq!(host.json("/v1/jobs/job")["restarts"], 0);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_touched() {
    let host = echoing(&["trap-open"]);
    host.push(&example("word-count"), "word-count@1");
    for (module, says) in [
        ("trap-open@1", "cannot be opened"),
        ("word-count@1", "operators.it.inputs.in: the module's input `in` must come keyed"),
        ("nothing@1", "no module"),
    ] {
        let said = refusal(&host, &json!({"module": module}));
        assert!(said.contains(says), "{said}");
    }
    host.feed("job", "a");
    written(&host, &["a"]);
    let job = host.json("/v1/jobs/job");
    assert_eq!((&job["restarts"], module(&host)), (&json!(0), json!("echo@1")));
}

#[test]
fn a_kill_on_probation_leaves_the_module_that_the_manifest_names() {
    let host = echoing(&["poison"]);
    host.feed("job", "a");
    let operation = on_probation(&host, "poison@1");
    host.feed("job", "b");
    let host = host.kill_and_restart();
    host.wait_for("job", "RUNNING");
    let operation = done(&host, &operation);
    assert_eq!(operation["status"], "SUCCEEDED", "{operation}");
    eventually("the catalog is corrected", || (module(&host) == "poison@1").then_some(()));
    written(&host, &["a", "b"]);
}

#[test]
fn a_stuck_operator_is_named_and_swapped_by_a_restart() {
    let host = Host::start();
    for guest in ["spin", "echo"] {
        host.push(&odd(guest), &format!("{guest}@1"));
    }
    let mut document = often(through("spin@1", "job", &posted()));
    document["operators"]["it"]["limits"] = json!({"call": "10m"});
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host.feed("job", "a");
    let (_, operation) = ask(&host, &json!({"module": "echo@1", "deadline": "500ms"}));
    let operation = done(&host, &operation);
    assert_eq!(operation["status"], "FAILED", "{operation}");
    assert!(operation["detail"]["cause"].as_str().unwrap().contains("subtask 0"), "{operation}");
    let (_, operation) = ask(&host, &json!({"module": "echo@1", "mode": "restart"}));
    let operation = done(&host, &operation);
    assert_eq!(operation["status"], "SUCCEEDED", "{operation}");
    written(&host, &["a"]);
    assert_eq!(module(&host), "echo@1");
}
