//! Another number of subtasks for a running job: the new document is checked and planned as any other, then the job goes on
//! with it from a last checkpoint.

use std::sync::Arc;
use std::time::Duration;

use gristmill_dataflow::{NotRescaled, Rescale, Rescaled, canonical_json, rescale};
use gristmill_ports::catalog::{JobState, OperationRecord, PendingDocument};
use gristmill_types::JobId;
use serde_json::json;

use super::assess::{PreparedJob, ReadJob};
use super::changeover::Exit;
use super::error::wrong_state;
use super::live::LiveJob;
use super::{Control, ControlError, JobView};

/// How long the last checkpoint may take; then the job goes on from the newest one that there is.
const LAST_CHECKPOINT: Duration = Duration::from_secs(30);
impl From<NotRescaled> for ControlError {
    fn from(not: NotRescaled) -> Self {
        Self::RescaleRefused(not.to_string())
    }
}

impl Control {
    /// Lets a running job go on with other numbers of subtasks. The operation succeeds when it does; a dry run, if it could.
    ///
    /// # Errors
    /// If there is no such job; it is over; a swap or another document is under way; or it cannot run so.
    pub async fn rescale(
        self: &Arc<Self>,
        id: &JobId,
        wish: Rescale,
        is_dry: bool,
    ) -> Result<OperationRecord, ControlError> {
        let live = Arc::clone(self.job(id).await?.running("rescaled")?);
        refuse_at_its_edges(&live)?;
        self.take_gate(id).await?;
        let outcome = self.begin_rescale(&live, &wish, is_dry).await;
        self.gate.lock().await.remove(id);
        outcome
    }

    async fn take_gate(&self, id: &JobId) -> Result<(), ControlError> {
        let mut gate = self.gate.lock().await;
        if gate.contains_key(id) {
            return Err(ControlError::SwapUnderWay(format!("job `{id}` is being started or swapped at this moment")));
        }
        // It goes on with the modules that it has.
        gate.insert(id.clone(), Vec::new());
        Ok(())
    }

    async fn begin_rescale(
        self: &Arc<Self>,
        live: &Arc<LiveJob>,
        wish: &Rescale,
        is_dry: bool,
    ) -> Result<OperationRecord, ControlError> {
        let job = self.settled(live).await?;
        job.running("rescaled")?;
        let (prepared, rescaled) = self.prepare_rescale(&job, live, wish.clone()).await?;
        let mut detail = json!({"nodes": rescaled});
        if is_dry {
            detail["mode"] = json!("dry-run");
            detail["message"] = json!("it could go on so");
            let operation = self.begin("rescale", &job.record.id).await?;
            self.end(operation.clone(), Ok(detail)).await;
            return self.operation(&operation.id).await;
        }
        let operation = self.begin_with("rescale", &job.record.id, detail).await?;
        let pending = PendingDocument {
            operation: operation.id.clone(),
            document: canonical_json(&prepared.document),
            modules: job.record.modules,
        };
        self.change_over(live, pending, Exit::Checkpointed(LAST_CHECKPOINT), operation).await
    }

    async fn prepare_rescale(
        self: &Arc<Self>,
        job: &JobView,
        live: &LiveJob,
        wish: Rescale,
    ) -> Result<(PreparedJob, Vec<Rescaled>), ControlError> {
        let _permit = self.compiling.acquire().await.expect("the semaphore is never closed");
        let (record, secrets) = (job.record.clone(), live.secrets());
        self.ask_control(move |control| {
            let parts = &control.parts;
            let mut rescaled = Vec::new();
            let read = ReadJob::rewritten(&record, &*parts.catalog, |document| {
                let (new, differ) = rescale(document, &wish)?;
                rescaled = differ;
                Ok(new)
            })?;
            let prepared = read.prepare_noting(secrets, &*parts.catalog, &*parts.registry, &*parts.environment)?;
            Ok((prepared, rescaled))
        })
        .await
    }
}

/// One that is starting has nothing to go on from, one that is stopping wants nothing more.
fn refuse_at_its_edges(live: &LiveJob) -> Result<(), ControlError> {
    match live.handle().status().state {
        state @ (JobState::Stopping | JobState::Starting) => Err(wrong_state(live.handle().id(), state, "rescaled")),
        JobState::Running
        | JobState::Restarting
        | JobState::Paused
        | JobState::Finished
        | JobState::Stopped
        | JobState::Cancelled
        | JobState::Failed => Ok(()),
    }
}
