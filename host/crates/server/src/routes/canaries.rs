//! `/v1/jobs/{job}/operators/{operator}/canary`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gristmill_checkpoint::Share;

use crate::api_types::{CanaryRequest, CanaryView, OperationView, Problem, WidenRequest};
use crate::control::{CanaryWish, Control};
use crate::extract::{Answer, Answered, Path, json};
use crate::problem::{Code, Refused};
use crate::routes::jobs::under_way;
use crate::routes::swaps::policy;

/// Let another module serve some keys of an operator
///
/// From the next checkpoint on it gets the events of a share of the key groups, on the state that is there, and what it emits
/// counts. At its first fault, or beyond a bound, the operator's own module has all of them again. The operation lasts as long as
/// the canary; it succeeds when the module has taken the operator over, and fails when the canary was withdrawn.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/operators/{operator}/canary", operation_id = "begin_canary", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    request_body = CanaryRequest,
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation, or for the report"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "the share is none"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job or operator"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over, or a swap, a shadow or a canary is not"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "the module cannot serve some keys; nothing was touched"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the job is between two attempts; ask again"),
    )
)]
pub(super) async fn begin(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refused> {
    let CanaryRequest { module, share, parameters, deadline, probation, supersede } = json(&body)?;
    let policy = policy(deadline.as_deref(), &probation)?;
    let wish = CanaryWish { module, parameters, share: percent(share)?, policy, supersede };
    Ok(under_way(control.canary(&job.parse()?, &operator.parse()?, wish).await?))
}

/// What the newest canary of an operator came to so far
#[utoipa::path(
    get, path = "/v1/jobs/{job}/operators/{operator}/canary", operation_id = "inspect_canary", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    responses(
        (status = 200, body = CanaryView, description = "the report; it stays when the canary is over, until another swap begins"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, or no canary served"),
    )
)]
pub(super) async fn report(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
) -> Answered<CanaryView> {
    Ok(Answer::ok(control.canary_report(&job.parse()?, &operator.parse()?).await?.into()))
}

/// Let a canary serve more keys
///
/// From the next checkpoint on; key groups are only ever added. The report says `canary` again, with the new share, when a
/// checkpoint has decided it.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/operators/{operator}/canary/widen", operation_id = "widen_canary", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    request_body = WidenRequest,
    responses(
        (status = 202, body = CanaryView, description = "under way; ask for the report"),
        (status = 400, body = Problem, content_type = "application/problem+json", description = "the share is none"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, or no canary serves"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "it serves as much already"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the canary is about to take another step"),
    )
)]
pub(super) async fn widen(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
    body: Bytes,
) -> Answered<CanaryView> {
    let WidenRequest { share } = json(&body)?;
    let report = control.widen_canary(&job.parse()?, &operator.parse()?, percent(share)?).await?;
    Ok(Answer(StatusCode::ACCEPTED, report.into()))
}

/// Let the module of a canary take the operator over
///
/// At the barrier of a checkpoint, and then on probation, as by a swap.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/operators/{operator}/canary/promote", operation_id = "promote_canary", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    responses(
        (status = 202, body = CanaryView, description = "under way; ask for the operation of the canary, or for the report"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, or no canary serves"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the canary is about to take another step"),
    )
)]
pub(super) async fn promote(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
) -> Answered<CanaryView> {
    let report = control.widen_canary(&job.parse()?, &operator.parse()?, Share::WHOLE).await?;
    Ok(Answer(StatusCode::ACCEPTED, report.into()))
}

/// Let an operator's own module serve all keys again
///
/// At once. The operation succeeds when a checkpoint says so; that of the canary fails then.
#[utoipa::path(
    delete, path = "/v1/jobs/{job}/operators/{operator}/canary", operation_id = "withdraw_canary", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, or no canary serves"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
    )
)]
pub(super) async fn withdraw(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
) -> Result<Response, Refused> {
    Ok(under_way(control.withdraw_canary(&job.parse()?, &operator.parse()?).await?))
}

fn percent(share: u32) -> Result<Share, Refused> {
    Share::try_from(share).map_err(|error| Refused::new(Code::BadRequest, format!("`share`: {error}")))
}
