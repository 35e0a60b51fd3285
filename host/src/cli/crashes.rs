//! Crash bundles of a job: listed, fetched, deleted.

use std::path::PathBuf;

use anyhow::Context;
use bytesize::ByteSize;
use gristmill_types::JobId;
use reqwest::Method;
use serde_json::{Value, json};

use super::api::Api;
use super::job_words::path;
use super::output::{Output, field, number, table};

pub(super) fn listed(answer: &Value) -> String {
    let row = |one: &Value| {
        let call = &one["call"];
        let what = match one["damaged"].as_str() {
            Some(why) => format!("damaged: {why}"),
            None => format!("{}: {}", field(call, "kind"), field(call, "message")),
        };
        let bytes = ByteSize(number(one, "bytes")).to_string();
        let cells = ["at", "subtask", "events", "entries"].map(|column| field(call, column));
        [&[field(one, "name")], &cells[..], &[bytes, what]].concat()
    };
    let rows: Vec<_> = answer["crashes"].as_array().into_iter().flatten().map(row).collect();
    table(&["NAME", "AT", "SUBTASK", "EVENTS", "ENTRIES", "BYTES", "FAULT"], &rows)
}

pub(super) async fn fetch(
    job: &JobId,
    name: &str,
    output: Option<PathBuf>,
    api: &Api,
    out: &Output,
) -> anyhow::Result<()> {
    let request = api.request(Method::GET, &place(job, name));
    let bundle = api.send(request).await?.bytes().await.context("reading the host's answer")?;
    let file = output.unwrap_or_else(|| PathBuf::from(format!("{name}.crash")));
    std::fs::write(&file, &bundle).with_context(|| format!("writing `{}`", file.display()))?;
    let told = json!({"file": file.display().to_string(), "bytes": bundle.len()});
    out.result(&told, |_| format!("{}; `gristmill replay {}` makes the call again", file.display(), file.display()))?;
    Ok(())
}

pub(super) async fn delete(job: &JobId, name: &str, api: &Api, out: &Output) -> anyhow::Result<()> {
    let answer = api.delete(&place(job, name)).await?;
    Ok(out.result(&answer, |_| format!("crash bundle {name} is deleted"))?)
}

/// The name as one part of a path, whatever is in it.
fn place(job: &JobId, name: &str) -> String {
    let name = url::form_urlencoded::byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20");
    path(job, &format!("/crashes/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bundles_are_listed_with_their_faults_and_what_is_damaged() {
        let call = json!({"at": "T", "subtask": 0, "events": 1, "entries": 2, "kind": "trap", "message": "it gave up"});
        let told = listed(&json!({"crashes": [
            {"name": "a", "bytes": 900, "call": call, "damaged": null},
            {"name": "b", "bytes": 9, "call": null, "damaged": "cut off"},
        ]}));
        let lines: Vec<&str> = told.lines().collect();
        assert!(lines[1].starts_with("a") && lines[1].ends_with("trap: it gave up"), "{told}");
        assert!(lines[2].starts_with("b") && lines[2].ends_with("damaged: cut off"), "{told}");
    }
}
