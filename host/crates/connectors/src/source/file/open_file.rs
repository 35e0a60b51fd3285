//! One open file: from which place it is read, and what its records are.

use std::fs::File;
use std::io::{ErrorKind, Read};

use gristmill_ports::source::SourceBatch;

use super::csv_records::CsvRecords;
use super::line_records::LineRecords;
use super::listing::Listed;
use super::position::{Identity, Place};
use super::room::{MOST_READ, Progress, Room};
use super::unpack::{BLOCK, Input, unpack, why};
use crate::format::csv::{CsvColumns, CsvFormat};
use crate::format::decoder::Decoder;

/// The longest line.
const LONGEST: usize = 16 << 20;

/// A file on its way through the reader.
pub(super) struct OpenFile {
    shown: String,
    identity: Identity,
    records: Records,
}

enum Records {
    /// A packed file, which must be unpacked up to the place at which it is read on.
    Unpacking(Unpacking),
    Lines(LineRecords),
    Rows(Box<CsvRecords>),
}

struct Unpacking {
    input: Input,
    /// Bytes that are left up to there.
    left: u64,
    rest: Rest,
}

/// How a file is read from where the reading begins.
#[derive(Clone)]
struct Rest {
    place: Place,
    /// Records that the job leaves out.
    leave_out: u64,
    columns: Option<(CsvFormat, CsvColumns)>,
}

impl Rest {
    fn read_from(self, input: Input) -> Records {
        match self.columns {
            None => Records::Lines(LineRecords::new(input, self.place, LONGEST, self.leave_out)),
            Some((format, columns)) => {
                let rows = CsvRecords::resume(input, &format, columns, self.place, self.leave_out);
                Records::Rows(Box::new(rows))
            }
        }
    }
}

impl OpenFile {
    /// Opens a file at its beginning; for CSV without given columns its header line is read. The first `leave_out`
    /// records will not be given.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn open(file: &Listed, csv: Option<&CsvFormat>, leave_out: u64) -> Result<Self, String> {
        let (opened, identity) = open(file)?;
        let (input, _) = unpack(&file.shown, opened, 0).map_err(|error| why(&file.shown, &error))?;
        let records = match csv {
            None => Records::Lines(LineRecords::new(input, Place::default(), LONGEST, leave_out)),
            Some(format) => Records::Rows(Box::new(CsvRecords::new(&file.shown, input, format, leave_out)?)),
        };
        Ok(Self { shown: file.shown.clone(), identity, records })
    }

    /// Opens a file at a place that was reached earlier.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn resume(file: &Listed, csv: Option<&CsvFormat>, leave_out: u64, place: Place) -> Result<Self, String> {
        if place.offset == 0 {
            return Self::open(file, csv, leave_out);
        }
        let columns = csv.map(|format| Ok::<_, String>((format.clone(), columns(file, format)?))).transpose()?;
        let (opened, identity) = open(file)?;
        let (input, left) = unpack(&file.shown, opened, place.offset).map_err(|error| why(&file.shown, &error))?;
        if left == 0 && identity.bytes < place.offset {
            return Err(cut_short(&file.shown, place));
        }
        let rest = Rest { place, leave_out, columns };
        let records = match left {
            0 => rest.read_from(input),
            left => Records::Unpacking(Unpacking { input, left, rest }),
        };
        Ok(Self { shown: file.shown.clone(), identity, records })
    }

    /// By what the file is known again.
    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Before which record it stands.
    pub(super) fn place(&self) -> Place {
        match &self.records {
            Records::Unpacking(unpacking) => unpacking.rest.place,
            Records::Lines(lines) => lines.place(),
            Records::Rows(rows) => rows.place(),
        }
    }

    /// As people know it.
    pub(super) fn shown(&self) -> &str {
        &self.shown
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
            Records::Unpacking(_) => self.unpack_on().map(|()| Progress::Paused),
            Records::Lines(lines) => lines.read(&self.shown, decoder, room, batch),
            Records::Rows(rows) => rows.read(&self.shown, decoder, room, batch),
        }
    }

    /// Unpacks a part of what was read earlier.
    fn unpack_on(&mut self) -> Result<(), String> {
        let Records::Unpacking(unpacking) = &mut self.records else { return Ok(()) };
        let mut block = vec![0; BLOCK];
        let mut read = 0;
        while unpacking.left > 0 && read < MOST_READ {
            let most = unpacking.left.min(BLOCK as u64) as usize;
            match unpacking.input.read(&mut block[..most]) {
                Ok(0) => return Err(cut_short(&self.shown, unpacking.rest.place)),
                Ok(bytes) => {
                    unpacking.left -= bytes as u64;
                    read += bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(why(&self.shown, &error)),
            }
        }
        if unpacking.left == 0 {
            let input = std::mem::replace(&mut unpacking.input, Box::new(std::io::empty()));
            self.records = unpacking.rest.clone().read_from(input);
        }
        Ok(())
    }
}

/// The columns of a CSV file: those of its header, if the job does not name them.
///
/// # Errors
/// A sentence.
pub(super) fn columns(file: &Listed, format: &CsvFormat) -> Result<CsvColumns, String> {
    if let Some(given) = format.given_columns() {
        return given;
    }
    let (opened, _) = open(file)?;
    let (input, _) = unpack(&file.shown, opened, 0).map_err(|error| why(&file.shown, &error))?;
    CsvRecords::new(&file.shown, input, format, 0).map(CsvRecords::columns)
}

fn open(file: &Listed) -> Result<(File, Identity), String> {
    let mut opened = File::open(&file.path).map_err(|error| format!("cannot open `{}`: {error}", file.shown))?;
    let identity = Identity::of(&mut opened).map_err(|error| why(&file.shown, &error))?;
    Ok((opened, identity))
}

fn cut_short(shown: &str, place: Place) -> String {
    format!(
        "`{shown}` was read up to byte {} and ends before: it was cut short; put back what was there, or run the job anew",
        place.offset
    )
}
