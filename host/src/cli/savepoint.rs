//! `gristmill savepoint …`

use std::process::ExitCode;

use clap::Subcommand;
use gristmill_types::{JobId, NodeId};
use reqwest::Method;
use serde_json::json;

use super::api::Api;
use super::job_words::path;
use super::operation;
use super::output::Output;
use super::savepoint_words::{diffed, inspected, listed};

/// Takes savepoints and looks after them.
#[derive(Subcommand)]
pub(crate) enum SavepointCommand {
    /// Takes a savepoint of a job, beside its stream.
    Create {
        /// The job.
        job: JobId,
        /// What it is called: letters, digits, `-`, `_` and `.`. Default: `sp-` and the next number of the job.
        #[arg(long)]
        name: Option<String>,
        /// Waits until it is there.
        #[arg(long)]
        wait: bool,
    },
    /// Lists savepoints, of all jobs or of one.
    List {
        /// The job.
        job: Option<JobId>,
    },
    /// Shows a savepoint: operators, states, positions, sizes.
    Inspect {
        /// The job.
        job: JobId,
        /// The savepoint.
        name: String,
    },
    /// Reads a savepoint whole, and holds it against its hashes and checksums.
    Verify {
        /// The job.
        job: JobId,
        /// The savepoint.
        name: String,
    },
    /// Deletes a savepoint.
    Delete {
        /// The job.
        job: JobId,
        /// The savepoint.
        name: String,
    },
    /// The same as `gristmill state diff`.
    Diff(DiffOptions),
}

pub(crate) async fn perform(command: SavepointCommand, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let place = |job: &JobId, name: &str, rest: &str| path(job, &format!("/savepoints/{}{rest}", in_a_path(name)));
    match command {
        SavepointCommand::Create { job, name, wait } => {
            let request = api.request(Method::POST, &path(&job, "/savepoints")).json(&json!({"name": name}));
            return operation::report(api.json(request).await?, wait, api, out).await;
        }
        SavepointCommand::List { job: None } => out.result(&api.get("/v1/savepoints").await?, listed)?,
        SavepointCommand::List { job: Some(job) } => {
            out.result(&api.get(&path(&job, "/savepoints")).await?, listed)?;
        }
        SavepointCommand::Inspect { job, name } => out.result(&api.get(&place(&job, &name, "")).await?, inspected)?,
        SavepointCommand::Verify { job, name } => {
            let begun = api.post(&place(&job, &name, "/verify")).await?;
            return operation::report(begun, true, api, out).await;
        }
        SavepointCommand::Delete { job, name } => {
            let answer = api.delete(&place(&job, &name, "")).await?;
            out.result(&answer, |_| format!("savepoint {job}/{name} is deleted"))?;
        }
        SavepointCommand::Diff(options) => diff(options, api, out).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What is laid beside what.
#[derive(clap::Args)]
pub(crate) struct DiffOptions {
    /// The first: a savepoint as JOB/NAME, or a checkpoint that is kept, as JOB@NUMBER or JOB@newest.
    a: String,
    /// The second.
    b: String,
    /// Only this operator.
    #[arg(long)]
    operator: Option<NodeId>,
    /// Shows at most so many entries of each state.
    #[arg(long, default_value_t = 10)]
    limit: usize,
}

/// `savepoint diff` and `state diff`.
pub(crate) async fn diff(options: DiffOptions, api: &Api, out: &Output) -> anyhow::Result<()> {
    let DiffOptions { a, b, operator, limit } = options;
    let operator = operator.map(|operator| ("operator", operator.to_string()));
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("a", a), ("b", b), ("limit", limit.to_string())])
        .extend_pairs(operator)
        .finish();
    Ok(out.result(&api.get(&format!("/v1/savepoints/diff?{query}")).await?, diffed)?)
}

/// A name as one part of a path, whatever is in it.
fn in_a_path(name: &str) -> String {
    url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}
