//! The command line. `serve` and `run` are the host; everything else is a client of the REST API.

mod api;
mod output;
mod probation;
mod check;
mod module;
mod job_words;
mod operation;
mod savepoint_words;
mod submit;
mod checkpoint_words;
mod checkpoint;
mod replay;
mod savepoint;
mod rescale;
mod crashes;
mod job;
mod audit;
mod shadow;
mod canary;
mod operator;
mod state_words;
mod state;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::local::{self, RunOptions};
use crate::replay::ReplayOptions;
use crate::serve::{self, ServeOptions};
use crate::telemetry::{self, LogFormat};
pub(crate) use api::Api;
use output::{Complaint, Unprinted};

/// Exit code of a command that was used wrongly, or of a job that could not be started.
const NOT_STARTED: u8 = 2;

/// What a shell says of a program whose reader has left.
const READER_LEFT: u8 = 141;

const EXIT_CODES: &str = "Exit codes: 0 done; 1 the job or the operation failed, or a checkpoint is damaged; 2 not done: \
                          used wrongly, refused, or no host; 3 `replay` failed as before; 130 `run` was cancelled; 141 the reader of the output left, \
                          as `| head` does.";

/// A stream operator host: operators are Wasm modules, uploaded while streams flow.
#[derive(Parser)]
#[command(name = "gristmill", version, about, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    /// Where the host listens.
    #[arg(long, global = true, env = "GRISTMILL_HOST", default_value = "http://127.0.0.1:7171", value_name = "URL")]
    host: String,
    /// The host's token, if it has one.
    #[arg(long, global = true, env = "GRISTMILL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Prints JSON instead of text for people, refusals included. `run` puts it on standard error, its report last, because
    /// sinks may have standard output; `serve` logs in it.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a host.
    Serve(ServeOptions),
    /// Runs one job in this process, without a host.
    Run(RunOptions),
    /// Uploads modules and looks at them.
    #[command(subcommand)]
    Module(module::ModuleCommand),
    /// Submits jobs and looks after them.
    #[command(subcommand)]
    Job(job::JobCommand),
    /// Changes operators of running jobs.
    #[command(subcommand)]
    Operator(operator::OperatorCommand),
    /// Looks at the state of running operators, and mends it.
    #[command(subcommand)]
    State(state::StateCommand),
    /// Takes savepoints and looks after them.
    #[command(subcommand)]
    Savepoint(savepoint::SavepointCommand),
    /// Looks at checkpoints and savepoints without a host.
    #[command(subcommand)]
    Checkpoint(checkpoint::CheckpointCommand),
    /// Makes a call that ended in a fault once more, without a host: 0 it does not fail any more, 3 it fails as before, 1
    /// otherwise.
    Replay(ReplayOptions),
    /// Prints who changed what on a host.
    Audit(audit::AuditOptions),
    /// Prints a completion script for a shell.
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
}

/// Parses the command line and does what it says.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let (format, filter, complaint) = match &cli.command {
        Command::Serve(_) if cli.json => (LogFormat::Json, "info", Complaint::JsonBesides),
        Command::Serve(options) => (options.log_format, "info", Complaint::Words),
        Command::Run(_) if cli.json => (LogFormat::Json, "warn", Complaint::JsonBesides),
        Command::Run(_) => (LogFormat::Text, "warn", Complaint::Words),
        Command::Module(_)
        | Command::Job(_)
        | Command::Operator(_)
        | Command::State(_)
        | Command::Savepoint(_)
        | Command::Checkpoint(_)
        | Command::Replay(_)
        | Command::Audit(_)
        | Command::Completions { .. } => {
            (LogFormat::Text, "warn", if cli.json { Complaint::Json } else { Complaint::Words })
        }
    };
    telemetry::start(format, filter);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // I/O and control are light; the subtasks have threads of their own.
    let runtime = builder.enable_all().worker_threads(2).thread_name("io").build();
    let result = match runtime {
        Ok(runtime) => {
            let result = runtime.block_on(perform(cli));
            // A blocked background thread must not keep the process from ending.
            runtime.shutdown_background();
            result
        }
        Err(error) => Err(anyhow::Error::new(error).context("starting the runtime")),
    };
    result.unwrap_or_else(|error| match error.downcast_ref::<Unprinted>() {
        Some(unprinted) if unprinted.reader_left() => ExitCode::from(READER_LEFT),
        _ => {
            output::error(&error, complaint);
            ExitCode::from(NOT_STARTED)
        }
    })
}

async fn perform(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { host, token, json, command } = cli;
    let out = output::Output::new(json);
    let api = || Api::new(&host, token.clone());
    match command {
        Command::Serve(options) => serve::serve(options, token).await,
        Command::Run(options) => local::run(options, json).await,
        Command::Module(command) => module::perform(command, &api()?, &out).await,
        Command::Job(command) => job::perform(command, &api()?, &out).await,
        Command::Operator(command) => operator::perform(command, &api()?, &out).await,
        Command::State(command) => state::perform(command, &api()?, &out).await,
        Command::Savepoint(command) => savepoint::perform(command, &api()?, &out).await,
        Command::Checkpoint(command) => checkpoint::perform(&command, &out),
        Command::Replay(options) => replay::perform(options, &out).await,
        Command::Audit(options) => audit::perform(&options, &api()?, &out).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "gristmill", &mut script);
            output::print(&String::from_utf8_lossy(&script))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
