//! The entries of one map in order, fetched page by page.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::bindings::gristmill::operator::types::Column;
use crate::codec;
use crate::event::Event;
use crate::failure::Failure;
use crate::host::{self, Page};
use crate::map_key::MapKey;
use crate::state::PAGE_BYTES;

/// The entries of one key's map, in order.
#[derive(Debug)]
pub struct MapEntries<'a, K, V> {
    state: u32,
    name: &'static str,
    row: u32,
    /// Only map keys that begin with it.
    prefix: Vec<u8>,
    page: Page,
    /// The next entry of the page.
    at: usize,
    more: bool,
    /// Nothing may be written while it is read: the scan would not see it.
    map: PhantomData<&'a mut (K, V)>,
}

impl<K, V> MapEntries<'_, K, V> {
    /// Those of the event's key that begin with `prefix`; nothing is fetched yet.
    pub(super) fn new(state: u32, name: &'static str, event: Event<'_>, prefix: Vec<u8>) -> Self {
        let page = Page { keys: Column::empty(), values: Column::empty(), next: None };
        Self { state, name, row: event.row(), prefix, page, at: 0, more: true, map: PhantomData }
    }
}

impl<K: MapKey, V: DeserializeOwned> Iterator for MapEntries<'_, K, V> {
    type Item = Result<(K, V), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at == self.page.keys.len() {
            if !self.more {
                return None;
            }
            let cursor = self.page.next.take();
            self.page = host::map_scan(self.state, self.row, &self.prefix, cursor.as_deref(), PAGE_BYTES);
            self.more = self.page.next.is_some();
            self.at = 0;
        }
        let at = self.at;
        self.at += 1;
        let key = K::decode(self.page.keys.bytes(at)).ok_or_else(|| codec::foreign::<K>(self.name));
        let value = codec::decode(self.page.values.bytes(at), self.name);
        Some(key.and_then(|key| Ok((key, value?))))
    }
}
