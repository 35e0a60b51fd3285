//! `job submit`: uploads the modules that the document names by path, then the document.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use gristmill_dataflow::document::ModuleSource;
use gristmill_dataflow::{JobDocument, Problem, locate, validate_offline};
use gristmill_ports::catalog::JobState;
use gristmill_types::ModuleHash;
use reqwest::Method;
use serde_json::Value;

use super::api::{Api, Refused, problem_line};
use super::output::{Output, field};
use super::{job_words, module};
use crate::local::{BadJob, base_of, read_document};

/// How often a job that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What `job submit` is told.
#[derive(clap::Args)]
pub(crate) struct SubmitOptions {
    /// The job document, YAML or JSON; `-` reads standard input.
    file: std::path::PathBuf,
    /// Only says what would become of it.
    #[arg(long)]
    dry_run: bool,
    /// Waits until the job is over, with a line of progress; the exit code says how it ended.
    #[arg(long)]
    wait: bool,
}

pub(crate) async fn submit(options: SubmitOptions, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let text = read_document(&options.file)?;
    let file = options.file.display();
    let mut document = JobDocument::parse(&text).map_err(|error| anyhow!("{file}: {error}\n{}", error.snippet()))?;
    let problems: Vec<Problem> = validate_offline(&document).into_iter().filter(Problem::is_error).collect();
    if !problems.is_empty() {
        return Err(BadJob::new(&options.file, &text, problems).into());
    }
    upload_files(&mut document, &base_of(&options.file), options.dry_run, api, out).await?;
    let query = if options.dry_run { "?dry_run=true" } else { "" };
    let request = api.request(Method::POST, &format!("/v1/jobs{query}")).json(&document);
    let answer = api.json(request).await.map_err(|error| with_places(error, &text))?;
    if options.dry_run {
        out.result(&answer, |answer| dry_run_in_words(answer, &text));
        let ok = answer["ok"].as_bool().unwrap_or(false);
        return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(super::NOT_STARTED) });
    }
    let job = document.job.as_str();
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        out.note(&format!("warning: {}", problem_line(warning)));
    }
    if options.wait {
        return wait(job, api, out).await;
    }
    out.result(&answer, |answer| {
        format!("job {job} is {}\n{}", field(answer, "state"), field(answer, "rendering").trim_end())
    });
    Ok(ExitCode::SUCCESS)
}

/// Uploads modules given by path and names them by their hash from then on.
async fn upload_files(
    document: &mut JobDocument,
    base: &Path,
    dry_run: bool,
    api: &Api,
    out: &Output,
) -> anyhow::Result<()> {
    for (id, operator) in &mut document.operators {
        let ModuleSource::File(path) = &operator.module else { continue };
        // Even a dry run needs the module on the host to look at the job: uploading one changes nothing that runs.
        let answer = module::push(api, &base.join(path), None, false).await?;
        let hash: ModuleHash = field(&answer, "hash").parse()?;
        if !dry_run {
            out.note(&format!("{id}: {path} is module {hash}"));
        }
        operator.module = ModuleSource::Hash(hash);
    }
    Ok(())
}

/// The host saw the document as JSON; its findings get the places of the author's text.
fn with_places(error: anyhow::Error, text: &str) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(Refused { status, mut problem }) => {
            for finding in problem["problems"].as_array_mut().into_iter().flatten() {
                place(finding, text);
            }
            Refused { status, problem }.into()
        }
        Err(other) => other,
    }
}

fn place(finding: &mut Value, text: &str) {
    let position = finding["at"].as_str().and_then(|at| locate(text, at));
    finding["line"] = position.map_or(Value::Null, |position| position.line.into());
    finding["column"] = position.map_or(Value::Null, |position| position.column.into());
}

fn dry_run_in_words(answer: &Value, text: &str) -> String {
    let mut lines = Vec::new();
    for finding in answer["problems"].as_array().into_iter().flatten() {
        let mut finding = finding.clone();
        place(&mut finding, text);
        lines.push(problem_line(&finding));
    }
    for operator in answer["operators"].as_array().into_iter().flatten() {
        lines.push(format!(
            "{}: module {}, parameters {}",
            field(operator, "operator"),
            field(operator, "module"),
            operator["parameters"]
        ));
    }
    lines.push(field(answer, "rendering").trim_end().to_owned());
    lines.push(if answer["ok"].as_bool() == Some(true) { "would run".to_owned() } else { "would not run".to_owned() });
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// Waits for the end of a job.
async fn wait(name: &str, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::default();
    loop {
        let seen = api.get(&job_words::path(name, "")).await?;
        let code = match job_words::state_of(&seen)? {
            JobState::Starting | JobState::Running | JobState::Paused | JobState::Stopping => None,
            JobState::Finished | JobState::Stopped => Some(ExitCode::SUCCESS),
            JobState::Cancelled | JobState::Failed => Some(ExitCode::FAILURE),
        };
        if let Some(code) = code {
            out.result(&seen, job_words::in_a_line);
            return Ok(code);
        }
        out.note_in_place(&progress.line(&seen));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Events a second, from two looks.
#[derive(Default)]
struct Progress {
    events: u64,
    elapsed_ms: u64,
}

impl Progress {
    fn line(&mut self, job: &Value) -> String {
        let number = |name: &str| job[name].as_u64().unwrap_or(0);
        let (events, elapsed_ms) = (number("events_read"), number("elapsed_ms"));
        let rate = (events.saturating_sub(self.events)) * 1000 / elapsed_ms.saturating_sub(self.elapsed_ms).max(1);
        (self.events, self.elapsed_ms) = (events, elapsed_ms);
        format!(
            "{} {}: {events} events in, {} out, {rate} events/s",
            field(job, "job"),
            field(job, "state"),
            number("events_written")
        )
    }
}
