//! Reads files: lines or CSV rows, packed or not, one file after the other.
//!
//! Each file belongs to one subtask, by a hash of its path, and each subtask reads its own in the order of names. Subtasks
//! list the files each for itself; since a file's place in the list does not matter, one that appears in between is
//! read once or not at all, and no other changes hands. Blocks for the disk and for nothing else. With a replay speed,
//! each subtask paces the files it reads.
//!
//! Each file is a split. One that has grown since a checkpoint is read on, from its end if it was finished: the last line
//! counts as whole there, line end or not. One that was cut short or replaced ends the job with a sentence.

mod position;
mod room;
mod unpack;
mod listing;
mod line_records;
mod csv_records;
mod open_file;
mod shelf;
mod replay;
mod paced;

use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::Instant;

use gristmill_checkpoint::SplitPosition;
use gristmill_dataflow::document::{Decode, FileSource, SourceSpec, Start};
use gristmill_ports::parts::PartContext;
use gristmill_ports::source::{ReadBounds, Undecodable};
use gristmill_ports::{PortError, SourceBatch, SourceReader};
use tokio::runtime::Handle;

use self::listing::{Listed, list};
use self::open_file::{OpenFile, columns};
use self::paced::Held;
use self::position::{FilePosition, Place};
use self::replay::ReplayClock;
use self::room::{Progress, Room, is_empty};
use self::shelf::Shelf;
use super::start::leave_out_before;
use crate::alarm::Alarm;
use crate::format::csv::{CsvColumns, CsvFormat};
use crate::format::decoder::{Arrival, Decoder, is_cut_off};

/// Opens the reader of one subtask.
///
/// # Errors
/// `Fatal` if there is no such file, for a setting that cannot be, and if a file is not what it was at these positions.
pub(crate) fn open(
    context: &PartContext,
    spec: &SourceSpec,
    file: &FileSource,
    base: &Path,
    resume: Option<&[SplitPosition]>,
    runtime: Handle,
) -> Result<Box<dyn SourceReader>, PortError> {
    let refuse = |reason: &str| PortError::fatal(format!("source `{}`: {reason}", context.node));
    let decoder = Decoder::new(spec)?;
    let csv = match &spec.decode {
        Decode::Raw | Decode::Json => None,
        Decode::Csv(csv) => Some(CsvFormat::new(csv)?),
    };
    let shelf = Shelf::new(context, list(&file.path, base), resume.unwrap_or_default())?;
    let replay = match file.replay_speed {
        None => None,
        Some(_) if spec.event_time.is_none() => {
            return Err(refuse("`replay_speed` needs `event_time`, since it follows the events' own times"));
        }
        Some(speed) if speed.is_finite() && speed > 0.0 => Some(ReplayClock::new(speed, shelf.replayed_to)),
        Some(speed) => return Err(refuse(&format!("`replay_speed` is {speed}, but must be above zero"))),
    };
    let (leave_out, not_before) = match spec.start {
        Start::Beginning => (0, None),
        Start::Offset(records) => (records, None),
        Start::EventTime(_) if spec.event_time.is_none() => {
            return Err(refuse("a `start` by event time needs `event_time`"));
        }
        Start::EventTime(moment) => (0, Some(moment.0)),
    };
    Ok(Box::new(FileReader {
        base: base.to_owned(),
        shelf,
        current: None,
        csv,
        decoder,
        leave_out,
        not_before,
        broken: None,
        replay,
        held: None,
        opened: Instant::now(),
        alarm: Alarm::new(runtime),
        now_ms: 0,
    }))
}

struct FileReader {
    base: PathBuf,
    shelf: Shelf,
    current: Option<OpenFile>,
    csv: Option<CsvFormat>,
    decoder: Decoder,
    /// So many records of each file are left out,
    leave_out: u64,
    /// and events whose time lies before this.
    not_before: Option<i64>,
    /// Why reading cannot go on; told when the events before it are out.
    broken: Option<String>,
    replay: Option<ReplayClock>,
    /// An event that was read but is not due; only with a replay speed.
    held: Option<Held>,
    opened: Instant,
    alarm: Alarm,
    now_ms: i64,
}

impl SourceReader for FileReader {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        bounds: ReadBounds,
    ) -> Poll<Result<Option<SourceBatch>, PortError>> {
        self.now_ms = bounds.now_ms;
        let mut batch = SourceBatch::default();
        let mut room = Room { rows: bounds.max_rows, bytes: bounds.max_bytes, now_ms: bounds.now_ms };
        let read = match self.replay {
            None => self.read(&mut room, &mut batch),
            Some(_) => self.read_what_is_due(&mut room, &mut batch, context),
        };
        match read {
            Ok(Progress::Ended) => return Poll::Ready(Ok(None)),
            Ok(Progress::Paused) => {}
            Err(reason) => return Poll::Ready(Err(PortError::fatal(reason))),
        }
        if is_empty(&batch) {
            if self.held.is_none() {
                // Much was read and nothing found: control has its turn, then reading goes on.
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(Some(batch)))
    }

    fn positions(&self) -> Vec<SplitPosition> {
        let mut positions = self.shelf.positions();
        if let Some(file) = &self.current {
            let place = self.held.as_ref().map_or_else(|| file.place(), |held| held.before);
            positions.push(self.position(file, place, false));
        }
        positions
    }

    fn decode_again(&mut self, raw: &[u8], origin: &str) -> SourceBatch {
        let mut batch = SourceBatch::default();
        if let Err(reason) = self.read_again(raw, origin, &mut batch) {
            batch.undecodable.push(Undecodable { origin: origin.to_owned(), reason, raw: raw.to_vec() });
        }
        batch
    }
}

impl FileReader {
    fn position(&self, file: &OpenFile, place: Place, finished: bool) -> SplitPosition {
        let replayed_to = self.replay.as_ref().and_then(|clock| clock.reached(self.opened.elapsed()));
        FilePosition { finished, place, identity: file.identity(), replayed_to }.encode(file.shown())
    }

    /// Fills the batch from the files of this subtask. `Ended`: there is no event left.
    fn read(&mut self, room: &mut Room, batch: &mut SourceBatch) -> Result<Progress, String> {
        loop {
            if self.broken.is_some() && !is_empty(batch) {
                return Ok(Progress::Paused);
            }
            if let Some(reason) = self.broken.take() {
                return Err(reason);
            }
            let Some(file) = &mut self.current else {
                if self.open_next() {
                    continue;
                }
                return Ok(if is_empty(batch) { Progress::Ended } else { Progress::Paused });
            };
            match file.read(&mut self.decoder, room, batch) {
                Ok(Progress::Ended) => self.finish_current(),
                Ok(Progress::Paused) => {
                    self.leave_out(batch);
                    return Ok(Progress::Paused);
                }
                Err(reason) => self.broken = Some(reason),
            }
            self.leave_out(batch);
        }
    }

    fn leave_out(&self, batch: &mut SourceBatch) {
        if let Some(start_ms) = self.not_before {
            leave_out_before(&mut batch.events, start_ms);
        }
    }

    /// Opens the file whose turn it is. `false`: there is none.
    fn open_next(&mut self) -> bool {
        let Some(next) = self.shelf.waiting.pop_front() else { return false };
        match OpenFile::resume(&next.file, self.csv.as_ref(), self.leave_out, next.place()) {
            Ok(file) => self.current = Some(file),
            Err(reason) => self.broken = Some(reason),
        }
        true
    }

    fn finish_current(&mut self) {
        if let Some(file) = self.current.take() {
            let position = self.position(&file, file.place(), true);
            self.shelf.finished.push(position);
        }
    }

    fn read_again(&mut self, raw: &[u8], origin: &str, batch: &mut SourceBatch) -> Result<(), String> {
        if is_cut_off(origin) {
            return Err("only the beginning of the event was kept".to_owned());
        }
        let timestamp = self.now_ms;
        let Some(format) = self.csv.clone() else {
            let arrival = Arrival { value: raw, raw, timestamp, key: None };
            self.decoder.decode(arrival, || origin.to_owned(), batch);
            return Ok(());
        };
        let mut json = Vec::new();
        self.columns_of(&format, origin)?.write_object(&format.one_row(raw)?, &mut json)?;
        self.decoder.decode(Arrival { value: &json, raw, timestamp, key: None }, || origin.to_owned(), batch);
        Ok(())
    }

    /// The columns of a row that stood at this origin: those of the file's header, if the job does not name them.
    fn columns_of(&self, format: &CsvFormat, origin: &str) -> Result<CsvColumns, String> {
        let shown = origin.rsplit_once(':').map_or(origin, |(path, _)| path);
        columns(&Listed { shown: shown.to_owned(), path: self.base.join(shown) }, format)
    }
}

#[cfg(test)]
mod tests;
