//! `/v1/jobs/{job}/events`, `/logs` and `/operators/{operator}/tap`: what a job says and what flows through it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api_types::{LogLine, LogList, Problem, TapView};
use crate::control::Control;
use crate::extract::{Answer, Answered, Params, Path};
use crate::problem::Refused;
use crate::sse;

/// What happens in a job, live
///
/// Server-sent events: the recent ones, then what follows, until the job is over. Names: `state`, `call-failed`,
/// `dead-letters`, `log`, `log-dropped`, `checkpoint`, `checkpoint-failed`, `retrying`, and `missed` when the client is
/// too slow. `Last-Event-ID` resumes.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/events", operation_id = "follow_job", tag = "jobs",
    params(("job" = String, Path, description = "the job's id"), ("Last-Event-ID" = Option<u64>, Header, description = "the last one seen")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "events until the job is over"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
    )
)]
pub(super) async fn events(
    State(control): State<Arc<Control>>,
    Path(job): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let job = control.job(&job.parse()?).await?;
    let after = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    match job.live {
        Some(live) => sse::job_events(&control, live, after),
        None => sse::nothing(&control),
    }
}

/// Which lines.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    /// Those of this operator only.
    operator: Option<String>,
}

/// The most recent lines that the guests of a job logged
#[utoipa::path(
    get, path = "/v1/jobs/{job}/logs", operation_id = "list_log_lines", tag = "jobs",
    params(("job" = String, Path, description = "the job's id"), LogQuery),
    responses(
        (status = 200, body = LogList, description = "the lines, oldest first"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
    )
)]
pub(super) async fn logs(
    State(control): State<Arc<Control>>,
    Path(job): Path<String>,
    Params(query): Params<LogQuery>,
) -> Answered<LogList> {
    let job = control.job(&job.parse()?).await?;
    let Some(live) = job.live else { return Ok(Answer::ok(LogList { lines: Vec::new() })) };
    let (recent, _) = live.handle().events();
    let lines = recent
        .iter()
        .filter_map(LogLine::of)
        .filter(|line| query.operator.is_none() || line.operator == query.operator)
        .map(|line| LogLine { message: live.hide_secrets(&line.message), ..line });
    Ok(Answer::ok(LogList { lines: lines.collect() }))
}

/// Which port.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct TapQuery {
    /// The output port, by name or place. Default: the first.
    port: Option<String>,
}

/// A live sample of what leaves an output port
///
/// Server-sent events named `event`, each a `TapView`. A sample: the stream does not wait for the client.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/operators/{operator}/tap", operation_id = "tap_operator", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "a source or an operator"), TapQuery,
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = TapView, description = "a sample until the job is over"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, operator or port"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
    )
)]
pub(super) async fn tap(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
    Params(query): Params<TapQuery>,
) -> Result<Response, Refused> {
    let (live, events) = control.tap(&job.parse()?, &operator, query.port.as_deref()).await?;
    sse::tap(&control, live, events)
}
