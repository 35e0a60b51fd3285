//! Events on their way in, and what a job says about itself.

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;

use crate::support::Host;

const SOURCE: &str = "/v1/jobs/orders/sources/in/events";

#[tokio::test]
async fn posted_events_reach_the_sink() {
    let host = Host::with_job().await;
    let array = host.post_as(SOURCE, "application/json", r#"[{"n": 1}, {"n": 2}]"#).await;
    assert_eq!(array.expect(StatusCode::ACCEPTED), json!({"accepted": 2}));
    host.until("/v1/jobs/orders", |job| job["events_written"] == 2).await;
    host.post_as(SOURCE, "application/x-ndjson", "a\nb\n").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |job| job["events_written"] == 4).await;
    assert_eq!(*host.parts.written.lock().unwrap(), [r#"{"n": 1}"#, r#"{"n": 2}"#, "a", "b"]);
}

#[tokio::test]
async fn a_full_source_says_when_to_come_again() {
    let host = Host::with_job().await;
    host.parts.hold();
    host.post_as(SOURCE, "application/x-ndjson", "1\n2\n3\n4\n5\n6\n7\n8").await.expect(StatusCode::ACCEPTED);
    let answer = host.post(SOURCE, "9").await;
    assert_eq!(answer.header("retry-after"), "2");
    let problem = answer.problem(429, "backpressure");
    assert_eq!(
        (&problem["retry_after_ms"], &problem["hint"]),
        (&json!(1500), &json!("send the same events again in 1500 ms"))
    );
}

#[tokio::test]
async fn more_than_a_source_can_hold_is_too_large() {
    let host = Host::with_job().await;
    host.post_as(SOURCE, "application/json", "[1,2,3,4,5,6,7,8,9]").await.problem(413, "too-large");
}

#[tokio::test]
async fn events_that_cannot_be_made_durable_are_not_taken() {
    let host = Host::with_job().await;
    host.parts.fill_disk();
    let problem = host.post(SOURCE, "x").await.problem(503, "not-durable");
    assert_eq!(problem["detail"], "source `in`: the log cannot be written: no space left on device");
    assert_eq!(problem["retry_after_ms"], 1000);
}

#[tokio::test]
async fn the_key_of_a_post_is_the_source_s_to_remember() {
    let host = Host::with_job().await;
    let once = host.post_once(SOURCE, "k1", "x").await;
    assert_eq!(once.expect(StatusCode::ACCEPTED), json!({"accepted": 1}));
    host.post_once(SOURCE, "k1", "x").await.expect(StatusCode::ACCEPTED);
    host.post_once(SOURCE, "k1", "y").await.problem(422, "idempotency-mismatch");
    host.post_once(SOURCE, "", "y").await.problem(400, "bad-request");
}

#[tokio::test]
async fn events_for_nobody_are_refused_with_the_nearest_name() {
    let host = Host::with_job().await;
    let problem = host.post("/v1/jobs/orders/sources/inn/events", "x").await.problem(404, "not-found");
    assert_eq!(problem["detail"], "there is no http source `inn` in job `orders`");
    assert_eq!(problem["hint"], "did you mean `in`?");
    host.post("/v1/jobs/odrers/sources/in/events", "x").await.problem(404, "not-found");
    host.post(SOURCE, "").await.problem(400, "no-events");
    host.finished(host.post("/v1/jobs/orders/stop", "").await).await;
    host.post(SOURCE, "x").await.problem(409, "wrong-state");
}

#[tokio::test]
async fn a_job_tells_its_life_until_its_end() {
    let host = Host::with_job().await;
    host.post(SOURCE, "log hello").await.expect(StatusCode::ACCEPTED);
    let live = host.get("/v1/jobs/orders/events").await;
    host.until("/v1/jobs/orders/logs", |logs| logs["lines"][0]["message"] == "log hello").await;
    host.finished(host.post("/v1/jobs/orders/stop", "").await).await;
    let text = live.live_until(None).await;
    for said in ["event: state", "\"RUNNING\"", "event: log", "\"log hello\"", "\"STOPPED\""] {
        assert!(text.contains(said), "{said} is missing: {text}");
    }

    // After the end the same is told again, and from a place on only what follows it.
    assert_eq!(host.get("/v1/jobs/orders/events").await.live_until(None).await, text);
    let first = text.lines().find_map(|line| line.strip_prefix("id: ")).unwrap();
    let resumed = host.ask(Method::GET, "/v1/jobs/orders/events", &[("last-event-id", first)], Body::empty()).await;
    let resumed = resumed.live_until(None).await;
    assert!(text.ends_with(&resumed) && resumed.len() < text.len(), "{resumed}");
}

#[tokio::test]
async fn log_lines_can_be_asked_for_by_operator() {
    let host = Host::with_job().await;
    host.post(SOURCE, "log hello").await.expect(StatusCode::ACCEPTED);
    let logs = host.until("/v1/jobs/orders/logs?operator=pass", |logs| logs["lines"][0].is_object()).await;
    assert_eq!((&logs["lines"][0]["level"], &logs["lines"][0]["operator"]), (&json!("info"), &json!("pass")));
    assert_eq!(host.get("/v1/jobs/orders/logs?operator=other").await.json(), json!({"lines": []}));
}

#[tokio::test]
async fn a_tap_shows_what_leaves_a_port_and_ends_with_the_job() {
    let host = Host::with_job().await;
    for port in ["", "?port=out", "?port=0"] {
        let tap = host.get(&format!("/v1/jobs/orders/operators/pass/tap{port}")).await;
        host.post(SOURCE, "seen").await.expect(StatusCode::ACCEPTED);
        let text = tap.live_until(Some("\n\n")).await;
        assert!(text.starts_with("event: event\ndata: {"), "{text}");
        assert!(text.contains(r#""value":{"text":"seen"}"#), "{text}");
    }
    let tap = host.get("/v1/jobs/orders/operators/in/tap").await;
    host.finished(host.post("/v1/jobs/orders/cancel", "").await).await;
    assert_eq!(tap.live_until(None).await, "");
    host.get("/v1/jobs/orders/operators/pass/tap").await.problem(409, "wrong-state");
}

#[tokio::test]
async fn a_tap_at_nothing_suggests_the_nearest() {
    let host = Host::with_job().await;
    let problem = host.get("/v1/jobs/orders/operators/pas/tap").await.problem(404, "not-found");
    assert_eq!(problem["hint"], "did you mean `pass`?");
    let problem = host.get("/v1/jobs/orders/operators/pass/tap?port=outt").await.problem(404, "not-found");
    assert_eq!(problem["hint"], "did you mean `pass.out`?");
    // Far from every name, all are told.
    let problem = host.get("/v1/jobs/orders/operators/enrichment/tap").await.problem(404, "not-found");
    assert_eq!(problem["hint"], "there is `in`, `pass`, `out`");
    let problem = host.get("/v1/jobs/orders/operators/pass/tap?port=rejected").await.problem(404, "not-found");
    assert_eq!(problem["detail"], "there is no output port `pass.rejected` in job `orders`");
    assert_eq!(problem["hint"], "there is `pass.out`");
}

#[tokio::test]
async fn a_tap_at_a_sink_is_told_what_enters_it() {
    let problem = Host::with_job().await.get("/v1/jobs/orders/operators/out/tap").await.problem(404, "not-found");
    assert_eq!(problem["detail"], "nothing leaves `out` of job `orders`: it has no output port to tap");
    assert_eq!(problem["hint"], "tap what enters it: `pass`");
}

#[tokio::test]
async fn streams_end_when_the_host_does() {
    let host = Host::with_job().await;
    let live = host.get("/v1/jobs/orders/events").await;
    host.get("/readyz").await.expect(StatusCode::OK);
    host.control.close();
    live.live_until(None).await;
    host.get("/readyz").await.problem(503, "not-ready");
}

#[tokio::test]
async fn a_host_whose_catalog_cannot_be_written_is_not_ready_and_says_why() {
    let host = Host::with_job().await;
    host.catalog.set_trouble(Some("no space left on device"));
    let problem = host.get("/readyz").await.problem(503, "not-ready");
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("no space left")), "{problem}");
    host.catalog.set_trouble(None);
    host.get("/readyz").await.expect(StatusCode::OK);
}
