//! Keyed state, addressed by the rows of the current call.
//!
//! A call is a transaction: between [`StateBackend::begin`] and [`StateBackend::commit`] all writes stand in the call's
//! write set, where the call's own reads see them; [`StateBackend::roll_back`] forgets them. Keys are never named:
//! a row stands for its event's key, so an operator cannot touch the state of another key.

use gristmill_checkpoint::StateFile;
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{CheckpointId, Column, EventBatch, KeyGroup, KeyGroupRange, StateIndex};

use crate::checkpoint_store::FileStore;
use crate::error::PortError;

/// What is wrong with an access to state. The caller broke the contract: a guest fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// A state that the descriptor does not declare.
    #[error("state {index} is not declared; the descriptor declares {declared}")]
    UnknownState {
        /// The index given.
        index: u32,
        /// How many there are.
        declared: usize,
    },
    /// A value state used as a map, and the like.
    #[error("state `{state}` is of kind {kind}, which has no `{function}`")]
    WrongKind {
        /// The state's name.
        state: String,
        /// Its kind.
        kind: &'static str,
        /// The function called.
        function: &'static str,
    },
    /// A row that the batch does not have.
    #[error("row {row} does not exist; the batch has {rows}")]
    RowOutOfRange {
        /// The row given.
        row: u32,
        /// How many there are.
        rows: usize,
    },
    /// Columns that should run in parallel do not.
    #[error("{rows} rows were given with {values} values")]
    Uneven {
        /// Rows given.
        rows: usize,
        /// Values given.
        values: usize,
    },
    /// The row's event has no key.
    #[error("row {row} has no key, so it has no keyed state")]
    NoKey {
        /// The row given.
        row: u32,
    },
    /// State was touched while no call was under way.
    #[error("state can be used only while the guest processes a batch or a timer")]
    OutsideCall,
    /// A value that must not be null is.
    #[error("value {place} is null; `{function}` takes none")]
    NullValue {
        /// Where in the column.
        place: usize,
        /// The function called.
        function: &'static str,
    },
    /// A cursor that no scan of a list has given.
    #[error("the cursor is none that `list-scan` returned; hand over `next` of the page before as it is")]
    StrangeCursor,
    /// One call writes more than the backend holds for it.
    #[error("the writes of one call take {bytes} bytes; at most {limit} are held; write less in a call")]
    WriteSetFull {
        /// Bytes with the refused write.
        bytes: usize,
        /// Bytes that are held.
        limit: usize,
    },
    /// One access reads more than the backend hands over at once.
    #[error("the values of one read take more than {limit} bytes; read fewer rows at a time")]
    ReadTooLarge {
        /// Bytes that are handed over.
        limit: usize,
    },
    /// The backend itself failed.
    #[error("the state backend failed: {0}")]
    Backend(String),
}

/// What [`StateBackend::get`] found: distinct values, and for each row where its value stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotRead {
    /// `slots[i]` is the row of `values` that belongs to row `i` of the request. Rows of equal key share one slot.
    pub slots: Vec<u32>,
    /// One value for each distinct key; null where there is no state.
    pub values: Column,
}

/// A page of a scan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScanPage {
    /// Map keys, ascending by bytes; empty for a list.
    pub keys: Column,
    /// Values.
    pub values: Column,
    /// Where to go on, if there is more.
    pub next: Option<Vec<u8>>,
}

/// The keyed state of one subtask of one operator. Driven by one thread.
///
/// `rows` always are rows of the batch given to [`Self::begin`]; they may repeat.
pub trait StateBackend: Send {
    /// Opens a call on a batch; an open call is rolled back first. Rows refer to this batch from now on, and entries
    /// whose time to live is over at `time` are not seen.
    fn begin(&mut self, events: &EventBatch, time: StateTime);

    /// Applies the call's write set and closes the call.
    ///
    /// # Errors
    /// [`StateError::Backend`]; the state is then lost to this attempt of the job, which fails.
    fn commit(&mut self) -> Result<(), StateError>;

    /// Forgets the call's write set and closes the call.
    fn roll_back(&mut self);

    /// Bounds what one read may hand over, in bytes, for whoever reads and cannot take in more. The default does
    /// nothing: a backend may have a bound of its own.
    fn bound_reads(&mut self, _bytes: usize) {}

    /// A mark in the write set; see [`Self::roll_back_to`].
    fn mark(&self) -> WriteMark;

    /// Forgets the writes made after the mark; the call stays open.
    fn roll_back_to(&mut self, mark: WriteMark);

    /// Reads a value state.
    ///
    /// # Errors
    /// If the caller broke the contract, or the backend failed.
    fn get(&mut self, state: StateIndex, rows: &[u32]) -> Result<SlotRead, StateError>;

    /// Writes a value state; null deletes; for rows of one key the last wins.
    ///
    /// # Errors
    /// As for [`Self::get`].
    fn put(&mut self, state: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError>;

    /// Appends to lists, in order.
    ///
    /// # Errors
    /// As for [`Self::get`]; a null value is an error.
    fn list_append(&mut self, state: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError>;

    /// Empties lists.
    ///
    /// # Errors
    /// As for [`Self::get`].
    fn list_clear(&mut self, state: StateIndex, rows: &[u32]) -> Result<(), StateError>;

    /// Reads one list from the cursor on: entries until `max_bytes` are reached, at least one if there is one.
    ///
    /// # Errors
    /// As for [`Self::get`].
    fn list_scan(
        &mut self,
        state: StateIndex,
        row: u32,
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<ScanPage, StateError>;

    /// Looks up `keys[i]` in the map of `rows[i]`; null where absent.
    ///
    /// # Errors
    /// As for [`Self::get`].
    fn map_get(&mut self, state: StateIndex, rows: &[u32], keys: &Column) -> Result<Column, StateError>;

    /// Writes `values[i]` under `keys[i]` in the map of `rows[i]`; null deletes; of equal ones the last wins.
    ///
    /// # Errors
    /// As for [`Self::get`].
    fn map_put(&mut self, state: StateIndex, rows: &[u32], keys: &Column, values: &Column) -> Result<(), StateError>;

    /// Empties maps.
    ///
    /// # Errors
    /// As for [`Self::get`].
    fn map_clear(&mut self, state: StateIndex, rows: &[u32]) -> Result<(), StateError>;

    /// Reads one map: keys that begin with `prefix`, strictly after the cursor, ascending by bytes, until `max_bytes`
    /// are reached, at least one if there is one. Sees this call's own writes.
    ///
    /// # Errors
    /// As for [`Self::get`].
    fn map_scan(
        &mut self,
        state: StateIndex,
        row: u32,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<ScanPage, StateError>;

    /// Cuts for a checkpoint, in constant time: all that was committed before belongs to the frozen generation, nothing
    /// after does. Returns `false`, and does nothing, while an earlier generation is not drained.
    ///
    /// # Panics
    /// If a call is open.
    fn freeze(&mut self, checkpoint: CheckpointId) -> bool;

    /// Carries a part of the frozen generation away, about `max_entries` of it. Called between two calls until all is
    /// out; what came then is to be stored off the thread.
    ///
    /// # Panics
    /// If nothing is frozen.
    fn drain_frozen(&mut self, max_entries: usize) -> Drained;

    /// Fills the state, which is empty, with what is in these files; each changes what the files before it say. Takes
    /// only the key groups given, and of each file those for which it counts.
    ///
    /// `states` are the states of the writer, by the places that the files name. They map to this operator's by their
    /// names; one that is not declared any more is left out. If they are not this operator's, in any way, the next
    /// freeze has all of the state: its files stand in the place of these, and do not follow them. An entry whose time
    /// to live goes by another clock now counts as written now.
    ///
    /// # Errors
    /// `Retry` if the store cannot be reached; `Fatal` if a file is missing, damaged or makes no sense.
    fn restore(&mut self, from: &RestoredState<'_>, files: &dyn FileStore) -> Result<(), PortError>;

    /// How many keys and bytes the state holds, for reports.
    fn size(&self) -> StateSize;
}

/// A place in the write set of the open call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WriteMark(pub usize);

/// What time it is, by both clocks, in milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateTime {
    /// The host's clock.
    pub processing_ms: i64,
    /// How far event time has come: the watermark.
    pub event_ms: i64,
}

/// How far the draining of a frozen generation has come.
pub enum Drained {
    /// There is more.
    More,
    /// All is out, and here it is.
    All(Box<dyn FrozenState>),
}

/// A frozen generation on its way to storage.
pub trait FrozenState: Send {
    /// Writes it as files, sorted; none if nothing had changed. Called off the subtask's thread.
    ///
    /// # Errors
    /// `Retry` to be called again after a backoff; `Fatal`: the attempt fails.
    fn store(&mut self, files: &dyn FileStore) -> Result<Vec<StateFile>, PortError>;

    /// Entries in it, deletions included.
    fn entries(&self) -> u64;
}

/// What a state is filled with.
#[derive(Debug, Clone, Copy)]
pub struct RestoredState<'a> {
    /// The states of whoever wrote the files.
    pub states: &'a [StateSpec],
    /// Oldest first.
    pub files: &'a [StateFile],
    /// What to take of them.
    pub groups: KeyGroupRange,
    /// What time it is.
    pub time: StateTime,
}

/// Keeps lists of files short: merges neighbours of a list in the background.
pub trait StateMerger: Send + Sync {
    /// Which neighbours of a list, oldest first, are worth merging now, if any.
    fn choose(&self, files: &[StateFile]) -> Option<std::ops::Range<usize>>;

    /// Merges neighbours into one file that says what they say one after the other, each of the key groups for which it
    /// counts. `is_oldest`: nothing stands before them, so that deletions need not be kept. `None` if nothing is left.
    ///
    /// # Errors
    /// As for [`StateBackend::restore`].
    fn merge(
        &self,
        states: &[StateSpec],
        neighbours: &[StateFile],
        is_oldest: bool,
        time: StateTime,
        files: &dyn FileStore,
    ) -> Result<Option<StateFile>, PortError>;
}

/// How large a state is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct StateSize {
    /// Distinct keys with any state.
    pub keys: u64,
    /// Bytes of keys and values, without the tables around them.
    pub bytes: u64,
}

/// Reads files of state for people: what they hold, entry by entry.
pub trait StateReader: Send + Sync {
    /// The entries that a list of files amounts to, by state, key group, key and place, each once; `files` are where the
    /// list is. Nothing expires.
    ///
    /// # Errors
    /// As for [`StateBackend::restore`]; so does the iterator, once, and ends then.
    fn entries(&self, list: &[StateFile], files: &dyn FileStore) -> Result<StateEntries, PortError>;

    /// How many entries that list amounts to of each of so many states, by their places. Reads it whole.
    ///
    /// # Errors
    /// As for [`Self::entries`]; `Fatal` if an entry is of none of these states.
    fn count(&self, states: usize, list: &[StateFile], files: &dyn FileStore) -> Result<Vec<u64>, PortError> {
        let mut counts = vec![0; states];
        for entry in self.entries(list, files)? {
            let state = entry?.state;
            let count = counts.get_mut(state as usize).ok_or_else(|| {
                PortError::fatal(format!(
                    "an entry is of state {state}, and there are {states}: the files are of another node"
                ))
            })?;
            *count += 1;
        }
        Ok(counts)
    }
}

/// See [`StateReader::entries`].
pub type StateEntries = Box<dyn Iterator<Item = Result<StateEntry, PortError>> + Send>;

/// One entry of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEntry {
    /// The state, by its place among those of the writer.
    pub state: u32,
    /// The key group of `key`.
    pub group: KeyGroup,
    /// Whose state it is.
    pub key: Vec<u8>,
    /// Which of the key's entries.
    pub place: EntryPlace,
    /// The value.
    pub value: Vec<u8>,
}

/// Which entry of a key's state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryPlace {
    /// The only one, of a value or an accumulator.
    Value,
    /// An item of a list, by its index.
    Item(u64),
    /// An entry of a map, by its name.
    Name(Vec<u8>),
}
