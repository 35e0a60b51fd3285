//! Where events go: one file a connector.

pub(crate) mod tally;
pub(crate) mod blackhole;
