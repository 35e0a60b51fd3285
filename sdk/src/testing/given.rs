//! Events as a test writes them down.

use serde::Serialize;

use crate::bindings::gristmill::operator::types::{self, Column};

/// An event to be given to an operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    timestamp: i64,
    pub(super) key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// An event with this value, without a key, at time 0.
pub fn event(value: impl AsRef<[u8]>) -> Given {
    Given { timestamp: 0, key: None, value: Some(value.as_ref().to_vec()) }
}

/// An event with this value as JSON, without a key, at time 0.
///
/// # Panics
/// If the value cannot be JSON.
pub fn json(value: &impl Serialize) -> Given {
    event(serde_json::to_vec(value).expect("the value can be JSON"))
}

/// An event without a value, without a key, at time 0.
#[must_use]
pub fn tombstone() -> Given {
    Given { timestamp: 0, key: None, value: None }
}

impl Given {
    /// The same event under this key.
    #[must_use]
    pub fn key(self, key: impl AsRef<[u8]>) -> Self {
        Self { key: Some(key.as_ref().to_vec()), ..self }
    }

    /// The same event at this time, in milliseconds since the epoch.
    #[must_use]
    pub fn at(self, timestamp: i64) -> Self {
        Self { timestamp, ..self }
    }
}

/// The events as the columns of a batch.
pub(super) fn batch_of(events: &[Given]) -> types::Batch {
    types::Batch {
        timestamps: events.iter().map(|event| event.timestamp).collect(),
        keys: events.iter().map(|event| event.key.as_deref()).collect::<Column>(),
        values: events.iter().map(|event| event.value.as_deref()).collect::<Column>(),
    }
}
