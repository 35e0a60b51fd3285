//! `gristmill audit`

use std::process::ExitCode;

use serde_json::Value;

use super::api::Api;
use super::output::{Output, field, table};

/// Which records.
#[derive(clap::Args)]
pub(crate) struct AuditOptions {
    /// Only records with higher numbers.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    after: u64,
    /// So many records at most, to 1000.
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    limit: u64,
}

pub(super) async fn perform(options: &AuditOptions, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let AuditOptions { after, limit } = options;
    let page = api.get(&format!("/v1/audit?after={after}&limit={limit}")).await?;
    out.result(&page, in_words)?;
    let records = page["records"].as_array().map_or(&[][..], Vec::as_slice);
    if let Some(last) = records.last().filter(|_| records.len() as u64 >= (*limit).min(1000)) {
        out.note(&format!("there may be more: --after {}", field(last, "number")));
    }
    Ok(ExitCode::SUCCESS)
}

fn in_words(page: &Value) -> String {
    let row = |record: &Value| {
        let outcome = &record["outcome"];
        let status = if outcome.is_null() { "begun".to_owned() } else { field(outcome, "status") };
        let modules = outcome["modules"].as_object().into_iter().flatten();
        let modules: Vec<_> = modules.map(|(what, hash)| format!("{what}={}", short(hash))).collect();
        let mut cells: Vec<_> = ["number", "at", "who", "role"].map(|name| field(record, name)).into();
        cells.push(format!("{} {}", field(record, "method"), field(record, "path")));
        cells.extend([status, field(outcome, "operation"), modules.join(" ")]);
        cells
    };
    let rows: Vec<_> = page["records"].as_array().into_iter().flatten().map(row).collect();
    table(&["NUMBER", "TIME", "WHO", "ROLE", "REQUEST", "STATUS", "OPERATION", "MODULES"], &rows)
}

/// Enough of a hash to find its module by.
fn short(hash: &Value) -> &str {
    let hash = hash.as_str().unwrap_or_default();
    hash.get(..12).unwrap_or(hash)
}
