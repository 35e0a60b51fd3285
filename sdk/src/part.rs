//! Parts: what an operator is made of. Each field of an `#[operator]` struct is one, and says for itself how it shows in
//! the descriptor, how it is built, and what it does before and after a call. Authors use parts; only this crate makes them.

use crate::bindings::gristmill::operator::types::{Clock, Descriptor, Emission, Rejection};
use crate::event::Batch;
use crate::failure::Failure;
use crate::inspection::{Shown, Stored, no_state};

/// What a field of an operator is called and was told in its attribute.
#[derive(Debug)]
pub struct Field {
    /// Its name in the descriptor: the field's, unless the attribute says another.
    pub name: &'static str,
    /// Of a state: the version of its schema.
    pub version: u32,
    /// Of a state: milliseconds until an entry that was not written again is gone.
    pub ttl_ms: Option<u64>,
    /// Of a state: whether `ttl_ms` goes by processing time.
    pub ttl_by_processing_time: bool,
    /// Of an input: whether its events must come keyed.
    pub keyed: bool,
}

impl Field {
    /// A field that was told nothing.
    #[must_use]
    pub const fn named(name: &'static str) -> Self {
        Self { name, version: 1, ttl_ms: None, ttl_by_processing_time: false, keyed: false }
    }

    /// The clock of `ttl_ms`.
    pub(crate) fn ttl_clock(&self) -> Clock {
        if self.ttl_by_processing_time { Clock::ProcessingTime } else { Clock::EventTime }
    }
}

/// What kind of part a field is; decides which attribute it may bear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `Value`, `List`, `Map`: takes `#[state]`.
    State,
    /// `Output`, `RekeyedOutput`: takes `#[output]`.
    Output,
    /// `Input`: takes `#[input]`.
    Input,
    /// `Counter`, `Histogram`: takes `#[metric]`.
    Metric,
    /// `Parameters`: takes no attribute.
    Parameters,
}

impl Role {
    /// Whether two roles are the same; for checks at compile time.
    #[must_use]
    pub const fn is(self, other: Self) -> bool {
        self as u8 == other as u8
    }
}

/// A part of an operator.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a part of an operator",
    label = "not a part",
    note = "parts are `Parameters`, `Input`, `Output`, `RekeyedOutput`, `Value`, `List`, `Map`, `Counter` and `Histogram`",
    note = "a field that only lives in memory, and may be lost at any time, is marked `#[local]` and implements `Default`"
)]
pub trait Part: Sized {
    /// What kind of part it is.
    const ROLE: Role;

    /// Adds itself to the descriptor and gives its index there.
    fn declare(field: &Field, descriptor: &mut Descriptor) -> u32;

    /// Makes itself ready for the first call.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if `parameters`, JSON text, do not fit.
    fn build(field: &'static Field, index: u32, parameters: &str) -> Result<Self, Failure>;

    /// Of a state: an entry as JSON.
    ///
    /// # Errors
    /// If these bytes are none of this state.
    fn render(entry: &Stored) -> Result<Shown, String> {
        let _ = entry;
        no_state()
    }

    /// Of a state: the bytes of an entry that is given as JSON.
    ///
    /// # Errors
    /// If this is no entry of this state.
    fn parse(entry: &Shown) -> Result<Stored, String> {
        let _ = entry;
        no_state()
    }

    /// A call begins. Whatever an earlier one left unfinished is forgotten.
    #[inline]
    fn begin(&mut self, batch: &Batch) {
        let _ = batch;
    }

    /// The event of this row is rejected: what was written for it is as if it had not been.
    #[inline]
    fn roll_back(&mut self, row: u32) {
        let _ = row;
    }

    /// The call ends well: buffered writes go to the host, outputs into `done`.
    ///
    /// # Errors
    /// [`Failure::Fatal`] if something cannot be written.
    #[inline]
    fn finish(&mut self, done: &mut Done<'_>) -> Result<(), Failure> {
        let _ = done;
        Ok(())
    }
}

/// How a call ended, and what comes out of it.
#[derive(Debug)]
pub struct Done<'a> {
    /// The events that were handled.
    pub(crate) batch: &'a Batch,
    /// Rows that were refused, ascending.
    pub(crate) rejections: &'a [Rejection],
    /// What leaves; each output adds its own.
    pub(crate) emissions: Vec<Emission>,
}

impl Done<'_> {
    /// Whether the row was refused.
    pub(crate) fn rejected(&self, row: u32) -> bool {
        self.rejections.binary_search_by_key(&row, |rejection| rejection.row).is_ok()
    }
}
