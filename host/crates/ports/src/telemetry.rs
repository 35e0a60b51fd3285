//! What an operator says while it runs, outside the transaction of its calls.

use serde::{Deserialize, Serialize};

/// How grave a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Every step.
    Trace,
    /// For the operator's author.
    Debug,
    /// Something changed.
    Info,
    /// Look here first.
    Warn,
    /// Somebody is woken.
    Error,
}

impl LogLevel {
    /// The level in a word, as serde writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Takes the log lines of guests. Cheap, never blocks: called in the middle of a guest's call.
pub trait GuestLog: Send + Sync {
    /// One line, already cut to a bounded length. `row` is the row of the batch that it speaks of.
    fn line(&self, level: LogLevel, row: Option<u32>, message: &str);

    /// So many lines were dropped since the last call, because the operator is over its log limit.
    fn dropped(&self, lines: u64);
}

/// A log that nobody reads.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl GuestLog for Silent {
    fn line(&self, _: LogLevel, _: Option<u32>, _: &str) {}
    fn dropped(&self, _: u64) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_called_as_serde_writes_it() {
        for level in [LogLevel::Trace, LogLevel::Debug, LogLevel::Info, LogLevel::Warn, LogLevel::Error] {
            assert_eq!(serde_json::json!(level), level.as_str());
        }
    }
}
