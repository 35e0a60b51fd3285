//! Giving events their keys, as a `key_by` says.

use std::sync::Arc;

use gristmill_dataflow::document::KeyBy;
use gristmill_ports::Parts;
use gristmill_ports::error::PortError;
use gristmill_ports::format::{KeySelector, SelectedKeys};
use gristmill_types::EventBatch;

/// Keys the events that pass a keyed edge.
pub(crate) enum Keying {
    /// Events keep the key that they have.
    Own,
    /// Keys are found in the values.
    Selected(Box<dyn KeySelector>),
}

/// A batch whose events all have a key and its hash, and the rows that had none.
pub(crate) struct Keyed {
    /// Events with keys; may be empty.
    pub(crate) events: EventBatch,
    /// Events without, each with the reason.
    pub(crate) without_key: Vec<(EventBatch, String)>,
}

impl Keying {
    pub(crate) fn new(key_by: &KeyBy, parts: &dyn Parts) -> Result<Self, PortError> {
        match key_by {
            KeyBy::OwnKey => Ok(Self::Own),
            KeyBy::Paths(_) => parts.key_selector(key_by).map(Self::Selected),
        }
    }

    pub(crate) fn apply(&mut self, batch: Arc<EventBatch>) -> Keyed {
        let (selected, without_key) = match self {
            Self::Own => {
                let none = |row: &u32| (*row, "the event has no key".to_owned());
                (None, batch.keys().nulls().iter().map(none).collect())
            }
            Self::Selected(selector) => {
                let SelectedKeys { keys, without_key } = selector.select(&batch);
                (Some(keys), without_key)
            }
        };
        let refused = without_key.iter().map(|(row, _)| *row).collect::<Vec<_>>();
        let set_aside = without_key
            .into_iter()
            .map(|(row, reason)| (batch.slice(row as usize..row as usize + 1), reason))
            .collect();
        let mut events = Arc::unwrap_or_clone(batch);
        if let Some(keys) = selected {
            events = events.with_keys(keys).expect("a key selector gives one key, or null, for each event");
        }
        if !refused.is_empty() {
            let kept: Vec<u32> = (0..events.len() as u32).filter(|row| refused.binary_search(row).is_err()).collect();
            events = events.gather(&kept);
        }
        Keyed { events: events.hashed(), without_key: set_aside }
    }
}
