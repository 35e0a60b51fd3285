//! Beginning and end of a host's life, as far as the control is concerned.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gristmill_ports::CheckpointStore;
use gristmill_ports::catalog::{JobRecord, JobState, OperationRecord, OperationStatus};
use gristmill_types::JobId;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::jobs::orphans;
use super::operations::LISTED;
use super::saving::{HOLDS, is_open_drain, is_saving, open_drain, settled_drain, settled_saving, settled_stop};
use super::state_query::{EDIT, settled_edit};
use super::swap_end::is_open_way_back;
use super::{Control, ControlError, JobView};

/// How long jobs that are broken off may take to end: a guest may be in the middle of a call.
const AFTER_BREAK: Duration = Duration::from_secs(5);

impl Control {
    /// Settles what an earlier host left unfinished: its jobs go on from their newest checkpoints. From then on this one
    /// is ready. Call it before serving.
    ///
    /// # Errors
    /// If the catalog cannot be read or written.
    pub async fn restore(self: &Arc<Self>) -> Result<(), ControlError> {
        let held = self.settle_operations().await?;
        for mut record in self.ask(|catalog| orphans(catalog)).await? {
            // The operation has come to nothing, and the job goes on as it was before.
            if let (JobState::Paused | JobState::Stopping, Some(resumes)) = (record.state, held.get(&record.id)) {
                record.state = if *resumes { JobState::Restarting } else { JobState::Paused };
            }
            let (id, state) = (record.id.clone(), record.state);
            let draining = id.clone();
            let draining = self.ask(move |catalog| open_drain(catalog, &draining)).await?;
            let again = self.relaunch_either(record).await;
            if let (Ok(JobView { live: Some(live), .. }), Some((operation, name))) = (&again, draining)
                && let Ok(name) = self.names.take(&id, Some(name), &[])
            {
                self.follow_drain(Arc::clone(live), name, operation);
            }
            match again {
                Ok(_) => tracing::info!(job = %id, was = %state, "found unfinished; goes on"),
                Err(error) => tracing::warn!(job = %id, was = %state, %error, "found unfinished; now FAILED"),
            }
        }
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Ends what was under way, by what storage says became of it; drains, and what a swap ends, go on. Gives the jobs that an
    /// operation has held still, and whether they are to go on.
    async fn settle_operations(&self) -> Result<BTreeMap<JobId, bool>, ControlError> {
        let now_ms = self.now_ms();
        let checkpoints = Arc::clone(&self.parts.checkpoints);
        self.ask(move |catalog| {
            let mut held = BTreeMap::new();
            // What became of a swap, or of another document, is known once its job goes on.
            let jobs: Vec<JobRecord> = catalog.jobs()?.into_iter().filter(|job| !job.state.is_final()).collect();
            let swaps = jobs.iter().filter_map(|job| Some(&job.swap.as_ref()?.operation));
            let documents = jobs.iter().filter_map(|job| Some(&job.pending.as_ref()?.operation));
            let open: BTreeSet<&String> = swaps.chain(documents).collect();
            let operations = catalog.operations(LISTED)?.into_iter();
            let swapped: BTreeSet<&JobId> = jobs.iter().filter(|job| job.swap.is_some()).map(|job| &job.id).collect();
            let ends_with_swap = |one: &OperationRecord| {
                is_open_way_back(one) && one.job.as_ref().is_some_and(|job| swapped.contains(job))
            };
            let is_lost = |one: &OperationRecord| {
                one.status == OperationStatus::Running && !open.contains(&one.id) && !ends_with_swap(one)
            };
            for mut operation in operations.filter(is_lost) {
                let of = match &operation.job {
                    Some(job) => catalog.job(job)?,
                    None => None,
                };
                if is_open_drain(&operation) && of.as_ref().is_some_and(|job| !job.state.is_final()) {
                    continue;
                }
                held.extend(operation.job.clone().zip(operation.detail[HOLDS].as_bool()));
                let outcome = settled(&*checkpoints, of.as_ref(), &operation);
                operation.changed_ms = now_ms;
                (operation.status, operation.detail) = match outcome {
                    Ok(detail) => (OperationStatus::Succeeded, detail),
                    Err(detail) => (OperationStatus::Failed, detail),
                };
                catalog.put_operation(&operation)?;
            }
            Ok(held)
        })
        .await
    }

    /// Whether requests make sense: restored, and not on the way out.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !*self.closing.borrow()
    }

    /// Opens the catalog again if the disk had refused it.
    ///
    /// # Errors
    /// Why it cannot be written.
    pub async fn heal(&self) -> Result<(), ControlError> {
        self.ask(|catalog| catalog.heal()).await
    }

    /// Ends all live streams; the host is no longer ready.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Turns true when the host is on its way out.
    #[must_use]
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    /// Lets every job make a last checkpoint and leave, waits, breaks off those that have not; used when the host ends.
    /// They go on when it is back.
    pub async fn drain(&self, grace: Duration) {
        self.close();
        let running = || self.live.all().into_iter().filter(|live| !live.is_gone());
        running().for_each(|live| live.handle().suspend());
        if tokio::time::timeout(grace, self.all_gone()).await.is_ok() {
            return;
        }
        running().for_each(|live| live.handle().abandon());
        if tokio::time::timeout(AFTER_BREAK, self.all_gone()).await.is_err() {
            tracing::error!("some jobs did not end; they go on from their newest checkpoints when the host is back");
        }
    }

    async fn all_gone(&self) {
        for live in self.live.all() {
            live.until_gone().await;
            // What it said last is written down, unless it goes on later.
            if live.has_ended() {
                live.until_recorded().await;
            }
        }
    }
}

/// What became of an operation whose host died.
fn settled(store: &dyn CheckpointStore, of: Option<&JobRecord>, operation: &OperationRecord) -> Result<Value, Value> {
    match of {
        Some(job) if is_open_drain(operation) => settled_drain(store, job, operation),
        Some(job) if operation.detail[HOLDS].is_boolean() => settled_stop(store, job, operation),
        Some(job) if is_saving(operation) => settled_saving(store, job, operation),
        Some(job) if operation.kind == EDIT => settled_edit(store, &job.id, job.run, &operation.detail),
        Some(_) | None => Err(json!({"message": "the host stopped before it was done"})),
    }
}
