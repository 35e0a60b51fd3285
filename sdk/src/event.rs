//! What an operator is given: a batch of events, and one event of it. Borrowed views; nothing is copied.

use serde::Deserialize;

use crate::bindings::gristmill::operator::types;
use crate::failure::{Failure, bad_record};

/// The events of one call, in the order of their arrival. Never empty.
#[derive(Debug)]
pub struct Batch {
    call: types::Call,
    input: u32,
    events: types::Batch,
}

impl Batch {
    /// What the host handed over, as a batch.
    pub(crate) fn new(call: types::Call, input: u32, events: types::Batch) -> Self {
        Self { call, input, events }
    }

    /// How many events.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.events.timestamps.len()
    }

    /// Whether there are none; the host never sends such a batch.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.events.timestamps.is_empty()
    }

    /// The event of a row.
    ///
    /// # Panics
    /// When one of the event's parts is asked for, if there is no such row.
    #[inline]
    #[must_use]
    pub fn event(&self, row: u32) -> Event<'_> {
        Event { batch: self, row }
    }

    /// All events in order.
    pub fn iter(&self) -> impl Iterator<Item = Event<'_>> {
        (0..self.len() as u32).map(|row| self.event(row))
    }

    /// The rows whose events have a key, ascending.
    pub(crate) fn keyed_rows(&self) -> impl Iterator<Item = u32> {
        let mut keyless = self.events.keys.nulls.iter().copied().peekable();
        (0..self.len() as u32).filter(move |row| keyless.next_if_eq(row).is_none())
    }

    /// Event time up to which everything has arrived, in milliseconds since the epoch.
    #[must_use]
    pub fn watermark(&self) -> i64 {
        self.call.watermark
    }

    /// The host's clock, in milliseconds since the epoch; the same for all events of a batch.
    #[must_use]
    pub fn processing_time(&self) -> i64 {
        self.call.processing_time
    }

    /// When it differs from that of the batch before, cached reads of state are void.
    pub(crate) fn state_generation(&self) -> u64 {
        self.call.state_generation
    }

    /// Index of the input through which the events came.
    #[inline]
    pub(crate) fn input(&self) -> u32 {
        self.input
    }
}

/// One event. A copyable view into its batch.
///
/// It leads to no other event: what `on_event` writes belongs to the event at hand, so that a rejection can take all of
/// it back.
///
/// ```compile_fail,E0624
/// fn neighbour(event: gristmill_sdk::Event<'_>) -> gristmill_sdk::Event<'_> {
///     event.batch().event(event.row() + 1)
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Event<'a> {
    batch: &'a Batch,
    row: u32,
}

impl<'a> Event<'a> {
    /// Its place in the batch, from 0.
    #[inline]
    #[must_use]
    pub fn row(self) -> u32 {
        self.row
    }

    /// The batch in which it came.
    #[inline]
    pub(crate) fn batch(self) -> &'a Batch {
        self.batch
    }

    /// Event time up to which everything has arrived, in milliseconds since the epoch; the same for all events of a
    /// batch.
    #[must_use]
    pub fn watermark(self) -> i64 {
        self.batch.watermark()
    }

    /// The host's clock, in milliseconds since the epoch; the same for all events of a batch.
    #[must_use]
    pub fn processing_time(self) -> i64 {
        self.batch.processing_time()
    }

    /// Event time, in milliseconds since the epoch.
    #[inline]
    #[must_use]
    pub fn timestamp(self) -> i64 {
        self.batch.events.timestamps[self.row as usize]
    }

    /// The key's bytes; `None` for an event without a key.
    #[inline]
    #[must_use]
    pub fn key(self) -> Option<&'a [u8]> {
        self.batch.events.keys.get(self.row as usize)
    }

    /// The value's bytes; `None` for a tombstone, which is not the same as an empty value.
    #[inline]
    #[must_use]
    pub fn value(self) -> Option<&'a [u8]> {
        self.batch.events.values.get(self.row as usize)
    }

    /// The value's bytes, none for a tombstone.
    #[inline]
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.batch.events.values.bytes(self.row as usize)
    }

    /// The key as text.
    ///
    /// # Errors
    /// [`Failure::BadRecord`] if there is no key, or it is not UTF-8.
    pub fn key_text(self) -> Result<&'a str, Failure> {
        text(self.key_bytes()?, "key")
    }

    /// The key's bytes, where there must be some: state belongs to a key.
    pub(crate) fn key_bytes(self) -> Result<&'a [u8], Failure> {
        self.key().ok_or_else(|| bad_record("the event has no key"))
    }

    /// The value as text.
    ///
    /// # Errors
    /// [`Failure::BadRecord`] if the value is null or not UTF-8.
    pub fn text(self) -> Result<&'a str, Failure> {
        text(self.value().ok_or_else(|| bad_record("the event has no value"))?, "value")
    }

    /// The value read as JSON. `T` may borrow from the event.
    ///
    /// # Errors
    /// [`Failure::BadRecord`] if the value is null, not JSON, or not a `T`; the reason names the place.
    pub fn json<T: Deserialize<'a>>(self) -> Result<T, Failure> {
        let value = self.value().ok_or_else(|| bad_record("the event has no value"))?;
        serde_json::from_slice(value).map_err(|error| bad_record(format_args!("the value is not as expected: {error}")))
    }
}

fn text<'a>(bytes: &'a [u8], part: &str) -> Result<&'a str, Failure> {
    std::str::from_utf8(bytes)
        .map_err(|error| bad_record(format_args!("the {part} is not UTF-8 from byte {} on", error.valid_up_to())))
}
