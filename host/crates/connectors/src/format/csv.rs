//! CSV rows become JSON objects: strings unless typed; an empty field is absent.
//!
//! Splitting rows is the csv crate's work. Knows nothing of files.

use std::io::Read;

use csv::{ByteRecord, Reader, ReaderBuilder};
use gristmill_dataflow::document::{CsvDecode, CsvType};
use gristmill_ports::PortError;

/// How the CSV of one source is written.
#[derive(Debug, Clone)]
pub(crate) struct CsvFormat {
    delimiter: u8,
    spec: CsvDecode,
}

/// The columns of some rows, in their order.
#[derive(Debug, Clone)]
pub(crate) struct CsvColumns {
    columns: Vec<CsvColumn>,
    /// A text that means absent.
    null: Option<String>,
}

#[derive(Debug, Clone)]
struct CsvColumn {
    name: String,
    /// The name as JSON, and a colon.
    label: Vec<u8>,
    kind: CsvType,
}

impl CsvFormat {
    /// # Errors
    /// `Fatal` for a delimiter that is not one byte.
    pub(crate) fn new(spec: &CsvDecode) -> Result<Self, PortError> {
        let delimiter = spec.delimiter.unwrap_or(',');
        let delimiter = u8::try_from(delimiter)
            .ok()
            .filter(|byte| byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r'))
            .ok_or_else(|| {
                PortError::fatal(format!(
                    "the csv delimiter `{delimiter}` is not an ascii character that can stand between fields"
                ))
            })?;
        Ok(Self { delimiter, spec: spec.clone() })
    }

    /// A reader of rows; the first is not taken for a header.
    pub(crate) fn reader<R: Read>(&self, input: R, buffer_bytes: usize) -> Reader<R> {
        let mut builder = ReaderBuilder::new();
        builder.delimiter(self.delimiter).has_headers(false).flexible(true).buffer_capacity(buffer_bytes);
        builder.from_reader(input)
    }

    /// The columns that the job document names.
    ///
    /// # Errors
    /// `None` if it names none, else what is wrong with the names.
    pub(crate) fn given_columns(&self) -> Option<Result<CsvColumns, String>> {
        self.spec.header.as_ref().map(|names| self.columns(names.iter().map(String::as_bytes)))
    }

    /// The columns that a header line names.
    ///
    /// # Errors
    /// What is wrong with the names.
    pub(crate) fn columns<'a>(&self, names: impl Iterator<Item = &'a [u8]>) -> Result<CsvColumns, String> {
        let mut columns: Vec<CsvColumn> = Vec::new();
        for name in names {
            let name = std::str::from_utf8(name).map_err(|_| "a column name is not utf-8".to_owned())?;
            if columns.iter().any(|column| column.name == name) {
                return Err(format!("the column `{name}` is there twice; name the columns in `header`"));
            }
            let mut label = serde_json::to_vec(name).expect("a string is written to memory");
            label.push(b':');
            let kind = self.spec.columns.get(name).copied().unwrap_or(CsvType::String);
            columns.push(CsvColumn { name: name.to_owned(), label, kind });
        }
        let missing = self.spec.columns.keys().find(|name| columns.iter().all(|column| column.name != **name));
        if let Some(missing) = missing {
            let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
            return Err(format!(
                "there is no column `{missing}`, which `columns` types; there are {}",
                names.join(", ")
            ));
        }
        Ok(CsvColumns { columns, null: self.spec.null.clone() })
    }

    /// The one row that some bytes hold.
    ///
    /// # Errors
    /// If they hold more, or none.
    pub(crate) fn one_row(&self, raw: &[u8]) -> Result<ByteRecord, String> {
        let (mut row, mut more) = (ByteRecord::new(), ByteRecord::new());
        let mut reader = self.reader(raw, raw.len().clamp(64, 8192));
        let mut read = |row| reader.read_byte_record(row).map_err(|error| format!("not csv: {error}"));
        if !read(&mut row)? {
            return Err("not csv: there is no row".to_owned());
        }
        if read(&mut more)? {
            return Err("not one csv row but several; bring each as an event of its own".to_owned());
        }
        Ok(row)
    }

    /// The row as CSV again, without the end of the line.
    pub(crate) fn raw(&self, row: &ByteRecord) -> Vec<u8> {
        let mut writer = csv::WriterBuilder::new().delimiter(self.delimiter).from_writer(Vec::new());
        writer.write_byte_record(row).expect("memory takes every row");
        let mut raw = writer.into_inner().expect("memory takes every row");
        raw.pop();
        raw
    }
}

impl CsvColumns {
    /// Appends a row as a JSON object.
    ///
    /// # Errors
    /// Which field of the row is not what it should be; then `json` holds a part of it.
    pub(crate) fn write_object(&self, row: &ByteRecord, json: &mut Vec<u8>) -> Result<(), String> {
        if row.len() != self.columns.len() {
            return Err(format!("the row has {} fields, but there are {} columns", row.len(), self.columns.len()));
        }
        json.push(b'{');
        let mut first = true;
        for (column, field) in self.columns.iter().zip(row) {
            let text = std::str::from_utf8(field).map_err(|_| format!("column `{}` is not utf-8", column.name))?;
            if text.is_empty() || self.null.as_deref() == Some(text) {
                continue;
            }
            if !std::mem::replace(&mut first, false) {
                json.push(b',');
            }
            json.extend_from_slice(&column.label);
            write_value(column, text, json)?;
        }
        json.push(b'}');
        Ok(())
    }
}

fn write_value(column: &CsvColumn, text: &str, json: &mut Vec<u8>) -> Result<(), String> {
    let refuse = |what: &str| Err(format!("column `{}`: `{text}` is not {what}", column.name));
    let text = if column.kind == CsvType::String { text } else { text.trim() };
    match column.kind {
        CsvType::String => serde_json::to_writer(json, text).expect("a string is written to memory"),
        CsvType::Int => match text.parse::<i128>() {
            Ok(number) => json.extend_from_slice(number.to_string().as_bytes()),
            Err(_) => return refuse("a whole number"),
        },
        CsvType::Float => match text.parse::<f64>() {
            // As it stands where JSON permits: no digit is lost.
            Ok(_) if is_json_number(text) => json.extend_from_slice(text.as_bytes()),
            Ok(number) if number.is_finite() => {
                serde_json::to_writer(json, &number).expect("a number is written to memory")
            }
            Ok(_) | Err(_) => return refuse("a number"),
        },
        CsvType::Bool if text.eq_ignore_ascii_case("true") => json.extend_from_slice(b"true"),
        CsvType::Bool if text.eq_ignore_ascii_case("false") => json.extend_from_slice(b"false"),
        CsvType::Bool => return refuse("true or false"),
    }
    Ok(())
}

fn is_json_number(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(spec: &str) -> CsvFormat {
        CsvFormat::new(&serde_json::from_str(spec).expect("a good spec")).expect("a good delimiter")
    }

    fn object(spec: &str, row: &str) -> Result<String, String> {
        let format = format(spec);
        let columns = format.given_columns().expect("a header")?;
        let mut json = Vec::new();
        columns.write_object(&format.one_row(row.as_bytes())?, &mut json)?;
        Ok(String::from_utf8(json).expect("utf-8"))
    }

    const TYPED: &str =
        r#"{"header": ["s", "i", "f", "b"], "columns": {"i": "int", "f": "float", "b": "bool"}, "null": "NA"}"#;

    #[test]
    fn fields_have_the_type_of_their_column() {
        let table = [
            ("x,1,1.50,true", r#"{"s":"x","i":1,"f":1.50,"b":true}"#),
            ("\"a,\"\"b\"\"\nc\",-7,1e3,FALSE", r#"{"s":"a,\"b\"\nc","i":-7,"f":1e3,"b":false}"#),
            ("1,+05, 12 ,False", r#"{"s":"1","i":5,"f":12,"b":false}"#),
            (",NA,,", "{}"),
            ("NA,9223372036854775808,.5,", r#"{"i":9223372036854775808,"f":0.5}"#),
        ];
        for (row, json) in table {
            assert_eq!(object(TYPED, row).as_deref(), Ok(json), "{row}");
        }
    }

    #[test]
    fn a_field_that_is_not_of_its_type_is_named() {
        let table = [
            ("x,1.5,1,true", "column `i`: `1.5` is not a whole number"),
            ("x,1,nan,true", "column `f`: `nan` is not a number"),
            ("x,1,1,yes", "column `b`: `yes` is not true or false"),
            ("x,1,1", "the row has 3 fields, but there are 4 columns"),
            ("", "there is no row"),
            ("a,1,1,true\nb,1,1,true", "not one csv row but several"),
        ];
        for (row, words) in table {
            let reason = object(TYPED, row).expect_err(row);
            assert!(reason.contains(words), "{row}: {reason}");
        }
    }

    #[test]
    fn columns_that_do_not_fit_are_refused_in_words() {
        for (spec, words) in [
            (r#"{"header": ["a", "a"]}"#, "`a` is there twice"),
            (r#"{"header": ["a"], "columns": {"b": "int"}}"#, "no column `b`, which `columns` types; there are a"),
        ] {
            assert!(object(spec, "1").expect_err(spec).contains(words));
        }
        for delimiter in ["\\n", "\\\"", "é"] {
            let spec = serde_json::from_str(&format!("{{\"delimiter\": \"{delimiter}\"}}")).expect("a good spec");
            assert!(CsvFormat::new(&spec).expect_err(delimiter).message.contains("is not an ascii character"));
        }
    }

    proptest! {
        #[test]
        fn every_string_comes_through(fields in prop::collection::vec(".{0,20}", 1..6), tab in any::<bool>()) {
            // A byte order mark at the very beginning is dropped, as in a file.
            prop_assume!(!fields[0].starts_with('\u{feff}'));
            let names: Vec<String> = (0..fields.len()).map(|at| format!("c{at}")).collect();
            let spec = CsvDecode { header: Some(names.clone()), delimiter: tab.then_some('\t'), ..CsvDecode::default() };
            let format = CsvFormat::new(&spec).expect("good");
            let raw = format.raw(&ByteRecord::from(fields.clone()));
            let row = format.one_row(&raw).expect("one row");
            let mut json = Vec::new();
            format.given_columns().expect("given").expect("good").write_object(&row, &mut json).expect("strings");
            let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&json).expect("json");
            let wanted = names.into_iter().zip(fields).filter(|(_, field)| !field.is_empty());
            prop_assert_eq!(object, wanted.map(|(name, field)| (name, field.into())).collect());
        }
    }
}
