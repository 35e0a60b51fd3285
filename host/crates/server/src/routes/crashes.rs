//! `/v1/jobs/{job}/crashes`

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::api_types::{CrashList, CrashView, Problem, RawBytes};
use crate::control::Control;
use crate::extract::{Answer, Answered, Path};
use crate::problem::Refused;

/// Calls that ended in a fault, kept so that they can be made again
///
/// One for each fault of a module, the first; of many faults the newest.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/crashes", operation_id = "list_crashes", tag = "crashes",
    params(("job" = String, Path, description = "the job's id")),
    responses(
        (status = 200, body = CrashList, description = "its crash bundles, oldest first"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
    )
)]
pub(super) async fn list(State(control): State<Arc<Control>>, Path(job): Path<String>) -> Answered<CrashList> {
    let kept = control.crashes(&job.parse()?).await?;
    Ok(Answer::ok(CrashList { crashes: kept.into_iter().map(CrashView::from).collect() }))
}

/// A crash bundle as a file, for `gristmill replay`
///
/// The module is in it, if the host still has it.
#[utoipa::path(
    get, path = "/v1/jobs/{job}/crashes/{crash}", operation_id = "fetch_crash", tag = "crashes",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("crash" = String, Path, description = "the bundle's name"),
    ),
    responses(
        (status = 200, body = RawBytes, content_type = "application/octet-stream", description = "the file"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such bundle"),
    )
)]
pub(super) async fn fetch(
    State(control): State<Arc<Control>>,
    Path((job, crash)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let file = control.crash(&job.parse()?, &crash).await?;
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], file).into_response())
}

/// Delete a crash bundle
///
/// The next fault of its kind is kept again.
#[utoipa::path(
    delete, path = "/v1/jobs/{job}/crashes/{crash}", operation_id = "delete_crash", tag = "crashes",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("crash" = String, Path, description = "the bundle's name"),
    ),
    responses(
        (status = 204, description = "it is gone"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such bundle"),
    )
)]
pub(super) async fn delete(
    State(control): State<Arc<Control>>,
    Path((job, crash)): Path<(String, String)>,
) -> Result<StatusCode, Refused> {
    control.delete_crash(&job.parse()?, &crash).await?;
    Ok(StatusCode::NO_CONTENT)
}
