//! `job submit`: uploads the modules that the document names by path, then the document.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use gristmill_dataflow::document::ModuleSource;
use gristmill_dataflow::{JobDocument, Problem, locate, validate_offline};
use gristmill_ports::catalog::JobState;
use gristmill_types::{JobId, ModuleHash};
use reqwest::Method;
use serde_json::Value;

use super::api::{Api, Refused, problem_line};
use super::output::{Output, field, number};
use super::savepoint_words::fits;
use super::{job_words, module};
use crate::local::{BadJob, base_of, read_document, unreadable_module};
use crate::words::{counted, entries};

/// How often a job that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(300);

/// What `job submit` is told.
#[derive(clap::Args)]
pub(crate) struct SubmitOptions {
    /// The job document, YAML or JSON; `-` reads standard input.
    file: std::path::PathBuf,
    /// Only says what would become of it. Modules given by path are uploaded nevertheless and stay on the host, which looks
    /// at no others; `gristmill module delete` forgets them.
    #[arg(long)]
    dry_run: bool,
    /// Begins from this savepoint, whichever job it was taken of.
    #[arg(long, value_name = "JOB/NAME")]
    savepoint: Option<String>,
    /// What of the savepoint may go: a node, or a state as `node.state`. May be given more than once.
    #[arg(long, value_name = "NAME", requires = "savepoint")]
    drop: Vec<String>,
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
    upload_files(&mut document, &options.file, &text, api, out).await?;
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(options.dry_run.then_some(("dry_run", "true")))
        .extend_pairs(options.savepoint.iter().map(|savepoint| ("savepoint", savepoint)))
        .extend_pairs(options.drop.iter().map(|name| ("drop", name)))
        .finish();
    let request = api.request(Method::POST, &format!("/v1/jobs?{query}")).json(&document);
    let mut answer = api.json(request).await.map_err(|error| in_file(error, &options.file, &text))?;
    place_all(&mut answer["problems"], &text);
    place_all(&mut answer["warnings"], &text);
    if options.dry_run {
        out.result(&answer, |answer| dry_run_in_words(answer, &options.file))?;
        let ok = answer["ok"].as_bool().unwrap_or(false);
        return Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(super::NOT_STARTED) });
    }
    let job = &document.job;
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        out.note(&format!("{file}: warning: {}", problem_line(warning)));
    }
    if options.wait {
        return wait(job, api, out).await;
    }
    out.result(&answer, |answer| {
        format!("job {job} is {}\n{}", field(answer, "state"), field(answer, "rendering").trim_end())
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Uploads modules given by path and names them by their hash from then on.
async fn upload_files(
    document: &mut JobDocument,
    file: &Path,
    text: &str,
    api: &Api,
    out: &Output,
) -> anyhow::Result<()> {
    let base = base_of(file);
    for (id, operator) in &mut document.operators {
        let ModuleSource::File(path) = &operator.module else { continue };
        let on_disk = base.join(path);
        if let Err(error) = std::fs::File::open(&on_disk) {
            return Err(BadJob::new(file, text, vec![unreadable_module(id, path, &base, &error)]).into());
        }
        let answer = module::push(api, &on_disk, None, false).await?;
        let hash: ModuleHash = field(&answer, "hash").parse()?;
        let stays = if field(&answer, "outcome") == "created" { ", uploaded now; it stays on the host" } else { "" };
        out.note(&format!("{id}: {path} is module {hash}{stays}"));
        operator.module = ModuleSource::Hash(hash);
    }
    Ok(())
}

/// The host saw the document as JSON; its findings get the file of the author and the places of the author's text.
fn in_file(error: anyhow::Error, file: &Path, text: &str) -> anyhow::Error {
    match error.downcast::<Refused>() {
        Ok(Refused { status, mut problem }) => {
            if problem["problems"].is_array() {
                place_all(&mut problem["problems"], text);
                problem["detail"] = format!("{} cannot run as written", file.display()).into();
                // With one finding only, the hint is that of the finding.
                problem.as_object_mut().map(|problem| problem.remove("hint"));
            }
            Refused { status, problem }.into()
        }
        Err(other) => other,
    }
}

fn place_all(findings: &mut Value, text: &str) {
    for finding in findings.as_array_mut().into_iter().flatten() {
        let position = finding["at"].as_str().and_then(|at| locate(text, at));
        finding["line"] = position.map_or(Value::Null, |position| position.line.into());
        finding["column"] = position.map_or(Value::Null, |position| position.column.into());
    }
}

fn dry_run_in_words(answer: &Value, file: &Path) -> String {
    let mut lines = Vec::new();
    for finding in answer["problems"].as_array().into_iter().flatten() {
        lines.push(format!("{}: {}", file.display(), problem_line(finding)));
    }
    for operator in answer["operators"].as_array().into_iter().flatten() {
        lines.push(format!(
            "{}: module {}, parameters {}",
            field(operator, "operator"),
            field(operator, "module"),
            operator["parameters"]
        ));
    }
    lines.extend(fits(&answer["savepoint"]));
    for (operator, tried) in answer["migration"].as_object().into_iter().flatten() {
        let (keys, entries) = (counted(number(tried, "keys"), "key"), entries(number(tried, "entries")));
        lines.push(format!("{operator}: `migrate` was tried on {keys}, {entries}"));
    }
    lines.push(field(answer, "rendering").trim_end().to_owned());
    lines.push(if answer["ok"].as_bool() == Some(true) { "would run".to_owned() } else { "would not run".to_owned() });
    lines.retain(|line| !line.is_empty());
    lines.join("\n")
}

/// Waits for the end of a job.
async fn wait(name: &JobId, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::default();
    loop {
        let seen = api.get(&job_words::path(name, "")).await?;
        let code = match job_words::state_of(&seen)? {
            JobState::Starting | JobState::Running | JobState::Restarting | JobState::Paused | JobState::Stopping => {
                None
            }
            JobState::Finished | JobState::Stopped => Some(ExitCode::SUCCESS),
            JobState::Cancelled | JobState::Failed => Some(ExitCode::FAILURE),
        };
        if let Some(code) = code {
            out.result(&seen, job_words::in_a_line)?;
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
        let (events, elapsed_ms) = (number(job, "events_read"), number(job, "elapsed_ms"));
        let rate = (events.saturating_sub(self.events)) * 1000 / elapsed_ms.saturating_sub(self.elapsed_ms).max(1);
        (self.events, self.elapsed_ms) = (events, elapsed_ms);
        format!(
            "{} {}: {} in, {} out, {rate} events/s",
            field(job, "job"),
            field(job, "state"),
            counted(events, "event"),
            number(job, "events_written")
        )
    }
}
