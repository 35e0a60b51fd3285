//! Canaries over HTTP.

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Host, JOB, wasm};

const CANARY: &str = "/v1/jobs/orders/operators/pass/canary";
const SWAP: &str = "/v1/jobs/orders/operators/pass/swap";

/// A host whose job runs `pass@1` by key, and which has `pass@2` too.
async fn host() -> Host {
    let host = Host::with_module().await;
    host.post("/v1/jobs", JOB.replace("{from: in}", "{from: in, key_by: $.k}")).await.expect(StatusCode::CREATED);
    host.post("/v1/modules?name=pass@2", wasm(2)).await.expect(StatusCode::CREATED);
    host
}

fn body(share: u32) -> String {
    json!({"module": "pass@2", "share": share, "probation": {"time": "0s"}}).to_string()
}

/// Begins a canary, waits until it serves, and gives the path of its operation.
async fn begin(host: &Host) -> String {
    let begun = host.post(CANARY, body(5)).await.expect(StatusCode::ACCEPTED);
    host.until(CANARY, |report| report["stage"] == "canary").await;
    format!("/v1/operations/{}", begun["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_canary_is_told_of_widened_and_promoted() {
    let host = host().await;
    host.get(CANARY).await.problem(404, "not-found");
    let operation = begin(&host).await;
    let report = host.get(CANARY).await.expect(StatusCode::OK);
    assert_eq!(
        (&report["share"], &report["key_groups"], &report["max_parallelism"]),
        (&json!(5), &json!(7), &json!(128))
    );
    assert_eq!(report["canary"], json!(blake3::hash(&wasm(2)).to_string()));
    // Their key stands before the colon.
    let events = |report: &Value, who: &str| report[who]["events"].as_u64().unwrap();
    for first in (0..64).step_by(8) {
        let lines: String = (first..first + 8).map(|key| format!("key {key}:x\n")).collect();
        let posted = host.post_as("/v1/jobs/orders/sources/in/events", "application/x-ndjson", lines).await;
        posted.expect(StatusCode::ACCEPTED);
        let is_there = |report: &Value| events(report, "canary_served") + events(report, "primary_served") == first + 8;
        host.until(CANARY, is_there).await;
    }
    let report = host.get(CANARY).await.expect(StatusCode::OK);
    assert!(events(&report, "canary_served") < 32, "{report:#}");
    host.delete("/v1/modules/pass@2").await.problem(409, "module-in-use");

    host.post(&format!("{CANARY}/widen"), json!({"share": 5}).to_string()).await.problem(422, "swap-refused");
    host.post(&format!("{CANARY}/widen"), json!({"share": 50}).to_string()).await.expect(StatusCode::ACCEPTED);
    host.until(CANARY, |report| report["stage"] == "canary" && report["share"] == 50).await;
    assert_eq!(host.get(&operation).await.expect(StatusCode::OK)["status"], "RUNNING");
    host.post(&format!("{CANARY}/promote"), "").await.expect(StatusCode::ACCEPTED);
    let ended = host.until(&operation, |operation| operation["status"] != "RUNNING").await;
    assert_eq!((&ended["kind"], &ended["status"]), (&json!("canary"), &json!("SUCCEEDED")), "{ended:#}");
    host.until("/v1/jobs/orders", |job| job["document"]["operators"]["pass"]["module"] == "pass@2").await;
    let report = host.get(CANARY).await.expect(StatusCode::OK);
    assert_eq!((&report["stage"], &report["share"]), (&json!("done"), &json!(100)), "{report:#}");
}

#[tokio::test]
async fn a_canary_is_withdrawn_and_its_operation_says_why() {
    let host = host().await;
    let operation = begin(&host).await;
    let withdrawn = host.finished(host.delete(CANARY).await).await;
    assert_eq!((&withdrawn["kind"], &withdrawn["status"]), (&json!("withdraw-canary"), &json!("SUCCEEDED")));
    let ended = host.until(&operation, |operation| operation["status"] == "FAILED").await;
    assert_eq!(ended["detail"]["cause"], "somebody asked for it", "{ended:#}");
    assert_eq!(host.get(CANARY).await.expect(StatusCode::OK)["stage"], "undone");
    host.delete(CANARY).await.problem(404, "not-found");
    host.post(&format!("{CANARY}/promote"), "").await.problem(404, "not-found");
    assert_eq!(
        host.get("/v1/jobs/orders").await.expect(StatusCode::OK)["document"]["operators"]["pass"]["module"],
        "pass@1"
    );
    begin(&host).await;
}

#[tokio::test]
async fn while_a_canary_serves_nothing_else_begins_and_it_is_named() {
    let host = host().await;
    begin(&host).await;
    host.post("/v1/modules?name=pass@3", wasm(3)).await.expect(StatusCode::CREATED);
    let third = json!({"module": "pass@3"}).to_string();
    let rescale = json!({"parallelism": 2}).to_string();
    for (path, body) in [
        (SWAP, third.clone()),
        (CANARY, json!({"module": "pass@3", "share": 9}).to_string()),
        ("/v1/jobs/orders/operators/pass/shadow", third.clone()),
        ("/v1/jobs/orders/rescale", rescale),
    ] {
        let problem = host.post(path, body).await.problem(409, "canary-under-way");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains("a canary with module") && said.contains("operator `pass`"), "{path}: {said}");
    }
    let supersede = json!({"module": "pass@3", "supersede": true, "probation": {"time": "0s"}}).to_string();
    let swapped = host.finished(host.post(SWAP, supersede).await).await;
    assert_eq!(swapped["status"], "SUCCEEDED", "{swapped:#}");
}

#[tokio::test]
async fn what_cannot_be_a_canary_is_refused_in_a_sentence() {
    let host = host().await;
    for share in [0, 101] {
        let problem = host.post(CANARY, body(share)).await.problem(400, "bad-request");
        assert!(problem["detail"].as_str().unwrap().contains("a share is 1 to 100 percent"), "{problem:#}");
    }
    let whole = host.post(CANARY, body(100)).await.problem(422, "swap-refused");
    assert!(whole["detail"].as_str().unwrap().contains("swap the module in instead"), "{whole:#}");
    for malformed in
        [json!({"module": "pass@2"}), json!({"module": "pass@2", "share": -1}), json!({"modul": "x", "share": 5})]
    {
        host.post(CANARY, malformed.to_string()).await.problem(400, "malformed-json");
    }
    host.post(CANARY, json!({"module": "pass@7", "share": 5}).to_string()).await.problem(422, "bad-document");
    host.post(&CANARY.replace("pass", "pas"), body(5)).await.problem(404, "not-found");
    host.post(&CANARY.replace("orders", "order"), body(5)).await.problem(404, "not-found");
    host.post(&format!("{CANARY}/widen"), json!({"share": 50}).to_string()).await.problem(404, "not-found");
    host.post(&format!("{CANARY}/widen"), json!({"share": 0}).to_string()).await.problem(400, "bad-request");
}

#[tokio::test]
async fn an_operator_whose_events_have_no_key_is_refused() {
    let host = Host::with_job().await;
    host.post("/v1/modules?name=pass@2", wasm(2)).await.expect(StatusCode::CREATED);
    let problem = host.post(CANARY, body(5)).await.problem(422, "swap-refused");
    assert!(problem["detail"].as_str().unwrap().contains("has no `key_by`"), "{problem:#}");
}

#[tokio::test]
async fn the_steps_of_a_canary_stand_in_the_audit_log_with_both_modules() {
    let host = host().await;
    begin(&host).await;
    host.post(&format!("{CANARY}/widen"), json!({"share": 50}).to_string()).await.expect(StatusCode::ACCEPTED);
    let page = host.get("/v1/audit?after=0").await.expect(StatusCode::OK);
    let records = page["records"].as_array().unwrap().iter();
    let of_canary = records.filter(|record| record["path"].as_str().unwrap().starts_with(CANARY));
    let done: Vec<_> = of_canary.filter(|record| record["outcome"].is_object()).collect();
    assert_eq!(done.len(), 2, "{page:#}");
    let new = blake3::hash(&wasm(2)).to_string();
    for record in done {
        let modules = record["outcome"]["modules"].to_string();
        assert!(modules.contains(&new) && record["role"].is_string(), "{record:#}");
    }
}
