//! Rescaling over HTTP.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use gristmill_ports::catalog::{Catalog, JobRecord, OperationRecord, OperationStatus, PendingDocument};
use serde_json::{Value, json};

use crate::support::{Host, wasm};

const RESCALE: &str = "/v1/jobs/orders/rescale";
const JOB: &str = "/v1/jobs/orders";

async fn rescale(host: &Host, body: Value) -> Value {
    let operation = host.finished(host.post(RESCALE, body.to_string()).await).await;
    assert_eq!(operation["kind"], "rescale", "{operation:#}");
    operation
}

fn parallelism(job: &Value) -> &Value {
    &job["document"]["operators"]["pass"]["parallelism"]
}

async fn is_audited(host: &Host, path: &str) -> bool {
    let audit = host.get("/v1/audit").await.json();
    audit["records"].as_array().unwrap().iter().any(|record| record["path"] == path)
}

#[tokio::test]
async fn a_job_goes_on_with_other_subtasks_and_the_catalog_says_so() {
    let host = Host::with_job().await;
    host.post("/v1/jobs/orders/sources/in/events", "before").await.expect(StatusCode::ACCEPTED);
    host.until(JOB, |job| job["events_written"] == 1).await;
    for (subtasks, from) in [(3, 1), (2, 3)] {
        let operation = rescale(&host, json!({"operators": {"pass": subtasks}})).await;
        assert_eq!(operation["status"], "SUCCEEDED", "{operation:#}");
        assert_eq!(operation["detail"]["nodes"], json!([{"node": "pass", "from": from, "to": subtasks}]));
        let job = host.until(JOB, |job| job["state"] == "RUNNING").await;
        assert_eq!(*parallelism(&job), json!(subtasks), "{job:#}");
    }
    let job = host.until(JOB, |job| job["events_written"] == 1).await;
    assert_eq!(job["plan"]["tasks"][1]["parallelism"], 2, "{job:#}");
    host.post("/v1/jobs/orders/sources/in/events", "behind").await.expect(StatusCode::ACCEPTED);
    host.until(JOB, |job| job["events_written"] == 2).await;
    assert!(is_audited(&host, RESCALE).await);
}

#[tokio::test]
async fn a_catalog_that_refuses_while_nothing_runs_delays_a_job_and_no_more() {
    let host = Host::with_job().await;
    host.catalog.refuse_behind_note(3);
    let operation = rescale(&host, json!({"operators": {"pass": 3}})).await;
    assert_eq!(operation["status"], "SUCCEEDED", "{operation:#}");
    let job = host.until(JOB, |job| job["state"] == "RUNNING").await;
    assert_eq!(*parallelism(&job), json!(3), "{job:#}");
}

#[tokio::test]
async fn the_whole_job_is_rescaled_but_for_its_sinks() {
    let host = Host::with_job().await;
    let operation = rescale(&host, json!({"parallelism": 4})).await;
    assert_eq!(operation["detail"]["nodes"], json!([{"node": "pass", "from": 1, "to": 4}]), "{operation:#}");
    let job = host.until(JOB, |job| job["state"] == "RUNNING").await;
    assert_eq!(job["document"]["parallelism"], 4);
}

#[tokio::test]
async fn a_dry_run_touches_nothing() {
    let host = Host::with_job().await;
    let operation = rescale(&host, json!({"parallelism": 4, "dry_run": true})).await;
    assert_eq!((&operation["status"], &operation["detail"]["mode"]), (&json!("SUCCEEDED"), &json!("dry-run")));
    let job = host.get(JOB).await.json();
    assert_eq!((&job["document"]["parallelism"], &job["restarts"]), (&json!(1), &json!(0)), "{job:#}");
}

#[tokio::test]
async fn what_cannot_be_is_refused_in_a_sentence_and_touches_nothing() {
    let host = Host::with_job().await;
    for (body, status, code, says) in [
        (json!({}), 422, "rescale-refused", "nothing is to change"),
        (json!({"operators": {"pass": 1}}), 422, "rescale-refused", "no node would have another number"),
        (json!({"operators": {"pas": 2}}), 422, "rescale-refused", "did you mean `pass`?"),
        (json!({"operators": {"out": 2}}), 422, "rescale-refused", "is a sink"),
        (json!({"sources": {"in": 2}}), 422, "bad-document", "a source of kind http has one subtask"),
        (json!({"parallelism": 129}), 422, "bad-document", "129 subtasks cannot share 128 key groups"),
        (json!({"parallelism": 0}), 400, "malformed-json", ""),
        (json!({"max_parallelism": 256}), 400, "malformed-json", "max_parallelism"),
        (json!({"operators": {"not an id": 2}}), 400, "bad-name", "not an id"),
    ] {
        let problem = host.post(RESCALE, body.to_string()).await.problem(status, code);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{body}: {problem:#}");
    }
    host.post("/v1/jobs/order/rescale", json!({"parallelism": 2}).to_string()).await.problem(404, "not-found");
    let job = host.get(JOB).await.json();
    assert_eq!((&job["restarts"], &job["state"]), (&json!(0), &json!("RUNNING")), "{job:#}");
    host.finished(host.post("/v1/jobs/orders/stop", "").await).await;
    host.post(RESCALE, json!({"parallelism": 2}).to_string()).await.problem(409, "wrong-state");
}

#[tokio::test]
async fn a_swap_that_is_not_over_comes_first() {
    let host = Host::with_job().await;
    host.post("/v1/modules?name=pass@2", wasm(2)).await.expect(StatusCode::CREATED);
    let body = json!({"module": "pass@2", "probation": {"time": "60s"}}).to_string();
    let swap = host.post("/v1/jobs/orders/operators/pass/swap", body).await.expect(StatusCode::ACCEPTED);
    let swap = format!("/v1/operations/{}", swap["id"].as_str().unwrap());
    host.until(&swap, |one| one["detail"]["stage"] == "probation").await;
    let problem = host.post(RESCALE, json!({"parallelism": 2}).to_string()).await.problem(409, "swap-under-way");
    assert!(problem["detail"].as_str().unwrap().contains("swap 1 of operator `pass`"), "{problem:#}");
}

#[tokio::test]
async fn a_swap_by_restart_takes_other_parameters_and_subtasks_along() {
    let host = Host::with_job().await;
    host.post("/v1/modules?name=pass@2", wasm(2)).await.expect(StatusCode::CREATED);
    let swap = "/v1/jobs/orders/operators/pass/swap";
    let body =
        |mode: &str| json!({"module": "pass@2", "mode": mode, "parallelism": 3, "parameters": {"some": 1}}).to_string();
    let problem = host.post(swap, body("barrier")).await.problem(422, "swap-refused");
    assert!(problem["detail"].as_str().unwrap().contains("mode: restart"), "{problem:#}");
    let operation = host.finished(host.post(swap, body("restart")).await).await;
    assert_eq!((&operation["kind"], &operation["status"]), (&json!("swap"), &json!("SUCCEEDED")), "{operation:#}");
    let job = host.until(JOB, |job| job["state"] == "RUNNING").await;
    let pass = &job["document"]["operators"]["pass"];
    assert_eq!(
        (&pass["module"], &pass["parallelism"], &pass["parameters"]),
        (&json!("pass@2"), &json!(3), &json!({"some": 1}))
    );
}

#[tokio::test]
async fn a_job_that_cannot_begin_with_other_subtasks_goes_on_as_it_was() {
    let host = Host::with_job().await;
    host.parts.most_subtasks.store(2, Ordering::SeqCst);
    let operation = rescale(&host, json!({"parallelism": 3})).await;
    assert_eq!(operation["status"], "FAILED", "{operation:#}");
    let message = operation["detail"]["message"].as_str().unwrap();
    assert!(message.contains("goes on as it was") && message.contains("no room for so many"), "{message}");
    let job = host.until(JOB, |job| job["state"] == "RUNNING").await;
    assert_eq!(job["document"]["parallelism"], 1, "{job:#}");
    host.post("/v1/jobs/orders/sources/in/events", "still").await.expect(StatusCode::ACCEPTED);
    host.until(JOB, |job| job["events_written"] == 1).await;
    assert_eq!(rescale(&host, json!({"parallelism": 2})).await["status"], "SUCCEEDED");
}

/// A host that went down when another document with three subtasks was written down, and nothing more was done.
async fn went_down() -> Host {
    let host = Host::with_job().await;
    host.finished(host.post("/v1/jobs/orders/checkpoints", "").await).await;
    host.control.drain(Duration::from_secs(10)).await;
    let id = "orders".parse().unwrap();
    let JobRecord { mut document, modules, .. } = host.catalog.job(&id).unwrap().unwrap();
    document["parallelism"] = json!(3);
    let operation = OperationRecord {
        id: "op-1".to_owned(),
        kind: "rescale".to_owned(),
        job: Some(id.clone()),
        status: OperationStatus::Running,
        detail: json!({"nodes": []}),
        created_ms: 0,
        changed_ms: 0,
    };
    host.catalog.put_operation(&operation).unwrap();
    let pending = Some(PendingDocument { operation: operation.id, document, modules });
    let record = host.catalog.job(&id).unwrap().unwrap();
    host.catalog.put_job(&JobRecord { pending, ..record }).unwrap();
    host
}

#[tokio::test]
async fn the_next_host_finishes_what_was_begun() {
    let host = went_down().await.after().await;
    let operation = host.until("/v1/operations/op-1", |one| one["status"] != "RUNNING").await;
    assert_eq!(operation["status"], "SUCCEEDED", "{operation:#}");
    let job = host.until(JOB, |job| job["state"] == "RUNNING").await;
    assert_eq!((&job["document"]["parallelism"], &job["plan"]["tasks"][1]["parallelism"]), (&json!(3), &json!(3)));
}

#[tokio::test]
async fn or_undoes_it() {
    let before = went_down().await;
    before.parts.most_subtasks.store(2, Ordering::SeqCst);
    let host = before.after().await;
    let operation = host.until("/v1/operations/op-1", |one| one["status"] != "RUNNING").await;
    assert_eq!(operation["status"], "FAILED", "{operation:#}");
    let job = host.until(JOB, |job| job["state"] == "RUNNING").await;
    assert_eq!(job["document"]["parallelism"], 1);
    let record = host.catalog.job(&"orders".parse().unwrap()).unwrap().unwrap();
    assert_eq!(record.pending, None);
}
