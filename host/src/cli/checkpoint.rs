//! `gristmill checkpoint …`: what lies in checkpoint storage, without a host.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::checkpoint_words::inspection;
use super::output::Output;
use crate::inspect::inspect;

/// Looks at checkpoints without a host.
#[derive(Subcommand)]
pub(crate) enum CheckpointCommand {
    /// Says what a file or folder of checkpoint storage holds, and what of it is missing or damaged. Reads only.
    Inspect {
        /// A checkpoint storage, the folder `jobs/JOB/RUN` of a run, that of a savepoint wherever it was moved, or a file: an
        /// entry of a chain, a page, a state file.
        path: PathBuf,
    },
}

pub(crate) fn perform(command: &CheckpointCommand, out: &Output) -> anyhow::Result<ExitCode> {
    let CheckpointCommand::Inspect { path } = command;
    let found = inspect(path)?;
    out.result(&serde_json::to_value(&found)?, inspection)?;
    Ok(if found.damaged.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
