//! Where events come from: one file a connector.

pub(crate) mod generator;
