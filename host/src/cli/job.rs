//! `gristmill job …`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::output::{Output, field, table};
use super::submit::{SubmitOptions, submit};
use super::{check, operation};

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
        job: String,
    },
    /// Holds the job's sources still.
    Pause {
        /// The job.
        job: String,
    },
    /// Lets the job's sources go on.
    Resume {
        /// The job.
        job: String,
    },
    /// Ends the job's sources; what is inside flows out.
    Stop {
        /// The job.
        job: String,
        /// Waits until it has stopped.
        #[arg(long)]
        wait: bool,
    },
    /// Ends the job at once; what is inside is dropped.
    Cancel {
        /// The job.
        job: String,
    },
    /// Forgets a job that is over, with its dead letters.
    Delete {
        /// The job.
        job: String,
    },
    /// Prints what the job's guests log.
    Logs {
        /// The job.
        job: String,
        /// Goes on with what happens from now on, changes of state included.
        #[arg(long, short)]
        follow: bool,
    },
    /// Prints a live sample of what leaves an operator.
    Tap {
        /// The job.
        job: String,
        /// The source or operator.
        operator: String,
        /// Its output port, by name; default: the first.
        #[arg(long)]
        port: Option<String>,
        /// Ends after so many events.
        #[arg(long, short = 'n', value_name = "EVENTS")]
        limit: Option<u64>,
    },
    /// Prints events that could not be processed, with the reasons.
    DeadLetters {
        /// The job.
        job: String,
        /// Puts them back in front of the operators that refused them.
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
        JobCommand::List => out.result(&api.get("/v1/jobs").await?, listed),
        JobCommand::Inspect { job } => out.result(&api.get(&path(&job, "")).await?, inspected),
        JobCommand::Pause { job } => out.result(&api.post(&path(&job, "/pause")).await?, in_a_line),
        JobCommand::Resume { job } => out.result(&api.post(&path(&job, "/resume")).await?, in_a_line),
        JobCommand::Cancel { job } => out.result(&api.post(&path(&job, "/cancel")).await?, in_a_line),
        JobCommand::Stop { job, wait } => {
            let begun = api.post(&path(&job, "/stop")).await?;
            return operation::report(begun, wait, api, out).await;
        }
        JobCommand::Delete { job } => {
            out.result(&api.delete(&path(&job, "")).await?, |_| format!("job {job} is forgotten"));
        }
        JobCommand::Logs { job, follow } => logs(&job, follow, api, out).await?,
        JobCommand::Tap { job, operator, port, limit } => tap(&job, &operator, port, limit, api, out).await?,
        JobCommand::DeadLetters { job, replay: true, .. } => {
            let request = api.request(Method::POST, &path(&job, "/dead-letters/replay")).json(&json!({"all": true}));
            return operation::report(api.json(request).await?, true, api, out).await;
        }
        JobCommand::DeadLetters { job, replay: false, from, limit } => {
            let answer = api.get(&path(&job, &format!("/dead-letters?from={from}&limit={limit}"))).await?;
            out.result(&answer, letters);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn path(job: &str, rest: &str) -> String {
    format!("/v1/jobs/{job}{rest}")
}

async fn logs(job: &str, follow: bool, api: &Api, out: &Output) -> anyhow::Result<()> {
    if follow {
        return api
            .follow(&path(job, "/events"), |event| {
                out.item(&event, event_in_words);
                true
            })
            .await;
    }
    let answer = api.get(&path(job, "/logs")).await?;
    out.result(&answer, |answer| {
        let line = |line: &Value| {
            format!(
                "{} {:5} [{}] {}",
                field(line, "at"),
                field(line, "level"),
                field(line, "operator"),
                field(line, "message")
            )
        };
        answer["lines"].as_array().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

fn event_in_words(event: &Value) -> String {
    let operator = field(event, "operator");
    let place = if operator.is_empty() { String::new() } else { format!("[{operator}] ") };
    let kind = field(event, "kind");
    let what = match kind.as_str() {
        "state" => format!("{} {}", field(event, "state"), field(event, "cause")),
        "log" => format!("{}: {}", field(event, "level"), field(event, "message")),
        "dead-letters" => format!("{} dead letters: {}", field(event, "count"), field(event, "reason")),
        "call-failed" => format!("{}; {}", field(event, "message"), field(event, "reaction")),
        "log-dropped" => format!("{} log lines dropped", field(event, "lines")),
        _ => format!("{kind} {}", field(event, "message")),
    };
    format!("{place}{}", what.trim_end())
}

async fn tap(
    job: &str,
    operator: &str,
    port: Option<String>,
    limit: Option<u64>,
    api: &Api,
    out: &Output,
) -> anyhow::Result<()> {
    let port = port.map(|port| format!("?port={port}")).unwrap_or_default();
    let mut seen = 0;
    api.follow(&path(job, &format!("/operators/{operator}/tap{port}")), |event| {
        out.item(&event, |event| {
            format!("{} {} {}", field(event, "timestamp"), payload(&event["key"]), payload(&event["value"]))
        });
        seen += 1;
        limit.is_none_or(|limit| seen < limit)
    })
    .await
}

/// Bytes as the API gives them: text, or base64 where they are none.
fn payload(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Object(_) => value["text"].as_str().or(value["base64"].as_str()).unwrap_or_default().to_owned(),
        _ => value.as_str().unwrap_or_default().to_owned(),
    }
}

fn letters(answer: &Value) -> String {
    let letter = |letter: &Value| {
        let origin = field(letter, "origin");
        let place = if origin.is_empty() {
            field(letter, "operator")
        } else {
            format!("{} {origin}", field(letter, "operator"))
        };
        let replayed = if letter["replayed"].as_bool() == Some(true) { " (replayed)" } else { "" };
        format!(
            "#{}{replayed} {place}: {}: {}\n  key {} value {}",
            field(letter, "number"),
            field(letter, "kind"),
            field(letter, "message"),
            payload(&letter["key"]),
            payload(&letter["value"]),
        )
    };
    let mut lines: Vec<String> = answer["letters"].as_array().into_iter().flatten().map(letter).collect();
    lines.push(format!("{} in all", field(answer, "count")));
    lines.join("\n")
}

/// A job in a line.
pub(super) fn in_a_line(job: &Value) -> String {
    let mut line = format!(
        "job {} is {}: {} events in, {} out, {} dead letters, {} ms",
        field(job, "job"),
        field(job, "state"),
        field(job, "events_read"),
        field(job, "events_written"),
        field(job, "dead_letters"),
        field(job, "elapsed_ms"),
    );
    let cause = field(job, "cause");
    if !cause.is_empty() {
        line.push_str(&format!("\ncause: {cause}"));
    }
    line
}

fn listed(answer: &Value) -> String {
    let columns = ["job", "state", "events_read", "events_written", "dead_letters", "elapsed_ms"];
    let row = |job: &Value| columns.map(|column| field(job, column)).to_vec();
    let rows: Vec<_> = answer["jobs"].as_array().into_iter().flatten().map(row).collect();
    table(&["JOB", "STATE", "IN", "OUT", "DEAD LETTERS", "MS"], &rows)
}

fn inspected(job: &Value) -> String {
    let row = |node: &Value| {
        let total = &node["total"];
        let out: u64 = total["events_out"].as_array().into_iter().flatten().filter_map(Value::as_u64).sum();
        let mut cells = vec![field(node, "id"), field(node, "kind"), field(total, "events_in"), out.to_string()];
        cells.extend(
            ["calls", "faults", "dead_letters", "busy_ms", "blocked_ms", "state_keys"].map(|name| field(total, name)),
        );
        cells
    };
    let rows: Vec<_> = job["report"]["nodes"].as_array().into_iter().flatten().map(row).collect();
    let header = ["NODE", "KIND", "IN", "OUT", "CALLS", "FAULTS", "DEAD LETTERS", "BUSY MS", "BLOCKED MS", "KEYS"];
    format!("{}\n{}\n{}", in_a_line(job), field(job, "rendering").trim_end(), table(&header, &rows))
}
