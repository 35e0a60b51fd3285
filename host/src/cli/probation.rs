//! How long a new module may be taken back, and by what: what swaps and canaries are asked for alike.

use clap::Args;
use serde_json::{Value, json};

/// See the module.
#[derive(Debug, Args)]
pub(crate) struct Probation {
    /// All subtasks have switched after this, or none does.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    deadline: String,
    /// Once it has taken over, the old module stays at hand for this time, and comes back if the new one fails.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    probation: String,
    /// And until so many events have come.
    #[arg(long, value_name = "EVENTS", default_value_t = 10_000)]
    probation_events: u64,
    /// The old module comes back if more than this share of the events fails, from 0 to 1: rejected, or given up.
    #[arg(long, value_name = "RATE")]
    max_failure_rate: Option<f64>,
    /// The old module comes back if 99 of 100 calls do not end within this time.
    #[arg(long, value_name = "TIME")]
    max_call_p99: Option<String>,
    /// The old module comes back if 99 of 100 calls take more than so many times as long as with it.
    #[arg(long, value_name = "TIMES")]
    max_slowdown: Option<f64>,
}

impl Probation {
    /// Says it in a request.
    pub(crate) fn tell(&self, body: &mut Value) {
        body["deadline"] = json!(self.deadline);
        body["probation"] = json!({
            "time": self.probation, "events": self.probation_events, "max_failure_rate": self.max_failure_rate,
            "max_call_p99": self.max_call_p99, "max_slowdown": self.max_slowdown,
        });
    }
}

/// Parameters as somebody wrote them, said in a request.
///
/// # Errors
/// If they are not JSON.
pub(crate) fn tell_parameters(parameters: Option<&str>, body: &mut Value) -> anyhow::Result<()> {
    let Some(parameters) = parameters else { return Ok(()) };
    let read: Result<Value, _> = serde_json::from_str(parameters);
    body["parameters"] =
        read.map_err(|error| anyhow::anyhow!("the parameters `{parameters}` are not JSON: {error}"))?;
    Ok(())
}
