//! Beginning and end of a host's life, as far as the control is concerned.

use std::sync::atomic::Ordering;
use std::time::Duration;

use gristmill_ports::catalog::{JobState, OperationStatus};
use serde_json::json;
use tokio::sync::watch;

use super::jobs::orphans;
use super::operations::LISTED;
use super::{Control, ControlError};

/// What jobs and operations are told that nobody finished.
const LEFT_BEHIND: &str = "the host stopped while the job was running; submit it again";

/// How long cancelled jobs may take to end: a guest may be in the middle of a call.
const AFTER_CANCEL: Duration = Duration::from_secs(5);

impl Control {
    /// Settles what an earlier host left unfinished; from then on this one is ready. Blocks: call it before serving.
    ///
    /// # Errors
    /// If the catalog cannot be read or written.
    pub fn restore(&self) -> Result<(), ControlError> {
        let catalog = &*self.parts.catalog;
        let now_ms = self.now_ms();
        for mut job in orphans(catalog)? {
            tracing::warn!(job = %job.id, state = %job.state, "found unfinished; now FAILED");
            (job.state, job.cause, job.changed_ms) = (JobState::Failed, Some(LEFT_BEHIND.to_owned()), now_ms);
            catalog.put_job(&job)?;
        }
        let unfinished = catalog.operations(LISTED)?.into_iter().filter(|one| one.status == OperationStatus::Running);
        for mut operation in unfinished {
            (operation.status, operation.changed_ms) = (OperationStatus::Failed, now_ms);
            operation.detail = json!({"message": "the host stopped before it was done"});
            catalog.put_operation(&operation)?;
        }
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Whether requests make sense: restored, and not on the way out.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !*self.closing.borrow()
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

    /// Asks every job to stop, waits, cancels those that have not; used when the host ends.
    pub async fn drain(&self, grace: Duration) {
        self.close();
        let running = || self.live.all().into_iter().filter(|live| !live.has_ended());
        // A job that ends by itself in between refuses, which is as good.
        for live in running() {
            let _ = live.handle().stop();
        }
        if tokio::time::timeout(grace, self.all_recorded()).await.is_ok() {
            return;
        }
        for live in running() {
            let _ = live.handle().cancel();
        }
        if tokio::time::timeout(AFTER_CANCEL, self.all_recorded()).await.is_err() {
            tracing::error!("some jobs did not end; they are recorded as failed when the host starts again");
        }
    }

    async fn all_recorded(&self) {
        for live in self.live.all() {
            live.until_recorded().await;
        }
    }
}
