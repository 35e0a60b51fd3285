//! Jobs over HTTP.

use axum::http::StatusCode;
use gristmill_ports::catalog::Catalog;
use serde_json::{Value, json};

use crate::support::{Host, JOB};

fn with_parameters(parameters: &str) -> String {
    JOB.replace(
        "    inputs: {in: {from: in}}",
        &format!("    inputs: {{in: {{from: in}}}}\n    parameters: {parameters}"),
    )
}

#[tokio::test]
async fn a_submitted_job_runs_and_shows_itself() {
    let host = Host::with_module().await;
    let answer = host.post_as("/v1/jobs", "application/yaml", JOB).await;
    assert_eq!(answer.header("location"), "/v1/jobs/orders");
    let submitted = answer.expect(StatusCode::CREATED);
    assert_eq!(submitted["operators"][0]["parameters"], json!({"limit": 10}));

    host.post("/v1/jobs/orders/sources/in/events", "hello").await.expect(StatusCode::ACCEPTED);
    let job = host.until("/v1/jobs/orders", |job| job["events_written"] == 1).await;
    assert_eq!(job["state"], "RUNNING");
    assert_eq!(job["document"]["sources"]["in"]["from"], json!({"http": {"buffer": "8MiB", "log": "4GiB"}}));
    assert_eq!(job["report"]["nodes"].as_array().unwrap().len(), 3);
    assert!(job["rendering"].as_str().unwrap().contains("pass"), "{job:#}");
    assert_eq!(host.get("/v1/jobs").await.json()["jobs"][0]["job"], "orders");
}

#[tokio::test]
async fn a_document_may_be_json() {
    let host = Host::with_module().await;
    let document = json!({
        "version": 1, "job": "orders",
        "sources": {"in": {"from": {"http": {}}}},
        "operators": {"pass": {"module": "pass@1", "inputs": {"in": {"from": "in"}}}},
        "sinks": {"out": {"inputs": ["pass"], "to": {"blackhole": {}}}},
    });
    host.post_as("/v1/jobs", "application/json", document.to_string()).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn an_unknown_field_is_told_with_line_column_and_nearest_name() {
    let problem = Host::new().await.post("/v1/jobs", JOB.replace("sinks:", "snks:")).await.problem(422, "bad-document");
    let found = &problem["problems"][0];
    assert_eq!((&found["line"], &found["column"]), (&json!(10), &json!(1)), "{problem:#}");
    assert_eq!(found["hint"], "did you mean `sinks`?");
    assert!(problem["detail"].as_str().unwrap().starts_with("line 10, column 1: unknown field `snks`"), "{problem:#}");
}

#[tokio::test]
async fn a_dry_run_starts_nothing_and_shows_all() {
    let host = Host::with_module().await;
    let dry = host.post("/v1/jobs?dry_run=true", JOB).await.expect(StatusCode::OK);
    assert_eq!((&dry["ok"], &dry["job"]), (&json!(true), &json!("orders")));
    assert_eq!(dry["operators"][0]["hash"].as_str().unwrap().len(), 64);
    assert!(dry["plan"]["tasks"].is_array(), "{dry:#}");

    let dry = host.post("/v1/jobs?dry_run=true", JOB.replace("pass@1", "gone@1")).await.expect(StatusCode::OK);
    assert_eq!((&dry["ok"], &dry["plan"]), (&json!(false), &Value::Null));
    assert_eq!(dry["problems"][0]["message"], "there is no module `gone@1`");
    assert_eq!(host.get("/v1/jobs").await.json()["jobs"], json!([]));
}

#[tokio::test]
async fn what_a_placeholder_stands_for_is_never_shown() {
    let host = Host::with_module().await;
    let document = with_parameters("{token: \"${env:SECRET}\"}");
    let answers = [
        host.post("/v1/jobs?dry_run=true", document.clone()).await,
        host.post("/v1/jobs", document).await,
        host.get("/v1/jobs/orders").await,
        host.post("/v1/jobs?dry_run=true", with_parameters("{wrong: \"${env:SECRET}\"}")).await,
    ];
    for answer in answers {
        assert!(!answer.text().contains("hunter2"), "{}", answer.text());
        assert!(answer.text().contains("${env:SECRET}"), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_variable_that_is_not_set_is_named() {
    let host = Host::with_module().await;
    let problem = host.post("/v1/jobs", with_parameters("{token: \"${env:UNSET}\"}")).await;
    let problem = problem.problem(422, "bad-document");
    assert!(problem["problems"][0]["message"].as_str().unwrap().contains("`UNSET`"), "{problem:#}");
    assert_eq!(problem["problems"][0]["at"], "operators.pass.parameters.token");
}

#[tokio::test]
async fn a_name_is_given_to_one_running_job_and_to_the_next_when_it_is_over() {
    let host = Host::with_job().await;
    let problem = host.post("/v1/jobs", JOB).await.problem(409, "job-exists");
    assert_eq!(problem["detail"], "job `orders` exists already and is RUNNING");
    host.finished(host.post("/v1/jobs/orders/stop", "").await).await;
    host.post("/v1/jobs", JOB).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn a_job_whose_sink_cannot_be_opened_leaves_nothing_behind() {
    let host = Host::with_module().await;
    *host.parts.broken_sink.lock().unwrap() = Some("`hunter2` cannot be written: permission denied".to_owned());
    let document = with_parameters("{token: \"${env:SECRET}\"}");
    let problem = host.post("/v1/jobs", document).await.problem(422, "cannot-start");
    assert!(problem["detail"].as_str().unwrap().contains("`${env:SECRET}` cannot be written"), "{problem:#}");
    host.get("/v1/jobs/orders").await.problem(404, "not-found");
    host.delete("/v1/modules/pass@1").await.expect(StatusCode::OK);
}

#[tokio::test]
async fn a_job_is_paused_resumed_and_stopped() {
    let host = Host::with_job().await;
    assert_eq!(host.post("/v1/jobs/orders/pause", "").await.expect(StatusCode::OK)["state"], "PAUSED");
    assert_eq!(host.post("/v1/jobs/orders/resume", "").await.expect(StatusCode::OK)["state"], "RUNNING");
    let stop = host.post("/v1/jobs/orders/stop", "").await;
    assert!(stop.header("location").starts_with("/v1/operations/op-"));
    let operation = host.finished(stop).await;
    assert_eq!((&operation["status"], &operation["detail"]["state"]), (&json!("SUCCEEDED"), &json!("STOPPED")));
    assert_eq!(host.get("/v1/operations").await.json()["operations"][0]["id"], operation["id"]);

    let problem = host.post("/v1/jobs/orders/pause", "").await.problem(409, "wrong-state");
    assert_eq!(problem["detail"], "job `orders` is STOPPED: it cannot be paused");
    assert_eq!(host.get("/v1/jobs/orders").await.json()["state"], "STOPPED");
}

#[tokio::test]
async fn only_a_job_that_is_over_is_deleted_and_its_letters_with_it() {
    let host = Host::with_job().await;
    host.post("/v1/jobs/orders/sources/in/events", "poison").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders/dead-letters", |page| page["count"] == 1).await;
    let problem = host.delete("/v1/jobs/orders").await.problem(409, "wrong-state");
    assert!(problem["detail"].as_str().unwrap().ends_with("before it is stopped or cancelled"), "{problem:#}");

    host.finished(host.post("/v1/jobs/orders/cancel", "").await).await;
    assert_eq!(host.delete("/v1/jobs/orders").await.status, StatusCode::NO_CONTENT);
    host.get("/v1/jobs/orders").await.problem(404, "not-found");
    host.post("/v1/jobs", JOB).await.expect(StatusCode::CREATED);
    assert_eq!(host.get("/v1/jobs/orders/dead-letters").await.json()["count"], 0);
}

#[tokio::test]
async fn an_unknown_job_suggests_the_nearest() {
    let host = Host::with_job().await;
    for answer in [host.get("/v1/jobs/ordres").await, host.post("/v1/jobs/ordres/stop", "").await] {
        assert_eq!(answer.problem(404, "not-found")["hint"], "did you mean `orders`?");
    }
    host.get("/v1/jobs/Not%20An%20Id").await.problem(400, "bad-name");
}

#[tokio::test]
async fn a_job_says_what_it_waits_for_and_hides_its_secrets() {
    let host = Host::with_module().await;
    host.post("/v1/jobs", with_parameters("{token: \"${env:SECRET}\"}")).await.expect(StatusCode::CREATED);
    host.post("/v1/jobs/orders/sources/in/events", "unwritable").await.expect(StatusCode::ACCEPTED);
    let out = |job: &Value| {
        let nodes = job["report"]["nodes"].as_array().unwrap().clone();
        nodes.into_iter().find(|node| node["id"] == "out").unwrap()
    };
    let job = host.until("/v1/jobs/orders", |job| out(job)["total"]["retrying"].is_object()).await;
    assert_eq!(out(&job)["total"]["retrying"]["reason"], "`${env:SECRET}` does not answer");
    assert!(!job.to_string().contains("hunter2"), "{job:#}");

    host.finished(host.post("/v1/jobs/orders/cancel", "").await).await;
    let record = host.catalog.job(&"orders".parse().unwrap()).unwrap().unwrap();
    assert!(!format!("{record:?}").contains("hunter2"), "{record:?}");
}
