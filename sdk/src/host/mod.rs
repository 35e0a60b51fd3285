//! The imports that an operator may call. In Wasm they are the host's; natively they play on a `Stage`, so that the
//! same operator, down to its last handle, runs in a unit test.

#[cfg(not(target_arch = "wasm32"))]
mod store;
#[cfg(not(target_arch = "wasm32"))]
mod native;

pub(crate) use crate::bindings::gristmill::operator::log::Level;
pub(crate) use crate::bindings::gristmill::operator::state::{Entries, Page, Read};

#[cfg(target_arch = "wasm32")]
pub(crate) use crate::bindings::gristmill::operator::{
    log::write as log,
    metrics::{add as metric_add, observe as metric_observe},
    state::{get as state_get, list_append, list_clear, list_scan, map_get, map_put, map_scan, put as state_put},
};

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use store::Store;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{
    Stage, list_append, list_clear, list_scan, log, map_get, map_put, map_scan, metric_add, metric_observe, state_get,
    state_put,
};
