//! `/v1/jobs/{job}/dead-letters`

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use serde::Deserialize;
use utoipa::IntoParams;

use super::jobs::under_way;
use crate::api_types::{DeadLetterList, OperationView, Problem, ReplayRequest};
use crate::control::{Control, Selection};
use crate::extract::{Answer, Answered, Params, Path, json};
use crate::problem::{Code, Refused};

/// Numbers that one replay may name.
const MOST_NUMBERS: usize = 10_000;

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// The first number. Default: 0.
    #[serde(default)]
    from: u64,
    /// Letters at most, to 1000; with 0 only their count. Default: 100.
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// Events that could not be processed, with the reason
#[utoipa::path(
    get, path = "/v1/jobs/{job}/dead-letters", operation_id = "list_dead_letters", tag = "dead letters",
    params(("job" = String, Path, description = "the job's id"), PageQuery),
    responses(
        (status = 200, body = DeadLetterList, description = "a page of them"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
    )
)]
pub(super) async fn page(
    State(control): State<Arc<Control>>,
    Path(job): Path<String>,
    Params(query): Params<PageQuery>,
) -> Answered<DeadLetterList> {
    let page = control.dead_letters(&job.parse()?, query.from, query.limit).await?;
    Ok(Answer::ok(DeadLetterList::from(page)))
}

/// Put dead letters back in front of the operators that refused them
///
/// Letters that were put back before are left out, and so are those that are not decided. The operation tells how many,
/// and why some were refused.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/dead-letters/replay", operation_id = "replay_dead_letters", tag = "dead letters",
    params(("job" = String, Path, description = "the job's id")), request_body = ReplayRequest,
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "the job is over"),
    )
)]
pub(super) async fn replay(
    State(control): State<Arc<Control>>,
    Path(job): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    let selection = match json::<ReplayRequest>(&body)? {
        ReplayRequest { numbers: None, all: true } => Selection::All,
        ReplayRequest { numbers: Some(numbers), all: false } if numbers.len() <= MOST_NUMBERS => {
            Selection::Numbers(numbers.into_iter().collect())
        }
        ReplayRequest { numbers: Some(numbers), all: false } => {
            let detail = format!("{} letters are named, at most {MOST_NUMBERS} can be", numbers.len());
            return Err(Refused::new(Code::BadRequest, detail).hint("send `{\"all\": true}`, or several requests"));
        }
        ReplayRequest { numbers: None, all: false } | ReplayRequest { numbers: Some(_), all: true } => {
            return Err(Refused::new(Code::BadRequest, "the body does not say which letters are meant")
                .hint("send either `{\"all\": true}` or `{\"numbers\": [0, 7]}`"));
        }
    };
    Ok(under_way(control.replay(&job.parse()?, selection).await?))
}
