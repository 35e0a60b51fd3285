//! `gristmill operator …`

use std::num::NonZeroU32;
use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use gristmill_types::{JobId, NodeId};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::canary::{self, CanaryCommand};
use super::job_words::path;
use super::operation;
use super::output::Output;
use super::probation::{Probation, tell_parameters};
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
        /// The module: `name@version`, or a hash; left out, it stays, and its parameters change.
        #[arg(required_unless_present_any = ["parameters", "set_parameter"])]
        module: Option<String>,
        /// Its parameters as JSON; left out, they stay as they are.
        #[arg(long, value_name = "JSON")]
        parameters: Option<String>,
        /// One of its parameters, as JSON or else as text; the others stay. May be given more than once.
        #[arg(long, visible_alias = "param", value_name = "NAME=VALUE", value_parser = parameter, conflicts_with = "parameters")]
        set_parameter: Vec<(String, Value)>,
        /// The operator's subtasks; another number takes the mode `restart`.
        #[arg(long, value_name = "SUBTASKS")]
        parallelism: Option<NonZeroU32>,
        /// How.
        #[arg(long, value_enum, default_value_t = Mode::Barrier)]
        mode: Mode,
        #[command(flatten)]
        probation: Probation,
        /// A swap that is not over makes room.
        #[arg(long)]
        supersede: bool,
        /// A state that the module does not declare any more and whose entries may go, as `operator.state`.
        #[arg(long, value_name = "STATE")]
        drop: Vec<String>,
        /// How the swap is taken back if the new module fails on probation.
        #[arg(long, value_enum, default_value_t = WayBack::Migrate)]
        way_back: WayBack,
        /// Waits until it is known which module runs.
        #[arg(long)]
        wait: bool,
    },
    #[command(flatten)]
    Shadow(ShadowCommand),
    #[command(flatten)]
    Canary(CanaryCommand),
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

/// How a swap is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WayBack {
    /// What was rewritten is rewritten back; refused if the new module cannot do that.
    Migrate,
    /// The job goes on from before the switch; nothing is committed until the probation is over.
    Rewind,
    /// If the module cannot rewrite back what it rewrites, there is no probation.
    None,
}

impl WayBack {
    fn as_str(self) -> &'static str {
        match self {
            Self::Migrate => "migrate",
            Self::Rewind => "rewind",
            Self::None => "none",
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
            set_parameter,
            parallelism,
            mode,
            probation,
            supersede,
            drop,
            way_back,
            wait,
        } => {
            let module = match module {
                Some(module) => module,
                None => running(api, &job, &operator).await?,
            };
            let mut body = json!({
                "module": module, "mode": mode.as_str(), "supersede": supersede, "drop": drop,
                "way_back": way_back.as_str(),
            });
            probation.tell(&mut body);
            tell_parameters(parameters.as_deref(), &mut body)?;
            if !set_parameter.is_empty() {
                body["parameters"] = with_set(api, &job, &operator, set_parameter).await?;
            }
            if let Some(parallelism) = parallelism {
                body["parallelism"] = json!(parallelism);
            }
            let request = api.request(Method::POST, &path(&job, &format!("/operators/{operator}/swap"))).json(&body);
            operation::report(api.json(request).await?, wait, api, out).await
        }
        OperatorCommand::Shadow(command) => shadow::perform(command, api, out).await,
        OperatorCommand::Canary(command) => canary::perform(command, api, out).await,
        OperatorCommand::Rollback { job, operator, wait } => {
            let begun = api.post(&path(&job, &format!("/operators/{operator}/swap/rollback"))).await?;
            operation::report(begun, wait, api, out).await
        }
    }
}

/// The module that runs in an operator, as the job's document names it.
async fn running(api: &Api, job: &JobId, operator: &NodeId) -> anyhow::Result<String> {
    let described = api.get(&path(job, "")).await?;
    let module = described["document"]["operators"][operator.as_str()]["module"].as_str().map(str::to_owned);
    module.ok_or_else(|| anyhow::anyhow!("job `{job}` has no operator `{operator}`"))
}

/// A parameter and its value; what is no JSON is a text.
fn parameter(text: &str) -> Result<(String, Value), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE, such as limit=10")?;
    Ok((name.to_owned(), serde_json::from_str(value).unwrap_or_else(|_| json!(value))))
}

/// The operator's parameters as the job's document has them, with these in the place of those of their names.
async fn with_set(api: &Api, job: &JobId, operator: &NodeId, set: Vec<(String, Value)>) -> anyhow::Result<Value> {
    let described = api.get(&path(job, "")).await?;
    let written = &described["document"]["operators"][operator.as_str()]["parameters"];
    let mut parameters = match written {
        Value::Null => serde_json::Map::new(),
        Value::Object(parameters) => parameters.clone(),
        other => {
            anyhow::bail!("the parameters of `{operator}` are {other}, which has no names; give all as `--parameters`")
        }
    };
    parameters.extend(set);
    Ok(Value::Object(parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_json_or_else_a_text() {
        for (text, value) in
            [("a=1", json!(1)), ("a=x=y", json!("x=y")), ("a={\"b\":[]}", json!({"b": []})), ("a=", json!(""))]
        {
            assert_eq!(parameter(text), Ok(("a".to_owned(), value)));
        }
        assert!(parameter("a").is_err());
    }
}
