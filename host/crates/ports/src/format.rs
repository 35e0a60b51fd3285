//! Finding keys in values.

use gristmill_types::{Column, EventBatch};

/// Finds the key of each event, as a `key_by` of the job document says.
pub trait KeySelector: Send {
    /// The key of each event of the batch. A row named in `without_key` has a null there: its value has no such field,
    /// or a null in it, or is not JSON.
    fn select(&mut self, events: &EventBatch) -> SelectedKeys;
}

/// The keys of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SelectedKeys {
    /// One for each event.
    pub keys: Column,
    /// Rows without a key, ascending, each with the reason.
    pub without_key: Vec<(u32, String)>,
}
