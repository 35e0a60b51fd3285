//! Shadows over HTTP.

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::{Host, JOB, WASM, wasm};

const SHADOW: &str = "/v1/jobs/orders/operators/pass/shadow";
const SWAP: &str = "/v1/jobs/orders/operators/pass/swap";

/// A host whose job runs `pass@1`, and which has `pass@2` too.
async fn host() -> Host {
    let host = Host::with_job().await;
    host.post("/v1/modules?name=pass@2", wasm(2)).await.expect(StatusCode::CREATED);
    host
}

async fn begin(host: &Host) -> Value {
    let begun = host.post(SHADOW, json!({"module": "pass@2"}).to_string()).await.expect(StatusCode::CREATED);
    host.until(SHADOW, |report| report["stage"] == "following").await;
    begun
}

async fn post(host: &Host, value: &str) {
    host.post("/v1/jobs/orders/sources/in/events", value.to_owned()).await.expect(StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_shadow_tells_what_it_has_laid_side_by_side() {
    let host = host().await;
    host.get(SHADOW).await.problem(404, "not-found");
    let begun = begin(&host).await;
    assert_eq!((&begun["operator"], &begun["differing"]), (&json!("pass"), &json!(0)), "{begun:#}");
    assert_eq!(begun["shadow"], json!(blake3::hash(&wasm(2)).to_string()));
    post(&host, "hello").await;
    let report = host.until(SHADOW, |report| report["events"] == 1).await;
    let counts = ["compared", "differing", "missing", "extra", "failed_calls", "waiting_calls"];
    assert_eq!(counts.map(|name| report[name].as_u64().unwrap()), [1, 0, 0, 0, 0, 0], "{report:#}");
    assert!(report["primary_ns_per_event"].is_number() && report["from"].is_number(), "{report:#}");
    host.until("/v1/jobs/orders", |job| job["events_written"] == 1).await;
    host.delete("/v1/modules/pass@2").await.problem(409, "module-in-use");
}

#[tokio::test]
async fn a_shadow_is_discarded_and_its_report_stays() {
    let host = host().await;
    begin(&host).await;
    let report = host.delete(SHADOW).await.expect(StatusCode::OK);
    assert_eq!((&report["stage"], &report["cause"]), (&json!("over"), &json!("somebody discarded it")));
    assert_eq!(host.get(SHADOW).await.expect(StatusCode::OK)["stage"], "over");
    host.delete(SHADOW).await.problem(404, "not-found");
    host.post(&format!("{SHADOW}/promote"), "").await.problem(404, "not-found");
    begin(&host).await;
}

#[tokio::test]
async fn a_shadow_is_promoted_to_its_operator() {
    let host = host().await;
    begin(&host).await;
    let body = json!({"probation": {"time": "0s"}}).to_string();
    let operation = host.finished(host.post(&format!("{SHADOW}/promote"), body).await).await;
    assert_eq!((&operation["kind"], &operation["status"]), (&json!("swap"), &json!("SUCCEEDED")), "{operation:#}");
    host.until("/v1/jobs/orders", |job| job["document"]["operators"]["pass"]["module"] == "pass@2").await;
    assert_eq!(host.get(SHADOW).await.expect(StatusCode::OK)["cause"], "its module takes the operator over");
}

#[tokio::test]
async fn of_shadows_and_swaps_there_is_one_at_a_time() {
    let host = host().await;
    begin(&host).await;
    host.post("/v1/modules?name=pass@3", wasm(3)).await.expect(StatusCode::CREATED);
    let third = json!({"module": "pass@3"}).to_string();
    for path in [SHADOW, SWAP] {
        let problem = host.post(path, third.clone()).await.problem(409, "shadow-under-way");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains("beside operator `pass`") && said.contains("promote or discard"), "{said}");
    }
    assert_eq!(host.get(SHADOW).await.expect(StatusCode::OK)["stage"], "following");
    host.delete(SHADOW).await.expect(StatusCode::OK);
    let swap = host.post(SWAP, json!({"module": "pass@2", "probation": {"time": "60s"}}).to_string()).await;
    let id = swap.expect(StatusCode::ACCEPTED)["id"].as_str().unwrap().to_owned();
    host.until(&format!("/v1/operations/{id}"), |one| one["detail"]["stage"] == "probation").await;
    host.post(SHADOW, third).await.problem(409, "swap-under-way");
}

#[tokio::test]
async fn what_cannot_be_shadowed_is_refused_in_a_sentence() {
    let host = host().await;
    host.post(SHADOW, json!({"module": "pass@7"}).to_string()).await.problem(422, "bad-document");
    host.post(SHADOW, json!({"module": "pass@2", "room": "much"}).to_string()).await.problem(400, "bad-request");
    host.post(SHADOW, json!({"mod": "pass@2"}).to_string()).await.problem(400, "malformed-json");
    let body = json!({"module": "pass@2", "parameters": {"wrong": 1}}).to_string();
    host.post(SHADOW, body).await.problem(422, "bad-document");
    let elsewhere = SHADOW.replace("pass", "pas");
    host.post(&elsewhere, json!({"module": "pass@2"}).to_string()).await.problem(404, "not-found");
    host.get(SHADOW).await.problem(404, "not-found");
}

#[tokio::test]
async fn a_shadow_stands_in_the_audit_log_with_both_modules() {
    let host = Host::with_module().await;
    host.post("/v1/jobs", JOB).await.expect(StatusCode::CREATED);
    host.post("/v1/modules?name=pass@2", wasm(2)).await.expect(StatusCode::CREATED);
    begin(&host).await;
    host.ask(Method::DELETE, SHADOW, &[], "").await.expect(StatusCode::OK);
    let page = host.get("/v1/audit?after=0").await.expect(StatusCode::OK);
    let (one, other) = (blake3::hash(WASM).to_string(), blake3::hash(&wasm(2)).to_string());
    let done: Vec<_> = page["records"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|record| record["path"] == SHADOW && record["outcome"].is_object())
        .map(|record| (record["method"].clone(), record["outcome"]["modules"].to_string()))
        .collect();
    assert_eq!(done.len(), 2, "{page:#}");
    for (method, modules) in done {
        assert!(modules.contains(&one) && modules.contains(&other), "{method}: {modules}");
    }
}
