//! `/v1/jobs/{job}/operators/{operator}/swap`

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gristmill_checkpoint::swap::{ProbationBounds, SwapPolicy};
use gristmill_dataflow::quantity::Span;
use gristmill_runtime::{SwapTerms, WayBack};
use gristmill_types::Parallelism;
use serde::Deserialize;
use serde::de::value::{Error, StrDeserializer};

use crate::api_types::{OperationView, ProbationRequest, Problem, SwapModeName, SwapRequest, WayBackName};
use crate::control::{Control, SwapMode, SwapWish};
use crate::extract::{Path, json};
use crate::problem::{Code, Refused};
use crate::routes::jobs::under_way;

const DEADLINE: Duration = Duration::from_secs(30);
const PROBATION: Duration = Duration::from_secs(60);
const PROBATION_EVENTS: u64 = 10_000;

/// Swap the module of an operator while events flow
///
/// The operation tells how far it is: `preparing`, `prepared`, `switching`, `switched`, `held`, `probation`, and the
/// pause of each subtask. It succeeds when the probation is over, and fails if the old module runs in the end.
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
        (status = 503, body = Problem, content_type = "application/problem+json", description = "the job is between two attempts; ask again"),
    )
)]
pub(super) async fn swap(
    State(control): State<Arc<Control>>,
    Path((job, operator)): Path<(String, String)>,
    body: Bytes,
) -> Result<Response, Refused> {
    let SwapRequest { module, parameters, parallelism, mode, deadline, probation, supersede, drop, way_back } =
        json(&body)?;
    let policy = policy(deadline.as_deref(), &probation)?;
    let mode = match mode {
        SwapModeName::Barrier => SwapMode::Barrier,
        SwapModeName::Restart => SwapMode::Restart,
        SwapModeName::DryRun => SwapMode::DryRun,
    };
    let way_back = match way_back {
        WayBackName::Migrate => WayBack::Migrate,
        WayBackName::Rewind => WayBack::Rewind,
        WayBackName::None => WayBack::None,
    };
    let terms = SwapTerms { policy, dropped: drop, way_back };
    let parallelism = parallelism.map(Parallelism);
    let wish = SwapWish { module, parameters, parallelism, mode, terms, supersede };
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

/// What a new module may do on probation.
fn bounds(probation: &ProbationRequest) -> Result<ProbationBounds, Refused> {
    let ProbationRequest { max_failure_rate, max_call_p99, max_slowdown, .. } = probation;
    let p99 = max_call_p99.as_deref().map(|text| span("probation.max_call_p99", text)).transpose()?;
    Ok(ProbationBounds {
        failures_per_million: scaled("probation.max_failure_rate", *max_failure_rate, 0.0..=1.0, 1e6)?,
        call_p99_us: p99.map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX)),
        slowdown_percent: scaled("probation.max_slowdown", *max_slowdown, 1.0..=10_000.0, 100.0)?,
    })
}

/// A number within a range, as a whole number of its parts.
fn scaled(field: &str, written: Option<f64>, range: RangeInclusive<f64>, parts: f64) -> Result<Option<u32>, Refused> {
    let Some(number) = written else { return Ok(None) };
    if !range.contains(&number) {
        let (least, most) = range.into_inner();
        let detail = format!("`{field}`: {number} is not a number from {least} to {most}");
        return Err(Refused::new(Code::BadRequest, detail));
    }
    // At most a hundred million, by the ranges above.
    Ok(Some((number * parts).round() as u32))
}

/// How long a swap may take, and be taken back.
pub(super) fn policy(deadline: Option<&str>, probation: &ProbationRequest) -> Result<SwapPolicy, Refused> {
    Ok(SwapPolicy {
        deadline_ms: millis("deadline", deadline, DEADLINE)?,
        probation_ms: millis("probation.time", probation.time.as_deref(), PROBATION)?,
        probation_events: probation.events.unwrap_or(PROBATION_EVENTS),
        bounds: bounds(probation)?,
    })
}

/// A length of time in the words of a job document.
fn millis(field: &str, written: Option<&str>, default: Duration) -> Result<u64, Refused> {
    let time = written.map_or(Ok(default), |text| span(field, text))?;
    Ok(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

fn span(field: &str, text: &str) -> Result<Duration, Refused> {
    let span: Result<Span, Error> = Span::deserialize(StrDeserializer::new(text));
    Ok(span.map_err(|error| Refused::new(Code::BadRequest, format!("`{field}`: {error}")))?.0)
}
