//! One job in one process: `gristmill run FILE`. No server, no catalog, modules by path.

mod dead_letter_file;
mod progress;
mod load;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gristmill_ports::catalog::JobState;
use gristmill_runtime::{JobHandle, start};

use crate::clock::SystemClock;
use crate::shutdown::Signals;
use crate::wiring::HostParts;
use dead_letter_file::DeadLetterFile;
pub use load::{BadJob, LoadedJob, base_of, load, read_document};
pub use progress::ProgressStyle;

/// How often the progress line is drawn.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// What `gristmill run` is told.
#[derive(Debug, Clone, clap::Args)]
pub struct RunOptions {
    /// The job document, YAML or JSON; `-` reads standard input.
    pub file: PathBuf,
    /// Where events that cannot be processed go, one JSON object a line. Made when the first one comes.
    /// Default: JOB.dead-letters.jsonl in the working directory.
    #[arg(long, value_name = "FILE")]
    pub dead_letters: Option<PathBuf>,
    /// How progress is shown on standard error.
    #[arg(long, value_enum, default_value_t = ProgressStyle::Auto)]
    pub progress: ProgressStyle,
    /// Where compiled code is kept between runs, in a folder `compiled`. Default: gristmill in the user's cache directory.
    #[arg(long, value_name = "DIR", env = "GRISTMILL_CACHE")]
    pub cache: Option<PathBuf>,
    /// Prints the final report as one JSON object on standard error.
    #[arg(long)]
    pub report: bool,
}

/// Runs a job to its end. The exit code says how it ended: 0 finished or stopped, 1 failed, 2 not started, 130 cancelled.
///
/// # Errors
/// If the job could not be started; its problems as a [`BadJob`].
pub async fn run(options: RunOptions) -> anyhow::Result<ExitCode> {
    let loaded = tokio::task::spawn_blocking({
        let (file, cache) = (options.file.clone(), options.cache.clone());
        move || load(&file, cache.as_deref())
    })
    .await??;
    let job = loaded.spec.document.job.clone();
    let letters = options.dead_letters.clone().unwrap_or_else(|| PathBuf::from(format!("{job}.dead-letters.jsonl")));
    let dead_letters = Arc::new(DeadLetterFile::new(letters));
    let parts = HostParts::new(loaded.base, dead_letters.clone(), Arc::new(SystemClock::default()));
    let handle = tokio::task::spawn_blocking(move || start(loaded.spec, Arc::new(parts))).await??;
    let state = follow(&handle, options.progress).await?;
    let report = handle.report();
    progress::summary(&report, dead_letters.path());
    if options.report {
        progress::machine_report(&report).context("printing the report")?;
    }
    Ok(match state {
        JobState::Finished | JobState::Stopped => ExitCode::SUCCESS,
        JobState::Cancelled => ExitCode::from(130),
        JobState::Starting | JobState::Running | JobState::Paused | JobState::Stopping | JobState::Failed => {
            ExitCode::FAILURE
        }
    })
}

/// Shows progress until the job is over. The first signal stops the job, the second cancels it.
async fn follow(handle: &JobHandle, style: ProgressStyle) -> anyhow::Result<JobState> {
    let mut progress = progress::Progress::new(style, handle);
    let mut status = handle.watch();
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    let mut signals = Signals::listen().context("listening to signals")?;
    let mut asked = 0;
    loop {
        let state = status.borrow_and_update().state;
        if state.is_final() {
            progress.end();
            return Ok(state);
        }
        tokio::select! {
            changed = status.changed() => changed.context("the job is gone")?,
            _ = tick.tick() => progress.draw(&handle.report()),
            signal = signals.next() => {
                asked += 1;
                progress.say(&match asked {
                    1 => format!("{signal}: stopping; what is inside flows out. Once more cancels."),
                    _ => format!("{signal}: cancelling"),
                });
                // A job that ended in the meantime is over, which is what was asked for.
                let _ = if asked == 1 { handle.stop() } else { handle.cancel() };
            }
        }
    }
}
