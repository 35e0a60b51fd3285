//! Long actions: begun, then looked at until they are done.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::api::Api;
use super::output::{Output, field};

/// How often an operation is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Prints an operation, once it is done if it is to be waited for.
pub(super) async fn report(begun: Value, wait: bool, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let mut operation = begun;
    while wait && field(&operation, "status") == "RUNNING" {
        tokio::time::sleep(LOOK_EVERY).await;
        operation = api.get(&format!("/v1/operations/{}", field(&operation, "id"))).await?;
    }
    out.result(&operation, |operation| {
        let detail = &operation["detail"];
        let detail = if detail.is_null() { String::new() } else { format!(" {detail}") };
        format!("{} {}{detail}", field(operation, "kind"), field(operation, "status"))
    });
    Ok(if field(&operation, "status") == "FAILED" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
