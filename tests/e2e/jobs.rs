//! Jobs: submitted, steered, ended, deleted.

use serde_json::{Value, json};

use crate::documents::{file, posted, through};
use crate::guests::odd;
use crate::host::{Host, eventually};

/// A host with `echo@1`, and a running job of that name fed by posts.
fn host_with_job() -> Host {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    host.submit(&through("echo@1", "job", &posted()).to_string());
    host.wait_for("job", "RUNNING");
    host
}

/// Waits until an operation is done; gives it.
pub(crate) fn done(host: &Host, operation: &Value) -> Value {
    let id = operation["id"].as_str().unwrap().to_owned();
    eventually("the operation is done", || {
        let seen = host.json(&format!("/v1/operations/{id}"));
        (seen["status"] != "RUNNING").then_some(seen)
    })
}

/// The counters of one node.
fn total<'a>(job: &'a Value, node: &str) -> &'a Value {
    let nodes = job["report"]["nodes"].as_array().unwrap();
    &nodes.iter().find(|found| found["id"] == node).unwrap()["total"]
}

#[test]
fn a_dry_run_shows_the_plan_and_starts_nothing() {
    let host = Host::start();
    host.push(&odd("slow"), "slow@1");
    let document = through("slow@1", "idea", &posted()).to_string();
    let answer = host.post("/v1/jobs?dry_run=true").body(document).send().unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().unwrap();
    assert_eq!((&answer["ok"], &answer["job"]), (&true.into(), &"idea".into()));
    assert_eq!(answer["operators"][0]["parameters"]["rounds"], 10_000, "defaults are filled in");
    assert!(answer["rendering"].as_str().unwrap().contains("events"), "{answer}");
    assert_eq!(host.json("/v1/jobs")["jobs"], json!([]));
    assert!(!host.path("idea.out").exists());
}

#[test]
fn a_bounded_job_finishes_and_its_counters_outlive_the_host() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    host.write("in.txt", "one\ntwo\nthree\n");
    host.submit(&through("echo@1", "short", &file("in.txt")).to_string());
    let job = host.wait_for("short", "FINISHED");
    assert_eq!((&job["events_read"], &job["events_written"], &job["dead_letters"]), (&3.into(), &3.into(), &0.into()));
    assert_eq!((&total(&job, "it")["events_in"], &total(&job, "it")["events_out"]), (&3.into(), &json!([3])));
    assert!(total(&job, "it")["calls"].as_u64().unwrap() >= 1);
    assert_eq!(host.lines("short.out"), ["one", "two", "three"]);

    let host = host.kill_and_restart();
    let after = host.json("/v1/jobs/short");
    assert_eq!((&after["state"], &after["report"]["nodes"]), (&"FINISHED".into(), &job["report"]["nodes"]));
}

#[test]
fn a_paused_job_holds_still_until_it_is_resumed() {
    let host = host_with_job();
    host.feed("job", "first\n");
    host.wait_until("job", "events_written", 1);
    assert_eq!(host.post("/v1/jobs/job/pause").send().unwrap().status(), 200);
    host.wait_for("job", "PAUSED");
    host.feed("job", "second\nthird\n");
    // A source that did not hold still would have read them within a few of these looks.
    for _ in 0..50 {
        assert_eq!(host.json("/v1/jobs/job")["events_read"], 1);
    }
    assert_eq!(host.post("/v1/jobs/job/resume").send().unwrap().status(), 200);
    host.wait_until("job", "events_written", 3);
    assert_eq!(host.json("/v1/jobs/job")["state"], "RUNNING");
}

#[test]
fn a_stopped_job_lets_out_all_that_it_took_in() {
    let host = host_with_job();
    let events: Vec<String> = (0..500).map(|number| format!("event {number}")).collect();
    host.feed("job", &events.join("\n"));
    host.wait_until("job", "events_read", 500);
    let stopping = host.post("/v1/jobs/job/stop").send().unwrap();
    assert_eq!(stopping.status(), 202);
    let place = stopping.headers()["location"].to_str().unwrap().to_owned();
    let operation: Value = stopping.json().unwrap();
    assert_eq!(place, format!("/v1/operations/{}", operation["id"].as_str().unwrap()));
    let operation = done(&host, &operation);
    assert_eq!((&operation["status"], &operation["detail"]["state"]), (&"SUCCEEDED".into(), &"STOPPED".into()));
    assert_eq!(host.lines("job.out"), events);
    let late = host.offer("job", "too late\n");
    assert_eq!(late.status(), 409);
}

#[test]
fn a_cancelled_job_ends_at_once_and_may_be_submitted_again() {
    let host = host_with_job();
    let answer = host.post("/v1/jobs/job/cancel").send().unwrap();
    assert_eq!(answer.status(), 202);
    let operation = done(&host, &answer.json().unwrap());
    assert_eq!((&operation["kind"], &operation["status"]), (&"cancel-job".into(), &"SUCCEEDED".into()));
    assert_eq!(host.json("/v1/jobs/job")["state"], "CANCELLED");
    let refused = host.post("/v1/jobs/job/pause").send().unwrap();
    assert_eq!(refused.status(), 409);
    assert_eq!(refused.json::<Value>().unwrap()["code"], "wrong-state");
    host.submit(&through("echo@1", "job", &posted()).to_string());
    host.wait_for("job", "RUNNING");
}

#[test]
fn a_job_is_deleted_once_it_is_over_and_not_before() {
    let host = host_with_job();
    let refused = host.delete("/v1/jobs/job");
    assert_eq!(
        (refused.status().as_u16(), refused.json::<Value>().unwrap()["code"].clone()),
        (409, "wrong-state".into())
    );
    host.stop("job");
    assert_eq!(host.delete("/v1/jobs/job").status(), 204);
    let gone = host.get("/v1/jobs/job");
    assert_eq!(gone.status(), 404);
    assert!(gone.json::<Value>().unwrap()["hint"].as_str().unwrap().contains("GET /v1/jobs"));
}

#[test]
fn a_running_job_keeps_its_name() {
    let host = host_with_job();
    let (status, problem) = host.try_submit(&through("echo@1", "job", &posted()).to_string());
    assert_eq!((status, &problem["code"]), (409, &"job-exists".into()));
    assert!(problem["hint"].as_str().unwrap().contains("stop or cancel job `job` first"), "{problem}");
}

#[test]
fn a_request_sent_twice_under_one_key_submits_one_job() {
    let host = Host::start();
    host.push(&odd("echo"), "echo@1");
    let document = through("echo@1", "once", &posted()).to_string();
    let submit = |document: &str| {
        let request = host.post("/v1/jobs").header("idempotency-key", "the-same").body(document.to_owned());
        request.send().unwrap()
    };
    let first = submit(&document);
    assert_eq!(first.status(), 201);
    let second = submit(&document);
    assert_eq!((second.status().as_u16(), second.headers()["idempotency-replayed"].to_str().unwrap()), (201, "true"));
    assert_eq!(first.json::<Value>().unwrap(), second.json::<Value>().unwrap());
    assert_eq!(host.json("/v1/jobs")["jobs"].as_array().unwrap().len(), 1);
    let other = submit(&document.replace("once", "twice"));
    assert_eq!(
        (other.status().as_u16(), other.json::<Value>().unwrap()["code"].clone()),
        (422, "idempotency-mismatch".into())
    );
}
