//! State of one operator in several backends: a swap puts another one beside those that are there, for the states that its
//! module adds, and nothing has to be moved for that.
//!
//! States are named by their places in one list, which all layers share; each layer holds those that were new when it was put
//! there. What a module calls its first state, its second state, stands somewhere in that list: the view tells where.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gristmill_checkpoint::StateFile;
use gristmill_ports::state::{
    Drained, FrozenState, RestoredState, ScanPage, SlotRead, StateError, StateSize, StateTime, WriteMark,
};
use gristmill_ports::{FileStore, PortError, StateBackend};
use gristmill_types::{CheckpointId, Column, EventBatch, StateIndex};

/// How whoever uses the state at the moment names its parts. The node and its state share it.
#[derive(Clone, Default)]
pub(crate) struct View(Arc<Mutex<Seen>>);

#[derive(Default)]
enum Seen {
    /// As they stand in the list.
    #[default]
    Whole,
    /// A module's first state stands in the first of these places, and so on.
    Seats(Vec<StateIndex>),
}

impl View {
    /// From now on the list is seen as it is.
    pub(crate) fn see_whole(&self) {
        *self.seen() = Seen::Whole;
    }

    /// From now on states are named as a module does that has its states in these places.
    pub(crate) fn see(&self, seats: &[StateIndex]) {
        *self.seen() = Seen::Seats(seats.to_vec());
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, named: StateIndex) -> Result<StateIndex, StateError> {
        match &*self.seen() {
            Seen::Whole => Ok(named),
            Seen::Seats(seats) => {
                let unknown = StateError::UnknownState { index: named.0, declared: seats.len() };
                seats.get(named.at()).copied().ok_or(unknown)
            }
        }
    }
}

/// See the module.
pub(crate) struct Layers {
    below: Box<dyn StateBackend>,
    /// Holds the states from `first_above` on.
    above: Option<Box<dyn StateBackend>>,
    first_above: StateIndex,
    view: View,
    /// What each layer marked, by the mark that was given for both.
    marks: Mutex<Vec<(WriteMark, WriteMark)>>,
    /// Whether the layer above took part in the last freeze: one that is put there behind a freeze did not.
    froze_above: bool,
    /// What of the frozen generation is out.
    drained: Option<Box<dyn FrozenState>>,
}

impl Layers {
    /// States as they are, seen through a view.
    pub(crate) fn seen(below: Box<dyn StateBackend>, view: View) -> Self {
        Self {
            below,
            above: None,
            first_above: StateIndex(u32::MAX),
            view,
            marks: Mutex::default(),
            froze_above: false,
            drained: None,
        }
    }

    /// With a layer that holds the states from this place on, all of them still empty.
    pub(crate) fn with(mut self, above: Box<dyn StateBackend>, first_above: StateIndex) -> Self {
        (self.above, self.first_above) = (Some(above), first_above);
        self
    }

    fn layer(&mut self, named: StateIndex) -> Result<(&mut Box<dyn StateBackend>, StateIndex), StateError> {
        let place = self.view.place(named)?;
        match &mut self.above {
            Some(above) if place >= self.first_above => Ok((above, place)),
            Some(_) | None => Ok((&mut self.below, place)),
        }
    }

    fn each(&mut self) -> impl Iterator<Item = &mut Box<dyn StateBackend>> {
        std::iter::once(&mut self.below).chain(&mut self.above)
    }

    fn marks(&self) -> MutexGuard<'_, Vec<(WriteMark, WriteMark)>> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateBackend for Layers {
    fn begin(&mut self, events: &EventBatch, time: StateTime) {
        self.marks().clear();
        self.each().for_each(|layer| layer.begin(events, time));
    }

    /// In all layers or, once one has failed, in an attempt that is over.
    fn commit(&mut self) -> Result<(), StateError> {
        self.each().try_for_each(|layer| layer.commit())
    }

    fn roll_back(&mut self) {
        self.each().for_each(|layer| layer.roll_back());
    }

    fn bound_reads(&mut self, bytes: usize) {
        self.each().for_each(|layer| layer.bound_reads(bytes));
    }

    fn mark(&self) -> WriteMark {
        let above = self.above.as_ref().map_or(WriteMark(0), |above| above.mark());
        let mut marks = self.marks();
        marks.push((self.below.mark(), above));
        WriteMark(marks.len() - 1)
    }

    fn roll_back_to(&mut self, mark: WriteMark) {
        let (below, above) = self.marks()[mark.0];
        self.marks().truncate(mark.0 + 1);
        self.below.roll_back_to(below);
        if let Some(layer) = &mut self.above {
            layer.roll_back_to(above);
        }
    }

    fn get(&mut self, state: StateIndex, rows: &[u32]) -> Result<SlotRead, StateError> {
        let (layer, state) = self.layer(state)?;
        layer.get(state, rows)
    }

    fn put(&mut self, state: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError> {
        let (layer, state) = self.layer(state)?;
        layer.put(state, rows, values)
    }

    fn list_append(&mut self, state: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError> {
        let (layer, state) = self.layer(state)?;
        layer.list_append(state, rows, values)
    }

    fn list_clear(&mut self, state: StateIndex, rows: &[u32]) -> Result<(), StateError> {
        let (layer, state) = self.layer(state)?;
        layer.list_clear(state, rows)
    }

    fn list_scan(
        &mut self,
        state: StateIndex,
        row: u32,
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<ScanPage, StateError> {
        let (layer, state) = self.layer(state)?;
        layer.list_scan(state, row, after, max_bytes)
    }

    fn map_get(&mut self, state: StateIndex, rows: &[u32], keys: &Column) -> Result<Column, StateError> {
        let (layer, state) = self.layer(state)?;
        layer.map_get(state, rows, keys)
    }

    fn map_put(&mut self, state: StateIndex, rows: &[u32], keys: &Column, values: &Column) -> Result<(), StateError> {
        let (layer, state) = self.layer(state)?;
        layer.map_put(state, rows, keys, values)
    }

    fn map_clear(&mut self, state: StateIndex, rows: &[u32]) -> Result<(), StateError> {
        let (layer, state) = self.layer(state)?;
        layer.map_clear(state, rows)
    }

    fn map_scan(
        &mut self,
        state: StateIndex,
        row: u32,
        prefix: &[u8],
        after: Option<&[u8]>,
        max_bytes: u32,
    ) -> Result<ScanPage, StateError> {
        let (layer, state) = self.layer(state)?;
        layer.map_scan(state, row, prefix, after, max_bytes)
    }

    /// Both or none: a layer above begins with nothing frozen, and what is frozen is drained out of both.
    fn freeze(&mut self, checkpoint: CheckpointId) -> bool {
        let frozen = self.below.freeze(checkpoint);
        if frozen && let Some(above) = &mut self.above {
            assert!(above.freeze(checkpoint), "all layers are drained before any is frozen again");
            self.froze_above = true;
        }
        frozen
    }

    fn drain_frozen(&mut self, max_entries: usize) -> Drained {
        let above = self.above.as_mut().filter(|_| self.froze_above);
        let Some(above) = above else { return self.below.drain_frozen(max_entries) };
        match self.drained.take() {
            None => match self.below.drain_frozen(max_entries) {
                Drained::More => Drained::More,
                Drained::All(below) => {
                    self.drained = Some(below);
                    Drained::More
                }
            },
            Some(below) => match above.drain_frozen(max_entries) {
                Drained::More => {
                    self.drained = Some(below);
                    Drained::More
                }
                Drained::All(above) => Drained::All(Box::new(FrozenLayers { below, above, stored: None })),
            },
        }
    }

    fn restore(&mut self, from: &RestoredState<'_>, files: &dyn FileStore) -> Result<(), PortError> {
        assert!(self.above.is_none(), "layers are put on a state that is filled");
        self.below.restore(from, files)
    }

    fn size(&self) -> StateSize {
        let (below, above) = (self.below.size(), self.above.as_ref().map(|above| above.size()).unwrap_or_default());
        StateSize { keys: below.keys + above.keys, bytes: below.bytes + above.bytes }
    }
}

/// What two layers froze at once. Their entries are of different states, so their files may follow each other in any order.
struct FrozenLayers {
    below: Box<dyn FrozenState>,
    above: Box<dyn FrozenState>,
    /// Of the layer below, if storing the other is tried again.
    stored: Option<Vec<StateFile>>,
}

impl FrozenState for FrozenLayers {
    fn store(&mut self, files: &dyn FileStore) -> Result<Vec<StateFile>, PortError> {
        let below = match self.stored.take() {
            Some(stored) => stored,
            None => self.below.store(files)?,
        };
        match self.above.store(files) {
            Ok(above) => Ok(below.into_iter().chain(above).collect()),
            Err(error) => {
                self.stored = Some(below);
                Err(error)
            }
        }
    }

    fn entries(&self) -> u64 {
        self.below.entries() + self.above.entries()
    }
}
