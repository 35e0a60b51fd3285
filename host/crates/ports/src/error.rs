//! The one error of the outside world: what happened, and what the caller is to do about it.

/// An error of a connector, a store or another part behind a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// What to do about it.
    pub kind: ErrorKind,
    /// What happened, where, and what its reader can do. Lower case, no full stop.
    pub message: String,
}

/// What a caller does about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The world is not ready: try the same again, with backoff.
    Retry,
    /// It was tried as often as it may be. It may work when the job starts again: its restart strategy decides.
    GivenUp,
    /// Trying again changes nothing.
    Fatal,
}

impl PortError {
    /// An error that may pass.
    pub fn retry(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Retry, message: message.into() }
    }

    /// An error that may pass, but has not for as long as it may be waited for.
    pub fn given_up(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::GivenUp, message: message.into() }
    }

    /// An error that stays.
    pub fn fatal(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Fatal, message: message.into() }
    }
}
