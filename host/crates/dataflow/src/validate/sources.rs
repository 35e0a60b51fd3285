//! What is wrong with sources.

use std::collections::HashSet;

use gristmill_types::NodeId;

use crate::document::source::{CsvDecode, FileSource, GeneratedValues, GeneratorSource, SocketSource};
use crate::document::{Decode, JobDocument, SourceKind, SourceSpec, Start};
use crate::json_path::FixedPath;
use crate::names::suggest;
use crate::problem::Problem;
use crate::quantity::{Bytes, Span};

/// Shortest text that a generator makes: number, key, letter, and the spaces after each.
const SHORTEST_TEXT: u32 = 36;

/// Longest value that a generator makes.
const MAX_GENERATED_BYTES: u32 = 16 << 20;

/// Most keys of a generator: they are written with eight digits.
const MAX_GENERATED_KEYS: u32 = 100_000_000;

/// Shortest wait before a connection is tried again.
const SHORTEST_WAIT: Span = Span::millis(100);

pub(super) fn check(document: &JobDocument, problems: &mut Vec<Problem>) {
    if document.sources.is_empty() {
        let hint = "add one, such as `events: {from: {file: {path: events.jsonl}}}`".to_owned();
        problems.push(Problem::error("sources", "the job has no sources").hint(hint));
    }
    for (id, spec) in &document.sources {
        let at = format!("sources.{id}");
        connector(&at, spec, problems);
        start(&at, id, spec, problems);
        parallelism(&at, id, spec, problems);
        picked(&at, spec, problems);
        match &spec.decode {
            Decode::Csv(csv) => check_csv(&format!("{at}.decode.csv"), csv, problems),
            Decode::Raw | Decode::Json => {}
        }
    }
}

fn connector(at: &str, spec: &SourceSpec, problems: &mut Vec<Problem>) {
    match &spec.from {
        SourceKind::File(file) => check_file(&format!("{at}.from.file"), file, spec, problems),
        SourceKind::Http(http) => {
            for (field, bytes, such) in [("buffer", http.buffer, "8MiB"), ("log", http.log, "4GiB")] {
                if bytes == Bytes(0) {
                    let problem = Problem::error(format!("{at}.from.http.{field}"), "nothing fits into it");
                    problems.push(problem.hint(format!("write such as {such}")));
                }
            }
        }
        SourceKind::Generator(generator) => check_generator(at, generator, spec, problems),
        SourceKind::Socket(socket) => check_socket(&format!("{at}.from.socket"), socket, problems),
    }
}

fn check_file(at: &str, file: &FileSource, spec: &SourceSpec, problems: &mut Vec<Problem>) {
    if file.path.is_empty() {
        let hint = "write a file or a pattern such as data/*.jsonl.gz".to_owned();
        problems.push(Problem::error(format!("{at}.path"), "the path is empty").hint(hint));
    }
    let Some(speed) = file.replay_speed else { return };
    let at = format!("{at}.replay_speed");
    if !speed.is_finite() || speed <= 0.0 {
        let hint = "write 1.0 for the speed of life, 60.0 for a minute in a second, or leave it out".to_owned();
        problems.push(Problem::error(&at, format!("nothing can be replayed at the speed {speed}")).hint(hint));
    }
    if spec.event_time.is_none() {
        let message = "a replay goes by the time of the events, and nothing says where that stands";
        problems.push(Problem::error(at, message).hint("add `event_time: {path: $.ts}` to the source".to_owned()));
    }
}

fn check_generator(at: &str, generator: &GeneratorSource, spec: &SourceSpec, problems: &mut Vec<Problem>) {
    let shortest = match generator.values {
        GeneratedValues::Text => SHORTEST_TEXT,
        GeneratedValues::Json => 0,
    };
    if !(shortest..=MAX_GENERATED_BYTES).contains(&generator.bytes) {
        let message = format!("a value cannot have {} bytes", generator.bytes);
        let hint = format!("write {shortest} to {MAX_GENERATED_BYTES}");
        problems.push(Problem::error(format!("{at}.from.generator.bytes"), message).hint(hint));
    }
    if let Some(keys) = generator.keys.filter(|keys| keys.get() > MAX_GENERATED_KEYS) {
        let message = format!("{keys} keys are more than their eight digits can tell apart");
        let hint = format!("write 1 to {MAX_GENERATED_KEYS}");
        problems.push(Problem::error(format!("{at}.from.generator.keys"), message).hint(hint));
    }
    let (made, hint) = match (generator.values, &spec.decode) {
        (_, Decode::Raw) | (GeneratedValues::Json, Decode::Json) => return,
        (GeneratedValues::Text, Decode::Json | Decode::Csv(_)) => {
            ("plain text", "write `values: json` and `decode: json`")
        }
        (GeneratedValues::Json, Decode::Csv(_)) => ("JSON", "write `decode: json`"),
    };
    let message = format!("the generator makes {made}, which cannot be decoded so");
    problems.push(Problem::error(format!("{at}.decode"), message).hint(format!("{hint}, or leave out `decode`")));
}

fn check_socket(at: &str, socket: &SocketSource, problems: &mut Vec<Problem>) {
    let connect = &socket.connect;
    let has_port = connect.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    if !has_port && !connect.contains("${") {
        let message = format!("`{connect}` is not an address");
        problems.push(Problem::error(format!("{at}.connect"), message).hint("write such as 127.0.0.1:9999".to_owned()));
    }
    if socket.max_line == Bytes(0) {
        let hint = "write such as 1MiB".to_owned();
        problems.push(Problem::error(format!("{at}.max_line"), "no line is that short").hint(hint));
    }
    if socket.reconnect.is_some_and(|wait| wait < SHORTEST_WAIT) {
        let message = "a peer that is not there would be called without a pause";
        let hint = "write at least 100ms, such as 1s".to_owned();
        problems.push(Problem::error(format!("{at}.reconnect"), message).hint(hint));
    }
}

/// Only what can be read again can be begun elsewhere than with what comes next.
fn start(at: &str, id: &NodeId, spec: &SourceSpec, problems: &mut Vec<Problem>) {
    let at = format!("{at}.start");
    let refuse = |message: &str| Problem::error(&at, message);
    match (spec.start, &spec.from) {
        (Start::Beginning, _) | (Start::Offset(_), SourceKind::File(_) | SourceKind::Generator(_)) => {}
        (Start::EventTime(_), SourceKind::Generator(_)) => {}
        (Start::EventTime(_), SourceKind::File(_)) => {
            if spec.event_time.is_none() {
                let message = "the start goes by the time of the events, and nothing says where that stands";
                problems.push(refuse(message).hint(format!("add `event_time: {{path: $.ts}}` to `{id}`")));
            }
        }
        (Start::EventTime(_) | Start::Offset(_), SourceKind::Http(_) | SourceKind::Socket(_)) => {
            let message = "nothing of this source is there before the job is";
            let hint = "leave it out; `file` and `generator` sources can begin elsewhere than with what comes next";
            problems.push(refuse(message).hint(hint.to_owned()));
        }
    }
}

/// Requests and connections come in at one place, and are spread from there.
fn parallelism(at: &str, id: &NodeId, spec: &SourceSpec, problems: &mut Vec<Problem>) {
    let kind = match spec.from {
        SourceKind::File(_) | SourceKind::Generator(_) => return,
        SourceKind::Http(_) => "http",
        SourceKind::Socket(_) => "socket",
    };
    if let Some(parallelism) = spec.parallelism.filter(|parallelism| parallelism.get() != 1) {
        let message = format!("a source of kind {kind} has one subtask, not {}", parallelism.get());
        let hint = format!("leave it out; what reads from `{id}` may have more");
        problems.push(Problem::error(format!("{at}.parallelism"), message).hint(hint));
    }
}

/// Paths by which the time and the key are picked from an event.
fn picked(at: &str, spec: &SourceSpec, problems: &mut Vec<Problem>) {
    let event_time = spec.event_time.as_ref().map(|time| (format!("{at}.event_time.path"), &time.path));
    let key = spec.key.as_ref().map(|key| (format!("{at}.key"), key));
    let mut from_raw = None;
    for (at, path) in event_time.into_iter().chain(key) {
        if let Err(error) = FixedPath::parse(path) {
            let message = format!("`{path}` {}", error.message);
            problems.push(Problem::error(&at, message).hint(error.hint));
        }
        from_raw.get_or_insert(at);
    }
    match (&spec.decode, from_raw) {
        (Decode::Raw, Some(at)) => {
            let message = "a path leads into JSON, but this source takes events as raw bytes";
            let hint = "add `decode: json` or `decode: csv` to the source".to_owned();
            problems.push(Problem::error(at, message).hint(hint));
        }
        (Decode::Raw, None) | (Decode::Json | Decode::Csv(_), _) => {}
    }
}

fn check_csv(at: &str, csv: &CsvDecode, problems: &mut Vec<Problem>) {
    if let Some(delimiter) = csv.delimiter.filter(|letter| !letter.is_ascii() || matches!(letter, '"' | '\r' | '\n')) {
        let message = format!("`{}` cannot part the fields of a row", delimiter.escape_default());
        let hint = "write one character of ASCII that is neither a quote nor a line end, such as `;`".to_owned();
        problems.push(Problem::error(format!("{at}.delimiter"), message).hint(hint));
    }
    let Some(header) = &csv.header else { return };
    if header.is_empty() {
        let hint = "name the columns, or leave it out if the file's first line names them".to_owned();
        problems.push(Problem::error(format!("{at}.header"), "the header names no columns").hint(hint));
    }
    let mut seen = HashSet::new();
    for (place, name) in header.iter().enumerate().filter(|(_, name)| !seen.insert(name.as_str())) {
        let message = format!("two columns are called `{name}`");
        problems
            .push(Problem::error(format!("{at}.header[{place}]"), message).hint("rename one of the two".to_owned()));
    }
    for name in csv.columns.keys().filter(|name| !header.contains(name)) {
        let hint = suggest(name, header.iter().map(String::as_str));
        let message = format!("the header has no column `{name}`");
        problems.push(Problem::error(format!("{at}.columns.{name}"), message).hint(hint));
    }
}
