//! The host itself: its restarts, its metrics, its end.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use gristmill_ports::catalog::{Catalog, JobState, OperationRecord, OperationStatus};
use gristmill_server::{ServerOptions, router, serve};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Host, JOB};

#[tokio::test]
async fn a_job_goes_on_when_the_host_is_back_and_what_it_was_asked_meanwhile_has_failed() {
    let before = Host::with_job().await;
    let unfinished = OperationRecord {
        id: "op-1".to_owned(),
        kind: "stop-job".to_owned(),
        job: None,
        status: OperationStatus::Running,
        detail: json!({}),
        created_ms: 0,
        changed_ms: 0,
    };
    before.catalog.put_operation(&unfinished).unwrap();
    before.post("/v1/jobs/orders/sources/in/events", "x").await.expect(StatusCode::ACCEPTED);
    before.until("/v1/jobs/orders", |job| job["events_written"] == 1).await;
    before.until_recorded("orders", JobState::Running).await;
    before.control.drain(Duration::from_secs(10)).await;
    let host = before.after().await;
    let job = host.until("/v1/jobs/orders", |job| job["state"] == "RUNNING").await;
    assert_eq!(job["newest_checkpoint"], json!({"checkpoint": 1, "at": null}));
    assert_eq!(host.get("/v1/operations/op-1").await.json()["status"], "FAILED");
    host.post("/v1/jobs/orders/sources/in/events", "x").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |_| !host.parts.written.lock().unwrap().is_empty()).await;
}

#[tokio::test]
async fn a_job_that_has_ended_keeps_its_counters_over_a_restart() {
    let before = Host::with_job().await;
    before.post("/v1/jobs/orders/sources/in/events", "x").await.expect(StatusCode::ACCEPTED);
    before.until("/v1/jobs/orders", |job| job["events_written"] == 1).await;
    before.finished(before.post("/v1/jobs/orders/stop", "").await).await;
    let host = before.after().await;
    let job = host.get("/v1/jobs/orders").await.expect(StatusCode::OK);
    assert_eq!((&job["state"], &job["events_written"]), (&json!("STOPPED"), &json!(1)));
    assert_eq!(host.get("/v1/jobs/orders/events").await.live_until(None).await, "");
}

#[tokio::test]
async fn draining_leaves_every_job_to_go_on_and_starts_no_more() {
    let host = Host::with_job().await;
    host.post("/v1/jobs/orders/sources/in/events", "x").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |job| job["events_written"] == 1).await;
    host.control.drain(Duration::from_secs(10)).await;
    let record = host.catalog.job(&"orders".parse().unwrap()).unwrap().unwrap();
    assert_eq!(record.state, JobState::Running);
    let checkpoints = host.get("/v1/jobs/orders/checkpoints").await.expect(StatusCode::OK);
    assert_eq!(checkpoints["kept"][0]["checkpoint"], 1, "{checkpoints:#}");
    let problem = host.post("/v1/jobs", JOB).await.problem(503, "busy");
    assert_eq!(problem["detail"], "the host is shutting down and starts no more jobs");
}

#[tokio::test]
async fn metrics_follow_the_jobs_and_forget_the_deleted() {
    let host = Host::with_job().await;
    host.post("/v1/jobs/orders/sources/in/events", "x").await.expect(StatusCode::ACCEPTED);
    host.until("/v1/jobs/orders", |job| job["events_written"] == 1).await;
    host.finished(host.post("/v1/jobs/orders/checkpoints", "").await).await;
    let metrics = host.get("/metrics").await;
    assert!(metrics.header("content-type").starts_with("text/plain"));
    for line in [
        r#"gristmill_events_in_total{job="orders",operator="out",kind="sink"} 1"#,
        r#"gristmill_events_out_total{job="orders",operator="pass",kind="operator",port="out"} 1"#,
        r#"gristmill_job_info{job="orders",state="RUNNING"} 1"#,
        r#"gristmill_job_restarts_total{job="orders"} 0"#,
        r#"gristmill_checkpoints_completed_total{job="orders"} 1"#,
        r#"gristmill_checkpoints_failed_total{job="orders"} 0"#,
        r#"gristmill_checkpoint_last_duration_ms{job="orders"} 0"#,
        r#"gristmill_checkpoint_last_decided_timestamp_seconds{job="orders"} "#,
        r#"gristmill_checkpoint_storing_fails{job="orders"} 0"#,
        r#"gristmill_http_requests_total{method="POST",route="/v1/jobs",status="201"} 1"#,
        r#"gristmill_http_request_seconds_count{route="/v1/jobs/{job}"}"#,
    ] {
        assert!(metrics.text().contains(line), "{line} is missing:\n{}", metrics.text());
    }
    host.finished(host.post("/v1/jobs/orders/cancel", "").await).await;
    host.delete("/v1/jobs/orders").await;
    assert!(!host.get("/metrics").await.text().contains(r#"job="orders""#));
}

#[tokio::test]
async fn a_real_socket_is_served_until_the_shutdown() {
    let host = Host::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let router = router(Arc::clone(&host.control), &ServerOptions::default());
    let served = tokio::spawn(serve(listener, router, async { drop(stopped.await) }));

    // A client that announces a gibibyte and sends on and on still gets to read its answer.
    let mut client = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /v1/modules HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n";
    client.write_all(head.as_bytes()).await.unwrap();
    client.write_all(&vec![0; 4 << 20]).await.unwrap();
    let mut answer = [0; 32];
    client.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 413 "), "{}", String::from_utf8_lossy(&answer));
    drop(client);

    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}
