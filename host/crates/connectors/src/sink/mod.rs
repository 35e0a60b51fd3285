//! Where events go: one file a connector.

mod tally;
mod encodable;
mod pending_bytes;
pub(crate) mod blackhole;
pub(crate) mod file;
pub(crate) mod stdout;
pub(crate) mod http;
