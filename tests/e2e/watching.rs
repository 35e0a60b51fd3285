//! What can be seen of a host and its jobs from outside: events, log lines, samples, metrics, health.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::documents::{file, posted, through};
use crate::guests::odd;
use crate::host::Host;

#[test]
fn the_events_of_a_job_are_sent_until_it_is_over() {
    let host = Host::start();
    host.push(&odd("poison"), "poison@1");
    host.submit(&through("poison@1", "job", &posted()).to_string());
    let events = host.get("/v1/jobs/job/events");
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    host.feed("job", "fine\npoison\n");
    host.wait_until("job", "dead_letters", 1);
    host.stop("job");

    // The stream ends by itself, with the job.
    let lines: Vec<String> = BufReader::new(events).lines().map(Result::unwrap).collect();
    let data = lines.iter().filter_map(|line| line.strip_prefix("data: "));
    let data: Vec<Value> = data.map(|text| serde_json::from_str(text).unwrap()).collect();
    let states: Vec<&str> = data.iter().filter_map(|event| event["state"].as_str()).collect();
    assert!(states.contains(&"RUNNING") && states.ends_with(&["STOPPING", "STOPPED"]), "{states:?}");
    let letters = data.iter().find(|event| event["kind"] == "dead-letters").expect("an event about the dead letter");
    assert_eq!((&letters["operator"], &letters["count"]), (&"it".into(), &1.into()));
    assert!(lines.iter().any(|line| line.trim_end() == "event: dead-letters"), "{lines:?}");
}

#[test]
fn log_lines_of_guests_are_kept_and_a_flood_of_them_is_counted() {
    let host = Host::start();
    host.push(&odd("log-flood"), "flood@1");
    host.write("in.txt", "one\n");
    host.submit(&through("flood@1", "job", &file("in.txt")).to_string());
    let job = host.wait_for("job", "FINISHED");
    let lines = host.json("/v1/jobs/job/logs?operator=it");
    let lines = lines["lines"].as_array().unwrap();
    let flood = lines.iter().filter(|line| line["message"].as_str().unwrap().starts_with("flood "));
    // 64 KiB a second, lines of a KiB; the call may begin in one second and end in a later one.
    let kept = flood.count();
    assert!((1..=1000).contains(&kept), "{kept}");
    assert!(lines.iter().any(|line| line["level"] == "dropped"), "the host says that it dropped lines");
    let node = job["report"]["nodes"].as_array().unwrap().iter().find(|node| node["id"] == "it").unwrap().clone();
    assert!(node["total"]["log_lines_dropped"].as_u64().unwrap() > 5000, "{node}");
    assert!(host.cli_ok(&["job", "logs", "job"]).contains("info  [it] flood "));
}

#[test]
fn a_tap_shows_what_leaves_an_operator() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    let made_up = json!({"generator": {"rate": 2000, "keys": 10}});
    host.submit(&through("echo@1", "job", &made_up).to_string());
    host.wait_for("job", "RUNNING");
    let shown = host.cli_ok(&["--json", "job", "tap", "job", "it", "-n", "5"]);
    let events: Vec<Value> = shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events.len(), 5);
    for event in events {
        assert!(event["key"]["text"].as_str().unwrap().starts_with("key-"), "{event}");
        assert_eq!(event["value"]["text"].as_str().unwrap().len(), 110, "{event}");
    }
    let missing = host.cli(&["job", "tap", "job", "at"]);
    assert!(crate::host::text(&missing.stderr).contains("did you mean `it`?"));
    host.post("/v1/jobs/job/cancel").send().unwrap();
    host.wait_for("job", "CANCELLED");
}

#[test]
fn metrics_count_what_a_job_does() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    host.write("in.txt", "one\ntwo\nthree\n");
    host.submit(&through("echo@1", "job", &file("in.txt")).to_string());
    host.wait_for("job", "FINISHED");
    let metrics = host.get("/metrics").text().unwrap();
    let events_in = metrics.lines().find(|line| {
        line.starts_with("gristmill_events_in_total{")
            && line.contains("job=\"job\"")
            && line.contains("operator=\"it\"")
    });
    assert!(events_in.expect("a count of events in").ends_with(" 3"), "{metrics}");
    assert!(metrics.contains("# TYPE gristmill_events_in_total counter"));
    assert!(metrics.contains("gristmill_http_requests_total"));
}

#[test]
fn the_host_says_that_it_lives_that_it_is_ready_and_what_it_can_do() {
    let host = Host::start();
    assert_eq!(host.json("/healthz")["status"], "ok");
    assert_eq!(host.json("/readyz")["status"], "ok");
    let described = host.json("/openapi.json");
    for path in ["/v1/modules", "/v1/jobs/{job}/stop", "/v1/jobs/{job}/dead-letters/replay", "/healthz"] {
        assert!(described["paths"][path].is_object(), "{path}");
    }
    let nowhere = host.get("/v1/job");
    assert_eq!(nowhere.status(), 404);
    assert_eq!(nowhere.headers()["content-type"], "application/problem+json");
    assert!(nowhere.json::<Value>().unwrap()["hint"].as_str().unwrap().contains("/openapi.json"));
}
