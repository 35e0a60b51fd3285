//! `gristmill operator shadow…`

use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use clap::Subcommand;
use gristmill_types::{JobId, NodeId};
use indicatif::HumanCount;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::job_words::{path, payload};
use super::operation;
use super::output::{Output, field, number};

/// How often a shadow is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Differences that people are shown; the JSON has all samples.
const SHOWN: usize = 5;

/// Lets another module run beside an operator: what it would do is told, and nothing of it leaves.
#[derive(Subcommand)]
pub(crate) enum ShadowCommand {
    /// Lets another module run beside an operator, on a copy of its state, and tells what it would do.
    Shadow {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// The module: `name@version`, or a hash.
        module: String,
        /// Its parameters as JSON; left out, they are those of the operator.
        #[arg(long, value_name = "JSON")]
        parameters: Option<String>,
        /// So much may wait for it; one that falls further behind is over.
        #[arg(long, value_name = "BYTES")]
        room: Option<String>,
        /// Differences that are kept as samples.
        #[arg(long, value_name = "SAMPLES")]
        samples: Option<usize>,
        /// Waits until so many events were laid side by side, or failed in it, or it is over.
        #[arg(long, value_name = "EVENTS")]
        wait_events: Option<u64>,
    },
    /// Tells what a shadow has found so far.
    ShadowReport {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
    },
    /// Swaps an operator to the module of its shadow.
    ShadowPromote {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// All subtasks have switched after this, or none does.
        #[arg(long, value_name = "TIME", default_value = "30s")]
        deadline: String,
        /// The old module stays at hand for this time, and comes back if the new one fails.
        #[arg(long, value_name = "TIME", default_value = "60s")]
        probation: String,
        /// And until so many events have come.
        #[arg(long, value_name = "EVENTS", default_value_t = 10_000)]
        probation_events: u64,
        /// Waits until it is known which module runs.
        #[arg(long)]
        wait: bool,
    },
    /// Ends a shadow; its report stays.
    ShadowDiscard {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
    },
}

pub(crate) async fn perform(command: ShadowCommand, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    let report = match command {
        ShadowCommand::Shadow { job, operator, module, parameters, room, samples, wait_events } => {
            let place = path(&job, &format!("/operators/{operator}/shadow"));
            let mut body = json!({"module": module});
            if let Some(parameters) = parameters {
                let read: Result<Value, _> = serde_json::from_str(&parameters);
                body["parameters"] =
                    read.map_err(|error| anyhow::anyhow!("the parameters `{parameters}` are not JSON: {error}"))?;
            }
            for (name, value) in [("room", room.map(Value::from)), ("samples", samples.map(Value::from))] {
                if let Some(value) = value {
                    body[name] = value;
                }
            }
            let begun = api.json(api.request(Method::POST, &place).json(&body)).await?;
            match wait_events {
                Some(events) => until(api, &place, begun, events).await?,
                None => begun,
            }
        }
        ShadowCommand::ShadowReport { job, operator } => {
            api.get(&path(&job, &format!("/operators/{operator}/shadow"))).await?
        }
        ShadowCommand::ShadowDiscard { job, operator } => {
            api.delete(&path(&job, &format!("/operators/{operator}/shadow"))).await?
        }
        ShadowCommand::ShadowPromote { job, operator, deadline, probation, probation_events, wait } => {
            let place = path(&job, &format!("/operators/{operator}/shadow/promote"));
            let body = json!({"deadline": deadline, "probation": {"time": probation, "events": probation_events}});
            let begun = api.json(api.request(Method::POST, &place).json(&body)).await?;
            return operation::report(begun, wait, api, out).await;
        }
    };
    out.result(&report, in_words)?;
    Ok(ExitCode::SUCCESS)
}

async fn until(api: &Api, place: &str, begun: Value, events: u64) -> anyhow::Result<Value> {
    let mut report = begun;
    while field(&report, "stage") != "over" && number(&report, "events") + number(&report, "failed_events") < events {
        tokio::time::sleep(LOOK_EVERY).await;
        report = api.get(place).await?;
    }
    Ok(report)
}

fn in_words(report: &Value) -> String {
    let count = |name| HumanCount(number(report, name));
    let mut lines = vec![format!(
        "shadow {}: module {} beside {}",
        field(report, "stage"),
        field(report, "shadow"),
        field(report, "primary")
    )];
    if !report["cause"].is_null() {
        lines.push(format!("  {}", field(report, "cause")));
    }
    lines.push(format!(
        "  {} events in {} calls; of {} that left the operator: differing: {}, missing: {}, extra: {}",
        count("events"),
        count("calls"),
        count("compared"),
        number(report, "differing"),
        number(report, "missing"),
        number(report, "extra"),
    ));
    if number(report, "rejections_differing") > 0 {
        lines.push(format!("  {} events were refused by one of both", count("rejections_differing")));
    }
    for failure in report["failures"].as_array().into_iter().flatten() {
        let calls = HumanCount(number(failure, "calls"));
        lines.push(format!("  {}: {calls} calls, the first: {}", field(failure, "kind"), field(failure, "message")));
    }
    if let (Some(primary), Some(shadow)) =
        (report["primary_ns_per_event"].as_f64(), report["shadow_ns_per_event"].as_f64())
    {
        let memory = number(report, "memory_bytes") + number(report, "state_bytes");
        lines.push(format!(
            "  {shadow:.0} ns an event, {primary:.0} ns in the operator; {} of memory",
            ByteSize(memory)
        ));
    }
    let samples = report["samples"].as_array().into_iter().flatten();
    lines.extend(samples.take(SHOWN).map(|sample| {
        let (input, primary, shadow) = (&sample["input"], &sample["primary"], &sample["shadow"]);
        format!("  {} gives {}, and in the shadow {}", event(input), event(primary), event(shadow))
    }));
    lines.join("\n")
}

/// An event in short: its key if it has one, and its value.
fn event(event: &Value) -> String {
    match (&event["key"], &event["value"]) {
        _ if event.is_null() => "nothing".to_owned(),
        (Value::Null, value) => format!("`{}`", payload(value)),
        (key, value) => format!("`{}: {}`", payload(key), payload(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_told_in_words() {
        let report = json!({
            "stage": "over", "cause": "somebody discarded it", "shadow": "n", "primary": "o",
            "events": 3000, "calls": 7, "compared": 2999, "differing": 1000, "missing": 1, "extra": 0,
            "rejections_differing": 0, "failures": [{"kind": "trap", "calls": 2, "message": "trap: unreachable"}],
            "primary_ns_per_event": 100.0, "shadow_ns_per_event": 151.6, "memory_bytes": 1024, "state_bytes": 1024,
            "samples": [
                {"input": {"key": {"text": "a"}, "value": {"text": "x"}}, "primary": {"key": null, "value": {"text": "1"}},
                 "shadow": null},
            ],
        });
        assert_eq!(
            in_words(&report),
            "shadow over: module n beside o\n  somebody discarded it\n  3,000 events in 7 calls; of 2,999 that left the \
             operator: differing: 1000, missing: 1, extra: 0\n  trap: 2 calls, the first: trap: unreachable\n  152 ns an event, \
             100 ns in the operator; 2.0 KiB of memory\n  `a: x` gives `1`, and in the shadow nothing"
        );
    }
}
