//! What a job's subtasks and its handles share.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use gristmill_dataflow::document::KeyBy;
use gristmill_dataflow::plan::NodeKind;
use gristmill_ports::catalog::JobState;
use gristmill_ports::{Parts, Signal};
use gristmill_types::{JobId, MaxParallelism, NodeId, Parallelism, SubtaskIndex};
use tokio::sync::watch;

use crate::counters::NodeCounters;
use crate::event::{EventLog, JobEventKind};
use crate::exchange::inbox::Inbox;
use crate::job::state::{JobStatus, ended};
use crate::report::{Counts, JobReport, NodeReport, SubtaskReport};
use crate::tap::Tap;
use crate::task::surroundings::TaskEnd;

/// A job, as its threads and handles see it.
pub(crate) struct JobShared {
    pub(crate) id: JobId,
    pub(crate) nodes: Vec<NodeSeat>,
    /// For each task, the inbox of each of its subtasks.
    pub(crate) inboxes: Vec<Vec<Arc<Inbox>>>,
    pub(crate) events: Arc<EventLog>,
    pub(crate) parts: Arc<dyn Parts>,
    pub(crate) max_parallelism: MaxParallelism,
    pub(crate) status: watch::Sender<JobStatus>,
    pub(crate) cancelled: Signal,
    /// What operators look at within their calls.
    pub(crate) interrupt: Signal,
    pub(crate) failure: Mutex<Option<String>>,
    pub(crate) running: AtomicUsize,
    pub(crate) started: Instant,
    pub(crate) took: OnceLock<Duration>,
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
    /// A subtask has left. The first failure ends the job; the last to leave says how it ended.
    pub(crate) fn left(&self, result: Result<(), TaskEnd>) {
        match result {
            Ok(()) | Err(TaskEnd::Closed) => {}
            Err(TaskEnd::Failed(cause)) => {
                self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(cause);
                self.close();
            }
        }
        if self.running.fetch_sub(1, Ordering::AcqRel) == 1 {
            let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
            let _ = self.took.set(self.started.elapsed());
            self.close();
            // Under the lock of the status: no wish is granted between the look at the state and its change.
            self.status.send_modify(|status| {
                *status = ended(status.state, failure, self.cancelled.is_raised());
                self.say_status(status);
            });
        }
    }

    /// Ends all waiting and all calls; subtasks leave at their next look at their inbox.
    pub(crate) fn close(&self) {
        self.inboxes.iter().flatten().for_each(|inbox| inbox.close());
        // Last: whose call is ended by it finds the inbox closed, and does not take the end for a fault of the guest.
        self.interrupt.raise();
    }

    /// Says where the job is now, in the log and to listeners.
    pub(crate) fn say_status(&self, JobStatus { state, cause }: &JobStatus) {
        tracing::info!(job = %self.id, state = %state, cause = cause.as_deref(), "job state");
        self.events.say(None, None, JobEventKind::State { state: *state, cause: cause.clone() });
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
