//! Jobs of this process: those that run, and the last few that ended, kept for their events and log lines.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use gristmill_ports::Veil;
use gristmill_ports::catalog::{JobRecord, JobState};
use gristmill_runtime::{JobHandle, JobReport, JobStatus};
use gristmill_types::JobId;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};

use super::ControlError;
use super::secrets::Secrets;

/// Ended jobs whose handles are kept.
const ENDED_KEPT: usize = 32;
/// Jobs that may run at one time; each has at least one thread.
pub(crate) const MOST_RUNNING: usize = 512;

/// A job of this process.
///
/// Its end is told only once it stands in the catalog: what a user was told is still so after the host was killed.
pub struct LiveJob {
    handle: JobHandle,
    secrets: Arc<Secrets>,
    told: watch::Sender<JobStatus>,
    replaying: Mutex<()>,
    leaving: AtomicBool,
    /// What the newest shadow was asked for as.
    shadow: Mutex<Option<ShadowedAs>>,
    changes: mpsc::UnboundedSender<Change>,
    /// Until somebody writes down what becomes of the job.
    changes_heard: Mutex<Option<mpsc::UnboundedReceiver<Change>>>,
}

/// The module of a shadow as it was asked for; whoever promotes it asks for the same.
#[derive(Debug, Clone)]
pub(crate) struct ShadowedAs {
    /// By name or hash.
    pub(crate) module: String,
    /// `None`: those of the operator.
    pub(crate) parameters: Option<Value>,
}

/// A change of a job's record, made by whoever writes down what becomes of the job.
pub(crate) struct Change {
    pub(crate) make: Box<dyn FnOnce(&mut JobRecord) + Send>,
    /// Told once it stands in the catalog.
    pub(crate) written: oneshot::Sender<()>,
}

impl LiveJob {
    pub(crate) fn new(handle: JobHandle, secrets: Arc<Secrets>) -> Self {
        let told = watch::Sender::new(JobStatus { state: JobState::Starting, cause: None });
        let (changes, heard) = mpsc::unbounded_channel();
        Self {
            handle,
            secrets,
            told,
            replaying: Mutex::new(()),
            leaving: AtomicBool::new(false),
            shadow: Mutex::default(),
            changes,
            changes_heard: Mutex::new(Some(heard)),
        }
    }

    /// The way into the job.
    #[must_use]
    pub fn handle(&self) -> &JobHandle {
        &self.handle
    }

    /// Where the job is; its end only when that is written down. The cause is without secrets.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        let now = self.handle.status();
        if now.state.is_final() { self.told.borrow().clone() } else { now }
    }

    /// Whether the engine is done with it; its end may not be written down yet.
    pub(crate) fn has_ended(&self) -> bool {
        self.handle.status().state.is_final()
    }

    /// Whether nothing of it runs any more in this host.
    pub(crate) fn is_gone(&self) -> bool {
        *self.handle.gone().borrow()
    }

    /// It is about to leave, for one of the same name that goes on where it was. `false`: that was said before.
    pub(crate) fn leave(&self) -> bool {
        !self.leaving.swap(true, Ordering::SeqCst)
    }

    /// Whether another one goes on in its place: nothing is asked of it any more.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::SeqCst)
    }

    /// Nothing came of its leaving.
    pub(crate) fn stay(&self) {
        self.leaving.store(false, Ordering::SeqCst);
    }

    /// Waits until nothing of it runs any more in this host.
    pub(crate) async fn until_gone(&self) {
        let mut gone = self.handle.gone();
        gone.wait_for(|gone| *gone).await.expect("the sender lives in the handle");
    }

    /// Changes the job's record in the catalog. `false`: nobody writes down any more what becomes of the job.
    pub(crate) async fn change(&self, make: impl FnOnce(&mut JobRecord) + Send + 'static) -> bool {
        let (written, heard) = oneshot::channel();
        let sent = self.changes.send(Change { make: Box::new(make), written });
        sent.is_ok() && heard.await.is_ok()
    }

    /// The changes that are asked for; once.
    pub(crate) fn take_changes(&self) -> Option<mpsc::UnboundedReceiver<Change>> {
        self.changes_heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What its placeholders stand for.
    pub(crate) fn secrets(&self) -> Arc<Secrets> {
        Arc::clone(&self.secrets)
    }

    /// The right to put letters back, held by one at a time. Blocks.
    pub(crate) fn replaying(&self) -> MutexGuard<'_, ()> {
        self.replaying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what the newest shadow was asked for as.
    pub(crate) fn note_shadow(&self, wish: ShadowedAs) {
        *self.shadow.lock().unwrap_or_else(PoisonError::into_inner) = Some(wish);
    }

    /// What the newest shadow was asked for as.
    pub(crate) fn shadow(&self) -> Option<ShadowedAs> {
        self.shadow.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A job that is held still for its last savepoint goes on, and is changed, once it is known what comes of that.
    pub(crate) fn refuse_while_held(&self) -> Result<(), ControlError> {
        match self.handle.is_held() {
            true => {
                Err(ControlError::Busy(format!("job `{}` is held still while a savepoint is taken", self.handle.id())))
            }
            false => Ok(()),
        }
    }

    /// A text of the job with what its placeholders stand for put back.
    #[must_use]
    pub fn hide_secrets(&self, text: &str) -> String {
        self.secrets.hide(text)
    }

    /// What the job has counted, without secrets.
    #[must_use]
    pub fn report(&self) -> JobReport {
        let mut report = self.handle.report();
        let waits = report.nodes.iter_mut().flat_map(|node| {
            let subtasks = node.subtasks.iter_mut().map(|subtask| &mut subtask.counts);
            subtasks.chain([&mut node.total]).filter_map(|counts| counts.retrying.as_mut())
        });
        waits.for_each(|retrying| retrying.reason = self.hide_secrets(&retrying.reason));
        report.cause = report.cause.map(|cause| self.hide_secrets(&cause));
        report
    }

    /// Says where the job is; of its end, that it stands in the catalog or cannot be written there.
    pub(crate) fn tell(&self, status: JobStatus) {
        self.told.send_replace(status);
    }

    /// Waits until the job has ended and its end stands in the catalog.
    pub(crate) async fn until_recorded(&self) -> JobStatus {
        let mut told = self.told.subscribe();
        let waited = told.wait_for(|status| status.state.is_final()).await.map(|status| status.clone());
        waited.expect("the sender lives in `self`")
    }
}

/// All jobs of this process.
#[derive(Default)]
pub(crate) struct LiveJobs {
    jobs: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    by_id: BTreeMap<JobId, Arc<LiveJob>>,
    ended: VecDeque<JobId>,
}

impl LiveJobs {
    pub(crate) fn get(&self, id: &JobId) -> Option<Arc<LiveJob>> {
        self.read(|jobs| jobs.by_id.get(id).cloned())
    }

    pub(crate) fn all(&self) -> Vec<Arc<LiveJob>> {
        self.read(|jobs| jobs.by_id.values().cloned().collect())
    }

    pub(crate) fn running(&self) -> usize {
        self.read(|jobs| jobs.by_id.len() - jobs.ended.len())
    }

    /// Takes in a job that has just started; an ended one of the same name makes room.
    pub(crate) fn insert(&self, job: Arc<LiveJob>) {
        self.write(|jobs| {
            jobs.ended.retain(|ended| ended != job.handle.id());
            jobs.by_id.insert(job.handle.id().clone(), job);
        });
    }

    /// Notes that a job has ended; forgets the one that ended longest ago if there are too many.
    pub(crate) fn ended(&self, id: &JobId) {
        self.write(|jobs| {
            jobs.ended.push_back(id.clone());
            if jobs.ended.len() > ENDED_KEPT
                && let Some(oldest) = jobs.ended.pop_front()
            {
                jobs.by_id.remove(&oldest);
            }
        });
    }

    pub(crate) fn remove(&self, id: &JobId) {
        self.write(|jobs| {
            jobs.ended.retain(|ended| ended != id);
            jobs.by_id.remove(id);
        });
    }

    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.jobs.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut Inner)) {
        change(&mut self.jobs.write().unwrap_or_else(PoisonError::into_inner));
    }
}
