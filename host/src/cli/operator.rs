//! `gristmill operator …`

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use gristmill_types::{JobId, NodeId};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::job_words::path;
use super::operation;
use super::output::Output;
use super::shadow::{self, ShadowCommand};

/// Changes operators of running jobs.
#[derive(Subcommand)]
pub(crate) enum OperatorCommand {
    /// Puts another module into an operator while events flow.
    Swap {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// The module: `name@version`, or a hash.
        module: String,
        /// Its parameters as JSON; left out, they stay as they are.
        #[arg(long, value_name = "JSON")]
        parameters: Option<String>,
        /// How.
        #[arg(long, value_enum, default_value_t = Mode::Barrier)]
        mode: Mode,
        /// All subtasks have switched after this, or none does.
        #[arg(long, value_name = "TIME", default_value = "30s")]
        deadline: String,
        /// The old module stays at hand for this time, and comes back if the new one fails.
        #[arg(long, value_name = "TIME", default_value = "60s")]
        probation: String,
        /// And until so many events have come.
        #[arg(long, value_name = "EVENTS", default_value_t = 10_000)]
        probation_events: u64,
        /// A swap that is not over makes room.
        #[arg(long)]
        supersede: bool,
        /// Waits until it is known which module runs.
        #[arg(long)]
        wait: bool,
    },
    #[command(flatten)]
    Shadow(ShadowCommand),
    /// Lets the old module of a swap that is not over run again.
    Rollback {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// Waits until it does.
        #[arg(long)]
        wait: bool,
    },
}

/// How a swap is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// At the barrier of a checkpoint, while events flow.
    Barrier,
    /// The job starts again from its newest checkpoint; for an operator that is stuck.
    Restart,
    /// Only says whether it could be made.
    DryRun,
}

impl Mode {
    fn as_str(self) -> &'static str {
        match self {
            Self::Barrier => "barrier",
            Self::Restart => "restart",
            Self::DryRun => "dry-run",
        }
    }
}

pub(crate) async fn perform(command: OperatorCommand, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    match command {
        OperatorCommand::Swap {
            job,
            operator,
            module,
            parameters,
            mode,
            deadline,
            probation,
            probation_events,
            supersede,
            wait,
        } => {
            let mut body = json!({
                "module": module, "mode": mode.as_str(), "deadline": deadline, "supersede": supersede,
                "probation": {"time": probation, "events": probation_events},
            });
            if let Some(parameters) = parameters {
                let read: Result<Value, _> = serde_json::from_str(&parameters);
                body["parameters"] =
                    read.map_err(|error| anyhow::anyhow!("the parameters `{parameters}` are not JSON: {error}"))?;
            }
            let request = api.request(Method::POST, &path(&job, &format!("/operators/{operator}/swap"))).json(&body);
            operation::report(api.json(request).await?, wait, api, out).await
        }
        OperatorCommand::Shadow(command) => shadow::perform(command, api, out).await,
        OperatorCommand::Rollback { job, operator, wait } => {
            let begun = api.post(&path(&job, &format!("/operators/{operator}/swap/rollback"))).await?;
            operation::report(begun, wait, api, out).await
        }
    }
}
