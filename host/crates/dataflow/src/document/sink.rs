//! Sinks of a job document.

use gristmill_types::Parallelism;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::kind::kinds;
use crate::quantity::Span;

/// A sink under its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkSpec {
    /// What feeds it: sources, operators with one output port, or `operator.port`.
    pub inputs: Vec<String>,
    /// The connector.
    pub to: SinkKind,
    /// Default: 1 for `file` and `stdout`, else the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<Parallelism>,
}

/// Which connector writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkKind {
    /// A file on the host's disk.
    File(FileSink),
    /// The host's standard output.
    Stdout(StdoutSink),
    /// Batches posted to a URL; at least once.
    Http(HttpSink),
    /// Counts and forgets.
    Blackhole(BlackholeSink),
}

kinds!("a sink", SinkKind {
    "file" => File(FileSink),
    "stdout" => Stdout(StdoutSink) bare,
    "http" => Http(HttpSink),
    "blackhole" => Blackhole(BlackholeSink) bare,
});

/// Writes a file. Several subtasks write `name-0.jsonl`, `name-1.jsonl` and so on. What stands in it is replaced with the
/// first events, or at the end of a run without any. A file that another sink, job or program is writing is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// Where; its directory is made. Relative as for the file source.
    pub path: String,
    /// Default: json-lines.
    #[serde(default)]
    pub encode: Encode,
}

/// How an event is written.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encode {
    /// The value and a line feed. A value is expected to be JSON or text without line feeds.
    #[default]
    JsonLines,
    /// A line `{"timestamp":…,"key":…,"value":…}` for each event.
    JsonEnvelope,
    /// Values are JSON objects; these fields make the columns.
    Csv(CsvEncode),
}

kinds!("an encoding", Encode {
    "json-lines" => JsonLines,
    "json-envelope" => JsonEnvelope,
    "csv" => Csv(CsvEncode),
});

/// CSV output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvEncode {
    /// Column name → JSON path into the value, `$key` or `$event_time`.
    pub columns: IndexMap<String, String>,
}

/// Writes lines to the host's standard output. There is one for the whole host, and lines do not mix: while whoever
/// reads it holds still, every such sink waits, and so does what feeds it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StdoutSink {
    /// Default: json-lines.
    pub encode: Encode,
}

/// Posts batches as NDJSON. At least once: each request carries an `Idempotency-Key`.
///
/// An answer with another status than 2xx, 408, 425, 429 or 5xx fails the job: it refuses a whole request, and does not
/// say which of its events it means, nor that it has anything to do with them. A wrong URL or token is answered the same
/// way, and would send everything to the dead letters. Redirections are not followed, since a post would go on without
/// its events, or to somebody whom the job does not name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpSink {
    /// Where.
    pub url: String,
    /// Further header lines; values may hold `${env:X}`.
    #[serde(default)]
    pub headers: IndexMap<String, String>,
    /// Events in a request. Default: 500.
    #[serde(default = "default_request_rows")]
    pub batch: u32,
    /// How long an answer may take. Default: 30 s.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Tries after the first, for 408, 425, 429, 5xx, broken connections and answers that do not come in time. Waits
    /// between them double from 50 ms to 10 s, each shortened by chance by up to a half; `Retry-After` in seconds is
    /// kept to, up to 5 min. Then the job fails. Default: 20, which is between one and two and a half minutes of waiting.
    #[serde(default = "default_retry")]
    pub retry: u32,
}

fn default_request_rows() -> u32 {
    500
}

fn default_timeout() -> Span {
    Span::millis(30_000)
}

fn default_retry() -> u32 {
    20
}

/// Counts events and bytes; keeps an order-independent checksum of the values (the wrapping sum of their XXH3).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlackholeSink {
    /// Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<bool>,
}
