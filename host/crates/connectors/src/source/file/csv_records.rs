//! The rows of one CSV file.

use std::io::{self, Chain, ErrorKind, Read};

use csv::{ByteRecord, Position};
use gristmill_ports::source::{SourceBatch, Undecodable};

use super::position::Place;
use super::room::{Progress, Room};
use super::unpack::{BLOCK, Input, why};
use crate::format::csv::{CsvColumns, CsvFormat};
use crate::format::decoder::{Arrival, Decoder};

/// The longest row.
const LONGEST: usize = 16 << 20;

/// Rows that one call may leave out, so that control need not wait.
const MOST_LEFT_OUT: u32 = 100_000;

/// Rows on their way through the reader.
pub(super) struct CsvRecords {
    reader: csv::Reader<Allowance<Chain<&'static [u8], Input>>>,
    format: CsvFormat,
    columns: CsvColumns,
    row: ByteRecord,
    json: Vec<u8>,
    /// The row was read, but had no more room in the batch.
    held: bool,
    /// Where the reader began.
    from: Place,
    /// Before the row that was not given yet.
    place: Place,
    /// Records that the job leaves out.
    leave_out: u64,
}

impl CsvRecords {
    /// Reads the header line, unless the job names the columns.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn new(shown: &str, input: Input, format: &CsvFormat, leave_out: u64) -> Result<Self, String> {
        let beginning = Place::default();
        let mut reader = format.reader(Allowance { input: (&b""[..]).chain(input), left: LONGEST }, BLOCK);
        let columns = match format.given_columns() {
            Some(given) => given,
            None => {
                let mut header = ByteRecord::new();
                let found = reader.read_byte_record(&mut header).map_err(|error| why_csv(shown, 1, error))?;
                if !found {
                    return Err(format!(
                        "`{shown}` is empty; a csv file begins with a header line, or name the columns in `header`"
                    ));
                }
                format.columns(header.iter())
            }
        };
        let columns = columns.map_err(|reason| format!("`{shown}`: {reason}"))?;
        let place = behind(beginning, reader.position(), 0);
        Ok(Self::with(reader, format, columns, beginning, place, leave_out))
    }

    /// Goes on from a place that is not the beginning.
    pub(super) fn resume(input: Input, format: &CsvFormat, columns: CsvColumns, place: Place, leave_out: u64) -> Self {
        // A line end that was there: behind it the reader takes nothing for a byte order mark.
        let reader = format.reader(Allowance { input: (&b"\n"[..]).chain(input), left: LONGEST }, BLOCK);
        let from = Place { offset: place.offset - 1, lines: place.lines.wrapping_sub(1), ..place };
        Self::with(reader, format, columns, from, place, leave_out)
    }

    fn with(
        reader: csv::Reader<Allowance<Chain<&'static [u8], Input>>>,
        format: &CsvFormat,
        columns: CsvColumns,
        from: Place,
        place: Place,
        leave_out: u64,
    ) -> Self {
        let (row, json) = (ByteRecord::new(), Vec::new());
        Self { reader, format: format.clone(), columns, row, json, held: false, from, place, leave_out }
    }

    pub(super) fn place(&self) -> Place {
        self.place
    }

    pub(super) fn columns(self) -> CsvColumns {
        self.columns
    }

    /// # Errors
    /// A sentence if the file cannot be read on.
    pub(super) fn read(
        &mut self,
        shown: &str,
        decoder: &mut Decoder,
        room: &mut Room,
        batch: &mut SourceBatch,
    ) -> Result<Progress, String> {
        let mut left_out = 0;
        loop {
            if !std::mem::replace(&mut self.held, false) {
                self.reader.get_mut().left = LONGEST;
                let line = line_of(self.from, self.reader.position());
                let found = self.reader.read_byte_record(&mut self.row).map_err(|error| why_csv(shown, line, error))?;
                if !found {
                    return Ok(Progress::Ended);
                }
            }
            if self.place.records < self.leave_out {
                self.place = behind(self.from, self.reader.position(), self.place.records + 1);
                left_out += 1;
                if left_out == MOST_LEFT_OUT {
                    return Ok(Progress::Paused);
                }
                continue;
            }
            self.json.clear();
            let written = self.columns.write_object(&self.row, &mut self.json);
            if !room.take(self.json.len().max(self.row.as_slice().len()), batch) {
                self.held = true;
                return Ok(Progress::Paused);
            }
            let origin = || format!("{shown}:{}", self.place.lines + 1);
            match written {
                Ok(()) => {
                    let before = batch.undecodable.len();
                    let arrival = Arrival { value: &self.json, raw: &self.json, timestamp: room.now_ms, key: None };
                    decoder.decode(arrival, origin, batch);
                    // What is set aside is the row, since that is what its author can mend.
                    let letters = batch.undecodable[before..].iter_mut();
                    letters.for_each(|letter| letter.raw = self.format.raw(&self.row));
                }
                Err(reason) => {
                    batch.undecodable.push(Undecodable { origin: origin(), reason, raw: self.format.raw(&self.row) });
                }
            }
            self.place = behind(self.from, self.reader.position(), self.place.records + 1);
        }
    }
}

/// The place behind what a reader has read that began at `from`.
fn behind(from: Place, position: &Position, records: u64) -> Place {
    let offset = from.offset + position.byte();
    Place { offset, lines: line_of(from, position) - 1, records, within_a_long_line: false }
}

/// The number of the line at which a reader stands that began at `from`.
fn line_of(from: Place, position: &Position) -> u64 {
    from.lines.wrapping_add(position.line()).max(1)
}

fn why_csv(shown: &str, line: u64, error: csv::Error) -> String {
    match error.into_kind() {
        csv::ErrorKind::Io(error) if error.kind() == ErrorKind::FileTooLarge => format!(
            "`{shown}:{line}`: the row that begins there is longer than {LONGEST} bytes; is there a quote that is never closed?"
        ),
        csv::ErrorKind::Io(error) => why(shown, &error),
        other => format!("`{shown}:{line}` is not csv: {other:?}"),
    }
}

/// Bounds what the CSV reader may read for one row: an open quote would make it read the rest of the file.
struct Allowance<R> {
    input: R,
    left: usize,
}

impl<R: Read> Read for Allowance<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let bytes = self.input.read(buffer)?;
        self.left = self.left.saturating_sub(bytes);
        Ok(bytes)
    }
}
