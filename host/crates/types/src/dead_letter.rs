//! An event that could not be processed, with the reason: nothing is lost in silence.

use serde::{Deserialize, Serialize};

use crate::id::{ModuleHash, NodeId};

/// An event set aside. Replaying it puts it back in front of the operator that refused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The source, operator or sink that could not process it.
    pub operator: NodeId,
    /// The input of that operator; empty for a source.
    pub input: String,
    /// Which module refused it; `None` for sources and sinks.
    pub module: Option<ModuleHash>,
    /// Why.
    pub reason: Reason,
    /// The guest's stack at that moment; empty where there is none.
    pub backtrace: Vec<String>,
    /// Where the event came from, such as a file and a line; empty where unknown.
    pub origin: String,
    /// Event time, in milliseconds since the epoch.
    pub timestamp: i64,
    /// The key, if any.
    pub key: Option<Vec<u8>>,
    /// The value, if any; for a source, the raw bytes that could not be decoded.
    pub value: Option<Vec<u8>>,
    /// When it was set aside, in milliseconds since the epoch by the host's clock.
    pub at_ms: i64,
}

/// Why an event was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The sort of reason, such as `bad-record`, `trap` or `decode`.
    pub kind: String,
    /// The reason in words.
    pub message: String,
}
