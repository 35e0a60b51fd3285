//! Where events go: one file a connector.

mod versioned;
mod tally;
mod encodable;
mod pending_bytes;
mod waiting;
pub(crate) mod blackhole;
pub(crate) mod file;
pub(crate) mod postgres;
pub(crate) mod stdout;
pub(crate) mod http;
