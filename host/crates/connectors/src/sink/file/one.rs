//! One file that grows by a piece with each checkpoint.
//!
//! The writer knows how long the target will be once all its pieces are committed, so each piece has its place before the
//! one before it is there.

use std::path::Path;

use gristmill_checkpoint::FileRef;
use gristmill_checkpoint::coordinator::Staged;
use gristmill_ports::checkpoint_store::FileStore;
use gristmill_ports::parts::PartContext;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{PortError, Sink, StagedOutput};
use gristmill_types::{AttemptId, CheckpointId, EventBatch, NodeId, SubtaskIndex};
use serde::{Deserialize, Serialize};

use super::lock::Lock;
use super::place::Place;
use super::staged_file::StagedFile;
use super::staging::{Append, Ending, Staging};
use crate::format::encode::Encoder;
use crate::sink::encodable::encode_what_can_be;
use crate::sink::tally::Tally;
use crate::sink::versioned;

/// Where a writer goes on. A law of the storage format.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Position {
    taken: SinkSummary,
    /// The target's length when all that was staged is committed. `None`: nothing was staged yet.
    length: Option<u64>,
    /// How it ends then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ending: Option<Ending>,
}

/// Opens the writer of a file; it goes on from its position if there is one.
///
/// # Errors
/// `Fatal` if the position cannot be read.
pub(super) fn open(
    context: &PartContext,
    path: &Path,
    encoder: Encoder,
    lock: Lock,
    resume: Option<&[u8]>,
) -> Result<Box<dyn Sink>, PortError> {
    let position: Position = match resume {
        Some(position) => versioned::decode(position, context.node.as_str())?,
        None => Position::default(),
    };
    Ok(Box::new(OneFile {
        sink: context.node.clone(),
        attempt: context.attempt,
        subtask: context.subtask,
        place: Place::of_one(path, &context.node),
        target: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        encoder,
        open: None,
        length: position.length,
        ending: position.ending,
        staged: 0,
        tally: Tally::going_on(position.taken, true),
        lock,
    }))
}

struct OneFile {
    sink: NodeId,
    attempt: AttemptId,
    subtask: SubtaskIndex,
    place: Place,
    /// The name of the target.
    target: String,
    encoder: Encoder,
    /// The piece that is being written.
    open: Option<StagedFile>,
    /// See [`Position::length`].
    length: Option<u64>,
    /// See [`Position::ending`].
    ending: Option<Ending>,
    /// How many pieces this writer has begun.
    staged: u64,
    tally: Tally,
    lock: Lock,
}

impl OneFile {
    /// The piece that is being written; the first of a run begins with the header.
    fn piece(&mut self) -> Result<&mut StagedFile, PortError> {
        let piece = match self.open.take() {
            Some(piece) => piece,
            None => {
                let name = self.place.staged(self.attempt, self.subtask, self.staged);
                let mut piece = StagedFile::create(&self.place.directory, name)?;
                self.staged += 1;
                if self.length.is_none() {
                    piece.append(|out| out.extend_from_slice(&self.encoder.header()))?;
                }
                piece
            }
        };
        Ok(self.open.insert(piece))
    }
}

impl Sink for OneFile {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        self.piece()?;
        let Self { open: Some(piece), encoder, tally, .. } = self else { unreachable!("it was just opened") };
        piece.append(|out| encode_what_can_be(encoder, events, out, tally))
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.open.as_mut().map_or(Ok(()), StagedFile::write_out)
    }

    /// The first piece is cut even if it is empty: so the file of a run without events is empty, or has its header.
    fn pre_commit(&mut self, _checkpoint: CheckpointId) -> Result<Option<Box<dyn StagedOutput>>, PortError> {
        self.lock.renew();
        if self.length.is_none() {
            self.piece()?;
        }
        let Some(file) = self.open.take_if(|piece| self.length.is_none() || piece.length() > 0) else {
            return Ok(None);
        };
        let (offset, first) = (self.length.unwrap_or(0), self.length.is_none());
        self.length = Some(offset + file.length());
        let append = Append {
            staged: file.name().to_owned(),
            target: self.target.clone(),
            offset,
            length: file.length(),
            first,
            behind: self.ending,
        };
        self.ending = Some(file.ending());
        Ok(Some(Box::new(Piece { sink: self.sink.clone(), file, append })))
    }

    fn position(&self) -> Vec<u8> {
        versioned::encode(&Position { taken: self.tally.summary(), length: self.length, ending: self.ending })
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.flush()?;
        Ok(Some(self.tally.summary()))
    }
}

/// A piece that was cut off.
struct Piece {
    sink: NodeId,
    file: StagedFile,
    append: Append,
}

impl StagedOutput for Piece {
    fn seal(&mut self, _files: &dyn FileStore) -> Result<Vec<Staged>, PortError> {
        self.file.seal()?;
        let payload = Staging::Append(self.append.clone()).encode();
        Ok(vec![Staged { sink: self.sink.clone(), payload, files: Vec::<FileRef>::new() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_position() {
        let taken = SinkSummary { events: 2, bytes: 9, checksum: u64::MAX };
        let before = Position { taken, length: Some(11), ending: None };
        let position = Position { ending: Some(Ending::of(b"abc")), ..before };
        let start = r#"{"version":1,"taken":{"events":2,"bytes":9,"checksum":18446744073709551615},"length":11"#;
        for (position, rest) in [(before, "}"), (position, r#","ending":{"bytes":3,"xxh3":8696274497037089104}}"#)] {
            let golden = format!("{start}{rest}");
            assert_eq!(String::from_utf8_lossy(&versioned::encode(&position)), golden);
            assert_eq!(versioned::decode::<Position>(golden.as_bytes(), "it"), Ok(position));
        }
    }
}
