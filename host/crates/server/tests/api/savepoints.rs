//! Savepoints over HTTP.

use axum::http::StatusCode;
use gristmill_ports::catalog::JobState;
use serde_json::{Value, json};

use crate::support::{Host, JOB};

const SAVEPOINTS: &str = "/v1/jobs/orders/savepoints";

async fn taken(host: &Host, name: &str) -> Value {
    let operation = host.finished(host.post(SAVEPOINTS, json!({"name": name}).to_string()).await).await;
    assert_eq!(operation["status"], "SUCCEEDED", "{operation:#}");
    operation
}

/// The job under another name.
fn fork() -> String {
    JOB.replace("job: orders", "job: fork")
}

#[tokio::test]
async fn a_savepoint_is_taken_listed_looked_at_verified_and_deleted() {
    let host = Host::with_job().await;
    let operation = taken(&host, "before-2").await;
    assert_eq!((&operation["kind"], &operation["detail"]["savepoint"]), (&json!("savepoint"), &json!("before-2")));

    let list = host.get(SAVEPOINTS).await.expect(StatusCode::OK);
    let one = &list["savepoints"][0];
    assert_eq!((&one["job"], &one["name"], &one["checkpoint"]), (&json!("orders"), &json!("before-2"), &json!(1)));
    assert_eq!(host.get("/v1/savepoints").await.expect(StatusCode::OK), list);

    let path = format!("{SAVEPOINTS}/before-2");
    let seen = host.get(&path).await.expect(StatusCode::OK);
    let nodes: Vec<_> = seen["nodes"].as_array().unwrap().iter().map(|node| node["node"].as_str().unwrap()).collect();
    assert_eq!(nodes, ["in", "out", "pass"], "{seen:#}");
    assert_eq!(seen["document"]["job"], "orders", "as it ran then: {seen:#}");
    assert!(seen["nodes"][2]["module"].is_string(), "{seen:#}");

    let verified = host.finished(host.post(&format!("{path}/verify"), "").await).await;
    assert_eq!((&verified["status"], &verified["detail"]["damaged"]), (&json!("SUCCEEDED"), &json!([])));

    assert_eq!(host.delete(&path).await.status, StatusCode::NO_CONTENT);
    host.get(&path).await.problem(404, "not-found");
    assert_eq!(host.get(SAVEPOINTS).await.expect(StatusCode::OK)["savepoints"], json!([]));
    assert!(!host.parts.storage().join("savepoints").exists(), "nothing of it stays");
}

#[tokio::test]
async fn savepoints_without_a_name_are_counted() {
    let host = Host::with_job().await;
    for name in ["sp-1", "sp-2"] {
        let operation = host.finished(host.post(SAVEPOINTS, "").await).await;
        assert_eq!(operation["detail"]["savepoint"], name, "{operation:#}");
    }
}

#[tokio::test]
async fn a_name_that_is_none_or_given_is_refused_before_anything_happens() {
    let host = Host::with_job().await;
    taken(&host, "before").await;
    let problem = host.post(SAVEPOINTS, r#"{"name": "before"}"#).await.problem(409, "savepoint-exists");
    assert_eq!(problem["detail"], "there is a savepoint `before` of job `orders` already");
    host.post(SAVEPOINTS, r#"{"name": ".."}"#).await.problem(400, "bad-name");
    host.post(SAVEPOINTS, r#"{"nam": "x"}"#).await.problem(400, "malformed-json");
    let problem = host.get(&format!("{SAVEPOINTS}/befor")).await.problem(404, "not-found");
    assert_eq!(problem["hint"], "did you mean `orders/before`?");
    host.get(&format!("{SAVEPOINTS}/..%2F..")).await.problem(404, "not-found");
    host.post("/v1/jobs/nothing/savepoints", "").await.problem(404, "not-found");
    assert_eq!(host.get(SAVEPOINTS).await.expect(StatusCode::OK)["savepoints"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_savepoint_edited_by_hand_is_told_and_not_begun_from() {
    let host = Host::with_job().await;
    taken(&host, "before").await;
    let record = host.parts.storage().join("savepoints/orders/before/savepoint");
    let mut bytes = std::fs::read(&record).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&record, bytes).unwrap();
    let list = host.get("/v1/savepoints").await.expect(StatusCode::OK);
    assert!(list["savepoints"][0]["damaged"].is_string(), "{list:#}");
    let refused = host.post("/v1/jobs?savepoint=orders/before", fork()).await;
    assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR, "{refused:?}");
    host.get("/v1/jobs/fork").await.problem(404, "not-found");
    assert_eq!(host.delete(&format!("{SAVEPOINTS}/before")).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_job_is_stopped_behind_its_savepoint() {
    let host = Host::with_job().await;
    let operation = host.finished(host.post("/v1/jobs/orders/stop", r#"{"savepoint": "last"}"#).await).await;
    assert_eq!((&operation["kind"], &operation["status"]), (&json!("stop-job"), &json!("SUCCEEDED")));
    assert_eq!(operation["detail"]["state"], "STOPPED", "{operation:#}");
    host.get(&format!("{SAVEPOINTS}/last")).await.expect(StatusCode::OK);
    host.post(SAVEPOINTS, "").await.problem(409, "wrong-state");
    host.post("/v1/jobs/orders/stop", r#"{"drian": true}"#).await.problem(400, "malformed-json");
}

#[tokio::test]
async fn a_job_is_drained_into_a_savepoint() {
    let host = Host::with_job().await;
    let problem = host.post("/v1/jobs/orders/stop", r#"{"drain": true}"#).await.problem(400, "bad-request");
    assert_eq!(problem["hint"], "add `savepoint`, the name of one");
    host.post("/v1/jobs/orders/sources/in/events", "a").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |job| job["events_read"] == 1).await;
    let asked = r#"{"savepoint": "last", "drain": true}"#;
    let operation = host.finished(host.post("/v1/jobs/orders/stop", asked).await).await;
    assert_eq!((&operation["kind"], &operation["status"]), (&json!("stop-job"), &json!("SUCCEEDED")), "{operation:#}");
    assert_eq!((&operation["detail"]["state"], &operation["detail"]["savepoint"]), (&json!("STOPPED"), &json!("last")));
    let job = host.get("/v1/jobs/orders").await.expect(StatusCode::OK);
    assert_eq!((&job["events_read"], &job["events_written"]), (&json!(1), &json!(1)), "{job:#}");
    host.get(&format!("{SAVEPOINTS}/last")).await.expect(StatusCode::OK);
    host.post("/v1/jobs/orders/stop", asked).await.problem(409, "wrong-state");
}

#[tokio::test]
async fn a_host_that_dies_while_a_job_drains_leaves_the_rest_to_the_next() {
    let host = Host::with_job().await;
    host.post("/v1/jobs/orders/sources/in/events", "unwritable").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |job| job.to_string().contains("does not answer")).await;
    let asked = host.post("/v1/jobs/orders/stop", r#"{"savepoint": "last", "drain": true}"#).await;
    host.until("/v1/jobs/orders", |job| job["state"] == "STOPPING").await;
    let id = asked.expect(StatusCode::ACCEPTED)["id"].as_str().unwrap().to_owned();
    host.control.drain(std::time::Duration::ZERO).await;
    let host = host.after().await;
    host.until("/v1/jobs/orders", |job| job["state"] == "STOPPING" || job["state"] == "STOPPED").await;
    let operation = host.until(&format!("/v1/operations/{id}"), |one| one["status"] != "RUNNING").await;
    assert_eq!(operation["status"], "SUCCEEDED", "{operation:#}");
    assert_eq!(host.get("/v1/jobs/orders").await.expect(StatusCode::OK)["state"], "STOPPED");
    host.get(&format!("{SAVEPOINTS}/last")).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_job_whose_savepoint_cannot_be_taken_goes_on() {
    let host = Host::with_job().await;
    // The sink tries again and again, so no barrier gets by.
    host.post("/v1/jobs/orders/sources/in/events", "unwritable").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |job| job.to_string().contains("does not answer")).await;
    let asked = host.post("/v1/jobs/orders/stop", r#"{"savepoint": "last"}"#).await;
    host.until("/v1/jobs/orders", |job| job["state"] == "PAUSED").await;
    // Until it is known what comes of it, nobody else moves the job.
    for (path, body) in [("resume", ""), ("stop", r#"{"savepoint": "another"}"#), ("rescale", r#"{"parallelism": 2}"#)]
    {
        let busy = host.post(&format!("/v1/jobs/orders/{path}"), body).await.problem(503, "busy");
        assert!(busy["detail"].as_str().unwrap().contains("held still while a savepoint is taken"), "{path}: {busy:#}");
    }
    // The host dies meanwhile.
    let id = asked.expect(StatusCode::ACCEPTED)["id"].as_str().unwrap().to_owned();
    host.control.drain(std::time::Duration::ZERO).await;
    let host = host.after().await;
    host.until("/v1/jobs/orders", |job| job["state"] == "RUNNING").await;
    assert_eq!(host.get(&format!("/v1/operations/{id}")).await.expect(StatusCode::OK)["status"], "FAILED");
    assert_eq!(host.get(SAVEPOINTS).await.expect(StatusCode::OK)["savepoints"], json!([]));
}

#[tokio::test]
async fn a_job_begins_from_the_savepoint_of_another() {
    let host = Host::with_job().await;
    taken(&host, "before").await;
    let dry = host.post("/v1/jobs?dry_run=true&savepoint=orders/before", fork()).await.expect(StatusCode::OK);
    let becomes: Vec<_> = dry["savepoint"].as_array().unwrap().iter().map(|node| &node["becomes"]).collect();
    assert_eq!(becomes, ["continued"; 3], "{dry:#}");
    host.get("/v1/jobs/fork").await.problem(404, "not-found");

    host.finished(host.post("/v1/jobs/orders/stop", "").await).await;
    host.post("/v1/jobs?savepoint=orders/before", fork()).await.expect(StatusCode::CREATED);
    host.until("/v1/jobs/fork", |job| job["state"] == "RUNNING").await;
    let job = "fork".parse().unwrap();
    let origin = |host: &Host| gristmill_ports::catalog::Catalog::job(&*host.catalog, &job).unwrap().unwrap().origin;
    assert_eq!(origin(&host).unwrap().name, "before", "remembered while it has no checkpoint");
    host.delete(&format!("{SAVEPOINTS}/before")).await.problem(409, "savepoint-in-use");
    host.finished(host.post("/v1/jobs/fork/checkpoints", "").await).await;
    for _ in 0..1000 {
        if origin(&host).is_none() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(origin(&host), None, "and then no more");
    assert_eq!(host.delete(&format!("{SAVEPOINTS}/before")).await.status, StatusCode::NO_CONTENT);
    host.post("/v1/jobs/fork/cancel", "").await;
    host.until_recorded("fork", JobState::Cancelled).await;
}

#[tokio::test]
async fn a_savepoint_that_does_not_fit_is_refused_with_all_that_is_wrong() {
    let host = Host::with_job().await;
    taken(&host, "before").await;
    let other = fork().replace("version: 1\n", "version: 1\nmax_parallelism: 256\n");
    let path = "/v1/jobs?savepoint=orders/before&drop=gone&drop=pass.sum";
    let problem = host.post(path, other.clone()).await.problem(422, "bad-document");
    let messages = problem["problems"].to_string();
    for what in ["`gone` is to be dropped", "`pass.sum` is to be dropped", "set `max_parallelism: 128`"] {
        assert!(messages.contains(what), "{problem:#}");
    }
    let dry = host.post(&format!("{path}&dry_run=true"), other).await.expect(StatusCode::OK);
    assert_eq!((&dry["ok"], dry["problems"].as_array().unwrap().len()), (&json!(false), 3), "{dry:#}");
    host.post("/v1/jobs?savepoint=orders/other", fork()).await.problem(404, "not-found");
    host.post("/v1/jobs?savepoint=orders", fork()).await.problem(400, "bad-name");
    host.post("/v1/jobs?drop=pass", fork()).await.problem(400, "bad-request");
    host.post("/v1/jobs?dryrun=true", fork()).await.problem(400, "bad-request");
    host.get("/v1/jobs/fork").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_savepoint_that_was_there_when_the_host_died_is_told_of_by_the_next_one() {
    let host = Host::with_job().await;
    let taken = taken(&host, "there").await;
    // As if the host had died before it could write these down.
    for name in ["there", "gone"] {
        host.catalog.leave_running(&format!("op-{name}"), "savepoint", "orders", json!({"savepoint": name}));
    }
    let after = host.after().await;
    let told = async |name: &str| after.get(&format!("/v1/operations/op-{name}")).await.expect(StatusCode::OK);
    let there = told("there").await;
    assert_eq!((&there["status"], &there["detail"]), (&json!("SUCCEEDED"), &taken["detail"]), "{there:#}");
    let gone = told("gone").await;
    let says = "the host stopped before the savepoint was there; take another one";
    assert_eq!((&gone["status"], &gone["detail"]["message"]), (&json!("FAILED"), &json!(says)), "{gone:#}");
}
