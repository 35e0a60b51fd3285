//! State of the current event's key: a value, a list, or an ordered map. Kept by the host in checkpoints; typed here.
//!
//! Handles buffer: reads are fetched for the whole batch or kept, writes wait for the end of the call and then go out in
//! one piece. So an author reads and writes event by event at the price of a batch, and what a rejected event wrote
//! vanishes before the host has seen it (contract, rule 17).

mod value;
mod list;
mod map;
mod content;

pub use content::Kept;
pub(crate) use content::{Run, Written, empty_page};
pub use list::{List, ListItems};
pub use map::{Map, MapEntries};
pub use value::Value;

use crate::bindings::gristmill::operator::types::{Descriptor, StateKind, StateScope, StateSpec};
use crate::part::Field;

/// No row has this number: a batch is far smaller.
const NO_ROW: u32 = u32::MAX;

/// Bytes that one page of a scan holds at most.
const PAGE_BYTES: u32 = 64 * 1024;

fn declare(field: &Field, kind: StateKind, descriptor: &mut Descriptor) -> u32 {
    descriptor.states.push(StateSpec {
        name: field.name.to_owned(),
        kind,
        scope: StateScope::Keyed,
        version: field.version,
        ttl_ms: field.ttl_ms,
        ttl_clock: field.ttl_clock(),
    });
    descriptor.states.len() as u32 - 1
}

#[cfg(test)]
mod tests;
