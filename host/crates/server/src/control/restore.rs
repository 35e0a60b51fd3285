//! Beginning and end of a host's life, as far as the control is concerned.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gristmill_ports::catalog::{JobState, OperationStatus};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::jobs::orphans;
use super::operations::LISTED;
use super::{Control, ControlError};

/// What jobs and operations are told that nobody finished.
const LEFT_BEHIND: &str = "the host stopped while the job was running; submit it again";

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

    /// A place for a live stream, free again when dropped.
    ///
    /// # Errors
    /// If all are taken.
    pub fn stream_place(&self) -> Result<OwnedSemaphorePermit, ControlError> {
        Arc::clone(&self.streams)
            .try_acquire_owned()
            .map_err(|_| ControlError::Busy("as many live streams as it can serve (256)"))
    }
}
