//! The same job goes on with another document from its newest checkpoint: the attempt that runs ends, one with the other
//! document begins.
//!
//! The other document is written down first, beside the job's own. It becomes the job's own once an attempt has begun with
//! it. If none can, the job goes on as it was. A host that dies in between leaves both to the next one, which begins with
//! the other document too.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use gristmill_ports::catalog::{JobRecord, JobState, OperationRecord, OperationStatus, PendingDocument};
use gristmill_runtime::JobStatus;
use gristmill_types::JobId;
use serde_json::json;

use super::error::{in_the_way, wrong_state};
use super::live::LiveJob;
use super::recording::has_begun;
use super::{Control, ControlError, JobView};

/// How long a swap that has just ended may take to be written down.
const SETTLES: Duration = Duration::from_secs(5);
/// How often it is looked whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How soon a job is started again after the catalog has refused.
const LAUNCH_AGAIN: Duration = Duration::from_secs(1);
/// So often a job is started again while the catalog refuses.
const LAUNCHES: u32 = 10;

/// How the attempt that runs ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Behind a last checkpoint; as a crash would, if that takes longer than this.
    Checkpointed(Duration),
    /// At once, as a crash would.
    AtOnce,
}

impl Control {
    /// Writes the other document down and has the job go on with it. The operation ends when it is known whether it does.
    ///
    /// # Errors
    /// If the job is over, or is about to go on with another document already.
    pub(super) async fn change_over(
        self: &Arc<Self>,
        live: &Arc<LiveJob>,
        pending: PendingDocument,
        exit: Exit,
        operation: OperationRecord,
    ) -> Result<OperationRecord, ControlError> {
        let id = live.handle().id();
        let state = live.handle().status().state;
        let refused = if let Err(held) = live.refuse_while_held() {
            Some(held)
        } else if state == JobState::Stopping {
            Some(wrong_state(id, state, "started again with another document"))
        } else if !live.leave() {
            Some(under_way(id))
        } else if !live.change(move |record| (record.pending, record.swap) = (Some(pending), None)).await {
            live.stay();
            Some(wrong_state(id, live.handle().status().state, "started again with another document"))
        } else {
            None
        };
        if let Some(refused) = refused {
            self.end(operation, Err(json!({"message": refused.to_string()}))).await;
            return Err(refused);
        }
        fail::fail_point!("document-noted");
        tokio::spawn(Arc::clone(self).leave_and_go_on(Arc::clone(live), exit, operation.clone()));
        Ok(operation)
    }

    async fn leave_and_go_on(self: Arc<Self>, live: Arc<LiveJob>, exit: Exit, operation: OperationRecord) {
        match exit {
            Exit::Checkpointed(patience) => {
                live.handle().suspend();
                if tokio::time::timeout(patience, live.until_gone()).await.is_err() {
                    live.handle().abandon();
                }
            }
            Exit::AtOnce => live.handle().abandon(),
        }
        live.until_gone().await;
        if live.has_ended() {
            let JobStatus { state, cause } = live.until_recorded().await;
            let message = "the job ended before it could go on with the other document";
            self.end(operation, Err(json!({"message": message, "state": state, "cause": cause}))).await;
            return;
        }
        if *self.closing.borrow() {
            // The next host finds the document.
            return;
        }
        fail::fail_point!("document-left");
        let id = live.handle().id().clone();
        // While nothing runs, the newest checkpoint says which of its edits of state have happened.
        if let Err(error) = self.settle_edits(&id).await {
            tracing::warn!(job = %id, %error, "what became of edits of state cannot be written down");
        }
        let Some(job) = self.read_patiently(&id).await else { return };
        match self.relaunch_either(job.record).await {
            Ok(_) => {}
            // The next host finds the document.
            Err(_) if *self.closing.borrow() => {}
            Err(error) => {
                tracing::error!(job = %id, %error, "cannot go on, neither with another document nor as it was");
                // From now on it is what its record says: nothing of it runs.
                self.live.remove(&id);
                self.end(operation, Err(json!({"message": error.to_string()}))).await;
            }
        }
    }

    /// A job of which nothing runs, as soon as the catalog answers; `None`: the host ends before.
    async fn read_patiently(&self, id: &JobId) -> Option<JobView> {
        loop {
            match self.job(id).await {
                Ok(job) => return Some(job),
                Err(error) => {
                    tracing::error!(job = %id, %error, "starting a job again waits for the catalog");
                    self.waits_to_launch().await.then_some(())?;
                }
            }
        }
    }

    /// Starts a job again, and tries once more for a while if the catalog refuses: nobody else would.
    async fn relaunch_patiently(self: &Arc<Self>, record: &JobRecord) -> Result<JobView, ControlError> {
        for _ in 1..LAUNCHES {
            match self.relaunch(record.clone(), None).await {
                Err(ControlError::Store(error)) => {
                    tracing::error!(job = %record.id, %error, "starting a job again is tried once more");
                    if !self.waits_to_launch().await {
                        return Err(ControlError::Store(error));
                    }
                }
                again => return again,
            }
        }
        self.relaunch(record.clone(), None).await
    }

    /// Waits a moment. `false`: the host ends, and nothing is launched any more.
    async fn waits_to_launch(&self) -> bool {
        let mut closing = self.closing();
        let ends = tokio::time::timeout(LAUNCH_AGAIN, closing.wait_for(|closing| *closing));
        ends.await.is_err()
    }

    /// The job once the end of its newest swap is written down: its document is the one to change.
    ///
    /// # Errors
    /// If a swap or another document is under way.
    pub(super) async fn settled(&self, live: &LiveJob) -> Result<JobView, ControlError> {
        let id = live.handle().id();
        let settles = async {
            loop {
                let job = self.job(id).await?;
                if job.record.next_document().is_some() {
                    return Err(under_way(id));
                }
                refuse_while_swapping(live)?;
                if job.record.swap.is_none() {
                    return Ok(job);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let busy = |_| ControlError::Busy(format!("writing down the end of a swap of job `{id}`"));
        tokio::time::timeout(SETTLES, settles).await.map_err(busy)?
    }

    /// Starts a job again: with the document that it is about to go on with, or, if it cannot be started so, as it was. One
    /// that cannot be started at all is `FAILED`, unless the host ends: the next one tries again then.
    pub(super) async fn relaunch_either(self: &Arc<Self>, record: JobRecord) -> Result<JobView, ControlError> {
        let again = match (self.relaunch_patiently(&record).await, record.next_document()) {
            (Err(error), Some(next)) if !*self.closing.borrow() => {
                let as_it_was = JobRecord { pending: None, ..record.clone() };
                let again = self.relaunch_patiently(&as_it_was).await;
                self.dropped(&record.id, &next.operation, &error.to_string()).await;
                again
            }
            (again, _) => again,
        };
        if let Err(error) = &again
            && !*self.closing.borrow()
        {
            self.cannot_go_on(record, error).await;
        }
        again
    }

    /// Writes down that a job cannot be started again.
    async fn cannot_go_on(&self, record: JobRecord, error: &ControlError) {
        let cause = Some(format!("it cannot go on: {error}"));
        let (id, open) = (record.id.clone(), record.swap.clone());
        let failed = JobRecord { state: JobState::Failed, cause, changed_ms: self.now_ms(), pending: None, ..record };
        self.write_down(&failed).await;
        if let Some(open) = open {
            // The record keeps it: which module runs is known by the manifest that the job goes on from.
            let operation = self.operation_of(&id, &open.operation).await;
            let mut detail = operation.detail.clone();
            detail["message"] = json!(format!("the job cannot go on before it is restarted: {error}"));
            self.end_ways_back(&id, &Err(detail.clone())).await;
            self.end_unless_ended(operation, Err(detail)).await;
        }
    }

    /// Follows a job that was started with another document, until that is its own.
    pub(super) async fn follow_document(self: Arc<Self>, live: Arc<LiveJob>, pending: PendingDocument) {
        let mut states = live.handle().watch();
        tokio::select! {
            biased;
            _ = states.wait_for(|status| has_begun(status.state) || status.state.is_final()) => {}
            () = live.until_gone() => {}
        }
        let state = states.borrow().state;
        if !has_begun(state) {
            // One that sleeps is left to the next host.
            if state.is_final() {
                self.ended_before(&live, &pending).await;
            }
            return;
        }
        let adopted = pending.clone();
        // Whoever wrote down its end has adopted it too.
        live.change(move |record| record.adopt(&adopted)).await;
        fail::fail_point!("document-adopted");
        self.told(&live, &pending).await;
        fail::fail_point!("document-told");
        live.change(move |record| {
            record.pending.take_if(|other| other.operation == pending.operation);
        })
        .await;
    }

    /// The job failed or was cancelled. If it goes on as it was, the operation has ended by the time that this is told.
    async fn ended_before(&self, live: &LiveJob, pending: &PendingDocument) {
        let JobStatus { state, cause } = live.until_recorded().await;
        let operation = self.operation_of(live.handle().id(), &pending.operation).await;
        if operation.status == OperationStatus::Running {
            let mut detail = operation.detail.clone();
            detail["message"] = json!("the job ended before it was seen to go on with the other document");
            (detail["state"], detail["cause"]) = (json!(state), json!(cause));
            self.end(operation, Err(detail)).await;
        }
    }

    /// The operation of another document has succeeded.
    async fn told(&self, live: &LiveJob, pending: &PendingDocument) {
        let id = live.handle().id();
        tracing::info!(job = %id, "goes on with another document");
        let operation = self.operation_of(id, &pending.operation).await;
        let mut detail = operation.detail.clone();
        detail["restored"] = json!(live.handle().checkpoints().restored);
        detail["took_ms"] = json!(self.now_ms().saturating_sub(operation.created_ms));
        self.end(operation, Ok(detail)).await;
    }

    /// No attempt of a job has begun with its other document; its record says already that it goes on as it was.
    pub(super) fn go_back(
        self: Arc<Self>,
        live: Arc<LiveJob>,
        record: JobRecord,
        pending: PendingDocument,
        status: JobStatus,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        // In a box: what writes a job down starts it again here, and that is written down in turn.
        Box::pin(async move {
            live.until_gone().await;
            let cause = status.cause.clone().unwrap_or_default();
            tracing::warn!(job = %record.id, cause, "it cannot begin with another document, and goes on as it was");
            if let Err(error) = self.relaunch_either(record.clone()).await {
                tracing::error!(job = %record.id, %error, "cannot go on as it was");
                self.live.ended(&record.id);
            }
            self.dropped(&record.id, &pending.operation, &cause).await;
            live.tell(status);
        })
    }

    async fn dropped(&self, id: &JobId, operation: &str, cause: &str) {
        let operation = self.operation_of(id, operation).await;
        let mut detail = operation.detail.clone();
        detail["message"] = json!(format!("the job goes on as it was: {cause}"));
        self.end(operation, Err(detail)).await;
    }

    /// The operation as it was written down. If that is gone, one like it.
    async fn operation_of(&self, id: &JobId, operation: &str) -> OperationRecord {
        match self.operation(operation).await {
            Ok(operation) => operation,
            Err(error) => {
                tracing::warn!(job = %id, operation, %error, "the operation of another document is gone");
                let (job, status, now_ms) = (Some(id.clone()), OperationStatus::Running, self.now_ms());
                let (id, kind, detail) = (operation.to_owned(), "rescale".to_owned(), json!({}));
                OperationRecord { id, kind, job, status, detail, created_ms: now_ms, changed_ms: now_ms }
            }
        }
    }
}

fn refuse_while_swapping(live: &LiveJob) -> Result<(), ControlError> {
    let Some(report) = live.handle().newest_swap() else { return Ok(()) };
    let report = report.borrow();
    if report.is_over() {
        return Ok(());
    }
    Err(in_the_way(&report, ""))
}

fn under_way(id: &JobId) -> ControlError {
    ControlError::SwapUnderWay(format!("job `{id}` is being started again with another document at this moment"))
}
