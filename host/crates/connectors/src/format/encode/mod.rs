//! How events are written: JSON lines, an envelope around each event, CSV, or the columns of a Parquet file.
//!
//! Appends to memory; knows nothing of where the bytes go.

mod csv;
pub(crate) mod parquet;

use gristmill_dataflow::document::Encode;
use gristmill_ports::PortError;
use gristmill_types::EventBatch;

use self::csv::CsvRows;
use super::json::Places;

/// Writes events line by line, as a sink asks for it.
pub(crate) enum Encoder {
    /// The value as it is, and a line feed; `null` for a null.
    JsonLines,
    /// `{"timestamp":…,"key":…,"value":…}`.
    JsonEnvelope,
    /// Fields of the value.
    Csv(CsvRows),
}

impl Encoder {
    /// # Errors
    /// `Fatal` for a path that is none, and for an encoding that has no lines.
    pub(crate) fn new(spec: &Encode) -> Result<Self, PortError> {
        Ok(match spec {
            Encode::JsonLines => Self::JsonLines,
            Encode::JsonEnvelope => Self::JsonEnvelope,
            Encode::Csv(csv) => Self::Csv(CsvRows::new(csv)?),
            Encode::Parquet(_) => {
                let message = "nothing can be appended to a parquet file; write it with a `file` sink whose path has \
                               `{part}`, such as out/rows-{part}.parquet";
                return Err(PortError::fatal(message));
            }
        })
    }

    /// What stands at the beginning of a file.
    pub(crate) fn header(&self) -> Vec<u8> {
        match self {
            Self::JsonLines | Self::JsonEnvelope => Vec::new(),
            Self::Csv(csv) => csv.header(),
        }
    }

    /// Appends a line for each event.
    ///
    /// # Errors
    /// For CSV, the beginning of a value that is not JSON; nothing is appended then.
    pub(crate) fn encode(&self, events: &EventBatch, out: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::JsonLines => write_lines(events, out),
            Self::JsonEnvelope => (0..events.len()).for_each(|row| write_envelope(events, row, out)),
            Self::Csv(csv) => return csv.encode(events, out),
        }
        Ok(())
    }
}

/// Appends the values as lines.
pub(crate) fn write_lines(events: &EventBatch, out: &mut Vec<u8>) {
    out.reserve(events.values().data().len() + events.len());
    for value in events.values().iter() {
        write_line(value.unwrap_or(b"null"), out);
        out.push(b'\n');
    }
}

/// JSON that spans lines is written in one: its line feeds stand between tokens, where blanks do as well. Line feeds
/// in anything else pass: it is the value, and what it means is not known here.
fn write_line(value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(value);
    if memchr::memchr2(b'\n', b'\r', value).is_some() && is_json(value) {
        out[start..].iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

/// Keys and values are told apart by their names, so that every event can be read back: `value` is JSON, `text` other
/// UTF-8, `hex` other bytes; `key` is UTF-8, `key_hex` other bytes. A null is a JSON null.
fn write_envelope(events: &EventBatch, row: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("{{\"timestamp\":{},", events.timestamps()[row]).as_bytes());
    match events.keys().get(row).map(|key| (key, std::str::from_utf8(key))) {
        None => out.extend_from_slice(b"\"key\":null"),
        Some((_, Ok(key))) => write_string("key", key, out),
        Some((key, Err(_))) => write_string("key_hex", &hex(key), out),
    }
    out.push(b',');
    match events.values().get(row) {
        None => out.extend_from_slice(b"\"value\":null"),
        Some(value) if is_json(value) => {
            out.extend_from_slice(b"\"value\":");
            write_line(value.trim_ascii(), out);
        }
        Some(value) => match std::str::from_utf8(value) {
            Ok(text) => write_string("text", text, out),
            Err(_) => write_string("hex", &hex(value), out),
        },
    }
    out.extend_from_slice(b"}\n");
}

fn write_string(name: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("\"{name}\":").as_bytes());
    serde_json::to_writer(out, text).expect("a string is written to memory");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_json(value: &[u8]) -> bool {
    Places::default().find(value, |_, _| ()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

    fn events(values: &[KeyAndValue<'_>]) -> EventBatch {
        let mut events = EventBatch::default();
        values.iter().zip(100..).for_each(|((key, value), time)| events.push(time, *key, *value));
        events
    }

    fn encode(spec: &str, events: &EventBatch) -> Result<String, String> {
        let encoder = Encoder::new(&serde_json::from_str(spec).expect("a good spec")).expect("good paths");
        let mut out = encoder.header();
        encoder.encode(events, &mut out)?;
        Ok(String::from_utf8(out).expect("utf-8"))
    }

    #[test]
    fn a_value_is_a_line() {
        let events = events(&[(None, Some(b"{\"a\":\n 1}\r\n")), (None, Some(b"plain")), (None, None)]);
        assert_eq!(encode(r#""json-lines""#, &events).as_deref(), Ok("{\"a\":  1}  \nplain\nnull\n"));
    }

    #[test]
    fn an_envelope_says_what_was_in_it() {
        let events = events(&[
            (Some(b"k"), Some(b"{\"a\": 1}")),
            (None, Some(b"not json")),
            (Some(b"\xff\x01"), Some(b"\xfe")),
            (Some(b"\""), None),
        ]);
        let wanted = concat!(
            "{\"timestamp\":100,\"key\":\"k\",\"value\":{\"a\": 1}}\n",
            "{\"timestamp\":101,\"key\":null,\"text\":\"not json\"}\n",
            "{\"timestamp\":102,\"key_hex\":\"ff01\",\"hex\":\"fe\"}\n",
            "{\"timestamp\":103,\"key\":\"\\\"\",\"value\":null}\n",
        );
        assert_eq!(encode(r#""json-envelope""#, &events).as_deref(), Ok(wanted));
    }

    const CSV: &str = r#"{"csv": {"columns": {"who": "$.who", "n, m": "$.n[1]", "key": "$key", "at": "$event_time"}}}"#;

    #[test]
    fn csv_has_the_fields_asked_for() {
        let events = events(&[
            (Some(b"k"), Some(b"{\"who\":\"a \\\"b\\\", c\",\"n\":[1,2.50]}")),
            (None, Some(b"{\"who\":null}")),
            (Some(b""), None),
        ]);
        let wanted = "who,\"n, m\",key,at\n\"a \"\"b\"\", c\",2.50,k,100\n,,,101\n,,,102\n";
        assert_eq!(encode(CSV, &events).as_deref(), Ok(wanted));
    }

    #[test]
    fn a_value_that_is_not_json_is_no_csv_row() {
        let reason = encode(CSV, &events(&[(None, Some(b"plain"))])).expect_err("not json");
        assert!(reason.contains("begins with `plain`"), "{reason}");
    }
}
