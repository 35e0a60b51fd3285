//! What a person sees while a job runs. On standard error, so that sinks may have standard output.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use gristmill_ports::telemetry::LogLevel;
use gristmill_runtime::{JobEvent, JobEventKind, JobHandle, JobReport};
use gristmill_types::NodeId;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};

use crate::words::counted;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum ProgressStyle {
    /// A moving line on a terminal, a line every few seconds elsewhere.
    Auto,
    /// A line every few seconds.
    Plain,
    /// Nothing but the summary, and what keeps the job from going on.
    None,
}

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(2);

/// Causes of retries that are told; a message that is never the same twice must not fill memory.
const MOST_CAUSES: usize = 64;

/// Draws progress and passes on what guests say.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    plain: bool,
    drawn: Instant,
    rate: Rate,
}

/// Events a second, as they were counted at the last look.
#[derive(Debug)]
struct Rate {
    events_then: u64,
    then: Instant,
    per_second: f64,
}

impl Rate {
    fn of_none() -> Self {
        Self { events_then: 0, then: Instant::now(), per_second: 0.0 }
    }

    /// So many were counted until now. A job that starts again from a checkpoint counts what comes behind it once more.
    fn note(&mut self, events: u64, now: Instant) {
        let elapsed = now.saturating_duration_since(self.then).as_secs_f64();
        if elapsed >= 0.2 {
            self.per_second = events.saturating_sub(self.events_then) as f64 / elapsed;
            (self.events_then, self.then) = (events, now);
        }
    }
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
        pass_on_events(handle, bar.clone(), style != ProgressStyle::None);
        Self { bar, plain, drawn: Instant::now(), rate: Rate::of_none() }
    }

    pub(crate) fn draw(&mut self, report: &JobReport) {
        let events = report.events_read();
        self.rate.note(events, Instant::now());
        let letters = match report.dead_letters() {
            0 => String::new(),
            letters => format!(", {}", counted(letters, "dead letter")),
        };
        let line = format!(
            "{} {}: {} in, {} out, {} events/s{letters}",
            report.job,
            report.state,
            counted(events, "event"),
            HumanCount(report.events_written()),
            HumanCount(self.rate.per_second as u64),
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

/// What happens in a job, as it comes: what keeps it from going on, and, if they are wanted, log lines of guests from
/// `info` up.
fn pass_on_events(handle: &JobHandle, bar: Option<ProgressBar>, log_lines: bool) {
    let (recent, mut live) = handle.events();
    let mut told = HashSet::new();
    let mut print = move |event: JobEvent| {
        let Some(line) = in_words(event, log_lines, &mut told) else { return };
        match &bar {
            Some(bar) => bar.println(line),
            None => say(&line),
        }
    };
    tokio::spawn(async move {
        recent.into_iter().for_each(&mut print);
        loop {
            match live.recv().await {
                Ok(event) => print(event),
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
            }
        }
    });
}

/// An event that a person at this job wants to hear of. A cause of retries is told once: it comes again with each try.
fn in_words(event: JobEvent, log_lines: bool, told: &mut HashSet<(Option<NodeId>, String)>) -> Option<String> {
    let node = event.operator.as_ref().map(ToString::to_string).unwrap_or_default();
    match event.kind {
        JobEventKind::Log { level, message, .. } if log_lines && level >= LogLevel::Info => {
            Some(format!("[{node}] {message}"))
        }
        JobEventKind::Retrying { message } => {
            let line = format!("[{node}] {message}; trying again until it passes");
            (told.len() < MOST_CAUSES && told.insert((event.operator, message))).then_some(line)
        }
        JobEventKind::Log { .. }
        | JobEventKind::State { .. }
        | JobEventKind::CallFailed { .. }
        | JobEventKind::Crash { .. }
        | JobEventKind::Checkpoint { .. }
        | JobEventKind::CheckpointFailed { .. }
        | JobEventKind::DeadLetters { .. }
        | JobEventKind::LogDropped { .. }
        | JobEventKind::StateRewritten { .. }
        | JobEventKind::Swap { .. }
        | JobEventKind::Shadow { .. } => None,
    }
}

/// How the job ended, in a few lines.
pub(crate) fn summary(report: &JobReport, dead_letters: &Path) {
    let seconds = report.elapsed_ms as f64 / 1000.0;
    let rate = report.events_read() as f64 / seconds.max(0.001);
    say(&format!(
        "{} {} in {seconds:.2} s: {} in, {} out, {} events/s",
        report.job,
        report.state,
        counted(report.events_read(), "event"),
        HumanCount(report.events_written()),
        HumanCount(rate as u64),
    ));
    if report.dead_letters() > 0 {
        let letters = counted(report.dead_letters(), "event");
        say(&format!("{letters} could not be processed: see {}", dead_letters.display()));
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

fn say(line: &str) {
    // A job does not end because nobody reads what is said of it.
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_counts_once_more_from_its_checkpoint_has_a_rate() {
        let mut rate = Rate::of_none();
        let after = |seconds| rate.then + Duration::from_secs(seconds);
        let (first, second, third) = (after(1), after(2), after(4));
        rate.note(500, first);
        rate.note(200, second);
        assert!(rate.per_second.abs() < 1e-9, "{rate:?}");
        rate.note(800, third);
        assert!((rate.per_second - 300.0).abs() < 1e-9, "{rate:?}");
    }

    #[test]
    fn a_cause_of_retries_is_told_once_and_another_one_too() {
        let mut told = HashSet::new();
        let mut hear = |message: &str| {
            let kind = JobEventKind::Retrying { message: message.to_owned() };
            let operator = Some("out".parse().expect("an id"));
            in_words(JobEvent { number: 0, at_ms: 0, operator, subtask: None, kind }, false, &mut told)
        };
        let first = hear("writing a.txt: no space left on device").expect("the first time");
        assert_eq!(first, "[out] writing a.txt: no space left on device; trying again until it passes");
        assert_eq!(hear("writing a.txt: no space left on device"), None);
        assert!(hear("writing a.txt: permission denied").is_some());
    }
}
