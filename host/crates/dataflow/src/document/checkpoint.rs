//! Checkpoints and restarts of a job document.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::kind::kinds;
use crate::quantity::{Bytes, Span};

/// When checkpoints are made, and where state is held meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSpec {
    /// From the start of one to the start of the next, or `never`: then only on request, and at the end. Default: 10 s.
    pub every: Interval,
    /// At least this from the end of one to the start of the next. Default: none.
    pub min_pause: Span,
    /// A checkpoint that is not decided after this has failed; one that is being stored by then fails again each time that
    /// this has passed, and counts if it gets there. Default: 10 min.
    pub timeout: Span,
    /// So many may fail in a row; one more, and the job is restarted. Default: 3.
    pub tolerate: u32,
    /// So many are kept. Default: 3.
    pub keep: u64,
    /// What holds the state. Default: memory.
    pub backend: Backend,
    /// Bytes of state that each subtask of an operator holds in memory before it moves entries to disk; for `rocksdb`.
    /// Default: 256 MiB.
    pub memory: Bytes,
}

impl Default for CheckpointSpec {
    fn default() -> Self {
        Self {
            every: Interval(Some(Duration::from_secs(10))),
            min_pause: Span::millis(0),
            timeout: Span::millis(600_000),
            tolerate: 3,
            keep: 3,
            backend: Backend::Memory,
            memory: Bytes::mib(256),
        }
    }
}

/// A length of time, or never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval(pub Option<Duration>);

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "never" {
            return Ok(Self(None));
        }
        let text = serde::de::value::StrDeserializer::<D::Error>::new(&text);
        Span::deserialize(text).map(|Span(span)| Self(Some(span)))
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            None => serializer.serialize_str("never"),
            Some(every) => Span(every).serialize(serializer),
        }
    }
}

/// What holds the state of operators between checkpoints. Checkpoints are the same for all: a job may change it from one
/// start to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// All of it in memory.
    Memory,
    /// What is used often in memory, the rest on disk.
    Rocksdb,
}

/// What is done after a failure that may pass. An error that would come again at once is none: an operator that says
/// `fatal`, a sink that refuses for good. Tries that have come to their end are one: the world may be ready later.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartSpec {
    /// Wait longer each time.
    Exponential(ExponentialRestart),
    /// Wait the same each time, and give up after some.
    Fixed(FixedRestart),
    /// Give up if failures come too often.
    FailureRate(FailureRateRestart),
    /// The job fails at once.
    None(NoRestart),
}

kinds!("a restart strategy", RestartSpec {
    "exponential" => Exponential(ExponentialRestart) bare,
    "fixed" => Fixed(FixedRestart) bare,
    "failure-rate" => FailureRate(FailureRateRestart) bare,
    "none" => None(NoRestart) bare,
});

impl Default for RestartSpec {
    fn default() -> Self {
        Self::Exponential(ExponentialRestart::default())
    }
}

/// Waits double from `from` to `to`, each changed by chance by up to `jitter` of itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExponentialRestart {
    /// The first wait. Default: 1 s.
    pub from: Span,
    /// The longest. Default: 1 min.
    pub to: Span,
    /// From 0 to 1. Default: 0.1.
    pub jitter: f64,
    /// After so long without a failure the next wait is the first again. Default: 10 min.
    pub reset_after: Span,
}

impl Default for ExponentialRestart {
    fn default() -> Self {
        Self { from: Span::millis(1000), to: Span::millis(60_000), jitter: 0.1, reset_after: Span::millis(600_000) }
    }
}

/// The same wait each time.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixedRestart {
    /// The wait. Default: 1 s.
    pub delay: Span,
    /// Restarts before the job fails. Default: 10.
    pub attempts: u32,
}

impl Default for FixedRestart {
    fn default() -> Self {
        Self { delay: Span::millis(1000), attempts: 10 }
    }
}

/// The same wait each time, as long as failures are rare.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailureRateRestart {
    /// So many failures within `within` are borne; one more, and the job fails. Default: 3.
    pub failures: u32,
    /// Default: 5 min.
    pub within: Span,
    /// The wait. Default: 1 s.
    pub delay: Span,
}

impl Default for FailureRateRestart {
    fn default() -> Self {
        Self { failures: 3, within: Span::millis(300_000), delay: Span::millis(1000) }
    }
}

/// No restarts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoRestart {}
