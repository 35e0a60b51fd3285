//! A state backend that fails at every access, as a broken disk would.

use gristmill_ports::state::*;
use gristmill_ports::{FileStore, PortError, Stateless};
use gristmill_types::{CheckpointId, Column, EventBatch, StateIndex};

pub(crate) struct Broken;

fn gone<T>() -> Result<T, StateError> {
    Err(StateError::Backend("the disk is gone".to_owned()))
}

impl StateBackend for Broken {
    fn begin(&mut self, _: &EventBatch, _: StateTime) {}
    fn commit(&mut self) -> Result<(), StateError> {
        gone()
    }
    fn roll_back(&mut self) {}
    fn mark(&self) -> WriteMark {
        WriteMark(0)
    }
    fn roll_back_to(&mut self, _: WriteMark) {}
    fn get(&mut self, _: StateIndex, _: &[u32]) -> Result<SlotRead, StateError> {
        gone()
    }
    fn put(&mut self, _: StateIndex, _: &[u32], _: &Column) -> Result<(), StateError> {
        gone()
    }
    fn list_append(&mut self, _: StateIndex, _: &[u32], _: &Column) -> Result<(), StateError> {
        gone()
    }
    fn list_clear(&mut self, _: StateIndex, _: &[u32]) -> Result<(), StateError> {
        gone()
    }
    fn list_scan(&mut self, _: StateIndex, _: u32, _: Option<&[u8]>, _: u32) -> Result<ScanPage, StateError> {
        gone()
    }
    fn map_get(&mut self, _: StateIndex, _: &[u32], _: &Column) -> Result<Column, StateError> {
        gone()
    }
    fn map_put(&mut self, _: StateIndex, _: &[u32], _: &Column, _: &Column) -> Result<(), StateError> {
        gone()
    }
    fn map_clear(&mut self, _: StateIndex, _: &[u32]) -> Result<(), StateError> {
        gone()
    }
    fn map_scan(&mut self, _: StateIndex, _: u32, _: &[u8], _: Option<&[u8]>, _: u32) -> Result<ScanPage, StateError> {
        gone()
    }
    fn freeze(&mut self, _: CheckpointId) -> bool {
        true
    }
    fn drain_frozen(&mut self, _: usize) -> Drained {
        Drained::All(Box::new(Stateless))
    }
    fn restore(&mut self, _: &RestoredState<'_>, _: &dyn FileStore) -> Result<(), PortError> {
        Ok(())
    }
    fn size(&self) -> StateSize {
        StateSize { keys: 0, bytes: 0 }
    }
}
