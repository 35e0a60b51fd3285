//! `gristmill job rescale`

use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::Args;
use gristmill_types::{JobId, NodeId};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::api::Api;
use super::job_words::path;
use super::operation;
use super::output::Output;

/// How many subtasks a job is to have.
#[derive(Args)]
pub(crate) struct RescaleOptions {
    /// The job.
    job: JobId,
    /// Subtasks of its operators, and of its `file` and `generator` sources, that do not say their own.
    #[arg(long, value_name = "SUBTASKS", required_unless_present_any = ["operator", "source"])]
    parallelism: Option<NonZeroU32>,
    /// Subtasks of an operator. May be given more than once.
    #[arg(long, value_name = "OPERATOR=SUBTASKS", value_parser = by_node)]
    operator: Vec<(NodeId, NonZeroU32)>,
    /// Subtasks of a source. May be given more than once.
    #[arg(long, value_name = "SOURCE=SUBTASKS", value_parser = by_node)]
    source: Vec<(NodeId, NonZeroU32)>,
    /// Only says whether it could be, and what would change.
    #[arg(long)]
    dry_run: bool,
    /// Waits until the job goes on.
    #[arg(long)]
    wait: bool,
}

fn by_node(text: &str) -> Result<(NodeId, NonZeroU32), String> {
    let (node, subtasks) = text.split_once('=').ok_or("write it as NAME=SUBTASKS, such as count=4")?;
    let node = node.parse::<NodeId>().map_err(|error| error.to_string())?;
    let subtasks = subtasks.parse().map_err(|_| format!("`{subtasks}` is no number of subtasks: 1 or more"))?;
    Ok((node, subtasks))
}

pub(super) async fn rescale(options: RescaleOptions, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let RescaleOptions { job, parallelism, operator, source, dry_run, wait } = options;
    let named = |nodes: Vec<(NodeId, NonZeroU32)>| -> Map<String, Value> {
        nodes.into_iter().map(|(node, subtasks)| (node.to_string(), json!(subtasks))).collect()
    };
    let body = json!({
        "parallelism": parallelism, "operators": named(operator), "sources": named(source), "dry_run": dry_run,
    });
    let request = api.request(Method::POST, &path(&job, "/rescale")).json(&body);
    operation::report(api.json(request).await?, wait, api, out).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_and_its_subtasks_are_read_or_refused_in_a_sentence() {
        let read = |text| by_node(text).map(|(node, subtasks)| (node.to_string(), subtasks.get()));
        assert_eq!(read("count=4"), Ok(("count".to_owned(), 4)));
        for (text, says) in [("count", "NAME=SUBTASKS"), ("count=0", "`0` is no number"), ("=4", "")] {
            assert!(read(text).is_err_and(|refused| refused.contains(says)), "{text}");
        }
    }
}
