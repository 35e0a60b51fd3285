//! How sinks write events.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::kind::kinds;

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
    /// Values are JSON objects; these fields make the columns. Only for a `file` whose path has `{part}`.
    Parquet(ParquetEncode),
}

kinds!("an encoding", Encode {
    "json-lines" => JsonLines,
    "json-envelope" => JsonEnvelope,
    "csv" => Csv(CsvEncode),
    "parquet" => Parquet(ParquetEncode),
});

/// CSV output. Each file begins with the names of the columns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvEncode {
    /// Column name → JSON path into the value, `$key` or `$event_time`.
    pub columns: IndexMap<String, String>,
}

/// Parquet output, compressed with zstd. All columns may hold nulls: what a value does not have, or has as `null`, is one.
/// An event that does not fit its columns goes to the dead letters.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParquetEncode {
    /// Column name → where it comes from, and its type.
    pub columns: IndexMap<String, ParquetColumn>,
}

/// A column of a Parquet file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParquetColumn {
    /// JSON path into the value, `$key` or `$event_time`.
    pub path: String,
    /// Default: `timestamp` for `$event_time`, else `string`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<ColumnType>,
}

impl ParquetColumn {
    /// Its type, said or not.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        self.kind.unwrap_or(if self.path == "$event_time" { ColumnType::Timestamp } else { ColumnType::String })
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ColumnType {
    /// Text: a JSON string without its quotes, the JSON text of anything else. A key must be UTF-8.
    String,
    /// A whole number from -2^63 to 2^63 - 1.
    Int64,
    /// A number, rounded to the nearest that 64 bits hold.
    Float64,
    /// `true` or `false`.
    Bool,
    /// Milliseconds since the epoch, UTC: a whole number of them, or a text such as `2026-11-21T17:15:07.250Z`.
    Timestamp,
}
