//! Event time, as events themselves say when they happened, in milliseconds since the Unix epoch: how far it has come.

use serde::{Deserialize, Serialize};

/// `Watermark(t)`: no more events with a time of `t` or before will come. Never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watermark(pub i64);

impl Watermark {
    /// Nothing is known yet.
    pub const START: Self = Self(i64::MIN);
    /// The end of a bounded input: every event has come.
    pub const END: Self = Self(i64::MAX);
}
