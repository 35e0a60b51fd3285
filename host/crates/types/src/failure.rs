//! How a call of an operator can fail, as what must be done about it.

use serde::{Deserialize, Serialize};

/// Why a whole call failed. The call had no effect (contract, rule 17).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallFailure {
    /// The operator refuses an event of the batch: find it by bisecting.
    #[error("bad record: {0}")]
    BadRecord(String),
    /// The world is not ready: try the same batch again later.
    #[error("transient failure: {0}")]
    Transient(String),
    /// Nothing will help: the job fails.
    #[error("fatal failure: {0}")]
    Fatal(String),
    /// The host could not do its part, as when the disk below the state fails; neither events nor operator are to blame.
    /// The state is lost to this attempt of the job, which starts again.
    #[error("the host could not do its part: {0}")]
    Host(String),
    /// The guest broke the contract or was stopped by a limit; its instance is gone.
    #[error("{0}")]
    Fault(GuestFault),
}

/// A guest misbehaved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{kind}: {message}")]
pub struct GuestFault {
    /// In which way.
    pub kind: FaultKind,
    /// What happened, for people.
    pub message: String,
    /// The guest's stack at that moment, innermost frame first; empty where there is none.
    pub backtrace: Vec<String>,
}

/// The ways in which a guest can misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// The guest trapped: `unreachable`, a panic, a stack overflow, an access out of bounds.
    Trap,
    /// The call took longer than its deadline.
    Deadline,
    /// The guest wanted more memory than its limit.
    Memory,
    /// The guest returned, or handed to an import, something that the contract forbids.
    InvalidResult,
    /// The guest returned more than its output limit.
    OutputLimit,
}

impl FaultKind {
    /// The kind in words, as logs and dead letters have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory limit",
            Self::InvalidResult => "invalid result",
            Self::OutputLimit => "output limit",
        }
    }
}

impl std::fmt::Display for FaultKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
