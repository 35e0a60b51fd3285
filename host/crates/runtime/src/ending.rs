//! Why a subtask ends before its input does, and whether to start again is of any use.

use crate::exchange::heard::Closed;

/// Why a subtask ends before its input does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TaskEnd {
    /// The job is over; this subtask is not the reason.
    #[error("the job is over")]
    Closed,
    /// The attempt fails, and this is why.
    #[error("{0}")]
    Failed(Failure),
}

/// Why an attempt fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}")]
pub(crate) struct Failure {
    pub(crate) cause: String,
    /// It would come again at once: to start again is no use.
    pub(crate) lasts: bool,
}

impl TaskEnd {
    /// A failure that would come again.
    pub(crate) fn lasting(cause: impl Into<String>) -> Self {
        Self::Failed(Failure { cause: cause.into(), lasts: true })
    }

    /// A failure that may be gone when the job starts again.
    pub(crate) fn passing(cause: impl Into<String>) -> Self {
        Self::Failed(Failure { cause: cause.into(), lasts: false })
    }
}

impl From<Closed> for TaskEnd {
    fn from(Closed: Closed) -> Self {
        Self::Closed
    }
}
