//! Sinks of a job document.

use gristmill_types::Parallelism;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::encode::Encode;
use super::kind::kinds;
use crate::quantity::{Bytes, Span};

/// A sink under its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SinkSpec {
    /// What feeds it: sources, operators with one output port, or `operator.port`.
    pub inputs: Vec<String>,
    /// The connector.
    pub to: SinkKind,
    /// Default: 1 for `file`, `stdout` and `postgres`, else the job's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<Parallelism>,
}

/// Which connector writes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SinkKind {
    /// Files on the host's disk; exactly once.
    File(FileSink),
    /// The rows of a table; exactly once.
    Postgres(PostgresSink),
    /// The host's standard output; at least once.
    Stdout(StdoutSink),
    /// Batches posted to a URL; at least once.
    Http(HttpSink),
    /// Counts and forgets.
    Blackhole(BlackholeSink),
}

kinds!("a sink", SinkKind {
    "file" => File(FileSink),
    "postgres" => Postgres(PostgresSink),
    "stdout" => Stdout(StdoutSink) bare,
    "http" => Http(HttpSink),
    "blackhole" => Blackhole(BlackholeSink) bare,
});

/// Writes files, each event exactly once. What is written becomes visible when a checkpoint is complete, and never
/// before; until then it lies in a hidden file beside its place (`.NAME….staged`).
///
/// *One file*, such as `out/rows.jsonl`; several subtasks write `rows-0.jsonl`, `rows-1.jsonl` and so on. The first
/// checkpoint of a run replaces what stands there, each later one appends. Whoever reads the file while it grows may see
/// the end of it by halves. A file that another sink, job or program is writing is refused; the file `.NAME.lock` beside
/// it says so.
///
/// *Many files*, where the name has `{part}`, such as `out/rows-{part}.parquet`: each checkpoint adds at least one file
/// for each subtask that has written something, whole from the moment when it is visible. In place of `{part}` stands
/// `CHECKPOINT-ATTEMPT-SINK-SUBTASK-NUMBER`: it never comes twice, and ascends with the checkpoints of a run. Nothing that
/// stands in the directory is replaced.
///
/// A pipe or a device (`/dev/stderr`) is written to directly: at least once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSink {
    /// Where; its directory is made. Relative as for the file source.
    pub path: String,
    /// Default: json-lines.
    #[serde(default)]
    pub encode: Encode,
    /// When a file of many is full. Every checkpoint ends a file too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roll: Option<Roll>,
}

/// What may stand in the name of a file: see [`FileSink`].
pub const PART: &str = "{part}";

impl FileSink {
    /// Whether it writes many files.
    #[must_use]
    pub fn has_parts(&self) -> bool {
        self.path.contains(PART)
    }
}

/// When the next file of many is begun, if no checkpoint comes before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Roll {
    /// A file that has reached this size is not written further. Default: 128 MiB.
    pub size: Bytes,
    /// Nor one that was begun so long ago. Default: 5 min.
    pub every: Span,
}

impl Default for Roll {
    fn default() -> Self {
        Self { size: Bytes::mib(128), every: Span::millis(300_000) }
    }
}

/// Writes rows into a table of a PostgreSQL database, each event exactly once: the rows of a checkpoint and the name of
/// what was written go into one transaction once the checkpoint is complete. Until then the rows are kept in checkpoint
/// storage. The names are kept in the table `gristmill_commits` beside the target, which is made if it is missing; its
/// oldest rows are removed by and by.
///
/// An event that its row cannot hold goes to the dead letters: a value that is no number where one belongs, a null in a
/// column that allows none, a text that is too long. Columns are of type boolean, smallint, integer, bigint, real,
/// double precision, numeric, text, varchar, char, timestamp, timestamptz, date, uuid, json, jsonb or bytea. A table that
/// refuses a row all the same (a constraint, a trigger) stops the job, which says which; nothing is lost, and the job
/// goes on once the table takes the row.
///
/// The order of events is kept within a subtask. The connection is not encrypted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSink {
    /// Which database, such as `postgres://user@host:5432/database` or `host=/run/postgresql dbname=shop`. Write what is
    /// secret as `${env:X}`.
    pub url: String,
    /// The table, as `name` or `schema.name`; each as it is called in the database, without quotes.
    pub table: String,
    /// Default: append.
    #[serde(default)]
    pub mode: WriteMode,
    /// Column name → JSON path into the value, `$key` or `$event_time`. A place that a value does not have is null.
    /// Columns that are not named get their default.
    pub columns: IndexMap<String, String>,
}

/// What becomes of a row that is there already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteMode {
    /// Every event is a row of its own.
    #[default]
    Append,
    /// The row with the same values in these columns is written over; the last event wins. The table has a unique index
    /// on exactly these columns.
    Upsert(Vec<String>),
}

kinds!("a mode", WriteMode {
    "append" => Append,
    "upsert" => Upsert(Vec<String>),
});

/// Writes lines to the host's standard output, at least once: what came behind the last checkpoint comes again after a
/// restart. There is one for the whole host, and lines do not mix: while whoever reads it holds still, every such sink
/// waits, and so does what feeds it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StdoutSink {
    /// Default: json-lines.
    pub encode: Encode,
}

/// Posts batches as NDJSON. At least once: what was sent behind the last checkpoint is sent again after a restart.
///
/// Each request carries an `Idempotency-Key`, `JOB/RUN/SINK/SUBTASK/FIRST/HASH`: `FIRST` numbers the first event of the
/// request among all that the subtask has taken in this run, and `HASH` is the XXH3 of the body in 32 hexadecimal digits.
/// Every try of a request has the same key. After a restart, events that come in the same order get the same numbers; a
/// request that is cut at the same places then has the same key, as it always does with `batch: 1`. Two requests that
/// differ never have the same key.
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

/// Counts events and bytes; keeps an order-independent checksum of the values (the wrapping sum of their XXH3). Each
/// event counts once, whatever happens to the host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BlackholeSink {
    /// Default: true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<bool>,
}
