//! `/v1/jobs/{job}/operators/{operator}/shadow`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use gristmill_dataflow::quantity::Bytes as Size;
use gristmill_runtime::ShadowPolicy;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use crate::api_types::{OperationView, Problem, PromoteRequest, ShadowRequest, ShadowView};
use crate::control::{Control, ShadowWish};
use crate::extract::{Answer, Answered, Path, json};
use crate::problem::{Code, Refused};
use crate::routes::jobs::under_way;
use crate::routes::swaps::policy;

/// Differences that a report shows at most: each holds three events, in the memory of the host.
const MOST_SAMPLES: usize = 1000;

/// Let another module run beside an operator, and see what it would do
///
/// It gets what the operator gets, with a copy of the state, from the next checkpoint on. Nothing of it leaves but the report.
/// It ends with the attempt of the job, when it cannot follow, and when it is promoted or discarded.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/operators/{operator}/shadow", operation_id = "begin_shadow", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    request_body = ShadowRequest,
    responses(
        (status = 201, body = ShadowView, description = "it waits for a checkpoint; ask for the report"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job or operator"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over, or a swap or a shadow is not"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "the module does not fit; nothing was touched"),
    )
)]
pub(super) async fn begin(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
    body: Bytes,
) -> Answered<ShadowView> {
    let ShadowRequest { module, parameters, room, samples } = json(&body)?;
    let mut policy = ShadowPolicy::default();
    if let Some(room) = room {
        policy.room_bytes = bytes("room", &room)?;
    }
    policy.samples = samples.unwrap_or(policy.samples);
    if policy.samples > MOST_SAMPLES {
        let why = format!("`samples` is {}, and a report holds {MOST_SAMPLES} at most", policy.samples);
        return Err(
            Refused::new(Code::BadRequest, why).hint("all differences are counted, whether they are shown or not")
        );
    }
    let wish = ShadowWish { module, parameters, policy };
    let report = control.shadow(&job.parse()?, &operator.parse()?, wish).await?;
    Ok(Answer(StatusCode::CREATED, report.into()))
}

/// What the newest shadow of an operator has found so far
#[utoipa::path(
    get, path = "/v1/jobs/{job}/operators/{operator}/shadow", operation_id = "inspect_shadow", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    responses(
        (status = 200, body = ShadowView, description = "the report; it stays when the shadow is over, as long as the job runs in this host"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, or no shadow ran"),
    )
)]
pub(super) async fn report(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
) -> Answered<ShadowView> {
    Ok(Answer::ok(control.shadow_report(&job.parse()?, &operator.parse()?).await?.into()))
}

/// End the shadow of an operator; its report stays
#[utoipa::path(
    delete, path = "/v1/jobs/{job}/operators/{operator}/shadow", operation_id = "discard_shadow", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    responses(
        (status = 200, body = ShadowView, description = "what it has found"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, or no shadow runs"),
    )
)]
pub(super) async fn discard(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
) -> Answered<ShadowView> {
    Ok(Answer::ok(control.discard_shadow(&job.parse()?, &operator.parse()?).await?.into()))
}

/// Swap an operator to the module of its shadow
///
/// A swap like any other, at the barrier of a checkpoint; the shadow ends. An empty body takes the defaults of a swap.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/operators/{operator}/shadow/promote", operation_id = "promote_shadow", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    request_body = PromoteRequest,
    responses(
        (status = 202, body = OperationView, description = "the swap is under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job, or no shadow runs"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "the module cannot be swapped in; nothing was touched"),
    )
)]
pub(super) async fn promote(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refused> {
    let PromoteRequest { deadline, probation } = if body.is_empty() { PromoteRequest::default() } else { json(&body)? };
    let policy = policy(deadline.as_deref(), &probation)?;
    Ok(under_way(control.promote_shadow(&job.parse()?, &operator.parse()?, policy).await?))
}

/// A size in the words of a job document.
fn bytes(field: &str, written: &str) -> Result<usize, Refused> {
    let size: Result<Size, Error> = Size::deserialize(StrDeserializer::new(written));
    let size = size.map_err(|error| Refused::new(Code::BadRequest, format!("`{field}`: {error}")))?;
    Ok(usize::try_from(size.as_u64()).unwrap_or(usize::MAX))
}
