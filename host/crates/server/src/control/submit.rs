//! Submitting a job: read, named, prepared, written down, started, and from then on recorded.

use std::sync::Arc;

use gristmill_dataflow::canonical_json;
use gristmill_ports::catalog::{Accepted, JobRecord, JobState, Origin};
use gristmill_ports::{PortError, Veil};
use gristmill_runtime::{StartError, forget_run};
use gristmill_types::{CheckpointId, JobId};

use super::assess::{PreparedJob, ReadJob};
use super::error::wrong_state;
use super::live::{LiveJob, MOST_RUNNING};
use super::saving::open_drain;
use super::{Assessment, Control, ControlError, JobView, blocking};

/// A job that has been started.
#[derive(Clone)]
pub struct Submitted {
    /// The job.
    pub job: JobView,
    /// What was thought of its document; warnings are in here.
    pub assessment: Assessment,
}

impl Control {
    /// Says what would become of a document, and of the savepoint that it is to begin from: its modules rewrite what they
    /// would have to, into nothing. Starts nothing, stores nothing.
    ///
    /// # Errors
    /// If the catalog cannot be read; what is wrong with the document is in the answer.
    pub async fn dry_run(self: &Arc<Self>, text: String, origin: Option<Origin>) -> Result<Assessment, ControlError> {
        let permit = self.compiling.acquire().await.expect("the semaphore is never closed");
        let prepared = self
            .ask_control(move |control| {
                let prepared = control.prepare(ReadJob::read(text, &*control.parts.catalog)?)?;
                control.try_beside(prepared, origin)
            })
            .await;
        drop(permit);
        match prepared {
            Ok(prepared) => Ok(prepared.assessment),
            Err(ControlError::BadDocument(problems)) => Ok(Assessment::refusal(problems)),
            Err(other) => Err(other),
        }
    }

    /// Starts the job of a document, from a savepoint if one is named. A job of the same name that is over is replaced; its
    /// dead letters stay.
    ///
    /// # Errors
    /// All that is wrong with the document; a job of that name that is not over; a part that cannot be opened.
    pub async fn submit(self: &Arc<Self>, text: String, origin: Option<Origin>) -> Result<Submitted, ControlError> {
        let (read, before) = self.reserve(text).await?;
        let id = read.document.job.clone();
        let outcome = self.launch(read, before, origin).await;
        self.gate.lock().await.remove(&id);
        outcome
    }

    /// Reads a document and takes its name, so that nobody else does and its modules stay.
    async fn reserve(self: &Arc<Self>, text: String) -> Result<(ReadJob, Option<JobRecord>), ControlError> {
        let mut gate = self.gate.lock().await;
        if *self.closing.borrow() {
            return Err(ControlError::Busy("shutting down and starts no more jobs".to_owned()));
        }
        let read = self.ask_control(move |control| ReadJob::read(text, &*control.parts.catalog)).await?;
        let id = &read.document.job;
        if gate.contains_key(id) {
            return Err(ControlError::JobExists { job: id.clone(), state: JobState::Starting });
        }
        if self.live.running() + gate.len() >= MOST_RUNNING {
            return Err(ControlError::Busy(format!("running as many jobs as it can ({MOST_RUNNING})")));
        }
        let before = match self.job(id).await {
            Ok(job) if job.is_active() => {
                return Err(ControlError::JobExists { job: id.clone(), state: job.status().state });
            }
            Ok(job) => Some(job.record),
            Err(ControlError::NotFound { .. }) => None,
            Err(other) => return Err(other),
        };
        gate.insert(id.clone(), read.modules());
        Ok((read, before))
    }

    async fn launch(
        self: &Arc<Self>,
        read: ReadJob,
        before: Option<JobRecord>,
        origin: Option<Origin>,
    ) -> Result<Submitted, ControlError> {
        let permit = self.compiling.acquire().await.expect("the semaphore is never closed");
        let prepared = self.ask_control(move |control| control.lay_beside(control.prepare(read)?, origin)).await?;
        drop(permit);
        let (live, record, assessment) =
            self.ask_control(move |control| control.start(prepared, before.as_ref())).await?;
        self.live.insert(Arc::clone(&live));
        tokio::spawn(Arc::clone(self).record(Arc::clone(&live), record.clone()));
        Ok(Submitted { job: JobView { record, live: Some(live) }, assessment })
    }

    fn prepare(&self, read: ReadJob) -> Result<PreparedJob, ControlError> {
        read.prepare(&*self.parts.catalog, &*self.parts.registry, &*self.parts.environment)
    }

    /// Writes the job down, then starts it; a job that does not start leaves the catalog as it was. Blocks.
    fn start(
        &self,
        prepared: PreparedJob,
        before: Option<&JobRecord>,
    ) -> Result<(Arc<LiveJob>, JobRecord, Assessment), ControlError> {
        let PreparedJob { document, spec, secrets, assessment } = prepared;
        let now_ms = self.now_ms();
        let record = JobRecord {
            id: document.job.clone(),
            document: canonical_json(&document),
            modules: spec.operators.iter().map(|(id, parts)| (id.to_string(), parts.module)).collect(),
            state: JobState::Starting,
            cause: None,
            created_ms: now_ms,
            changed_ms: now_ms,
            final_report: None,
            accepted: None,
            run: Some(spec.run),
            newest: None,
            base: Some(self.parts.base.clone()),
            origin: spec.origin.clone(),
            swap: None,
            pending: None,
        };
        self.parts.catalog.put_job(&record)?;
        let run = spec.run;
        match gristmill_runtime::start(spec, (self.parts.parts_for)(&record)) {
            Ok(handle) => {
                // The new run has a folder and a log of its own; what the old one had is of no use any more.
                if let Some(Err(error)) = before.map(|before| self.forget_run(before)) {
                    tracing::warn!(job = %record.id, %error, "the checkpoints of the run before stay");
                }
                Ok((Arc::new(LiveJob::new(handle, secrets)), record, assessment))
            }
            Err(error) => {
                if let Err(error) = forget_run(&*self.parts.checkpoints, &record.id, run) {
                    tracing::warn!(job = %record.id, %error, "what a job that did not start has stored stays");
                }
                self.undo(&record.id, before);
                let message = secrets.hide(&error.to_string());
                Err(ControlError::CannotStart { job: record.id, message })
            }
        }
    }

    fn forget_run(&self, job: &JobRecord) -> Result<(), PortError> {
        job.run.map_or(Ok(()), |run| forget_run(&*self.parts.checkpoints, &job.id, run))
    }

    /// Lets a job that is not over, or that was ended, go on from its newest checkpoint, or from the one that is accepted.
    ///
    /// # Errors
    /// If there is no such job, it runs, it ran on a host that made no checkpoints, or what it needs is gone.
    pub async fn go_on(self: &Arc<Self>, id: &JobId, accept: Option<CheckpointId>) -> Result<JobView, ControlError> {
        let mut gate = self.gate.lock().await;
        let job = self.job(id).await?;
        if gate.contains_key(id) || job.is_active() || job.live.as_ref().is_some_and(|live| !live.is_gone()) {
            return Err(wrong_state(id, job.status().state, "started again"));
        }
        if matches!(job.record.state, JobState::Finished) {
            return Err(wrong_state(id, job.record.state, "started again; submit it anew"));
        }
        let hashes = job.record.modules.iter().map(|(_, hash)| *hash).collect();
        gate.insert(id.clone(), hashes);
        drop(gate);
        let outcome = match accept {
            Some(accepted) => self.check_accepted(&job.record, accepted).await,
            None => Ok(()),
        };
        let outcome = match outcome {
            Ok(()) => self.relaunch(job.record, accept).await,
            Err(error) => Err(error),
        };
        self.gate.lock().await.remove(id);
        outcome
    }

    /// Starts a job of the catalog again, as the run that it was; with its next document, if it has one.
    pub(super) async fn relaunch(
        self: &Arc<Self>,
        mut record: JobRecord,
        accept: Option<CheckpointId>,
    ) -> Result<JobView, ControlError> {
        let Some(run) = record.run else {
            return Err(ControlError::CannotStart {
                job: record.id,
                message: "it ran on a host that made no checkpoints; submit it again".to_owned(),
            });
        };
        let permit = self.compiling.acquire().await.expect("the semaphore is never closed");
        let mut wanted = record.clone();
        if let Some(next) = record.next_document() {
            wanted.adopt(next);
        }
        let prepared =
            self.ask_control(move |control| control.prepare(ReadJob::of_record(&wanted, &*control.parts.catalog)?));
        let PreparedJob { mut spec, secrets, .. } = prepared.await?;
        let open = match record.swap.clone() {
            Some(pending) => Some(self.open_swap(&record, pending, Arc::clone(&secrets)).await?),
            None => None,
        };
        drop(permit);
        let was = record.state;
        // Written down until an attempt has gone on from it, however often the host dies before.
        let accepted = accept.map(|checkpoint| Accepted { checkpoint, at_ms: self.now_ms() });
        record.accepted = accepted.or(record.accepted);
        (spec.run, spec.accepted, spec.paused) = (run, record.accepted, was == JobState::Paused);
        (spec.newest, spec.origin) = (record.newest, record.origin.clone());
        let drained = record.id.clone();
        let draining = self.ask(move |catalog| open_drain(catalog, &drained)).await?;
        spec.drains_into = draining.as_ref().map(|(_, name)| name.clone());
        // A job is written down as anything else only once an attempt of it has begun, and that stays to be seen.
        spec.goes_on = was != JobState::Starting;
        let state = if spec.goes_on { JobState::Restarting } else { JobState::Starting };
        (record.state, record.cause, record.final_report) = (state, None, None);
        record.base.get_or_insert_with(|| self.parts.base.clone());
        let started = record.clone();
        let live = self.ask_control(move |control| {
            control.parts.catalog.put_job(&started)?;
            let handle = gristmill_runtime::resume_open(spec, open, (control.parts.parts_for)(&started));
            let cannot = |error: StartError| ControlError::CannotStart { job: started.id, message: error.to_string() };
            Ok(Arc::new(LiveJob::new(handle.map_err(cannot)?, secrets)))
        });
        let live = live.await?;
        if was == JobState::Stopping || draining.is_some() {
            // A job that is over already needs no stop.
            let _ = live.handle().stop_when_it_runs();
        }
        self.live.insert(Arc::clone(&live));
        tokio::spawn(Arc::clone(self).record(Arc::clone(&live), record.clone()));
        if let Some(pending) = record.swap.clone() {
            tokio::spawn(Arc::clone(self).follow_open_swap(Arc::clone(&live), pending));
        }
        if let Some(pending) = record.pending.clone() {
            tokio::spawn(Arc::clone(self).follow_document(Arc::clone(&live), pending));
        }
        Ok(JobView { record, live: Some(live) })
    }

    fn undo(&self, id: &JobId, before: Option<&JobRecord>) {
        let undone = match before {
            Some(before) => self.parts.catalog.put_job(before),
            None => self.parts.catalog.delete_job(id).map(drop),
        };
        if let Err(error) = undone {
            tracing::error!(job = %id, %error, "a job that did not start stays in the catalog");
        }
    }

    /// Does something with the whole control that blocks.
    pub(super) async fn ask_control<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, ControlError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let control = Arc::clone(self);
        blocking(move || work(&control)).await?
    }
}
