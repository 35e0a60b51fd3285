//! Around every handler: an answer comes in time, a panic becomes an answer, a client that leaves stops nothing halfway.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusRecorder;

use crate::problem::{Code, Refused};

/// Middleware: runs the rest as a task of its own, so that an action once begun goes on to its end.
pub(crate) async fn run_to_the_end(State(timeout): State<Duration>, request: Request, next: Next) -> Response {
    let task = tokio::spawn(next.run(request));
    match tokio::time::timeout(timeout, task).await {
        Ok(Ok(response)) => response,
        Ok(Err(panicked)) => {
            tracing::error!(%panicked, "bug: a handler panicked");
            Refused::new(Code::Bug, "the host met a bug while answering; it goes on")
                .hint("please report it, with the host's log")
                .into_response()
        }
        Err(_) => {
            let detail = format!("the answer took longer than {} s; what was asked for goes on", timeout.as_secs_f32());
            Refused::new(Code::Timeout, detail).hint("look whether it was done before asking again").into_response()
        }
    }
}

/// Middleware: counts requests and measures them, by route and not by path, so that the number of series is bounded.
pub(crate) async fn measure(State(recorder): State<Arc<PrometheusRecorder>>, request: Request, next: Next) -> Response {
    let method = request.method().as_str().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let began = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    metrics::with_local_recorder(&*recorder, || {
        metrics::counter!("gristmill_http_requests_total", "method" => method, "route" => route.clone(), "status" => status)
            .increment(1);
        metrics::histogram!("gristmill_http_request_seconds", "route" => route).record(began.elapsed().as_secs_f64());
    });
    response
}
