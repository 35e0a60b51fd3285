//! `/v1/audit`

use std::sync::Arc;

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::api_types::{AuditList, AuditView};
use crate::control::Control;
use crate::extract::{Answer, Answered, Params};

/// Which page.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    /// Records with higher numbers only. Default: 0.
    #[serde(default)]
    after: u64,
    /// Records at most, to 1000. Default: 100.
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// Who changed what
///
/// Each request that was let in to change something has two records: one before the change, and one with what came of it.
/// If the second is missing, the host went down in between, or the change is still being made. Posted events have none.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "read_audit_log", tag = "host", params(PageQuery),
    responses((status = 200, body = AuditList, description = "a page of them, ascending"))
)]
pub(super) async fn page(State(control): State<Arc<Control>>, Params(query): Params<PageQuery>) -> Answered<AuditList> {
    let records = control.audit(query.after, query.limit).await?.into_iter().map(AuditView::from).collect();
    Ok(Answer::ok(AuditList { records }))
}
