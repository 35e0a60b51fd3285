//! The command line. `serve` and `run` are the host; everything else is a client of the REST API.

mod api;
mod output;
mod check;
mod module;
mod operation;
mod job_words;
mod submit;
mod job;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::local::{self, RunOptions};
use crate::serve::{self, ServeOptions};
use crate::telemetry::{self, LogFormat};
pub(crate) use api::Api;

/// Exit code of a command that was used wrongly, or of a job that could not be started.
const NOT_STARTED: u8 = 2;

/// A stream operator host: operators are Wasm modules, uploaded while streams flow.
#[derive(Parser)]
#[command(name = "gristmill", version, about, max_term_width = 100)]
struct Cli {
    /// Where the host listens.
    #[arg(long, global = true, env = "GRISTMILL_HOST", default_value = "http://127.0.0.1:7171", value_name = "URL")]
    host: String,
    /// The host's token, if it has one.
    #[arg(long, global = true, env = "GRISTMILL_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// Prints JSON instead of text for people.
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
    let format = match &cli.command {
        Command::Serve(options) => options.log_format,
        _ => LogFormat::Text,
    };
    let filter = if matches!(cli.command, Command::Serve(_)) { "info" } else { "warn" };
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
    result.unwrap_or_else(|error| {
        output::error(&error);
        ExitCode::from(NOT_STARTED)
    })
}

async fn perform(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli { host, token, json, command } = cli;
    let out = output::Output::new(json);
    let api = || Api::new(&host, token.clone());
    match command {
        Command::Serve(options) => serve::serve(options, token).await,
        Command::Run(options) => local::run(options).await,
        Command::Module(command) => module::perform(command, &api()?, &out).await,
        Command::Job(command) => job::perform(command, &api()?, &out).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "gristmill", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
