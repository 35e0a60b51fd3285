//! `gristmill:operator/event-state`: the one value state of the current event's key, for guests that take one event at
//! a time.

use gristmill_ports::state::{StateBackend, StateError};
use gristmill_types::{Column, StateIndex};

use super::state::{WRITE_BYTES, stop};
use crate::bindings::event_state::Host;
use crate::fault::Stop;
use crate::guest_data::{GuestData, Phase};

/// The state of the synthesized descriptor (rule 5).
const STATE: StateIndex = StateIndex(0);

impl Host for GuestData {
    fn get(&mut self) -> wasmtime::Result<Option<Vec<u8>>> {
        access(self, "event-state.get", |backend, row| {
            let read = backend.get(STATE, &[row])?;
            Ok(read.slots.first().and_then(|slot| read.values.get(*slot as usize)).map(<[u8]>::to_vec))
        })
    }

    fn put(&mut self, value: Vec<u8>) -> wasmtime::Result<()> {
        self.charge(WRITE_BYTES + value.len())?;
        let values = Column::from_iter([Some(&value[..])]);
        access(self, "event-state.put", |backend, row| backend.put(STATE, &[row], &values))
    }

    fn delete(&mut self) -> wasmtime::Result<()> {
        self.charge(WRITE_BYTES)?;
        access(self, "event-state.delete", |backend, row| backend.put(STATE, &[row], &Column::all_null(1)))
    }
}

fn access<R>(
    data: &mut GuestData,
    function: &'static str,
    ask: impl FnOnce(&mut dyn StateBackend, u32) -> Result<R, StateError>,
) -> wasmtime::Result<R> {
    match data.phase {
        Phase::Event { row } => {
            Ok(data.on_the_house(|data| ask(&mut *data.state, row)).map_err(|error| stop(function, error))?)
        }
        Phase::Outside => Err(stop(function, StateError::OutsideCall).into()),
        Phase::Batch => {
            Err(Stop::Contract(format!("{function}: there is no current event in `process`; use `state`")).into())
        }
    }
}
