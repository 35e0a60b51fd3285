//! Where events come from: one file a connector.

mod position;
mod start;
pub(crate) mod generator;
pub(crate) mod file;
pub(crate) mod http;
pub(crate) mod socket;
