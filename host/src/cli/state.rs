//! `gristmill state …`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gristmill_types::{JobId, NodeId};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::job_words::path;
use super::operation;
use super::output::Output;
use super::savepoint::{DiffOptions, diff};
use super::state_words::{counted, found, listed, scanned};

/// Looks at the state of running operators, and mends it.
#[derive(Subcommand)]
pub(crate) enum StateCommand {
    /// Lists the states of an operator.
    List {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
    },
    /// Shows what a key has at this moment.
    Get {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        key: Key,
        /// Begins where an earlier page ended.
        #[arg(long, value_name = "NEXT")]
        after: Option<String>,
        /// Shows at most so many entries.
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Shows all of a state, as the newest checkpoint has it.
    Scan {
        #[command(flatten)]
        of: Of,
        /// Begins where an earlier page ended.
        #[arg(long, value_name = "NEXT")]
        after: Option<String>,
        /// Shows at most so many entries.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Has a checkpoint made first.
        #[arg(long, conflicts_with = "checkpoint")]
        fresh: bool,
        /// Reads this checkpoint: that of the page before.
        #[arg(long, value_name = "NUMBER")]
        checkpoint: Option<u64>,
    },
    /// Counts the entries of a state, as the newest checkpoint has it.
    Count {
        #[command(flatten)]
        of: Of,
        /// Has a checkpoint made first.
        #[arg(long)]
        fresh: bool,
    },
    /// Says how the state in one savepoint or checkpoint differs from that in another.
    Diff(DiffOptions),
    /// Puts a value, an entry of a map, or the items of a list. Waits until a checkpoint has it.
    Set {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        key: Key,
        #[command(flatten)]
        value: NewValue,
    },
    /// Deletes what a key has, or one entry of its map. Waits until a checkpoint has it.
    Delete {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        key: Key,
    },
}

/// Which state.
#[derive(Args)]
pub(crate) struct Of {
    /// The job.
    job: JobId,
    /// The operator.
    operator: NodeId,
    /// The state.
    state: String,
}

/// Whose state.
#[derive(Args)]
pub(crate) struct Key {
    /// The key: a text, or JSON where the input is keyed by something else.
    #[arg(long, required_unless_present = "key_base64", conflicts_with = "key_base64")]
    key: Option<String>,
    /// The key's bytes, in base64.
    #[arg(long, value_name = "BASE64")]
    key_base64: Option<String>,
    /// Of a map: the name of an entry.
    #[arg(long, conflicts_with = "name_base64")]
    name: Option<String>,
    /// The name's bytes, in base64.
    #[arg(long, value_name = "BASE64")]
    name_base64: Option<String>,
}

/// What is to be there.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NewValue {
    /// The value, as JSON; what is none is taken for a text.
    #[arg(long, allow_hyphen_values = true)]
    value: Option<String>,
    /// The value's bytes, in base64.
    #[arg(long, value_name = "BASE64")]
    value_base64: Option<String>,
    /// All items of a list, as a JSON array.
    #[arg(long, value_name = "JSON")]
    values: Option<String>,
}

pub(crate) async fn perform(command: StateCommand, api: &Api, out: &Output) -> anyhow::Result<ExitCode> {
    match command {
        StateCommand::List { job, operator } => {
            out.result(&api.get(&path(&job, &format!("/operators/{operator}/states"))).await?, listed)?;
        }
        StateCommand::Get { of, key, after, limit } => {
            let page = [("after", after), ("limit", Some(limit.to_string()))];
            out.result(&api.get(&of.place("", key.pairs().into_iter().chain(page))).await?, found)?;
        }
        StateCommand::Scan { of, after, limit, fresh, checkpoint } => {
            let query = [
                ("after", after),
                ("limit", Some(limit.to_string())),
                ("fresh", fresh.then(|| "true".to_owned())),
                ("checkpoint", checkpoint.map(|number| number.to_string())),
            ];
            out.result(&api.get(&of.place("", query)).await?, scanned)?;
        }
        StateCommand::Count { of, fresh } => {
            let query = [("fresh", fresh.then(|| "true".to_owned()))];
            out.result(&api.get(&of.place("/count", query)).await?, counted)?;
        }
        StateCommand::Diff(options) => diff(options, api, out).await?,
        StateCommand::Set { of, key, value } => {
            let request = api.request(Method::PUT, &of.place("", key.pairs())).json(&value.body()?);
            return operation::report(api.json(request).await?, true, api, out).await;
        }
        StateCommand::Delete { of, key } => {
            let begun = api.delete(&of.place("", key.pairs())).await?;
            return operation::report(begun, true, api, out).await;
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Of {
    fn place(&self, rest: &str, query: impl IntoIterator<Item = (&'static str, Option<String>)>) -> String {
        let Self { job, operator, state } = self;
        let state = url::form_urlencoded::byte_serialize(state.as_bytes()).collect::<String>().replace('+', "%20");
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(query.into_iter().filter_map(|(name, value)| Some((name, value?))))
            .finish();
        format!("{}?{query}", path(job, &format!("/operators/{operator}/state/{state}{rest}")))
    }
}

impl Key {
    fn pairs(self) -> [(&'static str, Option<String>); 4] {
        let Self { key, key_base64, name, name_base64 } = self;
        [("key", key), ("key_base64", key_base64), ("name", name), ("name_base64", name_base64)]
    }
}

impl NewValue {
    fn body(&self) -> anyhow::Result<Value> {
        Ok(match self {
            Self { value: Some(text), .. } => {
                // Whoever means a text writes it without quotes, as a shell leaves it.
                json!({"value": serde_json::from_str(text).unwrap_or_else(|_| json!(text))})
            }
            Self { value_base64: Some(base64), .. } => json!({"value_base64": base64}),
            Self { values, .. } => {
                let text = values.as_deref().unwrap_or_default();
                let items: Vec<Value> = serde_json::from_str(text)
                    .map_err(|error| anyhow::anyhow!("the items `{text}` are no JSON array: {error}"))?;
                json!({"values": items})
            }
        })
    }
}
