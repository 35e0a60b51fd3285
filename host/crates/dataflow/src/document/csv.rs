//! How CSV rows are read.

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// How CSV rows become JSON objects: strings unless typed; an empty field is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CsvDecode {
    /// Types of columns that are not strings.
    pub columns: IndexMap<String, CsvType>,
    /// Names of the columns, for files without a header line.
    pub header: Option<Vec<String>>,
    /// Default: `,`.
    pub delimiter: Option<char>,
    /// A text that also means absent, such as `NA`.
    pub null: Option<String>,
}

/// The type of a CSV column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CsvType {
    /// As it stands.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float,
    /// `true` or `false`.
    Bool,
}

const FIELDS: &[&str] = &["columns", "header", "delimiter", "null"];

impl<'de> Deserialize<'de> for CsvDecode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(CsvVisitor)
    }
}

/// By hand, because a bare `null:` is no text in YAML, and everybody writes it so.
struct CsvVisitor;

impl<'de> Visitor<'de> for CsvVisitor {
    type Value = CsvDecode;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<CsvDecode, M::Error> {
        let mut csv = CsvDecode::default();
        while let Some(field) = map.next_key::<Option<String>>()? {
            match field.as_deref() {
                Some("columns") => csv.columns = map.next_value()?,
                Some("header") => csv.header = map.next_value()?,
                Some("delimiter") => csv.delimiter = map.next_value()?,
                Some("null") | None => csv.null = map.next_value()?,
                Some(other) => return Err(M::Error::unknown_field(other, FIELDS)),
            }
        }
        Ok(csv)
    }
}
