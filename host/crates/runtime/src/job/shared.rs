//! What a job's attempts and its handles share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gristmill_checkpoint::recovery::Decided;
use gristmill_checkpoint::swap::SwapStage;
use gristmill_dataflow::JobPlan;
use gristmill_dataflow::document::KeyBy;
use gristmill_dataflow::plan::NodeKind;
use gristmill_ports::catalog::JobState;
use gristmill_ports::{Parts, Signal};
use gristmill_types::{JobId, MaxParallelism, NodeId, Parallelism, RunId, SubtaskIndex};
use tokio::sync::watch;

use crate::checkpoint::history::History;
use crate::control::Control;
use crate::counters::NodeCounters;
use crate::event::{EventLog, JobEventKind};
use crate::job::attempt::Attempt;
use crate::job::edits::OpenEdits;
use crate::job::modules::{CanaryThere, Modules};
use crate::job::state::JobStatus;
use crate::report::{Counts, JobReport, NodeReport, SubtaskReport};
use crate::shadow::{Shadow, ShadowStage};
use crate::tap::Tap;

/// A job, as its threads and handles see it.
pub(crate) struct JobShared {
    pub(crate) id: JobId,
    pub(crate) run: RunId,
    pub(crate) nodes: Vec<NodeSeat>,
    /// How it runs; the same for its whole life in this process.
    pub(crate) plan: JobPlan,
    /// See [`Self::modules`].
    pub(crate) modules: Mutex<Modules>,
    /// See [`Self::shadow`].
    pub(crate) shadow: Mutex<Option<Arc<Shadow>>>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) parts: Arc<dyn Parts>,
    pub(crate) max_parallelism: MaxParallelism,
    pub(crate) status: watch::Sender<JobStatus>,
    /// The attempt that runs; none between two.
    pub(crate) attempt: Mutex<Option<Arc<Attempt>>>,
    /// What ends the waits of the attempt that begins or runs.
    pub(crate) over: Mutex<Signal>,
    /// Held while what the last attempt did behind its newest checkpoint is undone.
    pub(crate) going_back: Mutex<()>,
    /// Its sources held still when it last failed, or when the host went down.
    pub(crate) held_still: AtomicBool,
    /// See [`Self::ending`].
    pub(crate) ending: Mutex<Ending>,
    pub(crate) cancelled: Signal,
    /// The host goes down: the job ends here and goes on when the host is back.
    pub(crate) suspended: Signal,
    pub(crate) history: History,
    /// Edits of state that an attempt has left behind, until it is known whether they happened.
    pub(crate) edits: Mutex<OpenEdits>,
    /// The newest checkpoint that is known to be decided.
    pub(crate) newest: watch::Sender<Option<Decided>>,
    /// Turns true when nothing of the job runs any more in this host.
    pub(crate) gone: watch::Sender<bool>,
    pub(crate) started: Instant,
    pub(crate) took: OnceLock<Duration>,
}

/// How a job is to end once it is told to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Behind all that its sources have taken in.
    Plain,
    /// A savepoint is being taken: sources take nothing new in until it is known what comes of it.
    Held,
    /// Where its sources stood in the savepoint that was taken.
    Here,
    /// As if its input had ended; the last checkpoint becomes the savepoint of this name.
    Drain(String),
}

impl Ending {
    /// What sources are told by whoever ends the job.
    pub(crate) fn control(&self) -> Control {
        match self {
            Self::Plain | Self::Held => Control::Stop,
            Self::Here => Control::StopHere,
            Self::Drain(_) => Control::Drain,
        }
    }

    /// Whether sources take nothing new in.
    pub(crate) fn holds(&self) -> bool {
        matches!(self, Self::Held | Self::Here)
    }
}

/// Where a node of the plan sits, and what is known of it from outside.
pub(crate) struct NodeSeat {
    pub(crate) id: NodeId,
    pub(crate) kind: NodeKind,
    pub(crate) task: usize,
    pub(crate) place: usize,
    pub(crate) parallelism: Parallelism,
    /// Name of each input, and its key if it is keyed.
    pub(crate) inputs: Vec<(String, Option<KeyBy>)>,
    pub(crate) ports: Vec<String>,
    pub(crate) tap: Arc<Tap>,
    /// One for each subtask.
    pub(crate) counters: Vec<Arc<NodeCounters>>,
}

impl JobShared {
    /// The attempt that runs, if one does.
    pub(crate) fn attempt(&self) -> Option<Arc<Attempt>> {
        self.current().clone()
    }

    pub(crate) fn current(&self) -> MutexGuard<'_, Option<Arc<Attempt>>> {
        self.attempt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which module runs in each operator.
    pub(crate) fn modules(&self) -> MutexGuard<'_, Modules> {
        self.modules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is to end once it is told to.
    pub(crate) fn ending(&self) -> MutexGuard<'_, Ending> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Edits of state that no attempt looks after.
    pub(crate) fn edits(&self) -> MutexGuard<'_, OpenEdits> {
        self.edits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest shadow, over or not. Whoever holds the lock of the modules too has taken that first.
    pub(crate) fn shadow(&self) -> MutexGuard<'_, Option<Arc<Shadow>>> {
        self.shadow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shadow that runs, if one does.
    pub(crate) fn running_shadow(&self) -> Option<Arc<Shadow>> {
        self.shadow().clone().filter(|shadow| !shadow.is_over())
    }

    /// A shadow begins to follow, or is over.
    pub(crate) fn say_shadow(&self, shadow: &Shadow, stage: ShadowStage, cause: Option<&str>) {
        let cause = cause.map(|cause| format!(": {cause}")).unwrap_or_default();
        let message = format!("module {} beside {}{cause}", shadow.module, shadow.primary);
        tracing::info!(job = %self.id, operator = %shadow.operator, stage = stage.as_str(), message, "shadow");
        self.events.say(Some(&shadow.operator), None, JobEventKind::Shadow { stage, message });
    }

    /// A shadow is over. The first cause stands.
    pub(crate) fn end_shadow(&self, shadow: &Shadow, cause: &str) {
        if shadow.end(cause) {
            self.say_shadow(shadow, ShadowStage::Over, Some(cause));
        }
    }

    /// A canary cannot go on: the operator's own module serves all.
    pub(crate) fn withdraw_canary(&self, canary: &CanaryThere, cause: &str) {
        let stage = SwapStage::Undone;
        canary.report.send_modify(|report| (report.stage, report.cause) = (stage, Some(cause.to_owned())));
        let message = format!("module {} beside {}: {cause}", canary.parts.module, canary.old);
        self.events.say(Some(&canary.operator), None, JobEventKind::Swap { stage, message });
    }

    /// Whatever shadow there is, it is over with the attempt that it ran beside.
    pub(crate) fn end_shadow_of_attempt(&self) {
        if let Some(shadow) = self.running_shadow() {
            self.end_shadow(&shadow, "the attempt of the job that it ran beside has ended");
        }
    }

    /// Says where the job is now, in the log and to listeners.
    pub(crate) fn say_status(&self, JobStatus { state, cause }: &JobStatus) {
        tracing::info!(job = %self.id, state = %state, cause = cause.as_deref(), "job state");
        self.events.say(None, None, JobEventKind::State { state: *state, cause: cause.clone() });
    }

    /// Puts the job somewhere else in its life, as decided under the lock of its status: no wish is granted between the
    /// look at the state and its change.
    pub(crate) fn change_status(&self, change: impl FnOnce(&JobStatus) -> JobStatus) {
        self.status.send_if_modified(|status| {
            let next = change(status);
            let changed = *status != next;
            if changed {
                *status = next;
                self.say_status(status);
            }
            changed
        });
    }

    /// An attempt begins; this ends its waits.
    pub(crate) fn begins(&self, over: &Signal) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = over.clone();
        if self.is_called_off() {
            over.raise();
        }
    }

    /// Ends the attempt that begins or runs, wherever it is.
    pub(crate) fn break_off(&self) {
        self.over.lock().unwrap_or_else(PoisonError::into_inner).raise();
        if let Some(attempt) = self.attempt() {
            attempt.close();
        }
    }

    /// Whether no further attempt is wanted.
    pub(crate) fn is_called_off(&self) -> bool {
        self.cancelled.is_raised() || self.suspended.is_raised()
    }

    /// An attempt is ready to run. Whoever hears so finds it here.
    pub(crate) fn runs(&self, attempt: &Arc<Attempt>) {
        *self.current() = Some(Arc::clone(attempt));
        let state = if self.held_still.load(Ordering::Acquire) { JobState::Paused } else { JobState::Running };
        self.change_status(|status| match status.state {
            JobState::Starting | JobState::Restarting => JobStatus { state, cause: None },
            JobState::Running
            | JobState::Paused
            | JobState::Stopping
            | JobState::Finished
            | JobState::Stopped
            | JobState::Cancelled
            | JobState::Failed => status.clone(),
        });
    }

    /// An attempt has ended, and another will follow.
    pub(crate) fn starts_again(&self, cause: &str) {
        self.history.restarted(self.parts.clock().now_ms(), cause);
        self.change_status(|status| match status.state {
            // Whoever asked it to stop still wants that.
            JobState::Stopping => JobStatus { state: JobState::Stopping, cause: Some(cause.to_owned()) },
            state => {
                if !matches!(state, JobState::Restarting | JobState::Starting) {
                    self.held_still.store(state == JobState::Paused, Ordering::Release);
                }
                JobStatus { state: JobState::Restarting, cause: Some(cause.to_owned()) }
            }
        });
    }

    /// The job is over.
    pub(crate) fn end(&self, status: JobStatus) {
        let _ = self.took.set(self.started.elapsed());
        self.modules().leave_open();
        self.edits().close(self.newest.borrow().map(|newest| newest.checkpoint));
        self.change_status(|_| status);
        self.gone.send_replace(true);
    }

    /// The job goes on when the host is back: its status stays.
    pub(crate) fn sleep(&self) {
        let _ = self.took.set(self.started.elapsed());
        self.modules().leave_open();
        self.edits().close(self.newest.borrow().map(|newest| newest.checkpoint));
        self.gone.send_replace(true);
    }

    pub(crate) fn report(&self) -> JobReport {
        let JobStatus { state, cause } = self.status.borrow().clone();
        let elapsed = self.took.get().copied().unwrap_or_else(|| self.started.elapsed());
        JobReport {
            job: self.id.clone(),
            state,
            cause,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            nodes: self.nodes.iter().map(NodeSeat::report).collect(),
        }
    }

    pub(crate) fn is_over(&self) -> bool {
        let state: JobState = self.status.borrow().state;
        state.is_final()
    }

    /// Whether a subtask still fills its state.
    pub(crate) fn is_restoring(&self) -> bool {
        self.nodes.iter().flat_map(|seat| &seat.counters).any(|counters| counters.is_restoring())
    }

    /// The id of each task's head.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.nodes.iter().filter(|seat| seat.place == 0).map(|seat| seat.id.to_string()).collect()
    }
}

impl NodeSeat {
    fn report(&self) -> NodeReport {
        let subtask = |(index, counters): (usize, &Arc<NodeCounters>)| SubtaskReport {
            subtask: SubtaskIndex(index as u32),
            counts: counters.counts(),
        };
        let subtasks: Vec<_> = self.counters.iter().enumerate().map(subtask).collect();
        let mut total = Counts::default();
        subtasks.iter().for_each(|subtask| total.add(&subtask.counts));
        NodeReport { id: self.id.clone(), kind: self.kind, ports: self.ports.clone(), total, subtasks }
    }
}
