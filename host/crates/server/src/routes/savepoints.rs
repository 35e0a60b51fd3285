//! `/v1/savepoints` and `/v1/jobs/{job}/savepoints`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gristmill_types::{CheckpointId, JobId};
use serde::Deserialize;
use utoipa::IntoParams;

use super::jobs::{savepoint_at, under_way};
use crate::api_types::{
    OperationView, Problem, SavepointDiff, SavepointList, SavepointRequest, SavepointSummary, SavepointView,
};
use crate::control::{Control, StateAt};
use crate::extract::{Answer, Answered, Params, Path, json};
use crate::problem::{Code, Refused};

/// All savepoints
#[utoipa::path(
    get, path = "/v1/savepoints", operation_id = "list_all_savepoints", tag = "savepoints",
    responses((status = 200, body = SavepointList, description = "the savepoints of all jobs, by job and name"))
)]
pub(super) async fn list_all(State(control): State<Arc<Control>>) -> Answered<SavepointList> {
    let found = control.savepoints(None).await?;
    Ok(Answer::ok(SavepointList { savepoints: found.into_iter().map(SavepointSummary::from).collect() }))
}

/// The savepoints of a job, also of one that is gone
#[utoipa::path(
    get, path = "/v1/jobs/{job}/savepoints", operation_id = "list_savepoints", tag = "savepoints",
    params(("job" = String, Path, description = "the job's id")),
    responses((status = 200, body = SavepointList, description = "its savepoints, by name"))
)]
pub(super) async fn list(State(control): State<Arc<Control>>, Path(job): Path<String>) -> Answered<SavepointList> {
    let found = control.savepoints(Some(&job.parse()?)).await?;
    Ok(Answer::ok(SavepointList { savepoints: found.into_iter().map(SavepointSummary::from).collect() }))
}

/// Take a savepoint beside the stream
///
/// It stands on its own: a folder in checkpoint storage that may be moved, read by any backend at any parallelism, kept
/// until it is deleted. The operation succeeds when it is there.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/savepoints", operation_id = "take_savepoint", tag = "savepoints",
    params(("job" = String, Path, description = "the job's id")), request_body = Option<SavepointRequest>,
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is over, or the name is given"),
    )
)]
pub(super) async fn take(
    State(control): State<Arc<Control>>,
    Path(job): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    let job: JobId = job.parse()?;
    let empty = body.trim_ascii().is_empty();
    let SavepointRequest { name } = if empty { SavepointRequest::default() } else { json(&body)? };
    Ok(under_way(control.make_savepoint(&job, name).await?))
}

/// What a savepoint holds
#[utoipa::path(
    get, path = "/v1/jobs/{job}/savepoints/{savepoint}", operation_id = "inspect_savepoint", tag = "savepoints",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("savepoint" = String, Path, description = "the savepoint's name"),
    ),
    responses(
        (status = 200, body = SavepointView, description = "its operators, states and positions"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such savepoint"),
    )
)]
pub(super) async fn inspect(
    State(control): State<Arc<Control>>,
    Path((job, name)): Path<(String, String)>,
) -> Answered<SavepointView> {
    let savepoint = control.savepoint(&job.parse()?, &name).await?;
    Ok(Answer::ok(SavepointView::new(&name, &savepoint)))
}

/// Read a savepoint whole and hold it against its hashes and checksums
///
/// The operation succeeds if all is as it was written, and fails with what is damaged.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/savepoints/{savepoint}/verify", operation_id = "verify_savepoint", tag = "savepoints",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("savepoint" = String, Path, description = "the savepoint's name"),
    ),
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such savepoint"),
    )
)]
pub(super) async fn verify(
    State(control): State<Arc<Control>>,
    Path((job, name)): Path<(String, String)>,
) -> Result<Response, Refused> {
    Ok(under_way(control.verify_savepoint(&job.parse()?, &name).await?))
}

/// Delete a savepoint
#[utoipa::path(
    delete, path = "/v1/jobs/{job}/savepoints/{savepoint}", operation_id = "delete_savepoint", tag = "savepoints",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("savepoint" = String, Path, description = "the savepoint's name"),
    ),
    responses(
        (status = 204, description = "it is gone"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such savepoint"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "a job begins from it"),
    )
)]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    Path((job, name)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    control.delete_savepoint(&job.parse()?, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which savepoints or checkpoints, and how much of their difference.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffQuery {
    /// The first: a savepoint as `job/name`, or a checkpoint that is kept, as `job@number` or `job@newest`.
    a: String,
    /// The second, likewise.
    b: String,
    /// Only this operator.
    operator: Option<String>,
    /// Samples of each state at most.
    #[serde(default = "some_samples")]
    limit: usize,
}

fn some_samples() -> usize {
    10
}

/// How the state in one savepoint or checkpoint differs from that in another
///
/// Keys are compared as bytes, values too. Where they lie in the file makes no difference, nor which backend wrote them.
#[utoipa::path(
    get, path = "/v1/savepoints/diff", operation_id = "diff_savepoints", tag = "savepoints", params(DiffQuery),
    responses(
        (status = 200, body = SavepointDiff, description = "counts and samples"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such savepoint, checkpoint or operator"),
    )
)]
pub(super) async fn diff(
    State(control): State<Arc<Control>>,
    Params(DiffQuery { a, b, operator, limit }): Params<DiffQuery>,
) -> Answered<SavepointDiff> {
    let operator = operator.map(|operator| operator.parse()).transpose()?;
    let operators = control.diff_states(state_at(&a)?, state_at(&b)?, operator, limit).await?;
    Ok(Answer::ok(SavepointDiff::new(a, b, operators)))
}

/// A savepoint as `job/name`, or a checkpoint as `job@number`.
fn state_at(text: &str) -> Result<StateAt, Refused> {
    let Some((job, number)) = text.split_once('@').filter(|_| !text.contains('/')) else {
        let (job, name) = savepoint_at(text)?;
        return Ok(StateAt::Savepoint(job, name));
    };
    let job = job.parse()?;
    match number.parse() {
        Ok(number) => Ok(StateAt::Checkpoint(job, Some(CheckpointId(number)))),
        Err(_) if number == "newest" => Ok(StateAt::Checkpoint(job, None)),
        Err(_) => Err(Refused::new(Code::BadName, format!("`{text}` is no checkpoint"))
            .hint("write the job and the number, as in orders@12, or orders@newest")),
    }
}
