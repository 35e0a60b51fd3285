//! `/metrics`: Prometheus text.
//!
//! Counters of jobs are read from their reports at each scrape into a recorder of that scrape's own, so that they cost
//! the jobs nothing and the series of a deleted job are gone with it. Requests are counted as they come.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use gristmill_runtime::report::{MetricReport, NodeReport};
use gristmill_runtime::{CheckpointOutcome, CheckpointsReport, JobReport};
use gristmill_types::JobId;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::control::Control;

/// Bounds of the buckets of request times, in seconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Takes what the server itself measures.
pub(super) fn recorder() -> Arc<PrometheusRecorder> {
    let builder = PrometheusBuilder::new().set_buckets(&SECONDS).expect("there are buckets");
    let recorder = builder.build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe_counter!("gristmill_http_requests_total", "Requests answered");
        describe_histogram!("gristmill_http_request_seconds", "Time to the first byte of an answer");
    });
    Arc::new(recorder)
}

/// What the host and its jobs have counted
#[utoipa::path(
    get, path = "/metrics", operation_id = "scrape_metrics", tag = "host",
    responses((status = 200, body = String, content_type = "text/plain", description = "text as Prometheus reads it"))
)]
pub(super) async fn scrape(
    State(control): State<Arc<Control>>,
    Extension(server): Extension<PrometheusHandle>,
) -> Response {
    server.run_upkeep();
    let text = server.render() + &render(&control.reports(), &control.checkpoint_reports());
    ([(header::CONTENT_TYPE, TEXT)], text).into_response()
}

/// The reports of jobs as Prometheus text.
fn render(reports: &[JobReport], of_checkpoints: &[(JobId, CheckpointsReport)]) -> String {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        reports.iter().for_each(job);
        of_checkpoints.iter().for_each(|(id, report)| checkpoints(id, report));
    });
    recorder.handle().render()
}

fn job(report: &JobReport) {
    let id = report.job.to_string();
    gauge!("gristmill_job_info", "job" => id.clone(), "state" => report.state.to_string()).set(1.0);
    gauge!("gristmill_job_elapsed_seconds", "job" => id.clone()).set(report.elapsed_ms as f64 / 1000.0);
    report.nodes.iter().for_each(|of| node(&id, of));
}

fn checkpoints(job: &JobId, report: &CheckpointsReport) {
    let labels = [("job", job.to_string())];
    counter!("gristmill_checkpoints_completed_total", &labels).absolute(report.completed);
    counter!("gristmill_checkpoints_failed_total", &labels).absolute(report.failed);
    counter!("gristmill_job_restarts_total", &labels).absolute(report.restarts);
    let last = report.recent.iter().find_map(|one| match one.outcome {
        CheckpointOutcome::Completed { duration_ms, .. } => Some(duration_ms),
        CheckpointOutcome::Failed { .. } => None,
    });
    if let Some(duration_ms) = last {
        gauge!("gristmill_checkpoint_last_duration_ms", &labels).set(duration_ms as f64);
    }
    if let Some(at_ms) = report.decided_ms {
        gauge!("gristmill_checkpoint_last_decided_timestamp_seconds", &labels).set(at_ms as f64 / 1000.0);
    }
    gauge!("gristmill_checkpoint_storing_fails", &labels).set(f64::from(u8::from(report.storing.is_some())));
}

fn node(job: &str, node: &NodeReport) {
    let labels = [("job", job.to_owned()), ("operator", node.id.to_string()), ("kind", node.kind.as_str().to_owned())];
    let total = &node.total;
    counter!("gristmill_events_in_total", &labels).absolute(total.events_in);
    counter!("gristmill_bytes_in_total", &labels).absolute(total.bytes_in);
    counter!("gristmill_calls_total", &labels).absolute(total.calls);
    counter!("gristmill_failed_calls_total", &labels).absolute(total.failed_calls);
    counter!("gristmill_faults_total", &labels).absolute(total.faults);
    counter!("gristmill_retries_total", &labels).absolute(total.retries);
    counter!("gristmill_dead_letters_total", &labels).absolute(total.dead_letters);
    counter!("gristmill_skipped_total", &labels).absolute(total.skipped);
    counter!("gristmill_log_lines_dropped_total", &labels).absolute(total.log_lines_dropped);
    counter!("gristmill_busy_milliseconds_total", &labels).absolute(total.busy_ms);
    counter!("gristmill_blocked_milliseconds_total", &labels).absolute(total.blocked_ms);
    gauge!("gristmill_state_keys", &labels).set(total.state_keys as f64);
    gauge!("gristmill_state_bytes", &labels).set(total.state_bytes as f64);
    gauge!("gristmill_subtasks", &labels).set(node.subtasks.len() as f64);
    for (port, events) in node.ports.iter().zip(&total.events_out) {
        let mut labels = labels.to_vec();
        labels.push(("port", port.clone()));
        counter!("gristmill_events_out_total", &labels).absolute(*events);
    }
    total.metrics.iter().for_each(|metric| guest(job, node, metric));
}

/// A metric that the guest declared. Its total may go down, so it is a gauge.
fn guest(job: &str, node: &NodeReport, metric: &MetricReport) {
    let labels = [("job", job.to_owned()), ("operator", node.id.to_string()), ("metric", metric.name.clone())];
    gauge!("gristmill_guest_total", &labels).set(metric.total as f64);
    counter!("gristmill_guest_observed_count", &labels).absolute(metric.observed.count);
    gauge!("gristmill_guest_observed_sum", &labels).set(metric.observed.sum);
}

fn describe() {
    describe_gauge!("gristmill_job_info", "1 for each job of this process, with its state");
    describe_gauge!("gristmill_job_elapsed_seconds", "Time since the job's start, until its end");
    describe_counter!("gristmill_checkpoints_completed_total", "Checkpoints that were decided");
    describe_counter!("gristmill_checkpoints_failed_total", "Checkpoints that failed");
    describe_gauge!("gristmill_checkpoint_last_decided_timestamp_seconds", "When the last one was decided");
    describe_gauge!("gristmill_checkpoint_storing_fails", "1 while storing the one under way is tried again");
    describe_gauge!("gristmill_checkpoint_last_duration_ms", "From barrier to decision, of the last one decided");
    describe_counter!("gristmill_job_restarts_total", "How often the job has started again");
    describe_counter!("gristmill_events_in_total", "Events that came in");
    describe_counter!("gristmill_bytes_in_total", "Bytes of keys and values that came in");
    describe_counter!("gristmill_events_out_total", "Events that left, by output port");
    describe_counter!("gristmill_calls_total", "Calls of the operator");
    describe_counter!("gristmill_failed_calls_total", "Calls that failed and had no effect");
    describe_counter!("gristmill_faults_total", "Calls that failed by a fault of the guest");
    describe_counter!("gristmill_retries_total", "Tries of the same batch after a transient failure");
    describe_counter!("gristmill_dead_letters_total", "Events set aside with the reason");
    describe_counter!("gristmill_skipped_total", "Events skipped by policy");
    describe_counter!("gristmill_log_lines_dropped_total", "Log lines of guests dropped over the limit");
    describe_counter!("gristmill_busy_milliseconds_total", "Time spent in the operator, reader or writer");
    describe_counter!("gristmill_blocked_milliseconds_total", "Time spent waiting for room downstream");
    describe_gauge!("gristmill_state_keys", "Distinct keys with state");
    describe_gauge!("gristmill_state_bytes", "Bytes of state");
    describe_gauge!("gristmill_subtasks", "Parallel instances");
    describe_gauge!("gristmill_guest_total", "The sum of what the guest added to a metric of its own");
    describe_counter!("gristmill_guest_observed_count", "Values that the guest observed in a metric of its own");
    describe_gauge!("gristmill_guest_observed_sum", "The sum of these values");
}
