//! Reads events that come one by one, each with bytes of its own: posted ones, and lines.

use gristmill_dataflow::document::{Decode, SourceSpec};
use gristmill_ports::PortError;
use gristmill_ports::source::{SourceBatch, Undecodable};

use super::csv::{CsvColumns, CsvFormat};
use super::decoder::{Arrival, Decoder, is_cut_off};

/// Decodes single events of one source.
pub(crate) struct EventReader {
    rows: Option<(CsvFormat, CsvColumns)>,
    decoder: Decoder,
    /// The JSON of the current CSV row.
    json: Vec<u8>,
}

impl EventReader {
    /// # Errors
    /// `Fatal` for paths that are none, and for CSV whose columns are not named.
    pub(crate) fn new(spec: &SourceSpec) -> Result<Self, PortError> {
        let rows = match &spec.decode {
            Decode::Raw | Decode::Json => None,
            Decode::Csv(csv) => {
                let format = CsvFormat::new(csv)?;
                let columns = format
                    .given_columns()
                    .unwrap_or_else(|| {
                        Err("single csv rows have no header line; name the columns in `header`".to_owned())
                    })
                    .map_err(PortError::fatal)?;
                Some((format, columns))
            }
        };
        Ok(Self { rows, decoder: Decoder::new(spec)?, json: Vec::new() })
    }

    /// Appends the event that the bytes hold, or the reason why they hold none. Blank bytes are no event, unless bytes
    /// pass untouched.
    pub(crate) fn read(&mut self, raw: &[u8], origin: impl FnOnce() -> String, now_ms: i64, batch: &mut SourceBatch) {
        let blank = raw.trim_ascii().is_empty() && matches!(self.decoder, Decoder::Json(_));
        if blank {
            return;
        }
        let mut value = raw;
        if let Some((format, columns)) = &self.rows {
            self.json.clear();
            let read = format.one_row(raw).and_then(|row| columns.write_object(&row, &mut self.json));
            if let Err(reason) = read {
                batch.undecodable.push(Undecodable { origin: origin(), reason, raw: raw.to_vec() });
                return;
            }
            value = &self.json;
        }
        self.decoder.decode(Arrival { value, raw, timestamp: now_ms, key: None }, origin, batch);
    }

    /// Reads bytes that were set aside earlier.
    pub(crate) fn read_again(&mut self, raw: &[u8], origin: &str, now_ms: i64) -> SourceBatch {
        let mut batch = SourceBatch::default();
        if is_cut_off(origin) {
            let reason = "only the beginning of the event was kept".to_owned();
            batch.undecodable.push(Undecodable { origin: origin.to_owned(), reason, raw: raw.to_vec() });
        } else {
            self.read(raw, || origin.to_owned(), now_ms, &mut batch);
        }
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(decode: &str) -> Result<EventReader, PortError> {
        let spec = format!(r#"{{"from": {{"http": {{}}}}, "decode": {decode}}}"#);
        EventReader::new(&serde_json::from_str(&spec).expect("a good source"))
    }

    fn read(decode: &str, raw: &str) -> SourceBatch {
        reader(decode).expect("good").read_again(raw.as_bytes(), "a:1", 5)
    }

    #[test]
    fn a_csv_row_becomes_an_object_and_is_kept_as_it_came_if_it_cannot() {
        let csv = r#"{"csv": {"header": ["a", "b"], "columns": {"b": "int"}}}"#;
        assert_eq!(read(csv, "x,1").events.values().get(0), Some(&br#"{"a":"x","b":1}"#[..]));
        assert_eq!(read(csv, "x,y").undecodable[0].raw, b"x,y");
        assert!(reader(r#"{"csv": {}}"#).err().expect("no header").message.contains("name the columns in `header`"));
    }

    #[test]
    fn a_blank_line_is_an_event_only_where_bytes_pass_untouched() {
        assert_eq!(read(r#""json""#, " \r"), SourceBatch::default());
        assert_eq!(read(r#""raw""#, " ").events.len(), 1);
    }

    #[test]
    fn an_event_that_was_cut_is_not_taken_for_a_whole_one() {
        let cut = super::super::decoder::cut_off("a:1", b"beginning", "too long".to_owned());
        let again = reader(r#""raw""#).expect("good").read_again(&cut.raw, &cut.origin, 0);
        assert!(again.events.is_empty() && again.undecodable.len() == 1);
    }
}
