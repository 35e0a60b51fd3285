//! No state: what an operator has that declares none.

use gristmill_checkpoint::StateFile;
use gristmill_types::{CheckpointId, Column, EventBatch, StateIndex};

use crate::checkpoint_store::FileStore;
use crate::error::PortError;
use crate::state::{
    Drained, FrozenState, RestoredState, ScanPage, SlotRead, StateBackend, StateError, StateSize, StateTime, WriteMark,
};

/// The backend of an operator that has no state: every access is an error.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stateless;

impl Stateless {
    fn refuse<T>(state: StateIndex) -> Result<T, StateError> {
        Err(StateError::UnknownState { index: state.0, declared: 0 })
    }
}

impl StateBackend for Stateless {
    fn begin(&mut self, _: &EventBatch, _: StateTime) {}
    fn commit(&mut self) -> Result<(), StateError> {
        Ok(())
    }
    fn roll_back(&mut self) {}
    fn mark(&self) -> WriteMark {
        WriteMark(0)
    }
    fn roll_back_to(&mut self, _: WriteMark) {}
    fn get(&mut self, state: StateIndex, _: &[u32]) -> Result<SlotRead, StateError> {
        Self::refuse(state)
    }
    fn put(&mut self, state: StateIndex, _: &[u32], _: &Column) -> Result<(), StateError> {
        Self::refuse(state)
    }
    fn list_append(&mut self, state: StateIndex, _: &[u32], _: &Column) -> Result<(), StateError> {
        Self::refuse(state)
    }
    fn list_clear(&mut self, state: StateIndex, _: &[u32]) -> Result<(), StateError> {
        Self::refuse(state)
    }
    fn list_scan(&mut self, state: StateIndex, _: u32, _: Option<&[u8]>, _: u32) -> Result<ScanPage, StateError> {
        Self::refuse(state)
    }
    fn map_get(&mut self, state: StateIndex, _: &[u32], _: &Column) -> Result<Column, StateError> {
        Self::refuse(state)
    }
    fn map_put(&mut self, state: StateIndex, _: &[u32], _: &Column, _: &Column) -> Result<(), StateError> {
        Self::refuse(state)
    }
    fn map_clear(&mut self, state: StateIndex, _: &[u32]) -> Result<(), StateError> {
        Self::refuse(state)
    }
    fn map_scan(
        &mut self,
        state: StateIndex,
        _: u32,
        _: &[u8],
        _: Option<&[u8]>,
        _: u32,
    ) -> Result<ScanPage, StateError> {
        Self::refuse(state)
    }
    fn freeze(&mut self, _: CheckpointId) -> bool {
        true
    }
    fn drain_frozen(&mut self, _: usize) -> Drained {
        Drained::All(Box::new(Self))
    }
    fn restore(&mut self, _: &RestoredState<'_>, _: &dyn FileStore) -> Result<(), PortError> {
        Ok(())
    }
    fn size(&self) -> StateSize {
        StateSize::default()
    }
}

impl FrozenState for Stateless {
    fn store(&mut self, _: &dyn FileStore) -> Result<Vec<StateFile>, PortError> {
        Ok(Vec::new())
    }
    fn entries(&self) -> u64 {
        0
    }
}
