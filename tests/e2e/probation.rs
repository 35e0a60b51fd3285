//! Bounds of a probation, over REST and the command line.

use serde_json::json;

use crate::host::eventually;
use crate::swapping::{SWAP, ask, echoing, module, written};

#[test]
fn a_version_that_rejects_too_much_is_taken_back_and_the_operation_says_why() {
    let host = echoing(&["poison-reject"]);
    host.feed("job", "first");
    let bounds = ["--max-failure-rate", "0.25", "--max-call-p99", "10s", "--max-slowdown", "5000"];
    let swap =
        [&["--json", "operator", "swap", "job", "it", "poison-reject@1", "--probation", "10m"], &bounds[..]].concat();
    let begun: serde_json::Value = serde_json::from_str(&host.cli_ok(&swap)).unwrap();
    let operation = format!("/v1/operations/{}", begun["id"].as_str().unwrap());
    eventually("it is on probation", || (host.json(&operation)["detail"]["stage"] == "probation").then_some(()));
    written(&host, &["first"]);
    host.feed("job", &"poison\n".repeat(150));
    let undone = eventually("it is taken back", || {
        let seen = host.json(&operation);
        (seen["status"] == "FAILED").then_some(seen)
    });
    assert_eq!(undone["detail"]["stage"], "undone", "{undone}");
    let cause = undone["detail"]["cause"].as_str().unwrap();
    assert!(cause.contains("events failed, which is more than the bound of 0.25"), "{cause}");
    assert!(host.log().contains("more than the bound of 0.25"));
    host.feed("job", "last");
    // What it had rejected by then lies in the dead letters; the old version lets the rest through.
    let passed = 150 - host.letters("job").len();
    let expected = [&["first"], &vec!["poison"; passed][..], &["last"]].concat();
    written(&host, &expected);
    assert_eq!((passed <= 50, module(&host)), (true, json!("echo@1")));
}

#[test]
fn a_bound_that_is_none_is_refused_with_what_it_may_be() {
    let host = echoing(&["poison-reject"]);
    for (bound, says) in [
        (json!({"max_failure_rate": 1.5}), "`probation.max_failure_rate`: 1.5 is not a number from 0 to 1"),
        (json!({"max_slowdown": 0.5}), "`probation.max_slowdown`: 0.5 is not a number from 1 to 10000"),
        (json!({"max_call_p99": "soon"}), "`probation.max_call_p99`"),
    ] {
        let (status, problem) = ask(&host, &json!({"module": "poison-reject@1", "probation": bound}));
        assert_eq!(status, 400, "{SWAP}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(says), "{problem}");
    }
}
