//! What the call under way has written, in order, until it is committed or forgotten.

use gristmill_ports::state::{StateError, WriteMark};
use gristmill_types::{Column, StateIndex};

use crate::call::Place;

/// Bytes that one call may write before it is stopped. Above every limit of the Wasm floor: a last bound.
pub(crate) const MAX_WRITE_SET_BYTES: usize = 256 << 20;

/// One write: something is done to the entries of some keys, in this order.
#[derive(Debug)]
pub(crate) struct Write {
    pub(crate) state: StateIndex,
    pub(crate) places: Vec<Place>,
    pub(crate) change: WriteKind,
}

/// What is done. Columns run parallel to the places.
#[derive(Debug)]
pub(crate) enum WriteKind {
    /// Null deletes.
    PutValues(Column),
    AppendToLists(Column),
    ClearLists,
    /// A null value deletes.
    PutEntries {
        keys: Column,
        values: Column,
    },
    ClearMaps,
}

impl Write {
    fn bytes(&self) -> usize {
        let columns = match &self.change {
            WriteKind::PutValues(values) | WriteKind::AppendToLists(values) => values.bytes(),
            WriteKind::PutEntries { keys, values } => keys.bytes() + values.bytes(),
            WriteKind::ClearLists | WriteKind::ClearMaps => 0,
        };
        columns + size_of_val(self.places.as_slice()) + size_of::<Self>()
    }
}

/// The writes of a call. A mark is a number of writes.
#[derive(Debug, Default)]
pub(crate) struct WriteSet {
    writes: Vec<Write>,
    bytes: usize,
}

impl WriteSet {
    /// Adds a write behind the others.
    ///
    /// # Errors
    /// If the call would have written more than [`MAX_WRITE_SET_BYTES`]; nothing is added then.
    pub(crate) fn push(&mut self, write: Write) -> Result<(), StateError> {
        let bytes = self.bytes + write.bytes();
        if bytes > MAX_WRITE_SET_BYTES {
            return Err(StateError::WriteSetFull { bytes, limit: MAX_WRITE_SET_BYTES });
        }
        self.bytes = bytes;
        self.writes.push(write);
        Ok(())
    }

    pub(crate) fn mark(&self) -> WriteMark {
        WriteMark(self.writes.len())
    }

    /// Forgets the writes after the mark.
    pub(crate) fn truncate(&mut self, mark: WriteMark) {
        for write in self.writes.drain(mark.0.min(self.writes.len())..) {
            self.bytes -= write.bytes();
        }
    }

    /// The writes, which then are somebody else's to apply.
    pub(crate) fn take(&mut self) -> Vec<Write> {
        self.bytes = 0;
        std::mem::take(&mut self.writes)
    }

    pub(crate) fn writes(&self) -> &[Write] {
        &self.writes
    }
}
