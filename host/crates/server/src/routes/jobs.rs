//! `/v1/jobs`

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gristmill_ports::catalog::{OperationRecord, Origin};
use gristmill_types::JobId;
use utoipa::IntoParams;

use crate::api_types::{DryRun, JobDetails, JobList, JobSummary, OperationView, Problem, StopRequest, SubmittedJob};
use crate::control::Control;
use crate::extract::{Answer, Answered, Params, Path, json, media_type, unsupported};
use crate::problem::{Code, Refused};

/// How a job is submitted.
#[derive(Default, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct SubmitQuery {
    /// Say what would become of it, and start nothing.
    #[param(required = false)]
    dry_run: bool,
    /// The savepoint to begin from, as `job/name`.
    savepoint: Option<String>,
    /// What of it may go: a node, or a state as `node.state`. May be given more than once.
    #[param(required = false)]
    drop: BTreeSet<String>,
}

impl SubmitQuery {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Refused> {
        let mut query = Self::default();
        for (name, value) in pairs {
            match name.as_str() {
                "dry_run" => {
                    query.dry_run = value.parse().map_err(|_| {
                        Refused::new(Code::BadRequest, format!("`dry_run` is `true` or `false`, not `{value}`"))
                    })?;
                }
                "savepoint" => query.savepoint = Some(value),
                "drop" => drop(query.drop.insert(value)),
                other => {
                    let detail = format!("there is no parameter `{other}`");
                    return Err(Refused::new(Code::BadRequest, detail).hint("there is `dry_run`, `savepoint`, `drop`"));
                }
            }
        }
        Ok(query)
    }

    fn origin(self) -> Result<Option<Origin>, Refused> {
        match self.savepoint {
            Some(place) => {
                let (job, name) = savepoint_at(&place)?;
                Ok(Some(Origin { job, name, dropped: self.drop }))
            }
            None if self.drop.is_empty() => Ok(None),
            None => Err(Refused::new(Code::BadRequest, "`drop` says what of a savepoint may go, and none is named")
                .hint("add `savepoint=JOB/NAME`")),
        }
    }
}

/// Submit a job
///
/// The body is a job document in YAML or JSON. A job of the same name that is over is replaced; its dead letters stay. With
/// a savepoint it begins from that one, whichever job it was taken of: nodes go on by their ids, states by their names.
#[utoipa::path(
    post, path = "/v1/jobs", operation_id = "submit_job", tag = "jobs", params(SubmitQuery),
    request_body(content((String = "application/yaml"), (Value = "application/json"))),
    responses(
        (status = 201, body = SubmittedJob, description = "it is started"),
        (status = 200, body = DryRun, description = "the answer to a dry run"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "such a job runs"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "it cannot run as written"),
    )
)]
pub(super) async fn submit(
    State(control): State<Arc<Control>>,
    Params(query): Params<Vec<(String, String)>>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    match media_type(&headers).as_deref() {
        None
        | Some(
            "application/yaml"
            | "application/x-yaml"
            | "text/yaml"
            | "text/x-yaml"
            | "application/json"
            | "text/plain"
            | "application/octet-stream",
        ) => {}
        Some(other) => return Err(unsupported(other, "application/yaml or application/json")),
    }
    let text = String::from_utf8(body.into()).map_err(|error| {
        let detail = format!("the document is not UTF-8: byte {} is wrong", error.utf8_error().valid_up_to());
        Refused::new(Code::BadDocument, detail).hint("save it as UTF-8")
    })?;
    let query = SubmitQuery::read(query)?;
    let is_dry = query.dry_run;
    let origin = query.origin()?;
    if is_dry {
        return Ok(Answer::ok(DryRun::from(control.dry_run(text, origin).await?)).into_response());
    }
    let submitted = SubmittedJob::from(control.submit(text, origin).await?);
    let location = format!("/v1/jobs/{}", submitted.summary.job);
    Ok(([(header::LOCATION, location)], Answer(StatusCode::CREATED, submitted)).into_response())
}

/// All jobs
#[utoipa::path(
    get, path = "/v1/jobs", operation_id = "list_jobs", tag = "jobs",
    responses((status = 200, body = JobList, description = "all jobs, by id"))
)]
pub(super) async fn list(State(control): State<Arc<Control>>) -> Answered<JobList> {
    Ok(Answer::ok(JobList { jobs: control.jobs().await?.iter().map(JobSummary::from).collect() }))
}

/// One job: state, document, plan, counters
#[utoipa::path(
    get, path = "/v1/jobs/{job}", operation_id = "inspect_job", tag = "jobs",
    params(("job" = String, Path, description = "the job's id")),
    responses(
        (status = 200, body = JobDetails, description = "the job"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
    )
)]
pub(super) async fn inspect(State(control): State<Arc<Control>>, Path(job): Path<String>) -> Answered<JobDetails> {
    let job = control.job(&job.parse()?).await?;
    let plan = control.plan_of(&job).await?;
    Ok(Answer::ok(JobDetails::new(&job, plan.as_ref())))
}

/// Delete a job that is over, and its dead letters
#[utoipa::path(
    delete, path = "/v1/jobs/{job}", operation_id = "delete_job", tag = "jobs",
    params(("job" = String, Path, description = "the job's id")),
    responses(
        (status = 204, description = "it is gone"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is not over"),
    )
)]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    Path(job): Path<String>,
) -> Result<StatusCode, Refused> {
    control.delete_job(&job.parse()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Hold the sources of a job still
#[utoipa::path(
    post, path = "/v1/jobs/{job}/pause", operation_id = "pause_job", tag = "jobs",
    params(("job" = String, Path, description = "the job's id")),
    responses(
        (status = 200, body = JobSummary, description = "the job"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is over or ending"),
    )
)]
pub(super) async fn pause(State(control): State<Arc<Control>>, Path(job): Path<String>) -> Answered<JobSummary> {
    let job = control.pause(&job.parse()?).await?;
    Ok(Answer::ok(JobSummary::from(&job)))
}

/// Let the sources of a job go on
#[utoipa::path(
    post, path = "/v1/jobs/{job}/resume", operation_id = "resume_job", tag = "jobs",
    params(("job" = String, Path, description = "the job's id")),
    responses(
        (status = 200, body = JobSummary, description = "the job"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is over or ending"),
    )
)]
pub(super) async fn resume(State(control): State<Arc<Control>>, Path(job): Path<String>) -> Answered<JobSummary> {
    let job = control.resume(&job.parse()?).await?;
    Ok(Answer::ok(JobSummary::from(&job)))
}

/// Stop a job: its sources end, what is inside flows out
///
/// The operation succeeds when the job is over. With the name of a savepoint the sources hold still while it is taken, and
/// the job stops behind it; if it cannot be taken, they go on and the operation fails. With `drain` too, all that was taken
/// in is read, event time is completed and all output is committed first: a job that begins from the savepoint finds every
/// later event late.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/stop", operation_id = "stop_job", tag = "jobs",
    params(("job" = String, Path, description = "the job's id")), request_body = Option<StopRequest>,
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is over"),
    )
)]
pub(super) async fn stop(
    State(control): State<Arc<Control>>,
    Path(job): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    let job: JobId = job.parse()?;
    let StopRequest { savepoint, drain } =
        if body.trim_ascii().is_empty() { StopRequest::default() } else { json(&body)? };
    Ok(under_way(match savepoint {
        Some(name) if drain => control.drain_into(&job, name).await?,
        Some(name) => control.stop_with_savepoint(&job, name).await?,
        None if drain => {
            let refused = Refused::new(Code::BadRequest, "`drain` says what a savepoint is made of, and none is named");
            return Err(refused.hint("add `savepoint`, the name of one"));
        }
        None => control.stop(&job).await?,
    }))
}

/// Cancel a job: it ends at once, what is inside is dropped
///
/// The operation succeeds when the job is over.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/cancel", operation_id = "cancel_job", tag = "jobs",
    params(("job" = String, Path, description = "the job's id")),
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is over"),
    )
)]
pub(super) async fn cancel(State(control): State<Arc<Control>>, Path(job): Path<String>) -> Result<Response, Refused> {
    let job: JobId = job.parse()?;
    Ok(under_way(control.cancel(&job).await?))
}

/// 202 and where to ask for the rest.
pub(super) fn under_way(operation: OperationRecord) -> Response {
    let location = format!("/v1/operations/{}", operation.id);
    let answer = Answer(StatusCode::ACCEPTED, OperationView::from(operation));
    ([(header::LOCATION, location)], answer).into_response()
}

/// The job and the name of a savepoint in `job/name`.
pub(super) fn savepoint_at(text: &str) -> Result<(JobId, String), Refused> {
    let Some((job, name)) = text.split_once('/') else {
        return Err(Refused::new(Code::BadName, format!("`{text}` is no savepoint"))
            .hint("write the job and the name, as in orders/before-2"));
    };
    Ok((job.parse()?, name.to_owned()))
}
