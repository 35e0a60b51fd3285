//! Turns events into rows and stages those of a checkpoint as one file in checkpoint storage.

use std::io::{Seek, Write};

use gristmill_checkpoint::FileRef;
use gristmill_checkpoint::coordinator::Staged;
use gristmill_ports::checkpoint_store::{Content, FileStore};
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink, StagedOutput};
use gristmill_types::{CheckpointId, EventBatch, NodeId};
use tempfile::SpooledTempFile;

use super::load::Load;
use super::table::TableColumn;
use crate::format::columns::{Columns, Picked};
use crate::sink::pending_bytes::{PendingBytes, in_words};
use crate::sink::tally::Tally;
use crate::sink::versioned;

/// Rows of one checkpoint that are held in memory; what is more goes to a file without a name.
const IN_MEMORY: usize = 4 << 20;

/// The writer of one subtask.
pub(super) struct PostgresWriter {
    sink: NodeId,
    columns: Columns,
    cells: Vec<TableColumn>,
    /// Where rows go; its number of rows is that of the rows taken since the last checkpoint.
    load: Load,
    rows: Rows,
    tally: Tally,
    /// The row that is being made.
    row: String,
}

/// Rows on their way to the disk.
struct Rows {
    bytes: PendingBytes<SpooledTempFile>,
    length: u64,
}

impl Rows {
    fn new() -> Self {
        let file = SpooledTempFile::new(IN_MEMORY);
        Self { bytes: PendingBytes::new(file, "a temporary file for rows".to_owned()), length: 0 }
    }
}

impl PostgresWriter {
    pub(super) fn new(sink: NodeId, columns: Columns, cells: Vec<TableColumn>, load: Load, tally: Tally) -> Self {
        Self { sink, columns, cells, load, rows: Rows::new(), tally, row: String::new() }
    }
}

impl Sink for PostgresWriter {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        let room = self.rows.bytes.room()?;
        let (mut refused, mut picked) = (Vec::new(), Vec::new());
        for number in 0..events.len() {
            self.row.clear();
            let made = self.columns.pick(events, number, &mut picked);
            match made.and_then(|()| write_row(&picked, &self.cells, self.columns.names(), &mut self.row)) {
                Ok(()) => {
                    room.extend_from_slice(self.row.as_bytes());
                    self.rows.length += self.row.len() as u64;
                    self.load.rows += 1;
                }
                Err(reason) => refused.push(RefusedRow { row: number as u32, reason }),
            }
        }
        self.tally.count_all_but(&refused, events);
        Ok(refused)
    }

    /// Nothing comes out of the host before a checkpoint.
    fn flush(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    fn pre_commit(&mut self, _checkpoint: CheckpointId) -> Result<Option<Box<dyn StagedOutput>>, PortError> {
        if self.load.rows == 0 {
            return Ok(None);
        }
        let payload = versioned::encode(&self.load);
        self.load.rows = 0;
        let rows = std::mem::replace(&mut self.rows, Rows::new());
        Ok(Some(Box::new(StagedRows { sink: self.sink.clone(), rows, payload })))
    }

    fn position(&self) -> Vec<u8> {
        self.tally.position()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        Ok(Some(self.tally.summary()))
    }
}

/// Appends a row in the text format of `COPY`.
///
/// # Errors
/// Why the table cannot hold it.
fn write_row(picked: &[Picked<'_>], cells: &[TableColumn], names: &[String], row: &mut String) -> Result<(), String> {
    for (number, ((picked, cell), name)) in picked.iter().zip(cells).zip(names).enumerate() {
        if number > 0 {
            row.push('\t');
        }
        let written = match picked {
            Picked::Key(Some(key)) => cell.holds.write_key(key, row),
            Picked::EventTime(time) => cell.holds.write(&time.to_string(), row),
            Picked::Json(Some(json)) => cell.holds.write(json, row),
            Picked::Key(None) | Picked::Json(None) if cell.required => {
                Err("takes no null, and the event has nothing for it".to_owned())
            }
            Picked::Key(None) | Picked::Json(None) => {
                row.push_str("\\N");
                Ok(())
            }
        };
        written.map_err(|reason| format!("column `{name}` {reason}"))?;
    }
    row.push('\n');
    Ok(())
}

/// The rows of a checkpoint.
struct StagedRows {
    sink: NodeId,
    rows: Rows,
    payload: Vec<u8>,
}

impl StagedOutput for StagedRows {
    fn seal(&mut self, files: &dyn FileStore) -> Result<Vec<Staged>, PortError> {
        self.rows.bytes.write_out()?;
        let file = keep(self.rows.bytes.writer(), self.rows.length, files)?;
        fail::fail_point!("postgres-sink-rows-staged");
        Ok(vec![Staged { sink: self.sink.clone(), payload: self.payload.clone(), files: vec![file] }])
    }
}

/// Puts rows into checkpoint storage.
fn keep(rows: &mut SpooledTempFile, length: u64, files: &dyn FileStore) -> Result<FileRef, PortError> {
    let shown = format!("rows in `{}`", files.scratch().display());
    let failed = |error: std::io::Error| in_words(&shown, &error);
    rows.rewind().map_err(failed)?;
    if !rows.is_rolled() {
        let mut bytes = Vec::with_capacity(length as usize);
        std::io::copy(rows, &mut bytes).map_err(failed)?;
        return files.put(Content::Bytes(&bytes));
    }
    let mut copy = tempfile::Builder::new().prefix("rows-").tempfile_in(files.scratch()).map_err(failed)?;
    std::io::copy(rows, &mut copy).map_err(failed)?;
    copy.flush().map_err(failed)?;
    files.put(Content::File(copy.path()))
}
