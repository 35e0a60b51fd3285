//! `gristmill operator canary…`

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use gristmill_types::{JobId, NodeId};
use indicatif::HumanCount;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::job_words::path;
use super::operation;
use super::output::{Output, field, number};
use super::probation::{Probation, tell_parameters};

/// How often a canary is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Lets another module serve some keys of an operator for real, then more of them, then all, or none.
#[derive(Subcommand)]
pub(crate) enum CanaryCommand {
    /// Lets another module serve a share of an operator's keys, on the state that is there.
    Canary {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// The module: `name@version`, or a hash.
        module: String,
        /// How many of a hundred key groups it serves at first.
        #[arg(long, value_name = "PERCENT", default_value_t = 5)]
        share: u32,
        /// Its parameters as JSON; left out, they are those of the operator.
        #[arg(long, value_name = "JSON")]
        parameters: Option<String>,
        #[command(flatten)]
        probation: Probation,
        /// A swap or canary that is not over makes room.
        #[arg(long)]
        supersede: bool,
        /// Waits until it serves, or is withdrawn.
        #[arg(long)]
        wait: bool,
    },
    /// Tells what a canary came to so far.
    CanaryReport {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
    },
    /// Lets a canary serve more keys.
    CanaryWiden {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// How many of a hundred key groups; with 100 its module takes over.
        #[arg(long, value_name = "PERCENT")]
        share: u32,
        /// Waits until it does, or is withdrawn.
        #[arg(long)]
        wait: bool,
    },
    /// Lets the module of a canary take the operator over.
    CanaryPromote {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// Waits until it has, and its probation is over.
        #[arg(long)]
        wait: bool,
    },
    /// Lets the operator's own module serve all keys again.
    CanaryWithdraw {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// Waits until a checkpoint says so.
        #[arg(long)]
        wait: bool,
    },
}

pub(crate) async fn perform(command: CanaryCommand, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let at = |job: &JobId, operator: &NodeId| path(job, &format!("/operators/{operator}/canary"));
    match command {
        CanaryCommand::Canary { job, operator, module, share, parameters, probation, supersede, wait } => {
            let mut body = json!({"module": module, "share": share, "supersede": supersede});
            probation.tell(&mut body);
            tell_parameters(parameters.as_deref(), &mut body)?;
            let place = at(&job, &operator);
            let begun = api.json(api.request(Method::POST, &place).json(&body)).await?;
            if wait { serves(api, &place, share, out).await } else { operation::report(begun, false, api, out).await }
        }
        CanaryCommand::CanaryReport { job, operator } => {
            out.result(&api.get(&at(&job, &operator)).await?, in_words)?;
            Ok(ExitCode::SUCCESS)
        }
        CanaryCommand::CanaryWiden { job, operator, share, wait } => {
            let place = at(&job, &operator);
            let request = api.request(Method::POST, &format!("{place}/widen")).json(&json!({"share": share}));
            let report = api.json(request).await?;
            if wait { serves(api, &place, share, out).await } else { told(&report, out) }
        }
        CanaryCommand::CanaryPromote { job, operator, wait } => {
            let place = at(&job, &operator);
            let report = api.post(&format!("{place}/promote")).await?;
            if wait { told(&until(api, &place, is_over).await?, out) } else { told(&report, out) }
        }
        CanaryCommand::CanaryWithdraw { job, operator, wait } => {
            let begun = api.delete(&at(&job, &operator)).await?;
            operation::report(begun, wait, api, out).await
        }
    }
}

/// Waits until a canary serves so much, or is over.
async fn serves(api: &Api, place: &str, share: u32, out: &Output) -> anyhow::Result<ExitCode> {
    let is_there = |report: &Value| number(report, "share") == u64::from(share) && field(report, "stage") == "canary";
    told(&until(api, place, |report| is_there(report) || is_over(report)).await?, out)
}

async fn until(api: &Api, place: &str, reached: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    loop {
        let report = api.get(place).await?;
        if reached(&report) {
            return Ok(report);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn is_over(report: &Value) -> bool {
    ["done", "undone"].contains(&field(report, "stage").as_str())
}

fn told(report: &Value, out: &Output) -> anyhow::Result<ExitCode> {
    out.result(report, in_words)?;
    Ok(if field(report, "stage") == "undone" { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn in_words(report: &Value) -> String {
    let mut lines = vec![format!(
        "{}: module {} serves {} % ({} of {} key groups) beside {}",
        field(report, "stage"),
        field(report, "canary"),
        number(report, "share"),
        number(report, "key_groups"),
        number(report, "max_parallelism"),
        field(report, "primary"),
    )];
    if !report["cause"].is_null() {
        lines.push(format!("  {}", field(report, "cause")));
    }
    lines.extend([("canary_served", "canary"), ("primary_served", "primary")].map(|(name, who)| {
        let served = &report[name];
        format!(
            "  {who}: {} events, {} of them failed; {} calls, {} of them failed, half within {} us, 99 of 100 within {} us",
            HumanCount(number(served, "events")),
            HumanCount(number(served, "failed")),
            HumanCount(number(served, "calls")),
            HumanCount(number(served, "failed_calls")),
            number(served, "call_p50_us"),
            number(served, "call_p99_us"),
        )
    }));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_told_in_words() {
        let served = |events: u64| json!({"events": events, "failed": 1, "calls": 9, "failed_calls": 2, "call_p50_us": 3, "call_p99_us": 4});
        let report = json!({
            "stage": "undone", "cause": "it trapped", "canary": "n", "primary": "o", "share": 5, "key_groups": 7,
            "max_parallelism": 128, "canary_served": served(1000), "primary_served": served(20_000),
        });
        assert_eq!(
            in_words(&report),
            "undone: module n serves 5 % (7 of 128 key groups) beside o\n  it trapped\n  canary: 1,000 events, 1 of them failed; \
             9 calls, 2 of them failed, half within 3 us, 99 of 100 within 4 us\n  primary: 20,000 events, 1 of them failed; 9 \
             calls, 2 of them failed, half within 3 us, 99 of 100 within 4 us"
        );
    }
}
