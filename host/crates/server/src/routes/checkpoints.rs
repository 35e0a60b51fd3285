//! `/v1/jobs/{job}/checkpoints` and `/v1/jobs/{job}/restart`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gristmill_types::{CheckpointId, JobId};

use super::jobs::under_way;
use crate::api_types::{CheckpointList, CheckpointView, JobSummary, OperationView, Problem, RestartRequest};
use crate::control::Control;
use crate::extract::{Answer, Answered, Path, json};
use crate::problem::{Code, Refused};

/// What became of a job's checkpoints
///
/// Numbers and times are of this host; beside them stands what is in storage, whoever made it.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/checkpoints", operation_id = "list_checkpoints", tag = "checkpoints",
    params(("job" = String, Path, description = "the job's id")),
    responses(
        (status = 200, body = CheckpointList, description = "counts, the recent ones, restarts"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
    )
)]
pub(super) async fn list(State(control): State<Arc<Control>>, Path(job): Path<String>) -> Answered<CheckpointList> {
    let job = control.job(&job.parse()?).await?;
    let kept = control.kept_checkpoints(&job).await;
    Ok(Answer::ok(CheckpointList::new(job.record.id.as_str(), job.checkpoints(), kept)))
}

/// One checkpoint, with the part of each subtask
#[utoipa::path(
    get, path = "/v1/jobs/{job}/checkpoints/{checkpoint}", operation_id = "inspect_checkpoint", tag = "checkpoints",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("checkpoint" = u64, Path, description = "the checkpoint's number"),
    ),
    responses(
        (status = 200, body = CheckpointView, description = "the checkpoint"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job or checkpoint"),
    )
)]
pub(super) async fn inspect(
    State(control): State<Arc<Control>>,
    Path((job, number)): Path<(String, String)>,
) -> Answered<CheckpointView> {
    let job = control.job(&job.parse()?).await?;
    let number = number.parse().map(CheckpointId).map_err(|_| {
        Refused::new(Code::BadName, format!("`{number}` is not the number of a checkpoint"))
            .hint("checkpoints are counted: 1, 2, 3")
    })?;
    let report = job.checkpoints();
    if report.under_way == Some(number) {
        return Ok(Answer::ok(CheckpointView::under_way(number)));
    }
    if let Some(found) = report.recent.into_iter().find(|one| one.checkpoint == number) {
        return Ok(Answer::ok(found.into()));
    }
    let kept = control.kept_checkpoints(&job).await?;
    let found = kept.iter().filter_map(|(_, fact)| CheckpointView::kept(fact)).find(|one| one.checkpoint == number.0);
    found.map(Answer::ok).ok_or_else(|| {
        let id = &job.record.id;
        Refused::new(Code::NotFound, format!("this host remembers no checkpoint {number} of job `{id}`"))
            .hint(format!("GET /v1/jobs/{id}/checkpoints lists the last hundred, and what is in storage"))
    })
}

/// Make a checkpoint now
///
/// The operation succeeds with the checkpoint's number once one that began after this request is decided. It fails if
/// that one fails, or if the job ends before.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/checkpoints", operation_id = "make_checkpoint", tag = "checkpoints",
    params(("job" = String, Path, description = "the job's id")),
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is over"),
    )
)]
pub(super) async fn make(State(control): State<Arc<Control>>, Path(job): Path<String>) -> Result<Response, Refused> {
    let job: JobId = job.parse()?;
    Ok(under_way(control.make_checkpoint(&job).await?))
}

/// Restart a job from its newest checkpoint
///
/// A job that runs begins a new attempt; one that failed, was stopped or cancelled goes on. The latter may be told to go
/// on from an older checkpoint, if the newest is damaged and what was written since may come once more.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/restart", operation_id = "restart_job", tag = "checkpoints",
    params(("job" = String, Path, description = "the job's id")), request_body = Option<RestartRequest>,
    responses(
        (status = 200, body = JobSummary, description = "the job"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is finished, or runs and shall go back"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "it cannot go on, or not from what is accepted; nothing has changed"),
    )
)]
pub(super) async fn restart(
    State(control): State<Arc<Control>>,
    Path(job): Path<String>,
    body: Bytes,
) -> Answered<JobSummary> {
    let job: JobId = job.parse()?;
    let RestartRequest { accept } = if body.trim_ascii().is_empty() { RestartRequest::default() } else { json(&body)? };
    let job = control.restart(&job, accept.map(CheckpointId)).await?;
    Ok(Answer::ok(JobSummary::from(&job)))
}
