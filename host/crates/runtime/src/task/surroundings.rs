//! What a subtask has around it: time, its inbox, the dead letters, the job's event log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_ports::dead_letters::{DeadLetterStore, Epoch};
use gristmill_ports::{Clock, CrashStore, PortError, Veil};
use gristmill_types::dead_letter::Reason;
use gristmill_types::{CheckpointId, DeadLetter, EventBatch, JobId, NodeId, RunId, SubtaskIndex};

use crate::checkpoint::desk::Desk;
use crate::ending::TaskEnd;
use crate::event::{EventLog, JobEventKind};
use crate::exchange::inbox::Inbox;

/// The kind of reason of an event that has no key for a keyed input.
pub(crate) const NO_KEY: &str = "no-key";

/// The surroundings of one subtask.
pub(crate) struct Surroundings {
    pub(crate) job: JobId,
    pub(crate) run: RunId,
    /// The checkpoint whose barrier was passed last; zero before any.
    pub(crate) passed: CheckpointId,
    pub(crate) desk: Desk,
    pub(crate) subtask: SubtaskIndex,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) dead_letters: Arc<dyn DeadLetterStore>,
    pub(crate) crashes: Arc<dyn CrashStore>,
    pub(crate) veil: Arc<dyn Veil>,
    /// State of the generator that spreads retries; SplitMix64 (Steele, Lea, Flood 2014).
    pub(crate) jitter: u64,
}

impl Surroundings {
    /// Says something in the job's event log.
    pub(crate) fn say(&self, node: &NodeId, kind: JobEventKind) {
        self.events.say(Some(node), Some(self.subtask), kind);
    }

    /// A number from 0 to 1.
    pub(crate) fn jitter(&mut self) -> f64 {
        self.jitter = self.jitter.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.jitter;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Waits; the end of the job ends the wait.
    pub(crate) fn rest(&self, time: Duration) -> Result<(), TaskEnd> {
        Ok(self.inbox.rest(time)?)
    }

    /// Keeps letters, their reasons without secrets of the job, and says so. A store that cannot take them fails the job:
    /// nothing is lost in silence.
    pub(crate) fn set_aside(&self, mut letters: Vec<DeadLetter>) -> Result<(), TaskEnd> {
        self.hide_secrets(&mut letters);
        let letters = &letters[..];
        let Some(first) = letters.first() else { return Ok(()) };
        let epoch = Epoch { run: self.run, after: self.passed };
        self.dead_letters.append(&self.job, epoch, letters).map_err(|PortError { message, .. }| {
            TaskEnd::lasting(format!(
                "{} dead letters of `{}` cannot be kept: {message}",
                letters.len(),
                first.operator
            ))
        })?;
        let reason = format!("{}: {}", first.reason.kind, first.reason.message);
        self.say(&first.operator, JobEventKind::DeadLetters { count: letters.len() as u64, reason });
        Ok(())
    }

    /// Reasons of neighbours are mostly one: that is looked through once.
    fn hide_secrets(&self, letters: &mut [DeadLetter]) {
        let mut last = None::<(String, String)>;
        for letter in letters {
            let said = std::mem::take(&mut letter.reason.message);
            let hidden = match last.take() {
                Some((before, hidden)) if before == said => hidden,
                Some(_) | None => self.veil.hide(&said),
            };
            letter.reason.message.clone_from(&hidden);
            last = Some((said, hidden));
        }
    }

    /// The letter of one event of a batch.
    pub(crate) fn letter(&self, to: &Address<'_>, events: &EventBatch, row: usize, reason: Reason) -> DeadLetter {
        DeadLetter {
            operator: to.operator.clone(),
            input: to.input.to_owned(),
            module: to.module,
            reason,
            backtrace: Vec::new(),
            origin: String::new(),
            timestamp: events.timestamps()[row],
            key: events.keys().get(row).map(<[u8]>::to_vec),
            value: events.values().get(row).map(<[u8]>::to_vec),
            at_ms: self.clock.now_ms(),
        }
    }
}

/// The operator and input at which an event was set aside.
pub(crate) struct Address<'a> {
    pub(crate) operator: &'a NodeId,
    pub(crate) input: &'a str,
    pub(crate) module: Option<gristmill_types::ModuleHash>,
}

/// Nanoseconds since a moment, for counters.
pub(crate) fn ns_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
