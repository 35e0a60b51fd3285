//! `/v1/jobs/{job}/operators/{operator}/swap`

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gristmill_checkpoint::swap::SwapPolicy;
use gristmill_dataflow::quantity::Span;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use crate::api_types::{OperationView, ProbationRequest, Problem, SwapModeName, SwapRequest};
use crate::control::{Control, SwapMode, SwapWish};
use crate::extract::{Path, json};
use crate::problem::{Code, Refused};
use crate::routes::jobs::under_way;

const DEADLINE: Duration = Duration::from_secs(30);
const PROBATION: Duration = Duration::from_secs(60);
const PROBATION_EVENTS: u64 = 10_000;

/// Swap the module of an operator while events flow
///
/// The operation tells how far it is: `preparing`, `prepared`, `switching`, `switched`, `probation`, and the pause of each
/// subtask. It succeeds when the probation is over, and fails if the old module runs in the end.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/operators/{operator}/swap", operation_id = "swap_module", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    request_body = SwapRequest,
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job or operator"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is over, or another swap is not"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "the module does not fit; nothing was touched"),
    )
)]
pub(super) async fn swap(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refused> {
    let SwapRequest { module, parameters, mode, deadline, probation, supersede } = json(&body)?;
    let policy = policy(deadline.as_deref(), &probation)?;
    let mode = match mode {
        SwapModeName::Barrier => SwapMode::Barrier,
        SwapModeName::Restart => SwapMode::Restart,
        SwapModeName::DryRun => SwapMode::DryRun,
    };
    let wish = SwapWish { module, parameters, mode, policy, supersede };
    Ok(under_way(control.swap(&job.parse()?, &operator.parse()?, wish).await?))
}

/// Let the old module of an operator run again
///
/// For a swap that is not over. The operation succeeds when the old module runs and a checkpoint says so.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/operators/{operator}/swap/rollback", operation_id = "roll_back_swap", tag = "jobs",
    params(
        ("job" = String, Path, description = "the job's id"),
        ("operator" = String, Path, description = "the operator's id"),
    ),
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is over"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "no swap of this operator is under way"),
    )
)]
pub(super) async fn roll_back(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
) -> Result<Response, Refused> {
    Ok(under_way(control.roll_back_swap(&job.parse()?, &operator.parse()?).await?))
}

/// How long a swap may take, and be taken back.
pub(super) fn policy(deadline: Option<&str>, probation: &ProbationRequest) -> Result<SwapPolicy, Refused> {
    Ok(SwapPolicy {
        deadline_ms: millis("deadline", deadline, DEADLINE)?,
        probation_ms: millis("probation.time", probation.time.as_deref(), PROBATION)?,
        probation_events: probation.events.unwrap_or(PROBATION_EVENTS),
    })
}

/// A length of time in the words of a job document.
fn millis(field: &str, written: Option<&str>, default: Duration) -> Result<u64, Refused> {
    let time = match written {
        None => default,
        Some(text) => {
            let span: Result<Span, Error> = Span::deserialize(StrDeserializer::new(text));
            span.map_err(|error| Refused::new(Code::BadRequest, format!("`{field}`: {error}")))?.0
        }
    };
    Ok(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
