//! Checkpoints and restarts over HTTP.

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use gristmill_ports::catalog::JobState;
use serde_json::{Value, json};

use crate::support::Host;

const CHECKPOINTS: &str = "/v1/jobs/orders/checkpoints";
const RESTART: &str = "/v1/jobs/orders/restart";

async fn made(host: &Host) -> Value {
    host.finished(host.post(CHECKPOINTS, "").await).await
}

async fn cancelled(host: &Host) {
    host.finished(host.post("/v1/jobs/orders/cancel", "").await).await;
    host.until_recorded("orders", JobState::Cancelled).await;
}

/// The slots of the only chain, oldest first.
fn slots(storage: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let run = entries(&storage.join("jobs/orders")).next().unwrap();
    let mut slots: Vec<_> = entries(&run.join("chain")).collect();
    slots.sort();
    slots
}

#[tokio::test]
async fn a_checkpoint_that_is_asked_for_is_told_with_its_numbers() {
    let host = Host::with_job().await;
    let operation = made(&host).await;
    assert_eq!((&operation["kind"], &operation["status"]), (&json!("checkpoint"), &json!("SUCCEEDED")));
    assert_eq!(operation["detail"]["checkpoint"], 1);
    assert!(operation["detail"]["uploaded_bytes"].as_u64().unwrap() > 0, "{operation:#}");

    let list = host.get(CHECKPOINTS).await.expect(StatusCode::OK);
    assert_eq!((&list["completed"], &list["failed"], &list["restarts"]), (&json!(1), &json!(0), &json!(0)));
    assert!(list["uploaded_bytes"]["p99"].as_u64().unwrap() > 0, "{list:#}");
    assert_eq!(list["kept"][0]["checkpoint"], 1, "{list:#}");
    let one = &list["recent"][0];
    assert_eq!((&one["checkpoint"], &one["status"]), (&json!(1), &json!("completed")));
    assert!(one["subtasks"].as_array().unwrap().iter().any(|part| part["task"] == "in"), "{one:#}");
    assert_eq!(host.get(&format!("{CHECKPOINTS}/1")).await.expect(StatusCode::OK), *one);
    let job = host.get("/v1/jobs/orders").await.expect(StatusCode::OK);
    assert_eq!(job["newest_checkpoint"]["checkpoint"], 1);
}

#[tokio::test]
async fn a_checkpoint_that_is_not_there_is_missed_in_a_sentence() {
    let host = Host::with_job().await;
    let problem = host.get(&format!("{CHECKPOINTS}/7")).await.problem(404, "not-found");
    assert_eq!(problem["detail"], "this host remembers no checkpoint 7 of job `orders`");
    assert_eq!(problem["hint"], "GET /v1/jobs/orders/checkpoints lists the last hundred, and what is in storage");
    let problem = host.get(&format!("{CHECKPOINTS}/newest")).await.problem(400, "bad-name");
    assert_eq!(problem["detail"], "`newest` is not the number of a checkpoint");
    host.get("/v1/jobs/nothing/checkpoints").await.problem(404, "not-found");
    host.post("/v1/jobs/nothing/restart", "").await.problem(404, "not-found");
}

#[tokio::test]
async fn a_checkpoint_that_its_job_does_not_live_to_see_has_failed() {
    let host = Host::with_job().await;
    // The sink tries again and again, so no barrier gets by.
    host.post("/v1/jobs/orders/sources/in/events", "unwritable").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |job| job.to_string().contains("does not answer")).await;
    let asked = host.post(CHECKPOINTS, "").await;
    cancelled(&host).await;
    let operation = host.finished(asked).await;
    assert_eq!(operation["status"], "FAILED");
    assert_eq!(operation["detail"]["message"], "it ended before a checkpoint was made");
    assert_eq!(operation["detail"]["state"], "CANCELLED");
    let problem = host.post(CHECKPOINTS, "").await.problem(409, "wrong-state");
    assert_eq!(problem["detail"], "job `orders` is CANCELLED: it cannot be checkpointed");
}

#[tokio::test]
async fn a_job_that_runs_begins_anew_from_its_newest_checkpoint() {
    let host = Host::with_job().await;
    made(&host).await;
    host.post(RESTART, "").await.expect(StatusCode::OK);
    let restarted = |job: &Value| job["restarts"] == 1 && job["state"] == "RUNNING";
    let job = host.until("/v1/jobs/orders", restarted).await;
    assert_eq!(job["last_restart"]["cause"], "somebody asked for it");
    let list = host.get(CHECKPOINTS).await.expect(StatusCode::OK);
    assert_eq!((&list["restored"], &list["restarts"]), (&json!(1), &json!(1)));
    assert_eq!(made(&host).await["detail"]["checkpoint"], 2);
}

#[tokio::test]
async fn a_job_that_runs_is_not_sent_back_behind_its_newest_checkpoint() {
    let host = Host::with_job().await;
    let problem = host.post(RESTART, r#"{"accept": 1}"#).await.problem(409, "wrong-state");
    assert_eq!(
        problem["detail"],
        "job `orders` is RUNNING: it cannot be restarted from an accepted checkpoint before it is stopped or cancelled"
    );
    host.post(RESTART, r#"{"acept": 1}"#).await.problem(400, "malformed-json");
}

#[tokio::test]
async fn a_job_that_was_cancelled_goes_on() {
    let host = Host::with_job().await;
    made(&host).await;
    cancelled(&host).await;
    host.post(RESTART, "").await.expect(StatusCode::OK);
    let list = host.until(CHECKPOINTS, |list| list["restored"] == 1).await;
    assert!(list["last_restart"].is_null(), "it did not start again by itself: {list:#}");
    host.until("/v1/jobs/orders", |job| job["state"] == "RUNNING").await;
}

#[tokio::test]
async fn a_job_whose_newest_checkpoint_is_damaged_goes_on_from_one_that_is_accepted() {
    let host = Host::with_job().await;
    made(&host).await;
    made(&host).await;
    cancelled(&host).await;
    let newest = slots(&host.parts.storage()).pop().unwrap();
    std::fs::write(&newest, "not a checkpoint").unwrap();
    let list = host.get(CHECKPOINTS).await.expect(StatusCode::OK);
    assert!(list["kept"][0]["damaged"].is_string(), "{list:#}");
    assert_eq!(list["kept"][1]["checkpoint"], 1, "{list:#}");

    host.post(RESTART, "").await;
    host.until_recorded("orders", JobState::Failed).await;
    let job = host.get("/v1/jobs/orders").await.expect(StatusCode::OK);
    assert!(job["cause"].as_str().unwrap().contains("gristmill job restart orders --accept 1"), "{job:#}");

    host.post(RESTART, r#"{"accept": 1}"#).await.expect(StatusCode::OK);
    host.until("/v1/jobs/orders", |job| job["state"] == "RUNNING").await;
    assert_eq!(host.get(CHECKPOINTS).await.json()["restored"], 1);
}

#[tokio::test]
async fn a_newest_checkpoint_that_is_gone_is_missed() {
    let host = Host::with_job().await;
    made(&host).await;
    made(&host).await;
    cancelled(&host).await;
    std::fs::remove_file(slots(&host.parts.storage()).pop().unwrap()).unwrap();
    host.post(RESTART, "").await;
    host.until_recorded("orders", JobState::Failed).await;
    let job = host.get("/v1/jobs/orders").await.expect(StatusCode::OK);
    let cause = job["cause"].as_str().unwrap();
    assert!(cause.starts_with("checkpoint 2, whose record is `") && cause.contains("its record is gone"), "{cause}");
    assert!(cause.contains("gristmill job restart orders --accept 1"), "{cause}");

    host.post(RESTART, r#"{"accept": 1}"#).await.expect(StatusCode::OK);
    host.until("/v1/jobs/orders", |job| job["state"] == "RUNNING").await;
    assert_eq!(made(&host).await["detail"]["checkpoint"], 3, "its number is not given again");
}

#[tokio::test]
async fn the_kept_checkpoints_of_a_job_that_runs_are_there_after_the_host_has_started_again() {
    let host = Host::with_job().await;
    made(&host).await;
    host.control.drain(std::time::Duration::from_secs(10)).await;
    let host = host.after().await;
    host.until("/v1/jobs/orders", |job| job["state"] == "RUNNING").await;
    let list = host.get(CHECKPOINTS).await.expect(StatusCode::OK);
    assert!(list["kept"].as_array().is_some_and(|kept| kept.iter().any(|one| one["checkpoint"] == 1)), "{list:#}");
    assert_eq!(host.get(&format!("{CHECKPOINTS}/1")).await.expect(StatusCode::OK)["status"], "kept");
}

#[tokio::test]
async fn a_checkpoint_that_cannot_be_gone_on_from_is_refused_before_anything_changes() {
    let host = Host::with_job().await;
    made(&host).await;
    cancelled(&host).await;
    let unchanged = async || host.get("/v1/jobs/orders").await.expect(StatusCode::OK)["state"] == "CANCELLED";
    let problem = host.post(RESTART, r#"{"accept": 99}"#).await.problem(422, "cannot-start");
    assert!(problem["detail"].as_str().unwrap().contains("checkpoint 99 is not in storage"), "{problem}");
    assert!(unchanged().await);

    let run = host.parts.storage().join("jobs/orders");
    let run = std::fs::read_dir(run).unwrap().next().unwrap().unwrap().path();
    let attempt = std::fs::read_dir(run.join("files")).unwrap().next().unwrap().unwrap().path();
    std::fs::remove_dir_all(attempt).unwrap();
    let problem = host.post(RESTART, r#"{"accept": 1}"#).await.problem(422, "cannot-start");
    assert!(problem["detail"].as_str().unwrap().contains("is missing"), "{problem}");
    assert!(unchanged().await);
}
