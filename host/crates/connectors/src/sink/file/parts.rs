//! Many files: each checkpoint ends one, and so do a size and an age.

use std::path::Path;
use std::time::Instant;

use gristmill_checkpoint::coordinator::Staged;
use gristmill_dataflow::document::{FileSink, Roll};
use gristmill_ports::checkpoint_store::FileStore;
use gristmill_ports::parts::PartContext;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink, StagedOutput};
use gristmill_types::{AttemptId, CheckpointId, EventBatch, NodeId, SubtaskIndex};

use super::part::{Part, PartFormat};
use super::place::Place;
use super::staged_file::StagedFile;
use super::staging::{self, Staging};
use crate::sink::tally::Tally;

/// Opens the writer of many files.
///
/// # Errors
/// `Fatal` if its position cannot be read, and for a path into values that is none.
pub(super) fn open(
    context: &PartContext,
    spec: &FileSink,
    base: &Path,
    resume: Option<&[u8]>,
) -> Result<Box<dyn Sink>, PortError> {
    Ok(Box::new(ManyFiles {
        sink: context.node.clone(),
        attempt: context.attempt,
        subtask: context.subtask,
        place: Place::of_parts(&base.join(&spec.path), &context.node),
        format: PartFormat::new(&spec.encode)?,
        roll: spec.roll.unwrap_or_default(),
        open: None,
        full: Vec::new(),
        begun: 0,
        tally: Tally::resume(resume, true, context.node.as_str())?,
    }))
}

struct ManyFiles {
    sink: NodeId,
    attempt: AttemptId,
    subtask: SubtaskIndex,
    place: Place,
    format: PartFormat,
    roll: Roll,
    /// The file that is being written, and since when.
    open: Option<(Part, Instant)>,
    /// Files that are written since the last checkpoint.
    full: Vec<Part>,
    /// How many files this writer has begun.
    begun: u64,
    tally: Tally,
}

impl ManyFiles {
    fn begin_if_none_is_open(&mut self) -> Result<(), PortError> {
        if self.open.is_none() {
            let name = self.place.staged(self.attempt, self.subtask, self.begun);
            let file = StagedFile::create(&self.place.directory, name)?;
            self.begun += 1;
            self.open = Some((self.format.begin(file)?, Instant::now()));
        }
        Ok(())
    }

    /// Ends the open file if it is full. If the disk is, it stays open.
    fn roll(&mut self) -> Result<(), PortError> {
        let is_full = |(part, since): &mut (Part, Instant)| {
            part.rows() > 0 && (part.size() >= self.roll.size.as_u64() || since.elapsed() >= self.roll.every.0)
        };
        let Some((mut part, since)) = self.open.take_if(is_full) else { return Ok(()) };
        match part.close() {
            Ok(()) => self.full.push(part),
            Err(error) => {
                self.open = Some((part, since));
                return Err(error);
            }
        }
        Ok(())
    }
}

impl Sink for ManyFiles {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        self.roll()?;
        self.begin_if_none_is_open()?;
        let Self { open: Some((part, _)), format, tally, .. } = self else { unreachable!("it was just begun") };
        part.write(format, events, tally)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.roll()?;
        self.open.as_mut().map_or(Ok(()), |(part, _)| part.write_out())
    }

    fn pre_commit(&mut self, checkpoint: CheckpointId) -> Result<Option<Box<dyn StagedOutput>>, PortError> {
        let mut parts = std::mem::take(&mut self.full);
        parts.extend(self.open.take_if(|(part, _)| part.rows() > 0).map(|(part, _)| part));
        if parts.is_empty() {
            return Ok(None);
        }
        let target = |number| self.place.part(checkpoint, self.attempt, self.subtask, number);
        let parts = parts.into_iter().enumerate().map(|(number, part)| (part, target(number))).collect();
        Ok(Some(Box::new(CutParts { sink: self.sink.clone(), parts })))
    }

    fn position(&self) -> Vec<u8> {
        self.tally.position()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        Ok(Some(self.tally.summary()))
    }
}

/// Files that were cut off, each with the name that it will have.
struct CutParts {
    sink: NodeId,
    parts: Vec<(Part, String)>,
}

impl StagedOutput for CutParts {
    fn seal(&mut self, _files: &dyn FileStore) -> Result<Vec<Staged>, PortError> {
        let sealed = self.parts.iter_mut().map(|(part, target)| {
            let (staged, length) = part.seal()?;
            let staging = staging::Part { staged: staged.to_owned(), target: target.clone(), length };
            let payload = Staging::Part(staging).encode();
            Ok(Staged { sink: self.sink.clone(), payload, files: Vec::new() })
        });
        sealed.collect()
    }
}
