//! Sources of a job document.

use std::num::NonZeroU32;

use gristmill_types::Parallelism;
use serde::{Deserialize, Serialize};

pub use super::csv::{CsvDecode, CsvType};
use super::kind::kinds;
use crate::quantity::{Bytes, Moment, Span};

/// A source under its id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSpec {
    /// The connector.
    pub from: SourceKind,
    /// How the bytes of an event are read. Default: raw.
    #[serde(default)]
    pub decode: Decode,
    /// Where the event's own time stands; without it, an event's time is that of its arrival.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTimeSpec>,
    /// Where the event's key stands; most jobs say `key_by` at the input of an operator instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where a source that can be read again begins; a job that goes on from a checkpoint goes on from there instead.
    /// Default: at its beginning.
    #[serde(default, skip_serializing_if = "Start::is_beginning")]
    pub start: Start,
    /// Subtasks that read. Default: the job's for `generator` and `file`, 1 for `http` and `socket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallelism: Option<Parallelism>,
}

/// Which connector reads.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SourceKind {
    /// Files on the host's disk; a bounded source.
    File(FileSource),
    /// Events posted to the host's REST API.
    Http(HttpSource),
    /// Made-up events, the same for the same seed.
    Generator(GeneratorSource),
    /// Lines from a TCP connection.
    Socket(SocketSource),
}

kinds!("a source", SourceKind {
    "file" => File(FileSource),
    "http" => Http(HttpSource) bare,
    "generator" => Generator(GeneratorSource) bare,
    "socket" => Socket(SocketSource),
});

/// Where a source begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// With the first event that there is.
    #[default]
    Beginning,
    /// Leaves out events whose own time lies before this. What has no time, since it cannot be decoded, is not left out.
    EventTime(Moment),
    /// Leaves out so many events: of a generator, and of each file. What cannot be decoded counts.
    Offset(u64),
}

kinds!("a start", Start {
    "beginning" => Beginning,
    "event_time" => EventTime(Moment),
    "offset" => Offset(u64),
});

impl Start {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_beginning(&self) -> bool {
        *self == Self::Beginning
    }
}

/// Reads lines (or CSV rows) of files in the order of their names. Each file is read by one subtask, which a hash of its
/// path names; so few files may be spread unevenly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSource {
    /// A path or a glob such as `data/*.jsonl.gz`, which names hidden files only where it says a dot itself. `.gz` and
    /// `.zst` are unpacked. Relative to the document for `run`, to the working directory of the host that the job was
    /// submitted to otherwise, wherever it is restarted.
    pub path: String,
    /// Replays with the gaps between event times divided by this: 1.0 is as it was, 60.0 a minute in a second.
    /// Default: as fast as it goes. Needs `event_time`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_speed: Option<f64>,
}

/// Takes events at `POST /v1/jobs/{job}/sources/{source}/events`. They are in a log on the host's disk when the request is
/// answered, and stay there until a checkpoint has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpSource {
    /// Bytes that may wait inside before a request is answered 429. Default: 8 MiB.
    pub buffer: Bytes,
    /// Bytes of the log; while it has more, requests are answered 429. Default: 4 GiB.
    pub log: Bytes,
}

impl Default for HttpSource {
    fn default() -> Self {
        Self { buffer: Bytes::mib(8), log: Bytes::mib(4096) }
    }
}

/// Makes up events. Event `i` depends on `seed` and `i` alone, whatever the parallelism.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeneratorSource {
    /// Default: 0.
    pub seed: u64,
    /// How many events; without it the source never ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// Events a second over all subtasks; without it as fast as they are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<NonZeroU32>,
    /// How many distinct keys; without it events have no key. Keys are `key-00000000` upwards, drawn evenly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<NonZeroU32>,
    /// What the values look like. Default: `text`.
    pub values: GeneratedValues,
    /// Bytes of a value. Default: 110.
    pub bytes: u32,
    /// Event time of the first event, in milliseconds since the epoch; event `i` is `i` milliseconds later.
    pub start_time: i64,
}

impl Default for GeneratorSource {
    fn default() -> Self {
        Self { seed: 0, events: None, rate: None, keys: None, values: GeneratedValues::Text, bytes: 110, start_time: 0 }
    }
}

/// What generated values look like.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GeneratedValues {
    /// Fixed-width text: `00000000000000000042 key-00000007 A ` and filler; the letter at byte 34 is A to D.
    #[default]
    Text,
    /// A JSON object with `seq`, `key`, `ts`, `kind` (A to D), `amount` and filler.
    Json,
}

/// Connects to an address and reads lines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SocketSource {
    /// Such as `127.0.0.1:9999`.
    pub connect: String,
    /// Longest line. Default: 1 MiB.
    #[serde(default = "default_line")]
    pub max_line: Bytes,
    /// Wait before connecting again after the peer closed or refused, doubled up to 30 s for each time in a row that
    /// nothing came; at least 100 ms. Without it the end of the connection is the end of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect: Option<Span>,
}

fn default_line() -> Bytes {
    Bytes::mib(1)
}

/// How the bytes of an event are read.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decode {
    /// Bytes pass untouched.
    #[default]
    Raw,
    /// A JSON value in each; checked, then passed untouched.
    Json,
    /// A CSV row in each, made a JSON object.
    Csv(CsvDecode),
}

kinds!("a decoding", Decode {
    "raw" => Raw,
    "json" => Json,
    "csv" => Csv(CsvDecode) bare,
});

/// Where an event's own time stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventTimeSpec {
    /// A JSON path such as `$.ts`.
    pub path: String,
    /// How it is written. Default: ms.
    #[serde(default)]
    pub unit: TimeUnit,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeUnit {
    /// Seconds since the epoch.
    S,
    /// Milliseconds since the epoch.
    #[default]
    Ms,
    /// Microseconds since the epoch.
    Us,
    /// Nanoseconds since the epoch.
    Ns,
    /// Text such as `2013-01-01T05:00:00Z` (RFC 3339); a text without an offset is taken as UTC.
    Iso,
}
