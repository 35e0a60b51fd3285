//! `Value<T>`: one value for each key.
//!
//! The first touch in a call reads the values of all rows that have a key at once; the host answers with one slot for each distinct key,
//! so nothing is hashed here. A slot is decoded when it is first asked for. Nothing is kept from call to call.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::gristmill::operator::types::{Column, Descriptor, StateKind};
use crate::codec;
use crate::event::{Batch, Event};
use crate::failure::Failure;
use crate::host::{self, Read};
use crate::inspection::{self, Shown, Stored};
use crate::part::{Done, Field, Part, Role};
use crate::state::{NO_ROW, declare};

/// One value for each key. What a key never had, or lost, is `None`.
#[derive(Debug)]
pub struct Value<T> {
    state: u32,
    name: &'static str,
    /// What the host answered, with a slot for each row of the batch, `NO_SLOT` where there is no key; no slots until the
    /// first touch in a call.
    read: Read,
    slots: Vec<Slot<T>>,
    /// Slots that were written, in the order of their first writing.
    written: Vec<u32>,
    undo: Undo<T>,
    /// The rows to ask for; kept for its memory.
    rows: Vec<u32>,
    encoded: Column,
}

/// The slot of an event without a key.
const NO_SLOT: u32 = u32::MAX;

/// What is known of one key's value.
#[derive(Debug)]
struct Slot<T> {
    value: Option<T>,
    decoded: bool,
    written: bool,
    /// A row of this key.
    row: u32,
}

/// How to take back what the event of one row wrote. A row has one key, hence one slot.
#[derive(Debug)]
struct Undo<T> {
    row: u32,
    slot: u32,
    value: Option<T>,
    written: bool,
}

impl<T: Serialize + DeserializeOwned + Clone> Value<T> {
    /// The value of the event's key.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the stored bytes are not a `T`; [`Failure::BadRecord`] for an event without a key.
    #[inline]
    pub fn get(&mut self, event: Event<'_>) -> Result<Option<&T>, Failure> {
        let slot = self.touch(event)?;
        Ok(self.slots[slot].value.as_ref())
    }

    /// The value of the event's key, to be changed in place.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the stored bytes are not a `T`; [`Failure::BadRecord`] for an event without a key.
    #[inline]
    pub fn get_mut(&mut self, event: Event<'_>) -> Result<Option<&mut T>, Failure> {
        Ok(self.touch_to_write(event)?.as_mut())
    }

    /// The value of the event's key, to be changed in place; made by `T::default()` if there is none.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the stored bytes are not a `T`; [`Failure::BadRecord`] for an event without a key.
    #[inline]
    pub fn or_default(&mut self, event: Event<'_>) -> Result<&mut T, Failure>
    where
        T: Default,
    {
        Ok(self.touch_to_write(event)?.get_or_insert_default())
    }

    /// Replaces the value of the event's key.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the bytes stored before are not a `T`; [`Failure::BadRecord`] for an event without a key.
    #[inline]
    pub fn set(&mut self, event: Event<'_>, value: T) -> Result<(), Failure> {
        *self.touch_to_write(event)? = Some(value);
        Ok(())
    }

    /// Forgets the value of the event's key, and gives it.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if the stored bytes are not a `T`; [`Failure::BadRecord`] for an event without a key.
    pub fn remove(&mut self, event: Event<'_>) -> Result<Option<T>, Failure> {
        Ok(self.touch_to_write(event)?.take())
    }

    /// The event's slot, decoded.
    #[inline]
    fn touch(&mut self, event: Event<'_>) -> Result<usize, Failure> {
        if self.read.slots.is_empty() {
            self.fetch(event.batch());
        }
        let at = self.read.slots[event.row() as usize];
        if at == NO_SLOT {
            event.key_bytes()?;
        }
        let at = at as usize;
        let slot = &mut self.slots[at];
        if !slot.decoded {
            slot.value = self.read.values.get(at).map(|bytes| codec::decode(bytes, self.name)).transpose()?;
            slot.decoded = true;
        }
        Ok(at)
    }

    /// The value in the event's slot, noted as written, with its old self kept in case the event is rejected.
    #[inline]
    fn touch_to_write(&mut self, event: Event<'_>) -> Result<&mut Option<T>, Failure> {
        let at = self.touch(event)?;
        let slot = &mut self.slots[at];
        if self.undo.row != event.row() {
            let value = slot.value.clone();
            self.undo = Undo { row: event.row(), slot: at as u32, value, written: slot.written };
        }
        if !slot.written {
            slot.written = true;
            self.written.push(at as u32);
        }
        slot.row = event.row();
        Ok(&mut slot.value)
    }

    /// Reads the values of all rows that have a key: the host takes no other, and one event without a key must not spoil
    /// the batch.
    #[cold]
    #[inline(never)]
    fn fetch(&mut self, batch: &Batch) {
        self.rows.clear();
        self.rows.extend(batch.keyed_rows());
        self.read = host::state_get(self.state, &self.rows);
        if self.rows.len() < batch.len() {
            let mut slots = vec![NO_SLOT; batch.len()];
            self.rows.iter().zip(&self.read.slots).for_each(|(&row, &slot)| slots[row as usize] = slot);
            self.read.slots = slots;
        }
        self.slots.clear();
        self.slots.resize_with(self.read.values.len(), || Slot {
            value: None,
            decoded: false,
            written: false,
            row: NO_ROW,
        });
    }
}

impl<T: Serialize + DeserializeOwned + Clone> Part for Value<T> {
    const ROLE: Role = Role::State;

    fn declare(field: &Field, descriptor: &mut Descriptor) -> u32 {
        declare(field, StateKind::Value, descriptor)
    }

    fn build(field: &'static Field, state: u32, _: &str) -> Result<Self, Failure> {
        Ok(Self {
            state,
            name: field.name,
            read: Read { slots: Vec::new(), values: Column::empty() },
            slots: Vec::new(),
            written: Vec::new(),
            undo: Undo { row: NO_ROW, slot: 0, value: None, written: false },
            rows: Vec::new(),
            encoded: Column::empty(),
        })
    }

    fn render(entry: &Stored) -> Result<Shown, String> {
        inspection::shown::<T>(entry)
    }

    fn parse(entry: &Shown) -> Result<Stored, String> {
        inspection::stored::<T>(entry)
    }

    #[inline]
    fn begin(&mut self, _: &Batch) {
        self.read.slots.clear();
        self.written.clear();
        self.undo.row = NO_ROW;
    }

    #[inline]
    fn roll_back(&mut self, row: u32) {
        if self.undo.row == row {
            let slot = &mut self.slots[self.undo.slot as usize];
            slot.value = self.undo.value.take();
            slot.written = self.undo.written;
            if !slot.written {
                self.written.pop().expect("the last slot written for the first time is this row's");
            }
            self.undo.row = NO_ROW;
        }
    }

    fn finish(&mut self, _: &mut Done<'_>) -> Result<(), Failure> {
        if self.written.is_empty() {
            return Ok(());
        }
        self.encoded.clear();
        let mut rows = Vec::with_capacity(self.written.len());
        for &at in &self.written {
            let slot = &self.slots[at as usize];
            rows.push(slot.row);
            match &slot.value {
                Some(value) => {
                    codec::encode(value, self.name, &mut self.encoded.data)?;
                    self.encoded.end_row();
                }
                None => self.encoded.push(None),
            }
        }
        host::state_put(self.state, &rows, &self.encoded);
        Ok(())
    }
}
