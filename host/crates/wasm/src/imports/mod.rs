//! What a guest may call: one file for each interface of the contract, and one for the empty world of WASI.

mod log;
mod metrics;
mod state;
mod event_state;
mod wasi;

pub(crate) use wasi::empty_world;

use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker};

use crate::bindings;
use crate::guest_data::GuestData;

/// A linker that knows every import this host serves. Which of them a module may have is decided before it is linked.
///
/// # Errors
/// Only if two interfaces claim the same name.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<GuestData>> {
    type Data = HasSelf<GuestData>;
    let mut linker = Linker::new(engine);
    bindings::types::add_to_linker::<_, Data>(&mut linker, |data| data)?;
    bindings::log::add_to_linker::<_, Data>(&mut linker, |data| data)?;
    bindings::metrics::add_to_linker::<_, Data>(&mut linker, |data| data)?;
    bindings::state::add_to_linker::<_, Data>(&mut linker, |data| data)?;
    bindings::event_state::add_to_linker::<_, Data>(&mut linker, |data| data)?;
    wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

impl bindings::types::Host for GuestData {}
