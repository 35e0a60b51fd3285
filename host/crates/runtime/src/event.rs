//! What happens in a job besides events flowing: changes of state, faults, log lines of guests.
//!
//! Recent ones are kept in a bounded ring, live ones go to whoever listens; a slow listener misses some and is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use gristmill_ports::Clock;
use gristmill_ports::telemetry::LogLevel;
use gristmill_types::{CheckpointId, NodeId, SubtaskIndex};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// How many recent events are kept, and how far a listener may lag.
const RECENT: usize = 1000;

/// Something that happened in a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEvent {
    /// Counts the job's events from zero.
    pub number: u64,
    /// Milliseconds since the epoch.
    pub at_ms: i64,
    /// Which operator, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<NodeId>,
    /// Which subtask, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtask: Option<SubtaskIndex>,
    /// What.
    #[serde(flatten)]
    pub kind: JobEventKind,
}

/// The kinds of things that happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum JobEventKind {
    /// The job's state changed.
    State {
        /// To this.
        state: gristmill_ports::catalog::JobState,
        /// Why.
        #[serde(skip_serializing_if = "Option::is_none")]
        cause: Option<String>,
    },
    /// A call of an operator failed.
    CallFailed {
        /// How.
        message: String,
        /// What is done about it.
        reaction: String,
    },
    /// Events were set aside.
    DeadLetters {
        /// How many.
        count: u64,
        /// Why the first of them.
        reason: String,
    },
    /// A call that ended in a fault is kept, so that it can be made again.
    Crash {
        /// The name of its bundle.
        bundle: String,
        /// The fault.
        message: String,
    },
    /// A guest's log line.
    Log {
        /// How grave.
        level: LogLevel,
        /// The row of the batch that it speaks of.
        #[serde(skip_serializing_if = "Option::is_none")]
        row: Option<u32>,
        /// The line.
        message: String,
    },
    /// Log lines were dropped, because the operator is over its limit.
    LogDropped {
        /// How many.
        lines: u64,
    },
    /// A checkpoint is decided.
    Checkpoint {
        /// Which.
        checkpoint: CheckpointId,
        /// From the barrier to the decision.
        duration_ms: u64,
        /// Bytes that were written for it.
        uploaded_bytes: u64,
    },
    /// A checkpoint failed; what it had staged joins the next one.
    CheckpointFailed {
        /// Which.
        checkpoint: CheckpointId,
        /// Why.
        cause: String,
    },
    /// A step of the swap of the operator's module.
    Swap {
        /// How far it is.
        stage: gristmill_checkpoint::swap::SwapStage,
        /// In words: which module comes, which goes, and why.
        message: String,
    },
    /// All keys whose state was in the schema of another version were looked through.
    StateRewritten {
        /// Keys that have their state in the schema of the module that runs.
        keys: u64,
        /// Keys whose entries could not be rewritten; they stay as they are.
        failed: u64,
        /// How the first of them failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        first_failure: Option<String>,
    },
    /// A shadow of the operator begins to follow, or is over.
    Shadow {
        /// How far it is.
        stage: crate::shadow::ShadowStage,
        /// In words: which module, and why.
        message: String,
    },
    /// A source or a sink meets an error that may pass, and tries again.
    Retrying {
        /// The error.
        message: String,
    },
}

/// The place where a job's events come together.
pub(crate) struct EventLog {
    clock: Arc<dyn Clock>,
    ring: Mutex<Ring>,
    live: broadcast::Sender<JobEvent>,
}

#[derive(Default)]
struct Ring {
    next: u64,
    recent: VecDeque<JobEvent>,
}

impl EventLog {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, ring: Mutex::default(), live: broadcast::Sender::new(RECENT) }
    }

    pub(crate) fn say(&self, operator: Option<&NodeId>, subtask: Option<SubtaskIndex>, kind: JobEventKind) {
        let mut ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        let event =
            JobEvent { number: ring.next, at_ms: self.clock.now_ms(), operator: operator.cloned(), subtask, kind };
        ring.next += 1;
        if ring.recent.len() == RECENT {
            ring.recent.pop_front();
        }
        ring.recent.push_back(event.clone());
        // Sent under the lock, so that listeners hear events in the order of their numbers. Nobody listening is fine.
        let _ = self.live.send(event);
    }

    /// Recent events, and all that follow them.
    pub(crate) fn listen(&self) -> (Vec<JobEvent>, broadcast::Receiver<JobEvent>) {
        let ring = self.ring.lock().unwrap_or_else(PoisonError::into_inner);
        (ring.recent.iter().cloned().collect(), self.live.subscribe())
    }
}
