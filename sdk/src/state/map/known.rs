//! The entries of a map that have been fetched, whatever the key they stand under.

use std::collections::HashMap;

use crate::event::Event;
use crate::failure::Failure;
use crate::map_key::EncodeKey;

/// Entries kept from one call to the next; with more, all are forgotten.
const KEPT_ENTRIES: usize = 16 * 1024;

/// Bytes, as stored, of entries kept from one call to the next; with more, all are forgotten.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// Entries by their place in `entries`, found again by key and map key.
#[derive(Debug)]
pub(super) struct Known<V> {
    pub(super) entries: Vec<Entry<V>>,
    /// Length of the key, key and map key, to the entry.
    places: HashMap<Box<[u8]>, usize>,
    bytes: usize,
    /// What is looked up in `places`; kept for its memory.
    wanted: Vec<u8>,
}

/// What is known of one entry.
#[derive(Debug)]
pub(super) struct Entry<V> {
    pub(super) map_key: Box<[u8]>,
    /// `None` if the map has no such entry.
    pub(super) value: Option<V>,
    /// Whether it was written since the last sending.
    pub(super) written: bool,
    /// A row of this call under whose key the entry stands.
    pub(super) row: u32,
}

impl<V> Default for Known<V> {
    fn default() -> Self {
        Self { entries: Vec::new(), places: HashMap::new(), bytes: 0, wanted: Vec::new() }
    }
}

impl<V> Known<V> {
    /// The place of an entry under the event's key. If it is not known, `fetch` is asked for the value under the encoded
    /// map key, and its size as stored.
    ///
    /// # Errors
    /// That of `fetch`, the entry then stays unknown; [`Failure::BadRecord`] for an event without a key.
    pub(super) fn place_of<Q: EncodeKey + ?Sized>(
        &mut self,
        event: Event<'_>,
        map_key: &Q,
        fetch: impl FnOnce(&[u8]) -> Result<(Option<V>, usize), Failure>,
    ) -> Result<usize, Failure> {
        let key = event.key_bytes()?;
        self.wanted.clear();
        self.wanted.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.wanted.extend_from_slice(key);
        let prefix = self.wanted.len();
        map_key.encode(&mut self.wanted);
        if let Some(&at) = self.places.get(self.wanted.as_slice()) {
            return Ok(at);
        }
        let map_key = &self.wanted[prefix..];
        let (value, stored) = fetch(map_key)?;
        self.bytes += self.wanted.len() + stored;
        self.entries.push(Entry { map_key: map_key.into(), value, written: false, row: event.row() });
        let at = self.entries.len() - 1;
        self.places.insert(self.wanted.as_slice().into(), at);
        Ok(at)
    }

    /// Whether it is more than may be kept from one call to the next.
    pub(super) fn is_too_much(&self) -> bool {
        self.entries.len() > KEPT_ENTRIES || self.bytes > KEPT_BYTES
    }

    pub(super) fn forget(&mut self) {
        self.places.clear();
        self.entries.clear();
        self.bytes = 0;
    }
}
