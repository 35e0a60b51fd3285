//! What holds for every request: who may send it, how large it may be, and what it is told when it is wrong.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, StatusCode};
use gristmill_server::ServerOptions;
use serde_json::json;
use tokio_stream::iter;

use crate::support::{Host, JOB, WASM};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

async fn guarded() -> Host {
    Host::with(&ServerOptions { token: Some(TOKEN.to_owned()), ..ServerOptions::default() }).await
}

#[tokio::test]
async fn without_the_token_nothing_but_health_is_told() {
    let host = guarded().await;
    for path in ["/v1/jobs", "/metrics", "/openapi.json", "/no/such/route"] {
        let answer = host.get(path).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let problem = answer.problem(401, "unauthorized");
        assert_eq!(problem["hint"], "send the header `Authorization: Bearer TOKEN`");
    }
    for path in ["/healthz", "/readyz"] {
        host.get(path).await.expect(StatusCode::OK);
    }
}

#[tokio::test]
async fn the_token_opens_the_door_and_another_does_not() {
    let host = guarded().await;
    let ask = |token: String| {
        let host = &host;
        async move { host.ask(Method::GET, "/v1/jobs", &[("authorization", &token)], Body::empty()).await }
    };
    ask(format!("Bearer {TOKEN}")).await.expect(StatusCode::OK);
    ask(format!("Bearer {TOKEN}x")).await.problem(401, "unauthorized");
}

#[tokio::test]
async fn a_foreign_page_cannot_use_the_browser_of_this_machine() {
    let host = Host::new().await;
    let from = |origin| ("origin", origin);
    host.ask(Method::POST, "/v1/jobs", &[from("https://evil.example")], JOB).await.problem(403, "foreign-origin");
    host.ask(Method::GET, "/v1/jobs", &[("host", "evil.example")], Body::empty()).await.problem(403, "foreign-origin");
    host.ask(Method::GET, "/v1/jobs", &[from("http://localhost:3000")], Body::empty()).await.expect(StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_route_is_a_problem_that_says_where_to_look() {
    let problem = Host::new().await.get("/v1/pipelines").await.problem(404, "no-such-route");
    assert_eq!(problem["detail"], "the API has no path `/v1/pipelines`");
    assert_eq!(problem["hint"], "GET /openapi.json lists all paths");
}

#[tokio::test]
async fn a_wrong_method_is_a_problem() {
    let answer = Host::new().await.ask(Method::PUT, "/v1/jobs", &[], Body::empty()).await;
    assert_eq!(answer.header("allow"), "POST,GET,HEAD");
    answer.problem(405, "method-not-allowed");
}

#[tokio::test]
async fn a_gibibyte_is_refused_by_its_length_before_it_is_read() {
    let host = Host::new().await;
    let never = Body::from_stream(tokio_stream::pending::<Result<Bytes, Infallible>>());
    let length = (1_u64 << 30).to_string();
    let problem = host.ask(Method::POST, "/v1/modules", &[("content-length", &length)], never).await;
    let problem = problem.problem(413, "too-large");
    assert_eq!(problem["detail"], "the body has 1073741824 bytes, at most 64MiB are taken here");
    assert_eq!(problem["hint"], "start the host with a larger `--max-module`");
}

#[tokio::test]
async fn a_body_that_does_not_say_how_long_it_is_is_cut_off() {
    let host = Host::with(&ServerOptions { max_body_bytes: 4096, ..ServerOptions::default() }).await;
    let endless = iter(std::iter::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b'a'; 1024]))));
    let problem = host.post("/v1/jobs", Body::from_stream(endless)).await.problem(413, "too-large");
    assert_eq!(problem["detail"], "the body is longer, at most 4KiB are taken here");
}

#[tokio::test]
async fn a_body_that_never_comes_is_not_waited_for_for_ever() {
    let host =
        Host::with(&ServerOptions { body_idle_timeout: Duration::from_millis(20), ..ServerOptions::default() }).await;
    let never = Body::from_stream(tokio_stream::pending::<Result<Bytes, Infallible>>());
    host.post("/v1/jobs", never).await.problem(408, "body-timeout");
}

#[tokio::test]
async fn an_unexpected_media_type_is_told_what_to_send() {
    let host = Host::new().await;
    let problem = host.post_as("/v1/modules", "image/png", WASM).await.problem(415, "unsupported-media-type");
    assert_eq!(problem["hint"], "send application/wasm, application/octet-stream or multipart/form-data");
    host.post_as("/v1/jobs", "text/html", JOB).await.problem(415, "unsupported-media-type");
}

#[tokio::test]
async fn broken_json_is_told_its_place() {
    let host = Host::with_job().await;
    let problem = host.post("/v1/jobs/orders/dead-letters/replay", "{\"numbers\": [1,]}").await;
    let problem = problem.problem(400, "malformed-json");
    assert_eq!(problem["detail"], "the body: trailing comma at line 1 column 16");
}

#[tokio::test]
async fn an_unknown_query_parameter_is_not_ignored() {
    Host::new().await.post("/v1/jobs?dryrun=true", JOB).await.problem(400, "bad-request");
}

#[tokio::test]
async fn the_same_key_and_request_get_the_same_answer_and_nothing_is_done_twice() {
    let host = Host::with_module().await;
    let first = host.post_once("/v1/jobs", "k1", JOB).await.expect(StatusCode::CREATED);
    let again = host.post_once("/v1/jobs", "k1", JOB).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!(again.expect(StatusCode::CREATED), first);
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    let host = Host::with_module().await;
    host.post_once("/v1/jobs", "k1", JOB).await.expect(StatusCode::CREATED);
    let other = JOB.replace("orders", "payments");
    let problem = host.post_once("/v1/jobs", "k1", other).await.problem(422, "idempotency-mismatch");
    assert_eq!(problem["hint"], "make a new key for each action");
    assert_eq!(host.get("/v1/jobs").await.json()["jobs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_refused_request_may_be_repaired_under_the_same_key() {
    let host = Host::new().await;
    host.post_once("/v1/jobs", "k1", JOB).await.problem(422, "bad-document");
    host.post("/v1/modules?name=pass@1", WASM).await.expect(StatusCode::CREATED);
    host.post_once("/v1/jobs", "k1", JOB).await.expect(StatusCode::CREATED);
}

#[tokio::test]
async fn an_empty_key_is_refused() {
    Host::new().await.post_once("/v1/jobs", "", JOB).await.problem(400, "bad-request");
}

#[tokio::test]
async fn problems_have_one_shape() {
    let problem = Host::new().await.get("/v1/jobs/nothing").await.problem(404, "not-found");
    assert_eq!(
        problem,
        json!({
            "type": "urn:gristmill:problem:not-found",
            "title": "there is no such thing",
            "status": 404,
            "code": "not-found",
            "detail": "there is no job `nothing`",
            "hint": "GET /v1/jobs lists the jobs that there are",
        })
    );
}
