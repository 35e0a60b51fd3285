//! The way of a guest's log lines.

use std::sync::Arc;

use gristmill_ports::telemetry::{GuestLog, LogLevel};
use gristmill_types::{NodeId, SubtaskIndex};

use crate::counters::NodeCounters;
use crate::event::{EventLog, JobEventKind};

/// Takes a guest's log lines into the job's event log.
pub(crate) struct LogLines {
    pub(crate) events: Arc<EventLog>,
    pub(crate) operator: NodeId,
    pub(crate) subtask: SubtaskIndex,
    pub(crate) counters: Arc<NodeCounters>,
}

impl GuestLog for LogLines {
    fn line(&self, level: LogLevel, row: Option<u32>, message: &str) {
        let kind = JobEventKind::Log { level, row, message: message.to_owned() };
        self.events.say(Some(&self.operator), Some(self.subtask), kind);
    }

    fn dropped(&self, lines: u64) {
        self.counters.log_lines_dropped.add(lines);
        self.events.say(Some(&self.operator), Some(self.subtask), JobEventKind::LogDropped { lines });
    }
}
