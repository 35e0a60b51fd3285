//! How the bytes of an event are read, and where its time and key stand.

pub(crate) mod json;
pub(crate) mod event_time;
pub(crate) mod key;
pub(crate) mod decoder;
pub(crate) mod csv;
pub(crate) mod event_reader;
pub(crate) mod columns;
pub(crate) mod scalar;
pub(crate) mod encode;

#[cfg(test)]
mod tests;
