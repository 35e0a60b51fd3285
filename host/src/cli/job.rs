//! `gristmill job …`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use gristmill_types::{JobId, NodeId};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::checkpoint_words::{checkpoint, checkpoints};
use super::job_words::{event_in_words, in_a_line, inspected, letters, listed, log_lines, path, payload};
use super::output::{Output, field};
use super::rescale::{RescaleOptions, rescale};
use super::submit::{SubmitOptions, submit};
use super::{check, crashes, operation};

/// Submits jobs and looks after them.
#[derive(Subcommand)]
pub(crate) enum JobCommand {
    /// Says what is wrong with a job document, without a host.
    Check {
        /// The job document; `-` reads standard input.
        file: PathBuf,
    },
    /// Submits a job. Modules given by path are uploaded first.
    Submit(SubmitOptions),
    /// Lists jobs.
    List,
    /// Shows a job: state, counters of each operator, plan.
    Inspect {
        /// The job.
        job: JobId,
    },
    /// Holds the job's sources still.
    Pause {
        /// The job.
        job: JobId,
    },
    /// Lets the job's sources go on.
    Resume {
        /// The job.
        job: JobId,
    },
    /// Ends the job's sources; what is inside flows out.
    Stop {
        /// The job.
        job: JobId,
        /// Takes a savepoint of this name first, while the sources hold still; if it cannot be taken, they go on.
        #[arg(long, value_name = "NAME")]
        savepoint: Option<String>,
        /// Makes the savepoint of the end that the job would come to if its input had ended: what was taken in is read, event
        /// time is completed, all output is committed.
        #[arg(long, requires = "savepoint")]
        drain: bool,
        /// Waits until it has stopped.
        #[arg(long)]
        wait: bool,
    },
    /// Ends the job at once; what is inside is dropped.
    Cancel {
        /// The job.
        job: JobId,
        /// Waits until it is over.
        #[arg(long)]
        wait: bool,
    },
    /// Lists the job's checkpoints, with what they cost and how often it has restarted; or shows one of them.
    Checkpoints {
        /// The job.
        job: JobId,
        /// The checkpoint's number.
        checkpoint: Option<u64>,
    },
    /// Makes a checkpoint now.
    Checkpoint {
        /// The job.
        job: JobId,
        /// Waits until it is decided.
        #[arg(long)]
        wait: bool,
    },
    /// Starts the job again from its newest checkpoint: one that runs, failed, or was stopped or cancelled.
    Restart {
        /// The job.
        job: JobId,
        /// Goes on from this checkpoint though what was written since comes once more; 0 is the beginning. For a job that
        /// does not run.
        #[arg(long, value_name = "CHECKPOINT")]
        accept: Option<u64>,
    },
    /// Lets a running job go on with more or fewer subtasks, from a last checkpoint.
    Rescale(RescaleOptions),
    /// Forgets a job that is over, with its checkpoints and dead letters.
    Delete {
        /// The job.
        job: JobId,
    },
    /// Prints what the job's guests log.
    Logs {
        /// The job.
        job: JobId,
        /// Goes on with what happens from now on, changes of state included.
        #[arg(long, short)]
        follow: bool,
    },
    /// Prints a live sample of what leaves an operator.
    Tap {
        /// The job.
        job: JobId,
        /// The source or operator.
        operator: NodeId,
        /// Its output port, by name; default: the first.
        #[arg(long)]
        port: Option<String>,
        /// Ends after so many events.
        #[arg(long, short = 'n', value_name = "EVENTS")]
        limit: Option<u64>,
    },
    /// Lists calls that ended in a fault, kept so that `gristmill replay` can make them again.
    Crashes {
        /// The job.
        job: JobId,
    },
    /// Fetches the crash bundle of such a call, with the module in it; or deletes it.
    Crash {
        /// The job.
        job: JobId,
        /// The bundle.
        name: String,
        /// Where to. Default: NAME.crash in the working directory.
        #[arg(long, short, value_name = "FILE", conflicts_with = "delete")]
        output: Option<PathBuf>,
        /// Deletes it; the next fault of its kind is kept again.
        #[arg(long)]
        delete: bool,
    },
    /// Prints events that could not be processed, with the reasons.
    DeadLetters {
        /// The job.
        job: JobId,
        /// Puts those that are decided back in front of the operators that refused them.
        #[arg(long)]
        replay: bool,
        /// Only letters from this number on.
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: u64,
    },
}

pub(crate) async fn perform(command: JobCommand, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    match command {
        JobCommand::Check { file } => return check::check(&file, out),
        JobCommand::Submit(options) => return submit(options, api, out).await,
        JobCommand::Rescale(options) => return rescale(options, api, out).await,
        JobCommand::List => out.result(&api.get("/v1/jobs").await?, listed)?,
        JobCommand::Inspect { job } => out.result(&api.get(&path(&job, "")).await?, inspected)?,
        JobCommand::Pause { job } => out.result(&api.post(&path(&job, "/pause")).await?, in_a_line)?,
        JobCommand::Resume { job } => out.result(&api.post(&path(&job, "/resume")).await?, in_a_line)?,
        JobCommand::Stop { job, savepoint, drain, wait } => {
            let request = api.request(Method::POST, &path(&job, "/stop"));
            let request = match savepoint {
                Some(name) => request.json(&json!({"savepoint": name, "drain": drain})),
                None => request,
            };
            return operation::report(api.json(request).await?, wait, api, out).await;
        }
        JobCommand::Cancel { job, wait } => {
            let begun = api.post(&path(&job, "/cancel")).await?;
            return operation::report(begun, wait, api, out).await;
        }
        JobCommand::Checkpoints { job, checkpoint: None } => {
            out.result(&api.get(&path(&job, "/checkpoints")).await?, checkpoints)?;
        }
        JobCommand::Checkpoints { job, checkpoint: Some(number) } => {
            out.result(&api.get(&path(&job, &format!("/checkpoints/{number}"))).await?, checkpoint)?;
        }
        JobCommand::Checkpoint { job, wait } => {
            let begun = api.post(&path(&job, "/checkpoints")).await?;
            return operation::report(begun, wait, api, out).await;
        }
        JobCommand::Restart { job, accept } => {
            let request = api.request(Method::POST, &path(&job, "/restart"));
            let request = match accept {
                Some(checkpoint) => request.json(&json!({"accept": checkpoint})),
                None => request,
            };
            out.result(&api.json(request).await?, in_a_line)?;
        }
        JobCommand::Delete { job } => {
            out.result(&api.delete(&path(&job, "")).await?, |_| format!("job {job} is forgotten"))?;
        }
        JobCommand::Logs { job, follow } => logs(&job, follow, api, out).await?,
        JobCommand::Tap { job, operator, port, limit } => tap(&job, &operator, port, limit, api, out).await?,
        JobCommand::Crashes { job } => out.result(&api.get(&path(&job, "/crashes")).await?, crashes::listed)?,
        JobCommand::Crash { job, name, delete: true, .. } => crashes::delete(&job, &name, api, out).await?,
        JobCommand::Crash { job, name, output, delete: false } => crashes::fetch(&job, &name, output, api, out).await?,
        JobCommand::DeadLetters { job, replay: true, .. } => {
            let request = api.request(Method::POST, &path(&job, "/dead-letters/replay")).json(&json!({"all": true}));
            return operation::report(api.json(request).await?, true, api, out).await;
        }
        JobCommand::DeadLetters { job, replay: false, from, limit } => {
            let answer = api.get(&path(&job, &format!("/dead-letters?from={from}&limit={limit}"))).await?;
            out.result(&answer, letters)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn logs(job: &JobId, follow: bool, api: &Api, out: &Output) -> anyhow::Result<()> {
    if follow {
        let print = |event: Value| {
            out.item(&event, event_in_words)?;
            Ok(true)
        };
        return api.follow(&path(job, "/events"), print).await;
    }
    let answer = api.get(&path(job, "/logs")).await?;
    Ok(out.result(&answer, log_lines)?)
}

async fn tap(
    job: &JobId,
    operator: &NodeId,
    port: Option<String>,
    limit: Option<u64>,
    api: &Api,
    out: &Output,
) -> anyhow::Result<()> {
    let query: String =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(port.map(|port| ("port", port))).finish();
    let mut seen = 0;
    api.follow(&path(job, &format!("/operators/{operator}/tap?{query}")), |event| {
        out.item(&event, |event| {
            format!("{} {} {}", field(event, "timestamp"), payload(&event["key"]), payload(&event["value"]))
        })?;
        seen += 1;
        Ok(limit.is_none_or(|limit| seen < limit))
    })
    .await
}
