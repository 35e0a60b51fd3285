//! One job in one process: `gristmill run FILE`. No server, no catalog, modules by path.

mod dead_letter_file;
mod progress;
mod load;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use gristmill_ports::catalog::JobState;
use gristmill_runtime::{JobHandle, JobReport, start};

use crate::clock::SystemClock;
use crate::shutdown::Signals;
use crate::wiring::HostParts;
use dead_letter_file::DeadLetterFile;
pub(crate) use load::default_cache;
pub(crate) use load::unreadable_module;
pub use load::{BadJob, LoadedJob, base_of, load, read_document};
pub use progress::ProgressStyle;

/// How often the progress line is drawn.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// A job that is to stop and in which nothing moves for so long may never stop by itself.
const STUCK_AFTER: Duration = Duration::from_secs(3);

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

/// Runs a job to its end. With `json`, the final report stands in the place of words on how it went. The exit code says
/// how it ended: 0 finished or stopped, 1 failed, 2 not started, 130 cancelled.
///
/// # Errors
/// If the job could not be started; its problems as a [`BadJob`].
pub async fn run(options: RunOptions, json: bool) -> anyhow::Result<ExitCode> {
    let loaded = tokio::task::spawn_blocking({
        let (file, cache) = (options.file.clone(), options.cache.clone());
        move || load(&file, cache.as_deref())
    })
    .await??;
    let job = loaded.spec.document.job.clone();
    let letters = options.dead_letters.clone().unwrap_or_else(|| PathBuf::from(format!("{job}.dead-letters.jsonl")));
    let dead_letters = Arc::new(DeadLetterFile::new(letters));
    let data_dir = tempfile::tempdir().context("making a folder for the checkpoints of this run")?;
    let clock = Arc::new(SystemClock::default());
    let parts = HostParts::new(loaded.base, data_dir.path(), None, dead_letters.clone(), clock)?;
    let handle = tokio::task::spawn_blocking(move || start(loaded.spec, Arc::new(parts))).await??;
    let state = follow(&handle, if json { ProgressStyle::None } else { options.progress }).await?;
    let report = handle.report();
    if !json {
        progress::summary(&report, dead_letters.path());
    }
    if options.report || json {
        progress::machine_report(&report).context("printing the report")?;
    }
    Ok(match state {
        JobState::Finished | JobState::Stopped => ExitCode::SUCCESS,
        JobState::Cancelled => ExitCode::from(130),
        JobState::Starting
        | JobState::Running
        | JobState::Restarting
        | JobState::Paused
        | JobState::Stopping
        | JobState::Failed => ExitCode::FAILURE,
    })
}

/// Shows progress until the job is over. The first signal stops the job, the second cancels it.
async fn follow(handle: &JobHandle, style: ProgressStyle) -> anyhow::Result<JobState> {
    let mut progress = progress::Progress::new(style, handle);
    let mut status = handle.watch();
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    let mut signals = Signals::listen().context("listening to signals")?;
    let mut asked = 0;
    let mut stopping = None;
    loop {
        let state = status.borrow_and_update().state;
        if state.is_final() {
            progress.end();
            return Ok(state);
        }
        tokio::select! {
            changed = status.changed() => changed.context("the job is gone")?,
            _ = tick.tick() => {
                let report = handle.report();
                progress.draw(&report);
                if stopping.as_mut().is_some_and(|stopping: &mut Stopping| stopping.is_stuck(&report)) {
                    progress.say(&format!(
                        "nothing has moved for {} s: a second Ctrl-C ends the job at once and drops what is inside",
                        STUCK_AFTER.as_secs()
                    ));
                }
            }
            signal = signals.next() => {
                asked += 1;
                stopping = (asked == 1).then(|| Stopping::new(&handle.report()));
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

/// A job on its way to a stop.
struct Stopping {
    /// Events read and written when something last moved.
    moved: (u64, u64),
    at: Instant,
    told: bool,
}

impl Stopping {
    fn new(report: &JobReport) -> Self {
        Self { moved: (report.events_read(), report.events_written()), at: Instant::now(), told: false }
    }

    /// Whether nothing has moved for too long; true once.
    fn is_stuck(&mut self, report: &JobReport) -> bool {
        let moved = (report.events_read(), report.events_written());
        if moved != self.moved {
            (self.moved, self.at) = (moved, Instant::now());
        }
        let stuck = !self.told && self.at.elapsed() >= STUCK_AFTER;
        self.told |= stuck;
        stuck
    }
}
