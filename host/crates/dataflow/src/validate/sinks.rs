//! What is wrong with sinks.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use gristmill_types::NodeId;

use super::columns::{encoding, place, some};
use crate::document::sink::{HttpSink, PART};
use crate::document::{Encode, FileSink, JobDocument, PostgresSink, SinkKind, SourceKind, StdoutSink, WriteMode};
use crate::names::suggest;
use crate::problem::Problem;
use crate::quantity::Bytes;

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
            SinkKind::File(file) => check_file(&format!("{at}.to.file"), file, problems),
            SinkKind::Postgres(postgres) => check_postgres(&format!("{at}.to.postgres"), postgres, problems),
            SinkKind::Stdout(stdout) => check_stdout(&format!("{at}.to.stdout"), stdout, problems),
            SinkKind::Http(http) => check_http(&format!("{at}.to.http"), http, problems),
            SinkKind::Blackhole(_) => {}
        }
    }
    files(document, problems);
    stdouts(document, problems);
}

fn check_stdout(at: &str, stdout: &StdoutSink, problems: &mut Vec<Problem>) {
    encoding(&format!("{at}.encode"), &stdout.encode, problems);
    if matches!(stdout.encode, Encode::Parquet(_)) {
        let hint = "write them with a `file` sink whose path has `{part}`, such as out/rows-{part}.parquet".to_owned();
        problems.push(Problem::error(format!("{at}.encode"), "parquet is written into files").hint(hint));
    }
}

fn check_file(at: &str, file: &FileSink, problems: &mut Vec<Problem>) {
    encoding(&format!("{at}.encode"), &file.encode, problems);
    let mut wrong = |field: &str, message: &str, hint: &str| {
        problems.push(Problem::error(format!("{at}.{field}"), message).hint(hint.to_owned()));
    };
    let name = file.path.rsplit('/').next().unwrap_or_default();
    if file.path.matches(PART).count() > 1 || (file.has_parts() && !name.contains(PART)) {
        wrong("path", "`{part}` stands once, in the name of the file", "write such as out/rows-{part}.jsonl");
    }
    if matches!(file.encode, Encode::Parquet(_)) && !file.has_parts() {
        let hint = "let every checkpoint write files of its own: put `{part}` into the path, such as \
                    out/rows-{part}.parquet";
        wrong("encode", "nothing can be appended to a parquet file", hint);
    }
    let Some(roll) = file.roll else { return };
    if !file.has_parts() {
        wrong("roll", "there is one file only", "put `{part}` into the path, or leave out `roll`");
    }
    if roll.size == Bytes(0) {
        wrong("roll.size", "every file would be full at once", "write such as 128MiB");
    }
    if roll.every.0.is_zero() {
        wrong("roll.every", "every file would be full at once", "write such as 5m");
    }
}

fn check_postgres(at: &str, postgres: &PostgresSink, problems: &mut Vec<Problem>) {
    let url = &postgres.url;
    if !["postgres://", "postgresql://", "${"].iter().any(|start| url.starts_with(start)) && !url.contains('=') {
        let hint = "write such as postgres://user@host:5432/database".to_owned();
        problems.push(Problem::error(format!("{at}.url"), "this names no database").hint(hint));
    }
    let names: Vec<_> = postgres.table.split('.').collect();
    if names.len() > 2 || names.iter().any(|name| name.is_empty()) {
        let message = format!("`{}` is not the name of a table", postgres.table);
        let hint = "write it as name or schema.name".to_owned();
        problems.push(Problem::error(format!("{at}.table"), message).hint(hint));
    }
    let hint = "name them with their paths, such as `columns: {id: $.id, at: $event_time}`";
    some(&format!("{at}.columns"), postgres.columns.len(), hint, problems);
    for (name, path) in &postgres.columns {
        place(&format!("{at}.columns.{name}"), path, problems);
    }
    let WriteMode::Upsert(keys) = &postgres.mode else { return };
    if keys.is_empty() {
        let hint = "name the columns by which a row is known, such as `{upsert: [id]}`, or write `append`".to_owned();
        problems.push(Problem::error(format!("{at}.mode.upsert"), "no row is known by no columns").hint(hint));
    }
    for (number, key) in keys.iter().enumerate() {
        let at = format!("{at}.mode.upsert[{number}]");
        if !postgres.columns.contains_key(key) {
            let hint = suggest(key, postgres.columns.keys().map(String::as_str));
            problems.push(Problem::error(at, format!("`{key}` is not among the columns")).hint(hint));
        } else if keys[..number].contains(key) {
            problems.push(Problem::error(at, format!("`{key}` is named twice")).hint("name it once".to_owned()));
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

/// A path without its `./` and `name/..`, so that two spellings of one file are seen to be the same. Links are not followed:
/// the folders need not be there yet, or not on this machine.
fn plain(path: &str) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in Path::new(path).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir if matches!(plain.components().next_back(), Some(Component::Normal(_))) => {
                plain.pop();
            }
            Component::ParentDir if plain.has_root() => {}
            Component::ParentDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                plain.push(component);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_file_has_one_plain_path() {
        for (path, wanted) in [
            ("a", "a"),
            ("./a", "a"),
            ("b/../a", "a"),
            ("b/./c/../../a", "a"),
            ("../a", "../a"),
            ("b/../../a", "../a"),
            ("../../a", "../../a"),
            ("/../a", "/a"),
            ("/b/../a", "/a"),
            ("a/b", "a/b"),
        ] {
            assert_eq!(plain(path), Path::new(wanted), "{path}");
        }
    }
}
