//! Swaps over HTTP. The clock stands still: a probation lasts until somebody ends it.

use std::time::Instant;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::{Host, WASM, wasm};

const SWAP: &str = "/v1/jobs/orders/operators/pass/swap";

/// A host whose job runs `pass@1`, and which has `pass@2` too.
async fn host() -> Host {
    let host = Host::with_job().await;
    host.post("/v1/modules?name=pass@2", wasm(2)).await.expect(StatusCode::CREATED);
    host
}

fn to(module: &str, more: &Value) -> String {
    let mut body = json!({"module": module, "probation": {"time": "0s"}});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

fn module_of(job: &Value) -> &Value {
    &job["document"]["operators"]["pass"]["module"]
}

async fn on_probation(host: &Host) -> String {
    let begun = host.post(SWAP, to("pass@2", &json!({"probation": {"time": "60s"}}))).await;
    let id = begun.expect(StatusCode::ACCEPTED)["id"].as_str().unwrap().to_owned();
    host.until(&format!("/v1/operations/{id}"), |one| one["detail"]["stage"] == "probation").await;
    id
}

#[tokio::test]
async fn a_swap_is_done_with_the_pause_of_each_subtask_and_stands_in_the_catalog() {
    let host = host().await;
    let operation = host.finished(host.post(SWAP, to("pass@2", &json!({}))).await).await;
    assert_eq!((&operation["kind"], &operation["status"]), (&json!("swap"), &json!("SUCCEEDED")), "{operation:#}");
    let detail = &operation["detail"];
    assert_eq!((&detail["stage"], &detail["operator"]), (&json!("done"), &json!("pass")));
    assert_eq!(detail["pauses"].as_array().unwrap().len(), 1, "{detail:#}");
    let job = host.until("/v1/jobs/orders", |job| module_of(job) == "pass@2").await;
    assert_eq!((&job["restarts"], &job["state"]), (&json!(0), &json!("RUNNING")), "{job:#}");
    host.post("/v1/jobs/orders/sources/in/events", "hello").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |job| job["events_written"] == 1).await;
    host.delete("/v1/modules/pass@2").await.problem(409, "module-in-use");
}

#[tokio::test]
async fn the_pause_of_a_subtask_is_told_once_an_event_went_through_its_new_instance_and_not_before() {
    const EVENTS: &str = "/v1/jobs/orders/sources/in/events";
    let (host, began) = (host().await, Instant::now());
    host.post(EVENTS, "one").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |job| job["events_written"] == 1).await;
    let passed = Instant::now();
    let operation = format!("/v1/operations/{}", on_probation(&host).await);
    let seen = host.get(&operation).await.expect(StatusCode::OK);
    let pauses = &seen["detail"]["pauses"];
    assert_eq!((&pauses[0]["subtask"], &pauses[0]["pause_us"]), (&json!(0), &Value::Null), "{seen:#}");
    assert!(pauses[0]["inline_us"].is_u64() && pauses[1].is_null(), "{seen:#}");
    let resumed = Instant::now();
    host.post(EVENTS, "two").await.expect(StatusCode::ACCEPTED);
    let seen = host.until(&operation, |one| one["detail"]["pauses"][0]["pause_us"].is_u64()).await;
    let (detail, at_least, at_most) = (&seen["detail"], (resumed - passed).as_micros(), began.elapsed().as_micros());
    let is_plausible = |us: u64| (at_least..=at_most).contains(&u128::from(us));
    let pause = &detail["pauses"][0]["pause_us"];
    assert!(pause.as_u64().is_some_and(is_plausible), "{at_least} to {at_most} us: {seen:#}");
    assert_eq!((&detail["pause_max_us"], &detail["gap_us"]), (pause, pause), "{seen:#}");
}

/// The module hashes of the newest record of the audit log.
async fn audited(host: &Host) -> Value {
    let page = host.get("/v1/audit?limit=1000").await.expect(StatusCode::OK);
    page["records"].as_array().unwrap().last().unwrap()["outcome"]["modules"].clone()
}

#[tokio::test]
async fn the_audit_log_says_which_module_went_and_which_came() {
    let host = host().await;
    let hash = |module: &[u8]| json!(blake3::hash(module).to_string());
    let (one, two) = (hash(WASM), hash(&wasm(2)));
    for mode in ["barrier", "restart"] {
        let host = if mode == "barrier" { &host } else { &self::host().await };
        host.post(SWAP, to("pass@2", &json!({"mode": mode}))).await.expect(StatusCode::ACCEPTED);
        assert_eq!(audited(host).await, json!({"old": one, "new": two}), "{mode}");
    }
    host.until("/v1/jobs/orders", |job| module_of(job) == "pass@2").await;
    host.post(SWAP, to("pass@1", &json!({"probation": {"time": "60s"}}))).await.expect(StatusCode::ACCEPTED);
    host.post(&format!("{SWAP}/rollback"), "").await.expect(StatusCode::ACCEPTED);
    assert_eq!(audited(&host).await, json!({"old": one, "new": two}), "what came goes again");
}

#[tokio::test]
async fn a_dry_run_of_a_job_without_a_checkpoint_has_one_made() {
    let host = host().await;
    assert_eq!(host.get("/v1/jobs/orders/checkpoints").await.expect(StatusCode::OK)["completed"], 0);
    host.finished(host.post(SWAP, to("pass@2", &json!({"mode": "dry-run"}))).await).await;
    let completed = host.get("/v1/jobs/orders/checkpoints").await.expect(StatusCode::OK)["completed"].clone();
    assert_eq!(completed, 1);
    host.finished(host.post(SWAP, to("pass@2", &json!({"mode": "dry-run"}))).await).await;
    assert_eq!(host.get("/v1/jobs/orders/checkpoints").await.expect(StatusCode::OK)["completed"], completed);
}

#[tokio::test]
async fn a_dry_run_touches_nothing() {
    let host = host().await;
    let operation = host.finished(host.post(SWAP, to("pass@2", &json!({"mode": "dry-run"}))).await).await;
    assert_eq!((&operation["status"], &operation["detail"]["mode"]), (&json!("SUCCEEDED"), &json!("dry-run")));
    assert_eq!(*module_of(&host.get("/v1/jobs/orders").await.json()), json!("pass@1"));
}

#[tokio::test]
async fn what_cannot_be_swapped_is_refused_in_a_sentence() {
    let host = host().await;
    let problem = host.post(SWAP, to("pass@1", &json!({}))).await.problem(422, "swap-refused");
    assert!(problem["detail"].as_str().unwrap().contains("already"), "{problem:#}");
    host.post(SWAP, to("pass@7", &json!({}))).await.problem(422, "bad-document");
    host.post(SWAP, to("pass@2", &json!({"parameters": {"wrong": 1}}))).await.problem(422, "bad-document");
    host.post(SWAP, to("pass@2", &json!({"deadline": "soon"}))).await.problem(400, "bad-request");
    host.post(SWAP, to("pass@2", &json!({"mod": "barrier"}))).await.problem(400, "malformed-json");
    host.post(&SWAP.replace("pass", "pas"), to("pass@2", &json!({}))).await.problem(404, "not-found");
    host.post(&format!("{SWAP}/rollback"), "").await.problem(422, "swap-refused");
    assert_eq!(*module_of(&host.get("/v1/jobs/orders").await.json()), json!("pass@1"));
}

#[tokio::test]
async fn two_swaps_at_once_are_refused_unless_the_second_supersedes() {
    let host = host().await;
    let first = on_probation(&host).await;
    let problem = host.post(SWAP, to("pass@1", &json!({}))).await.problem(409, "swap-under-way");
    assert_eq!(problem["detail"], "swap 1 of operator `pass` is under way");
    for module in ["pass@1", "pass@2"] {
        host.delete(&format!("/v1/modules/{module}")).await.problem(409, "module-in-use");
    }
    // What is refused, or only asked about, makes nothing give way.
    host.post(SWAP, to("pass@7", &json!({"supersede": true}))).await.problem(422, "bad-document");
    let only_asked = to("pass@1", &json!({"supersede": true, "mode": "dry-run"}));
    host.post(SWAP, only_asked).await.problem(409, "swap-under-way");
    let seen = host.get(&format!("/v1/operations/{first}")).await.json();
    assert_eq!((&seen["status"], &seen["detail"]["stage"]), (&json!("RUNNING"), &json!("probation")), "{seen:#}");
    host.post("/v1/modules?name=pass@3", wasm(3)).await.expect(StatusCode::CREATED);
    let second = host.finished(host.post(SWAP, to("pass@3", &json!({"supersede": true}))).await).await;
    assert_eq!(second["status"], "SUCCEEDED", "{second:#}");
    let first = host.get(&format!("/v1/operations/{first}")).await.json();
    assert_eq!((&first["status"], &first["detail"]["stage"]), (&json!("SUCCEEDED"), &json!("done")));
    host.until("/v1/jobs/orders", |job| module_of(job) == "pass@3").await;
}

#[tokio::test]
async fn a_swap_on_probation_is_rolled_back_by_hand() {
    let host = host().await;
    let swap = on_probation(&host).await;
    let rolled_back = host.finished(host.post(&format!("{SWAP}/rollback"), "").await).await;
    assert_eq!(rolled_back["status"], "SUCCEEDED", "{rolled_back:#}");
    let swap = host.until(&format!("/v1/operations/{swap}"), |one| one["status"] != "RUNNING").await;
    assert_eq!((&swap["status"], &swap["detail"]["stage"]), (&json!("FAILED"), &json!("undone")));
    assert_eq!(swap["detail"]["cause"], "somebody asked for it");
    assert_eq!(*module_of(&host.get("/v1/jobs/orders").await.json()), json!("pass@1"));
}

#[tokio::test]
async fn a_savepoint_says_what_runs_since_a_swap_and_not_what_the_job_began_with() {
    let host = host().await;
    let savepoint = async |name: &str| {
        let body = json!({"name": name}).to_string();
        host.finished(host.post("/v1/jobs/orders/savepoints", body).await).await;
        host.get(&format!("/v1/jobs/orders/savepoints/{name}")).await.expect(StatusCode::OK)
    };
    let operation = host.finished(host.post(SWAP, to("pass@2", &json!({"parameters": {"some": 1}}))).await).await;
    assert_eq!(operation["status"], "SUCCEEDED", "{operation:#}");
    let seen = savepoint("behind").await;
    assert_eq!(
        (module_of(&seen), &seen["document"]["operators"]["pass"]["parameters"]),
        (&json!("pass@2"), &json!({"some": 1}))
    );
    let begun = host.post(SWAP, to("pass@1", &json!({"probation": {"time": "60s"}}))).await.json();
    host.until(&format!("/v1/operations/{}", begun["id"].as_str().unwrap()), |one| {
        one["detail"]["stage"] == "probation"
    })
    .await;
    host.finished(host.post(&format!("{SWAP}/rollback"), "").await).await;
    assert_eq!(*module_of(&savepoint("taken-back").await), json!("pass@2"), "it was taken back");
}

#[tokio::test]
async fn a_swap_by_restart_goes_on_from_the_newest_checkpoint_with_other_parameters_too() {
    let host = host().await;
    let body = to("pass@1", &json!({"mode": "restart", "parameters": {"some": 1}}));
    let operation = host.finished(host.post(SWAP, body).await).await;
    assert_eq!(operation["status"], "SUCCEEDED", "{operation:#}");
    let job = host.until("/v1/jobs/orders", |job| job["state"] == "RUNNING").await;
    assert_eq!(job["document"]["operators"]["pass"]["parameters"], json!({"some": 1}));
}

#[tokio::test]
async fn a_module_that_a_kept_checkpoint_names_stays_until_newer_ones_have_taken_its_place() {
    let host = host().await;
    host.finished(host.post("/v1/jobs/orders/checkpoints", "").await).await;
    let operation = host.finished(host.post(SWAP, to("pass@2", &json!({}))).await).await;
    assert_eq!(operation["status"], "SUCCEEDED", "{operation:#}");
    let problem = host.delete("/v1/modules/pass@1").await.problem(409, "module-in-use");
    assert!(problem["detail"].as_str().unwrap().contains("named by checkpoint 1 of job `orders`"), "{problem:#}");
    for _ in 0..10 {
        host.finished(host.post("/v1/jobs/orders/checkpoints", "").await).await;
    }
    host.delete("/v1/modules/pass@1").await.expect(StatusCode::OK);
}
