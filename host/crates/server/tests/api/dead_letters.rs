//! Dead letters over HTTP.

use std::sync::atomic::Ordering;

use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::support::Host;

/// A host whose job has set three events aside, and decided that.
async fn poisoned() -> Host {
    let host = undecided().await;
    host.catalog.decide_letters();
    host
}

/// A host whose job has just set three events aside.
async fn undecided() -> Host {
    let host = Host::with_job().await;
    let events = "poison\ngood\npoison\npoison";
    host.post_as("/v1/jobs/orders/sources/in/events", "application/x-ndjson", events)
        .await
        .expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders/dead-letters", |page| page["count"] == 3).await;
    host
}

async fn replay(host: &Host, which: Value) -> Value {
    host.finished(host.post("/v1/jobs/orders/dead-letters/replay", which.to_string()).await).await
}

#[tokio::test]
async fn a_page_has_letters_with_reason_and_event() {
    let host = poisoned().await;
    let page = host.get("/v1/jobs/orders/dead-letters?from=1&limit=1").await.expect(StatusCode::OK);
    assert_eq!((&page["count"], &page["next"]), (&json!(3), &json!(2)));
    let letter = &page["letters"][0];
    assert_eq!((&letter["number"], &letter["replayed"]), (&json!(1), &json!(false)));
    assert_eq!(letter["decided"], true);
    assert_eq!((&letter["operator"], &letter["input"]), (&json!("pass"), &json!("in")));
    assert_eq!((&letter["kind"], &letter["value"]), (&json!("bad-record"), &json!({"text": "poison"})));
    assert_eq!(letter["message"], "it is poison");
    let last = host.get("/v1/jobs/orders/dead-letters?from=2").await.expect(StatusCode::OK);
    assert_eq!(last["next"], Value::Null);
}

#[tokio::test]
async fn a_page_of_no_letters_tells_their_count() {
    let page = poisoned().await.get("/v1/jobs/orders/dead-letters?limit=0").await.expect(StatusCode::OK);
    assert_eq!(page, json!({"count": 3, "letters": [], "next": 0}));
}

#[tokio::test]
async fn letters_go_back_into_the_stream_once() {
    let host = poisoned().await;
    host.registry.cured.store(true, Ordering::SeqCst);
    let operation = replay(&host, json!({"numbers": [2]})).await;
    assert_eq!((&operation["status"], &operation["detail"]["replayed"]), (&json!("SUCCEEDED"), &json!(1)));
    let operation = replay(&host, json!({"all": true})).await;
    assert_eq!((&operation["detail"]["replayed"], &operation["detail"]["already_replayed"]), (&json!(2), &json!(1)));
    host.until("/v1/jobs/orders", |job| job["events_written"] == 4).await;
    let page = host.get("/v1/jobs/orders/dead-letters").await.json();
    assert!(page["letters"].as_array().unwrap().iter().all(|letter| letter["replayed"] == true), "{page:#}");
}

#[tokio::test]
async fn a_letter_that_is_named_twice_goes_back_once() {
    let host = poisoned().await;
    host.registry.cured.store(true, Ordering::SeqCst);
    let operation = replay(&host, json!({"numbers": [0, 2, 0, 0]})).await;
    assert_eq!((&operation["status"], &operation["detail"]["replayed"]), (&json!("SUCCEEDED"), &json!(2)));
    host.finished(host.post("/v1/jobs/orders/stop", "").await).await;
    let job = host.get("/v1/jobs/orders").await.expect(StatusCode::OK);
    assert_eq!(job["events_written"], 3, "the good one and two letters");
}

#[tokio::test]
async fn a_letter_that_may_go_away_says_so_and_is_not_replayed() {
    let host = undecided().await;
    host.registry.cured.store(true, Ordering::SeqCst);
    let page = host.get("/v1/jobs/orders/dead-letters").await.json();
    assert_eq!(page["letters"][0]["decided"], false);
    let operation = replay(&host, json!({"numbers": [1]})).await;
    let detail = &operation["detail"];
    assert_eq!(
        (&operation["status"], &detail["replayed"], &detail["refused"]),
        (&json!("FAILED"), &json!(0), &json!(1))
    );
    let message = detail["reasons"][0]["message"].as_str().unwrap();
    assert!(message.starts_with("it belongs to work that is not committed yet"), "{message}");
    let operation = replay(&host, json!({"all": true})).await;
    let detail = &operation["detail"];
    assert_eq!((&operation["status"], &detail["replayed"]), (&json!("SUCCEEDED"), &json!(0)));
    assert_eq!((&detail["undecided"], &detail["refused"]), (&json!(3), &json!(0)));

    host.catalog.decide_letters();
    let operation = replay(&host, json!({"all": true})).await;
    assert_eq!((&operation["status"], &operation["detail"]["replayed"]), (&json!("SUCCEEDED"), &json!(3)));
}

#[tokio::test]
async fn letters_that_went_away_leave_gaps() {
    let host = poisoned().await;
    host.registry.cured.store(true, Ordering::SeqCst);
    host.catalog.forget_letter(1);
    let page = host.get("/v1/jobs/orders/dead-letters?limit=1").await.json();
    assert_eq!((&page["count"], &page["letters"][0]["number"], &page["next"]), (&json!(2), &json!(0), &json!(2)));
    let last = host.get("/v1/jobs/orders/dead-letters?from=1").await.json();
    assert_eq!((&last["letters"][0]["number"], &last["next"]), (&json!(2), &Value::Null));
    let operation = replay(&host, json!({"all": true})).await;
    assert_eq!((&operation["status"], &operation["detail"]["replayed"]), (&json!("SUCCEEDED"), &json!(2)));
    let operation = replay(&host, json!({"numbers": [1]})).await;
    assert_eq!(operation["detail"]["reasons"][0]["message"], "there is no letter of this number");
}

#[tokio::test]
async fn a_letter_that_there_is_not_is_told_by_the_operation() {
    let operation = replay(&poisoned().await, json!({"numbers": [0, 17]})).await;
    assert_eq!((&operation["status"], &operation["detail"]["replayed"]), (&json!("FAILED"), &json!(1)));
    assert_eq!(
        operation["detail"]["reasons"][0],
        json!({"number": 17, "message": "there is no letter of this number"})
    );
}

#[tokio::test]
async fn a_replay_says_which_letters_it_means() {
    let host = poisoned().await;
    for unclear in [json!({}), json!({"all": true, "numbers": [1]})] {
        let problem = host.post("/v1/jobs/orders/dead-letters/replay", unclear.to_string()).await;
        let problem = problem.problem(400, "bad-request");
        assert_eq!(problem["hint"], "send either `{\"all\": true}` or `{\"numbers\": [0, 7]}`");
    }
}

#[tokio::test]
async fn letters_of_a_job_that_is_over_are_not_replayed() {
    let host = poisoned().await;
    host.finished(host.post("/v1/jobs/orders/cancel", "").await).await;
    host.post("/v1/jobs/orders/dead-letters/replay", "{\"all\": true}").await.problem(409, "wrong-state");
}
