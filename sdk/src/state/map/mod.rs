//! `Map<K, V>`: an ordered map for each key of the stream.
//!
//! The host cannot be asked for the map keys of a batch in advance, so entries are fetched one by one and then kept, from
//! call to call while the state's generation stays the same, up to a bound. Writes wait for the end of the call, or for
//! a scan, which must see them.

mod entries;
mod known;

use std::borrow::Borrow;
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::gristmill::operator::types::{Column, Descriptor, StateKind};
use crate::codec;
use crate::event::{Batch, Event};
use crate::failure::Failure;
use crate::host;
use crate::inspection::{self, Shown, Stored};
use crate::map_key::{EncodeKey, MapKey};
use crate::part::{Done, Field, Part, Role};
use crate::state::{NO_ROW, declare};
pub use entries::MapEntries;
use known::Known;

/// An ordered map for each key of the stream. Scans go by the order of [`MapKey`]'s bytes, which is that of the keys.
#[derive(Debug)]
pub struct Map<K, V> {
    state: u32,
    name: &'static str,
    /// Entries with a time to live may vanish at any moment and are not kept.
    keeps: bool,
    generation: u64,
    known: Known<V>,
    /// Entries that were written since the last sending.
    written: Vec<usize>,
    undo: Vec<Undo<V>>,
    undo_row: u32,
    /// Whether the host has seen something that `undo` would take back.
    undo_sent: bool,
    key: PhantomData<K>,
}

/// How to take back one write of the event being handled.
#[derive(Debug)]
struct Undo<V> {
    entry: usize,
    value: Option<V>,
    written: bool,
}

impl<K: MapKey, V: Serialize + DeserializeOwned + Clone> Map<K, V> {
    /// The value under `map_key` in the map of the event's key.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the stored bytes are not a `V`; [`Failure::BadRecord`] for an event without a key.
    pub fn get<Q>(&mut self, event: Event<'_>, map_key: &Q) -> Result<Option<&V>, Failure>
    where
        K: Borrow<Q>,
        Q: EncodeKey + ?Sized,
    {
        let at = self.touch(event, map_key)?;
        Ok(self.known.entries[at].value.as_ref())
    }

    /// The value under `map_key`, to be changed in place; made by `V::default()` if there is none.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the stored bytes are not a `V`; [`Failure::BadRecord`] for an event without a key.
    pub fn or_default<Q>(&mut self, event: Event<'_>, map_key: &Q) -> Result<&mut V, Failure>
    where
        K: Borrow<Q>,
        Q: EncodeKey + ?Sized,
        V: Default,
    {
        Ok(self.touch_to_write(event, map_key)?.get_or_insert_default())
    }

    /// Puts a value under `map_key`.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the bytes stored before are not a `V`; [`Failure::BadRecord`] for an event without a key.
    pub fn insert<Q>(&mut self, event: Event<'_>, map_key: &Q, value: V) -> Result<(), Failure>
    where
        K: Borrow<Q>,
        Q: EncodeKey + ?Sized,
    {
        *self.touch_to_write(event, map_key)? = Some(value);
        Ok(())
    }

    /// Removes the value under `map_key`, and gives it.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the stored bytes are not a `V`; [`Failure::BadRecord`] for an event without a key.
    pub fn remove<Q>(&mut self, event: Event<'_>, map_key: &Q) -> Result<Option<V>, Failure>
    where
        K: Borrow<Q>,
        Q: EncodeKey + ?Sized,
    {
        Ok(self.touch_to_write(event, map_key)?.take())
    }

    /// Empties the map of the event's key. Reads every key that it has; costs accordingly.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the stored bytes are not those of a `K` and a `V`; [`Failure::BadRecord`] for an event
    /// without a key.
    pub fn clear(&mut self, event: Event<'_>) -> Result<(), Failure> {
        let keys: Vec<K> = self.iter(event)?.map(|entry| Ok(entry?.0)).collect::<Result<_, Failure>>()?;
        keys.iter().try_for_each(|key| self.remove(event, key).map(drop))
    }

    /// The entries of the event's key in order, read page by page.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if something written before cannot be stored; [`Failure::BadRecord`] for an event without a key.
    pub fn iter(&mut self, event: Event<'_>) -> Result<MapEntries<'_, K, V>, Failure> {
        self.scan(event, Vec::new())
    }

    fn scan(&mut self, event: Event<'_>, prefix: Vec<u8>) -> Result<MapEntries<'_, K, V>, Failure> {
        event.key_bytes()?;
        self.send()?;
        Ok(MapEntries::new(self.state, self.name, event, prefix))
    }

    /// The place of an entry, fetched if it is not known yet.
    fn touch<Q: EncodeKey + ?Sized>(&mut self, event: Event<'_>, map_key: &Q) -> Result<usize, Failure> {
        let (state, name) = (self.state, self.name);
        self.known.place_of(event, map_key, |map_key| {
            let found = host::map_get(state, &[event.row()], &[Some(map_key)].into_iter().collect());
            let stored = found.get(0);
            let value = stored.map(|bytes| codec::decode(bytes, name)).transpose()?;
            Ok((value, stored.map_or(0, <[u8]>::len)))
        })
    }

    /// The value of an entry, noted as written, with its old self kept in case the event is rejected.
    fn touch_to_write<Q>(&mut self, event: Event<'_>, map_key: &Q) -> Result<&mut Option<V>, Failure>
    where
        Q: EncodeKey + ?Sized,
    {
        let at = self.touch(event, map_key)?;
        if self.undo_row != event.row() {
            self.undo_row = event.row();
            self.undo_sent = false;
            self.undo.clear();
        }
        let entry = &mut self.known.entries[at];
        entry.row = event.row();
        self.undo.push(Undo { entry: at, value: entry.value.clone(), written: entry.written });
        self.note_written(at);
        Ok(&mut self.known.entries[at].value)
    }

    fn note_written(&mut self, at: usize) {
        if !std::mem::replace(&mut self.known.entries[at].written, true) {
            self.written.push(at);
        }
    }

    /// Sends what was written to the host.
    fn send(&mut self) -> Result<(), Failure> {
        if self.written.is_empty() {
            return Ok(());
        }
        self.undo_sent = true;
        let mut changed = host::Entries { rows: Vec::new(), keys: Column::empty(), values: Column::empty() };
        for at in self.written.drain(..) {
            let entry = &mut self.known.entries[at];
            entry.written = false;
            changed.rows.push(entry.row);
            changed.keys.push(Some(&entry.map_key));
            match &entry.value {
                Some(value) => {
                    codec::encode(value, self.name, &mut changed.values.data)?;
                    changed.values.end_row();
                }
                None => changed.values.push(None),
            }
        }
        host::map_put(self.state, &changed);
        Ok(())
    }
}

impl<A: MapKey, B: MapKey, V: Serialize + DeserializeOwned + Clone> Map<(A, B), V> {
    /// The entries whose first part is `part`, in order.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if something written before cannot be stored; [`Failure::BadRecord`] for an event without a key.
    pub fn iter_under<Q>(&mut self, event: Event<'_>, part: &Q) -> Result<MapEntries<'_, (A, B), V>, Failure>
    where
        A: Borrow<Q>,
        Q: EncodeKey + ?Sized,
    {
        let mut prefix = Vec::new();
        part.encode_part(&mut prefix);
        self.scan(event, prefix)
    }
}

impl<K: MapKey, V: Serialize + DeserializeOwned + Clone> Part for Map<K, V> {
    const ROLE: Role = Role::State;

    fn declare(field: &Field, descriptor: &mut Descriptor) -> u32 {
        declare(field, StateKind::OrderedMap, descriptor)
    }

    fn build(field: &'static Field, state: u32, _: &str) -> Result<Self, Failure> {
        Ok(Self {
            state,
            name: field.name,
            keeps: field.ttl_ms.is_none(),
            generation: 0,
            known: Known::default(),
            written: Vec::new(),
            undo: Vec::new(),
            undo_row: NO_ROW,
            undo_sent: false,
            key: PhantomData,
        })
    }

    fn render(entry: &Stored) -> Result<Shown, String> {
        inspection::shown_entry::<K, V>(entry)
    }

    fn parse(entry: &Shown) -> Result<Stored, String> {
        inspection::stored_entry::<K, V>(entry)
    }

    fn begin(&mut self, batch: &Batch) {
        let void = !self.keeps || self.generation != batch.state_generation();
        if void || !self.written.is_empty() || self.known.is_too_much() {
            self.known.forget();
        }
        self.generation = batch.state_generation();
        self.written.clear();
        self.undo.clear();
        self.undo_row = NO_ROW;
    }

    fn roll_back(&mut self, row: u32) {
        if self.undo_row != row {
            return;
        }
        while let Some(undo) = self.undo.pop() {
            self.known.entries[undo.entry].value = undo.value;
            if self.undo_sent {
                // A scan has shown the host the new value: the old one is sent after it.
                self.note_written(undo.entry);
            } else if !undo.written {
                self.known.entries[undo.entry].written = false;
                self.written.pop().expect("the last entry written for the first time is this one");
            }
        }
    }

    fn finish(&mut self, _: &mut Done<'_>) -> Result<(), Failure> {
        self.send()
    }
}
