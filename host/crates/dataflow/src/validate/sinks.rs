//! What is wrong with sinks.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use gristmill_types::NodeId;

use crate::document::sink::{Encode, HttpSink};
use crate::document::{JobDocument, SinkKind, SourceKind};
use crate::json_path::FixedPath;
use crate::problem::Problem;

/// What a CSV column may hold that is not in the value.
const BESIDE_THE_VALUE: [&str; 2] = ["$key", "$event_time"];

pub(super) fn check(document: &JobDocument, problems: &mut Vec<Problem>) {
    if document.sinks.is_empty() {
        let hint = "add one, such as `out: {inputs: […], to: stdout}`".to_owned();
        problems.push(Problem::error("sinks", "the job has no sinks").hint(hint));
    }
    for (id, spec) in &document.sinks {
        let at = format!("sinks.{id}");
        if spec.inputs.is_empty() {
            let hint = "name the sources and operators whose events it takes".to_owned();
            problems.push(Problem::error(format!("{at}.inputs"), "nothing flows into this sink").hint(hint));
        }
        match &spec.to {
            SinkKind::File(file) => encoding(&format!("{at}.to.file.encode"), &file.encode, problems),
            SinkKind::Stdout(stdout) => encoding(&format!("{at}.to.stdout.encode"), &stdout.encode, problems),
            SinkKind::Http(http) => check_http(&format!("{at}.to.http"), http, problems),
            SinkKind::Blackhole(_) => {}
        }
    }
    files(document, problems);
    stdouts(document, problems);
}

fn encoding(at: &str, encode: &Encode, problems: &mut Vec<Problem>) {
    let Encode::Csv(csv) = encode else { return };
    if csv.columns.is_empty() {
        let hint = "name them with their paths, such as `columns: {id: $.id, at: $event_time}`".to_owned();
        problems.push(Problem::error(format!("{at}.csv.columns"), "the rows have no columns").hint(hint));
    }
    for (name, path) in csv.columns.iter().filter(|(_, path)| !BESIDE_THE_VALUE.contains(&path.as_str())) {
        if let Err(error) = FixedPath::parse(path) {
            let message = format!("`{path}` {}", error.message);
            problems.push(Problem::error(format!("{at}.csv.columns.{name}"), message).hint(error.hint));
        }
    }
}

fn check_http(at: &str, http: &HttpSink, problems: &mut Vec<Problem>) {
    let url = &http.url;
    if !["http://", "https://", "${"].iter().any(|start| url.starts_with(start)) {
        let hint = "write it with its scheme, such as https://example.org/events".to_owned();
        problems.push(Problem::error(format!("{at}.url"), format!("`{url}` is not the URL of a server")).hint(hint));
    }
    if http.batch == 0 {
        let hint = "write 1 or more events, or leave it out".to_owned();
        problems.push(Problem::error(format!("{at}.batch"), "a request without events says nothing").hint(hint));
    }
    if http.timeout.0.is_zero() {
        let hint = "write such as 30s".to_owned();
        problems.push(Problem::error(format!("{at}.timeout"), "no answer comes in no time").hint(hint));
    }
}

/// A file is written by one sink, and not read by a source of the same job.
fn files(document: &JobDocument, problems: &mut Vec<Problem>) {
    let mut written: HashMap<PathBuf, &NodeId> = HashMap::new();
    for (id, spec) in &document.sinks {
        let SinkKind::File(file) = &spec.to else { continue };
        let at = format!("sinks.{id}.to.file.path");
        if file.path.is_empty() {
            let hint = "write a file such as out/rows.jsonl".to_owned();
            problems.push(Problem::error(at, "the path is empty").hint(hint));
            continue;
        }
        let path = plain(&file.path);
        let read = document.sources.iter().find(|(_, source)| match &source.from {
            SourceKind::File(source) => plain(&source.path) == path,
            SourceKind::Http(_) | SourceKind::Generator(_) | SourceKind::Socket(_) => false,
        });
        if let Some((source, _)) = read {
            let message = format!("the source `{source}` reads this file, which would be overwritten");
            problems.push(Problem::error(&at, message).hint("write to another file".to_owned()));
        }
        if let Some(other) = written.insert(path, id) {
            let message = format!("the sink `{other}` writes this file too");
            let hint = format!("give each its own file, or feed `{other}` from both");
            problems.push(Problem::error(at, message).hint(hint));
        }
    }
}

/// Two sinks may write to standard output, but nobody can tell their lines apart.
fn stdouts(document: &JobDocument, problems: &mut Vec<Problem>) {
    let mut sinks = document.sinks.iter().filter(|(_, spec)| matches!(spec.to, SinkKind::Stdout(_))).map(|(id, _)| id);
    let Some(first) = sinks.next() else { return };
    for id in sinks {
        let message = format!("`{first}` writes to standard output too: their lines mix");
        let hint = format!("feed `{first}` from both, or write one of them to a file");
        problems.push(Problem::warning(format!("sinks.{id}.to"), message).hint(hint));
    }
}

/// A path without its `./`, so that two spellings of one file are seen to be the same.
fn plain(path: &str) -> PathBuf {
    Path::new(path).components().filter(|component| *component != Component::CurDir).collect()
}
