//! One open file: unpacks it, and gives its lines or CSV rows one after the other.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read};

use csv::ByteRecord;
use flate2::bufread::MultiGzDecoder;
use gristmill_ports::source::{SourceBatch, Undecodable};

use super::listing::Listed;
use crate::format::csv::{CsvColumns, CsvFormat};
use crate::format::decoder::{Arrival, Decoder, cut_off};
use crate::lines::{Line, LineBuffer};

/// The longest line or row.
const LONGEST: usize = 16 << 20;

/// What one call may read without finding an event, so that control need not wait.
const MOST_READ: usize = 8 << 20;

/// Bytes read from the disk at once.
const BLOCK: usize = 256 << 10;

type Input = Box<dyn Read + Send>;

/// A file on its way through the reader.
pub(super) struct OpenFile {
    shown: String,
    records: Records,
}

enum Records {
    Lines(Lines),
    Rows(Box<Rows>),
}

struct Lines {
    input: Input,
    lines: LineBuffer,
    /// The number of the line given out last.
    number: u64,
}

struct Rows {
    reader: csv::Reader<Allowance<Input>>,
    format: CsvFormat,
    columns: CsvColumns,
    row: ByteRecord,
    json: Vec<u8>,
    /// The row was read, but had no more room in the batch.
    held: bool,
}

/// How far one call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// The batch is full, or so much was read that control must have its turn.
    Paused,
    /// The file is at its end.
    Ended,
}

/// How much a batch may still take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// The time of events that have none.
    pub(super) now_ms: i64,
}

impl Room {
    /// Takes a place for an event of this size. `false`: there is none, and the event must wait for the next batch.
    fn take(&mut self, bytes: usize, batch: &SourceBatch) -> bool {
        let empty = batch.events.is_empty() && batch.undecodable.is_empty();
        if !empty && (self.rows == 0 || self.bytes < bytes) {
            return false;
        }
        self.rows = self.rows.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes);
        true
    }
}

impl OpenFile {
    /// Opens a file; for CSV without given columns its header line is read.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn open(file: &Listed, csv: Option<&CsvFormat>) -> Result<Self, String> {
        let opened = File::open(&file.path).map_err(|error| format!("cannot open `{}`: {error}", file.shown))?;
        let input = unpack(&file.shown, opened).map_err(|error| why(&file.shown, &error))?;
        let records = match csv {
            None => Records::Lines(Lines { input, lines: LineBuffer::new(LONGEST), number: 0 }),
            Some(format) => Records::Rows(Box::new(Rows::open(&file.shown, input, format)?)),
        };
        Ok(Self { shown: file.shown.clone(), records })
    }

    /// Reads events into the batch.
    ///
    /// # Errors
    /// A sentence if the file cannot be read on. What was read before is in the batch.
    pub(super) fn read(
        &mut self,
        decoder: &mut Decoder,
        room: &mut Room,
        batch: &mut SourceBatch,
    ) -> Result<Progress, String> {
        match &mut self.records {
            Records::Lines(lines) => lines.read(&self.shown, decoder, room, batch),
            Records::Rows(rows) => rows.read(&self.shown, decoder, room, batch),
        }
    }

    /// The columns of a CSV file.
    pub(super) fn columns(self) -> Option<CsvColumns> {
        match self.records {
            Records::Lines(_) => None,
            Records::Rows(rows) => Some(rows.columns),
        }
    }
}

fn unpack(name: &str, file: File) -> io::Result<Input> {
    let file = BufReader::with_capacity(BLOCK, file);
    Ok(if name.ends_with(".gz") {
        Box::new(MultiGzDecoder::new(file))
    } else if name.ends_with(".zst") || name.ends_with(".zstd") {
        Box::new(zstd::Decoder::with_buffer(file)?)
    } else {
        Box::new(file)
    })
}

/// Why a file cannot be read on.
fn why(shown: &str, error: &io::Error) -> String {
    let packed = shown.ends_with(".gz") || shown.ends_with(".zst") || shown.ends_with(".zstd");
    match error.kind() {
        ErrorKind::UnexpectedEof if packed => {
            format!("`{shown}` ends in the middle of its compressed data; it was cut off, so get a whole copy")
        }
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Other if packed => {
            format!("`{shown}` cannot be unpacked: {error}; it is damaged or not what its name says")
        }
        _ => format!("cannot read `{shown}`: {error}"),
    }
}

impl Lines {
    fn read(
        &mut self,
        shown: &str,
        decoder: &mut Decoder,
        room: &mut Room,
        batch: &mut SourceBatch,
    ) -> Result<Progress, String> {
        let mut read = 0;
        loop {
            if self.take_lines(shown, decoder, room, batch) == Progress::Paused || read >= MOST_READ {
                return Ok(Progress::Paused);
            }
            if self.lines.has_ended() {
                return Ok(Progress::Ended);
            }
            match self.input.read(self.lines.room()) {
                Ok(bytes) => {
                    self.lines.filled(bytes);
                    read += bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(why(shown, &error)),
            }
        }
    }

    /// Decodes the lines that were read. `Ended`: all of them.
    fn take_lines(&mut self, shown: &str, decoder: &mut Decoder, room: &mut Room, batch: &mut SourceBatch) -> Progress {
        let blank_is_nothing = matches!(decoder, Decoder::Json(_));
        while let Some(line) = self.lines.next_line() {
            let (Line::Whole(range) | Line::TooLong(range)) = &line;
            let bytes = &self.lines.bytes()[range.clone()];
            let nothing = blank_is_nothing && bytes.trim_ascii().is_empty();
            if !nothing && !room.take(bytes.len(), batch) {
                self.lines.put_back(&line);
                return Progress::Paused;
            }
            self.number += 1;
            let origin = || format!("{shown}:{}", self.number);
            match line {
                Line::Whole(_) if nothing => {}
                Line::Whole(_) => {
                    let arrival = Arrival { value: bytes, raw: bytes, timestamp: room.now_ms, key: None };
                    decoder.decode(arrival, origin, batch);
                }
                Line::TooLong(_) => batch.undecodable.push(cut_off(&origin(), bytes, self.lines.too_long())),
            }
        }
        Progress::Ended
    }
}

impl Rows {
    fn open(shown: &str, input: Input, format: &CsvFormat) -> Result<Self, String> {
        let mut reader = format.reader(Allowance { input, left: LONGEST }, BLOCK);
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
        Ok(Self { reader, format: format.clone(), columns, row: ByteRecord::new(), json: Vec::new(), held: false })
    }

    fn read(
        &mut self,
        shown: &str,
        decoder: &mut Decoder,
        room: &mut Room,
        batch: &mut SourceBatch,
    ) -> Result<Progress, String> {
        loop {
            if !std::mem::replace(&mut self.held, false) {
                self.reader.get_mut().left = LONGEST;
                let line = self.reader.position().line();
                let found = self.reader.read_byte_record(&mut self.row).map_err(|error| why_csv(shown, line, error))?;
                if !found {
                    return Ok(Progress::Ended);
                }
            }
            self.json.clear();
            let written = self.columns.write_object(&self.row, &mut self.json);
            if !room.take(self.json.len().max(self.row.as_slice().len()), batch) {
                self.held = true;
                return Ok(Progress::Paused);
            }
            let origin = || format!("{shown}:{}", self.row.position().map_or(0, csv::Position::line));
            match written {
                Ok(()) => {
                    let before = batch.undecodable.len();
                    let arrival = Arrival { value: &self.json, raw: &self.json, timestamp: room.now_ms, key: None };
                    decoder.decode(arrival, origin, batch);
                    // What is set aside is the row, since that is what its author can mend.
                    batch.undecodable[before..].iter_mut().for_each(|letter| letter.raw = self.format.raw(&self.row));
                }
                Err(reason) => {
                    batch.undecodable.push(Undecodable { origin: origin(), reason, raw: self.format.raw(&self.row) });
                }
            }
        }
    }
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
