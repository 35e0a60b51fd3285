//! `/v1/operations`

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api_types::{OperationList, OperationView, Problem};
use crate::control::Control;
use crate::extract::{Answer, Answered, Params, Path};

/// How many.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    /// Operations at most, to 1000. Default: 100.
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// The newest operations
#[utoipa::path(
    get, path = "/v1/operations", operation_id = "list_operations", tag = "operations", params(ListQuery),
    responses((status = 200, body = OperationList, description = "the newest first"))
)]
pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Params(query): Params<ListQuery>,
) -> Answered<OperationList> {
    let operations = control.operations(query.limit).await?.into_iter().map(OperationView::from).collect();
    Ok(Answer::ok(OperationList { operations }))
}

/// How far an operation is
#[utoipa::path(
    get, path = "/v1/operations/{operation}", operation_id = "inspect_operation", tag = "operations",
    params(("operation" = String, Path, description = "the operation's id")),
    responses(
        (status = 200, body = OperationView, description = "the operation"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "there is no such operation"),
    )
)]
pub(super) async fn inspect(
    State(control): State<Arc<Control>>,
    Path(operation): Path<String>,
) -> Answered<OperationView> {
    Ok(Answer::ok(control.operation(&operation).await?.into()))
}
