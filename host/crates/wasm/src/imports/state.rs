//! `gristmill:operator/state`: rows and columns pass on to the state backend that was moved in for the call.
//!
//! What the guest writes is counted against its output limit; what it gets wrong stops it with the sentence that says
//! so; the time that the backend takes is not the guest's.

use gristmill_ports::state::{ScanPage, StateBackend, StateError};
use gristmill_types::{Column, StateIndex};

use crate::bindings::state::{Entries, Host, Page, Read};
use crate::bindings::types::ColumnResult;
use crate::fault::Stop;
use crate::guest_data::{GuestData, Phase};

/// What a write costs beside its bytes, against the output limit: the host keeps a row, an end and a place for each, so a
/// flood of empty values, deletes or clears is a flood all the same.
pub(super) const WRITE_BYTES: usize = 16;

impl Host for GuestData {
    fn get(&mut self, state: u32, rows: Vec<u32>) -> wasmtime::Result<Read> {
        let read = access(self, "state.get", |backend| backend.get(StateIndex(state), &rows))?;
        Ok(Read { slots: read.slots, values: lowered(read.values) })
    }

    fn put(&mut self, state: u32, rows: Vec<u32>, values: ColumnResult) -> wasmtime::Result<()> {
        let values = taken(self, "state.put", &rows, values)?;
        access(self, "state.put", |backend| backend.put(StateIndex(state), &rows, &values))
    }

    fn list_append(&mut self, state: u32, rows: Vec<u32>, values: ColumnResult) -> wasmtime::Result<()> {
        let values = taken(self, "state.list-append", &rows, values)?;
        access(self, "state.list-append", |backend| backend.list_append(StateIndex(state), &rows, &values))
    }

    fn list_clear(&mut self, state: u32, rows: Vec<u32>) -> wasmtime::Result<()> {
        self.charge(WRITE_BYTES * rows.len())?;
        access(self, "state.list-clear", |backend| backend.list_clear(StateIndex(state), &rows))
    }

    fn list_scan(&mut self, state: u32, row: u32, after: Option<Vec<u8>>, max_bytes: u32) -> wasmtime::Result<Page> {
        let max_bytes = page_bytes(self, max_bytes);
        let page = access(self, "state.list-scan", |backend| {
            backend.list_scan(StateIndex(state), row, after.as_deref(), max_bytes)
        })?;
        Ok(page_of(page))
    }

    fn map_get(&mut self, state: u32, rows: Vec<u32>, keys: ColumnResult) -> wasmtime::Result<ColumnResult> {
        let keys = column(keys, "state.map-get")?;
        access(self, "state.map-get", |backend| backend.map_get(StateIndex(state), &rows, &keys)).map(lowered)
    }

    fn map_put(&mut self, state: u32, entries: Entries) -> wasmtime::Result<()> {
        let keys = taken(self, "state.map-put", &entries.rows, entries.keys)?;
        let values = taken(self, "state.map-put", &[], entries.values)?;
        access(self, "state.map-put", |backend| backend.map_put(StateIndex(state), &entries.rows, &keys, &values))
    }

    fn map_clear(&mut self, state: u32, rows: Vec<u32>) -> wasmtime::Result<()> {
        self.charge(WRITE_BYTES * rows.len())?;
        access(self, "state.map-clear", |backend| backend.map_clear(StateIndex(state), &rows))
    }

    fn map_scan(
        &mut self,
        state: u32,
        row: u32,
        prefix: Vec<u8>,
        after: Option<Vec<u8>>,
        max_bytes: u32,
    ) -> wasmtime::Result<Page> {
        let max_bytes = page_bytes(self, max_bytes);
        let page = access(self, "state.map-scan", |backend| {
            backend.map_scan(StateIndex(state), row, &prefix, after.as_deref(), max_bytes)
        })?;
        Ok(page_of(page))
    }
}

/// Asks the backend of the call under way.
fn access<R>(
    data: &mut GuestData,
    function: &'static str,
    ask: impl FnOnce(&mut dyn StateBackend) -> Result<R, StateError>,
) -> wasmtime::Result<R> {
    match data.phase {
        Phase::Batch => Ok(data.on_the_house(|data| ask(&mut *data.state)).map_err(|error| stop(function, error))?),
        Phase::Outside => Err(stop(function, StateError::OutsideCall).into()),
        Phase::Event { .. } => {
            Err(Stop::Contract(format!("{function}: `on-event` reaches its state through `event-state`")).into())
        }
    }
}

/// Tells the guest's mistakes from the backend's. `function` is what the guest called, such as `state.get`.
pub(super) fn stop(function: &str, error: StateError) -> Stop {
    match error {
        StateError::Backend(_) => Stop::Host(error.to_string()),
        error => Stop::Contract(format!("{function}: {error}")),
    }
}

/// Checks a column that the guest hands over to be kept, and counts it with its rows.
fn taken(data: &mut GuestData, function: &str, rows: &[u32], values: ColumnResult) -> Result<Column, Stop> {
    let values = column(values, function)?;
    data.charge(WRITE_BYTES * rows.len() + values.bytes())?;
    Ok(values)
}

fn column(raw: ColumnResult, function: &str) -> Result<Column, Stop> {
    Column::from_parts(raw.ends, raw.data, raw.nulls).map_err(|error| Stop::Contract(format!("{function}: {error}")))
}

fn lowered(column: Column) -> ColumnResult {
    let (ends, data, nulls) = column.into_parts();
    ColumnResult { ends, data, nulls }
}

/// A page must find room in the guest, whatever it asks for.
fn page_bytes(data: &GuestData, asked: u32) -> u32 {
    asked.min(u32::try_from(data.limits.memory_bytes / 8).unwrap_or(u32::MAX))
}

fn page_of(page: ScanPage) -> Page {
    Page { keys: lowered(page.keys), values: lowered(page.values), next: page.next }
}
