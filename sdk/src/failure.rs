//! How an operator says no: by what the host shall do about it. Knows nothing of rows; the driver adds them.

use std::fmt::Display;

use crate::bindings::gristmill::operator::types;

/// Why an event, or a whole call, did not go well. Its kind decides what the host does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// This event is no good and never will be. Returned from `on_event` it rejects that event alone: its outputs and
    /// writes vanish, the rest of the batch takes effect. Elsewhere the host bisects the batch to find the event.
    BadRecord(String),
    /// The world is not ready. The call has no effect, and the host tries the same batch again after a while.
    Transient(String),
    /// Nothing will help. The job fails.
    Fatal(String),
}

/// This event is no good: the host sets it aside, with the reason.
pub fn bad_record(reason: impl Display) -> Failure {
    Failure::BadRecord(reason.to_string())
}

/// The world is not ready: the host tries the same batch again after a while.
pub fn transient(reason: impl Display) -> Failure {
    Failure::Transient(reason.to_string())
}

/// Nothing will help: the job fails.
pub fn fatal(reason: impl Display) -> Failure {
    Failure::Fatal(reason.to_string())
}

/// Turns errors of other libraries into failures. There is no silent conversion: only the author knows the kind.
pub trait OrFail<T> {
    /// The error means that the event is no good.
    ///
    /// # Errors
    /// [`Failure::BadRecord`] with the error's text.
    fn or_bad_record(self) -> Result<T, Failure>;

    /// The error means that the world is not ready.
    ///
    /// # Errors
    /// [`Failure::Transient`] with the error's text.
    fn or_transient(self) -> Result<T, Failure>;

    /// The error means that nothing will help.
    ///
    /// # Errors
    /// [`Failure::Fatal`] with the error's text.
    fn or_fatal(self) -> Result<T, Failure>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    #[inline]
    fn or_bad_record(self) -> Result<T, Failure> {
        self.map_err(bad_record)
    }

    #[inline]
    fn or_transient(self) -> Result<T, Failure> {
        self.map_err(transient)
    }

    #[inline]
    fn or_fatal(self) -> Result<T, Failure> {
        self.map_err(fatal)
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::BadRecord(reason) => Self::BadRecord(reason),
            Failure::Transient(reason) => Self::Transient(reason),
            Failure::Fatal(reason) => Self::Fatal(reason),
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BadRecord(reason) => write!(f, "bad record: {reason}"),
            Self::Transient(reason) => write!(f, "transient failure: {reason}"),
            Self::Fatal(reason) => write!(f, "fatal failure: {reason}"),
        }
    }
}

impl std::error::Error for Failure {}
