//! Events as rows of a CSV file.

use csv::WriterBuilder;
use gristmill_dataflow::document::CsvEncode;
use gristmill_ports::PortError;
use gristmill_types::EventBatch;

use crate::format::columns::{Columns, Picked};
use crate::format::json::unescape;

/// The columns of a CSV file.
pub(crate) struct CsvRows {
    columns: Columns,
}

impl CsvRows {
    pub(super) fn new(spec: &CsvEncode) -> Result<Self, PortError> {
        let columns = spec.columns.iter().map(|(name, path)| (name.as_str(), path.as_str()));
        Ok(Self { columns: Columns::new(columns)? })
    }

    pub(super) fn header(&self) -> Vec<u8> {
        let mut writer = WriterBuilder::new().from_writer(Vec::new());
        writer.write_record(self.columns.names()).expect("memory takes every row");
        writer.into_inner().expect("memory takes every row")
    }

    pub(super) fn encode(&self, events: &EventBatch, out: &mut Vec<u8>) -> Result<(), String> {
        let mut writer = WriterBuilder::new().from_writer(Vec::new());
        let mut row = Vec::new();
        for number in 0..events.len() {
            self.columns.pick(events, number, &mut row)?;
            for cell in &row {
                write_cell(*cell, &mut writer)?;
            }
            writer.write_record(None::<&[u8]>).expect("memory takes every row");
        }
        out.extend_from_slice(&writer.into_inner().expect("memory takes every row"));
        Ok(())
    }
}

fn write_cell(cell: Picked<'_>, writer: &mut csv::Writer<Vec<u8>>) -> Result<(), String> {
    match cell {
        Picked::Key(key) => writer.write_field(key.unwrap_or_default()),
        Picked::EventTime(time) => writer.write_field(time.to_string()),
        Picked::Json(None) => writer.write_field(""),
        Picked::Json(Some(json)) if json.starts_with('"') => writer.write_field(unescape(json)?.as_bytes()),
        Picked::Json(Some(json)) => writer.write_field(json),
    }
    .expect("memory takes every row");
    Ok(())
}
