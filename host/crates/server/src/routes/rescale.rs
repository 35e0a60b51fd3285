//! `/v1/jobs/{job}/rescale`

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use gristmill_dataflow::Rescale;
use gristmill_types::{NodeId, Parallelism};

use crate::api_types::{OperationView, Problem, RescaleRequest};
use crate::control::Control;
use crate::extract::{Path, json};
use crate::problem::Refused;
use crate::routes::jobs::under_way;

/// Let a running job go on with more or fewer subtasks
///
/// It makes a last checkpoint, ends, and goes on from there with other subtasks; keys and their state move in whole key
/// groups, output is committed exactly once. Sinks keep their subtasks. The operation tells which nodes changed, and
/// succeeds when the job goes on so; if it cannot begin so, it goes on as it was, and the operation fails.
#[utoipa::path(
    post, path = "/v1/jobs/{job}/rescale", operation_id = "rescale_job", tag = "jobs",
    params(("job" = String, Path, description = "the job's id")),
    request_body = RescaleRequest,
    responses(
        (status = 202, body = OperationView, description = "under way; ask for the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such job"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "it is over, or a swap is under way"),
        (status = 422, body = Problem, content_type = "application/problem+json", description = "it cannot run so; nothing was touched"),
    )
)]
pub(super) async fn rescale(
    State(control): State<Arc<Control>>,
    Path(job): Path<String>,
    body: Bytes,
) -> Result<Response, Refused> {
    let RescaleRequest { parallelism, operators, sources, dry_run } = json(&body)?;
    let wish = Rescale {
        parallelism: parallelism.map(Parallelism),
        operators: by_node(operators)?,
        sources: by_node(sources)?,
    };
    Ok(under_way(control.rescale(&job.parse()?, wish, dry_run).await?))
}

fn by_node(written: BTreeMap<String, NonZeroU32>) -> Result<BTreeMap<NodeId, Parallelism>, Refused> {
    written.into_iter().map(|(node, subtasks)| Ok((node.parse()?, Parallelism(subtasks)))).collect()
}
