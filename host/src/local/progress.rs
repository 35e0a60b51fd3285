//! What a person sees while a job runs. On standard error, so that sinks may have standard output.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use gristmill_ports::telemetry::LogLevel;
use gristmill_runtime::{JobEventKind, JobHandle, JobReport};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressStyle {
    /// A moving line on a terminal, a line every few seconds elsewhere.
    Auto,
    /// A line every few seconds.
    Plain,
    /// Nothing but the summary.
    None,
}

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// Draws progress and passes on what guests say.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    plain: bool,
    drawn: Instant,
    events_then: u64,
    then: Instant,
    rate: f64,
}

impl Progress {
    pub(crate) fn new(style: ProgressStyle, handle: &JobHandle) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = (style == ProgressStyle::Auto && terminal).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            bar.set_style(BarStyle::with_template("{spinner} {msg}").expect("a template without mistakes"));
            bar
        });
        let plain = bar.is_none() && style != ProgressStyle::None;
        if style != ProgressStyle::None {
            pass_on_log_lines(handle, bar.clone());
        }
        let now = Instant::now();
        Self { bar, plain, drawn: now, events_then: 0, then: now, rate: 0.0 }
    }

    pub(crate) fn draw(&mut self, report: &JobReport) {
        let events = report.events_read();
        let elapsed = self.then.elapsed().as_secs_f64();
        if elapsed >= 0.2 {
            self.rate = (events - self.events_then) as f64 / elapsed;
            (self.events_then, self.then) = (events, Instant::now());
        }
        let line = format!(
            "{} {}: {} events in, {} out, {} events/s{}",
            report.job,
            report.state,
            HumanCount(events),
            HumanCount(report.events_written()),
            HumanCount(self.rate as u64),
            match report.dead_letters() {
                0 => String::new(),
                letters => format!(", {} dead letters", HumanCount(letters)),
            }
        );
        match &self.bar {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            None if self.plain && self.drawn.elapsed() >= PLAIN_EVERY => {
                self.drawn = Instant::now();
                say(&line);
            }
            None => {}
        }
    }

    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.println(line),
            None => say(line),
        }
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Log lines of guests from `info` up, as they come.
fn pass_on_log_lines(handle: &JobHandle, bar: Option<ProgressBar>) {
    let (recent, mut live) = handle.events();
    let print = move |event: gristmill_runtime::JobEvent| {
        let JobEventKind::Log { level, message, .. } = event.kind else { return };
        if level >= LogLevel::Info {
            let operator = event.operator.map(|operator| operator.to_string()).unwrap_or_default();
            let line = format!("[{operator}] {message}");
            match &bar {
                Some(bar) => bar.println(line),
                None => say(&line),
            }
        }
    };
    tokio::spawn(async move {
        recent.into_iter().for_each(&print);
        loop {
            match live.recv().await {
                Ok(event) => print(event),
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    });
}

/// How the job ended, in a few lines.
pub(crate) fn summary(report: &JobReport, dead_letters: &Path) {
    let seconds = report.elapsed_ms as f64 / 1000.0;
    let rate = report.events_read() as f64 / seconds.max(0.001);
    say(&format!(
        "{} {} in {seconds:.2} s: {} events in, {} out, {} events/s",
        report.job,
        report.state,
        HumanCount(report.events_read()),
        HumanCount(report.events_written()),
        HumanCount(rate as u64),
    ));
    if report.dead_letters() > 0 {
        let letters = HumanCount(report.dead_letters());
        say(&format!("{letters} events could not be processed: see {}", dead_letters.display()));
    }
    if let Some(cause) = &report.cause {
        say(&format!("cause: {cause}"));
    }
}

/// The whole report as one line of JSON.
pub(crate) fn machine_report(report: &JobReport) -> anyhow::Result<()> {
    say(&serde_json::to_string(report)?);
    Ok(())
}

#[expect(clippy::print_stderr, reason = "the command line talks to a person")]
fn say(line: &str) {
    eprintln!("{line}");
}
