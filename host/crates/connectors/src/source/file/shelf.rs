//! The files of one subtask: which are read already, and which are still to be read, from where.
//!
//! On a later attempt the files that are there now are held against the positions of then. A file that was read to its
//! end may be gone; one that was not must be there, and be the same.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;

use gristmill_checkpoint::SplitPosition;
use gristmill_ports::PortError;
use gristmill_ports::parts::PartContext;

use super::listing::{Listed, owner_of};
use super::position::{FilePosition, Place};

/// A file that waits for its turn.
pub(super) struct Waiting {
    pub(super) file: Listed,
    /// What was read of it before.
    pub(super) position: Option<FilePosition>,
}

impl Waiting {
    /// Where it is read from.
    pub(super) fn place(&self) -> Place {
        self.position.map_or_else(Place::default, |position| position.place)
    }
}

/// The files of one subtask but for the one that it reads.
#[derive(Default)]
pub(super) struct Shelf {
    /// In the order of their names.
    pub(super) waiting: VecDeque<Waiting>,
    /// Files that were read to their ends.
    pub(super) finished: Vec<SplitPosition>,
    /// How far in event time the replay of any subtask had come.
    pub(super) replayed_to: Option<i64>,
}

impl Shelf {
    /// The shelf of a subtask. `listed` are the files of all subtasks, or why there are none.
    ///
    /// # Errors
    /// `Fatal` if a file that was not read to its end is gone, or if one is not what it was.
    pub(super) fn new(
        context: &PartContext,
        listed: Result<Vec<Listed>, String>,
        positions: &[SplitPosition],
    ) -> Result<Self, PortError> {
        let refuse = |reason: String| PortError::fatal(format!("source `{}`: {reason}", context.node));
        let mut known = BTreeMap::new();
        for position in positions {
            known.insert(position.split.as_str(), FilePosition::decode(&context.node, position)?);
        }
        let all_finished = !known.is_empty() && known.values().all(|position| position.finished);
        let listed = match listed {
            // They were read, and may be cleared away.
            Err(_) if all_finished => Vec::new(),
            listed => listed.map_err(refuse)?,
        };
        let mut shelf =
            Self { replayed_to: known.values().filter_map(|known| known.replayed_to).max(), ..Self::default() };
        let is_mine = |split: &str| owner_of(split, context.parallelism) == context.subtask;
        for file in listed.into_iter().filter(|file| is_mine(&file.shown)) {
            let position = known.remove(file.shown.as_str());
            shelf.put(file, position).map_err(refuse)?;
        }
        for (split, position) in known.into_iter().filter(|(split, _)| is_mine(split)) {
            if !position.finished {
                let records = position.place.records;
                return Err(refuse(format!(
                    "`{split}` is gone, and only {records} of its records were read; put it back, or run the job anew"
                )));
            }
            shelf.finished.push(position.encode(split));
        }
        Ok(shelf)
    }

    fn put(&mut self, file: Listed, position: Option<FilePosition>) -> Result<(), String> {
        if let Some(position) = position {
            let shown = &file.shown;
            let mut opened = File::open(&file.path).map_err(|error| format!("cannot open `{shown}`: {error}"))?;
            position.identity.check(&mut opened).map_err(|difference| {
                format!(
                    "`{shown}` {difference}; put back what was there, or run the job anew to read what is there now"
                )
            })?;
            let has_grown = opened.metadata().is_ok_and(|now| now.len() > position.identity.bytes);
            if position.finished && !has_grown {
                self.finished.push(position.encode(shown));
                return Ok(());
            }
        }
        self.waiting.push_back(Waiting { file, position });
        Ok(())
    }

    /// Where all of these files stand.
    pub(super) fn positions(&self) -> Vec<SplitPosition> {
        let begun = self.waiting.iter();
        let begun = begun.filter_map(|waiting| Some(waiting.position?.encode(&waiting.file.shown)));
        self.finished.iter().cloned().chain(begun).collect()
    }
}
