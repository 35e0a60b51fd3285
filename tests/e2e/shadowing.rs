//! Shadows of real guests in a real host: told exactly, harmless, promoted.

use serde_json::{Value, json};

use crate::documents::{often, posted, through};
use crate::guests::odd;
use crate::host::{Host, eventually};

const SHADOW: &str = "/v1/jobs/job/operators/it/shadow";

/// A host whose job runs `echo`, and which has these guests too.
fn echoing(guests: &[&str], keyed: bool) -> Host {
    let host = Host::start();
    for guest in ["echo"].iter().chain(guests) {
        host.push(&odd(guest), &format!("{guest}@1"));
    }
    let mut document = often(through(if keyed { "event-count@1" } else { "echo@1" }, "job", &posted()));
    if keyed {
        document["operators"]["it"]["inputs"]["in"]["key_by"] = json!("$.k");
    }
    host.submit(&document.to_string());
    host.wait_for("job", "RUNNING");
    host
}

fn until(host: &Host, reached: impl Fn(&Value) -> bool) -> Value {
    eventually("the shadow has come there", || Some(host.json(SHADOW)).filter(|report| reached(report)))
}

fn follows(host: &Host) {
    until(host, |report| report["stage"] == "following");
}

fn lines(count: usize, planted: usize) -> String {
    let line = |at| if at < planted { format!("planted {at}") } else { format!("plain {at}") };
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_thousand_planted_differences_are_told_as_a_thousand() {
    let host = echoing(&["otherwise"], false);
    host.feed("job", &lines(10, 10));
    let words = host.cli_ok(&["operator", "shadow", "job", "it", "otherwise@1", "--samples", "3"]);
    assert!(words.contains("shadow waiting"), "{words}");
    follows(&host);
    let fed = lines(2500, 1000);
    host.feed("job", &fed);
    until(&host, |report| report["events"] == 2500);
    let words = host.cli_ok(&["operator", "shadow-report", "job", "it"]);
    assert!(words.contains("2,500 events") && words.contains("differing: 1000, missing: 0, extra: 0"), "{words}");
    assert!(words.contains("`planted 0` gives `planted 0`, and in the shadow `otherwise`"), "{words}");
    let report = host.json(SHADOW);
    assert_eq!(report["samples"].as_array().unwrap().len(), 3, "{report:#}");
    assert!(report["memory_bytes"].as_u64().unwrap() > 0 && report["shadow_ns_per_event"].is_number(), "{report:#}");
    let words = host.cli_ok(&["operator", "shadow-discard", "job", "it"]);
    assert!(words.contains("shadow over") && words.contains("discarded"), "{words}");
    eventually("all is committed", || (host.lines("job.out").len() == 2510).then_some(()));
    assert!(host.lines("job.out").iter().all(|line| line != "otherwise"), "nothing of it leaves");
}

#[test]
fn a_shadow_goes_on_from_the_state_of_its_operator() {
    let host = echoing(&["event-count"], true);
    let event = |key: &str| json!({"k": key}).to_string();
    host.feed("job", &[event("a"), event("a"), event("b")].join("\n"));
    eventually("they are counted", || (host.lines("job.out").len() == 3).then_some(()));
    // The same logic beside itself: only a state that was not that of the checkpoint could make it differ.
    host.cli_ok(&["operator", "shadow", "job", "it", "event-count@1"]);
    follows(&host);
    host.feed("job", &[event("a"), event("b"), event("c")].join("\n"));
    let report = until(&host, |report| report["events"] == 3);
    let counts = ["differing", "missing", "extra", "failed_calls"].map(|name| report[name].as_u64().unwrap());
    assert_eq!(counts, [0; 4], "{report:#}");
    assert!(report["state_bytes"].as_u64().unwrap() > 0, "{report:#}");
    let refused = host.cli(&["operator", "shadow-promote", "job", "it"]);
    assert!(!refused.status.success(), "it runs there already");
}

#[test]
fn a_version_that_traps_is_told_of_and_one_that_is_sound_is_promoted() {
    let host = echoing(&["poison-trap", "otherwise"], false);
    host.cli_ok(&["operator", "shadow", "job", "it", "poison-trap@1"]);
    follows(&host);
    host.feed("job", "a\npoison\nb");
    let report = until(&host, |report| report["failed_events"] == 3);
    assert_eq!(report["failures"][0]["kind"], "trap", "{report:#}");
    eventually("the stream goes on", || (host.lines("job.out") == ["a", "poison", "b"]).then_some(()));
    assert!(host.letters("job").is_empty());
    host.cli_ok(&["operator", "shadow-discard", "job", "it"]);

    host.cli_ok(&["operator", "shadow", "job", "it", "otherwise@1"]);
    follows(&host);
    let words = host.cli_ok(&["operator", "shadow-promote", "job", "it", "--probation", "0s", "--wait"]);
    assert!(words.contains("swap SUCCEEDED: done"), "{words}");
    host.feed("job", "planted");
    eventually("it runs for real", || {
        (host.lines("job.out").last().map(String::as_str) == Some("otherwise")).then_some(())
    });
    assert_eq!(host.json("/v1/jobs/job")["restarts"], 0);
}
