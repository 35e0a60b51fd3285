//! The lines of one file.

use std::io::{ErrorKind, Read};

use gristmill_ports::source::SourceBatch;

use super::position::Place;
use super::room::{MOST_READ, Progress, Room};
use super::unpack::{Input, why};
use crate::format::decoder::{Arrival, Decoder, cut_off};
use crate::lines::{Line, LineBuffer};

/// Lines on their way through the reader.
pub(super) struct LineRecords {
    input: Input,
    lines: LineBuffer,
    /// The number of the line given out last.
    number: u64,
    records: u64,
    /// Records that the job leaves out.
    leave_out: u64,
}

impl LineRecords {
    pub(super) fn new(input: Input, from: Place, longest: usize, leave_out: u64) -> Self {
        let lines = LineBuffer::at(longest, from.offset, from.within_a_long_line);
        Self { input, lines, number: from.lines, records: from.records, leave_out }
    }

    pub(super) fn place(&self) -> Place {
        let (offset, within_a_long_line) = self.lines.offset();
        Place { offset, lines: self.number, records: self.records, within_a_long_line }
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
            let left_out = nothing || self.records < self.leave_out;
            if !left_out && !room.take(bytes.len(), batch) {
                self.lines.put_back(&line);
                return Progress::Paused;
            }
            self.number += 1;
            self.records += u64::from(!nothing);
            let origin = || format!("{shown}:{}", self.number);
            match line {
                _ if left_out => {}
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
