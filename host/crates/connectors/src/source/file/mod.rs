//! Reads files: lines or CSV rows, packed or not, one file after the other.
//!
//! Each file belongs to one subtask, by a hash of its path, and each subtask reads its own in the order of names. Subtasks
//! list the files each for itself; since a file's place in the list does not matter, one that appears in between is
//! read once or not at all, and no other changes hands. Blocks for the disk and for nothing else. With a replay speed, each subtask paces the files it reads.

mod listing;
mod records;
mod replay;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use gristmill_dataflow::document::{Decode, FileSource, SourceSpec};
use gristmill_ports::parts::PartContext;
use gristmill_ports::source::{ReadBounds, Undecodable};
use gristmill_ports::{PortError, SourceBatch, SourceReader};
use gristmill_types::EventBatch;
use tokio::runtime::Handle;

use self::listing::{Listed, list};
use self::records::{OpenFile, Progress, Room};
use self::replay::ReplayClock;
use crate::alarm::Alarm;
use crate::format::csv::{CsvColumns, CsvFormat};
use crate::format::decoder::{Arrival, Decoder, is_cut_off};

/// The longest sleep: timers do not reach to the end of time.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Opens the reader of one subtask.
///
/// # Errors
/// `Fatal` if there is no such file, and for a setting that cannot be.
pub(crate) fn open(
    context: &PartContext,
    spec: &SourceSpec,
    file: &FileSource,
    base: &Path,
    runtime: Handle,
) -> Result<Box<dyn SourceReader>, PortError> {
    let refuse = |reason: String| PortError::fatal(format!("source `{}`: {reason}", context.node));
    let decoder = Decoder::new(spec)?;
    let csv = match &spec.decode {
        Decode::Raw | Decode::Json => None,
        Decode::Csv(csv) => Some(CsvFormat::new(csv)?),
    };
    let replay = match file.replay_speed {
        None => None,
        Some(_) if spec.event_time.is_none() => {
            return Err(refuse("`replay_speed` needs `event_time`, since it follows the events' own times".to_owned()));
        }
        Some(speed) if speed.is_finite() && speed > 0.0 => Some(ReplayClock::new(speed)),
        Some(speed) => return Err(refuse(format!("`replay_speed` is {speed}, but must be above zero"))),
    };
    let is_mine = |file: &Listed| file.owner(context.parallelism) == context.subtask;
    let mine = list(&file.path, base).map_err(refuse)?.into_iter().filter(is_mine).collect();
    Ok(Box::new(FileReader {
        base: base.to_owned(),
        waiting: mine,
        current: None,
        csv,
        decoder,
        broken: None,
        replay,
        held: EventBatch::default(),
        opened: Instant::now(),
        alarm: Alarm::new(runtime),
        now_ms: 0,
    }))
}

struct FileReader {
    base: PathBuf,
    /// Files of this subtask that were not opened yet.
    waiting: VecDeque<Listed>,
    current: Option<OpenFile>,
    csv: Option<CsvFormat>,
    decoder: Decoder,
    /// Why reading cannot go on; told when the events before it are out.
    broken: Option<String>,
    replay: Option<ReplayClock>,
    /// Events that were read but are not due; only with a replay speed.
    held: EventBatch,
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
        if self.held.is_empty() {
            match self.read(bounds, &mut batch) {
                Ok(Progress::Ended) => return Poll::Ready(Ok(None)),
                Ok(Progress::Paused) => {}
                Err(reason) => return Poll::Ready(Err(PortError::fatal(reason))),
            }
        }
        self.keep_back(&mut batch, context);
        if batch.events.is_empty() && batch.undecodable.is_empty() {
            if self.held.is_empty() {
                // Much was read and nothing found: control has its turn, then reading goes on.
                context.waker().wake_by_ref();
            }
            return Poll::Pending;
        }
        Poll::Ready(Ok(Some(batch)))
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
    /// Fills the batch from the files of this subtask. `Ended`: there is no event left.
    fn read(&mut self, bounds: ReadBounds, batch: &mut SourceBatch) -> Result<Progress, String> {
        let mut room = Room { rows: bounds.max_rows, bytes: bounds.max_bytes, now_ms: bounds.now_ms };
        loop {
            let nothing_yet = batch.events.is_empty() && batch.undecodable.is_empty();
            if self.broken.is_some() && !nothing_yet {
                return Ok(Progress::Paused);
            }
            if let Some(reason) = self.broken.take() {
                return Err(reason);
            }
            let Some(file) = &mut self.current else {
                match self.waiting.pop_front() {
                    Some(next) => match OpenFile::open(&next, self.csv.as_ref()) {
                        Ok(file) => self.current = Some(file),
                        Err(reason) => self.broken = Some(reason),
                    },
                    None if nothing_yet => return Ok(Progress::Ended),
                    None => return Ok(Progress::Paused),
                }
                continue;
            };
            match file.read(&mut self.decoder, &mut room, batch) {
                Ok(Progress::Ended) => self.current = None,
                Ok(Progress::Paused) => return Ok(Progress::Paused),
                Err(reason) => self.broken = Some(reason),
            }
        }
    }

    /// With a replay speed: takes events that are not due out of the batch, and sees to it that the reader is woken.
    fn keep_back(&mut self, batch: &mut SourceBatch, context: &Context<'_>) {
        let Some(clock) = &mut self.replay else { return };
        let now = self.opened.elapsed();
        if self.held.is_empty() {
            self.held = std::mem::take(&mut batch.events);
        }
        let due = clock.due(self.held.timestamps(), now);
        batch.events = self.held.slice(0..due);
        self.held = self.held.slice(due..self.held.len());
        if let (0, Some(&next)) = (due, self.held.timestamps().first()) {
            let wait = clock.wait_for(next, now).clamp(Duration::from_millis(1), LONGEST_WAIT);
            self.alarm.wake_after(wait, context.waker());
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
        if let Some(given) = format.given_columns() {
            return given;
        }
        let shown = origin.rsplit_once(':').map_or(origin, |(path, _)| path);
        let file = Listed { shown: shown.to_owned(), path: self.base.join(shown) };
        let opened = OpenFile::open(&file, Some(format))?;
        Ok(opened.columns().expect("a file opened as csv has columns"))
    }
}

#[cfg(test)]
mod tests;
