//! Writing down what becomes of a job that runs: each state, each decided checkpoint, its end.

use std::sync::Arc;
use std::time::Duration;

use gristmill_checkpoint::recovery::Decided;
use gristmill_ports::catalog::{JobRecord, JobState, PendingDocument};
use gristmill_runtime::JobStatus;
use tokio::sync::{mpsc, watch};

use super::Control;
use super::live::{Change, LiveJob};

/// Tries to write a job's end down, with a second between them.
const RECORD_TRIES: u32 = 10;

impl Control {
    /// Follows a job to its end and writes each change of state down.
    pub(super) async fn record(self: Arc<Self>, live: Arc<LiveJob>, mut record: JobRecord) {
        let (mut states, mut newest) = (live.handle().watch(), live.handle().newest());
        let mut changes = live.take_changes().expect("one task writes a job down");
        let (tries_another, began_from) = (record.next_document().is_some(), record.newest);
        loop {
            note_newest(&mut record, *newest.borrow_and_update());
            let JobStatus { state, cause } = states.borrow_and_update().clone();
            let status = JobStatus { state, cause: cause.map(|cause| live.hide_secrets(&cause)) };
            record.changed_ms = self.now_ms();
            record.state = state;
            if has_begun(state) {
                record.accepted = None;
            }
            record.cause.clone_from(&status.cause);
            if state.is_final() {
                let has_run = record.newest != began_from;
                if let Some(pending) = settle_at_end(&mut record, tries_another, has_run) {
                    self.write_down(&record).await;
                    return self.go_back(live, record, pending, status).await;
                }
                record.final_report = final_report(&live);
                self.write_down(&record).await;
                live.tell(status);
                break;
            }
            live.tell(status);
            self.write_down(&record).await;
            if !self.until_next_state(&live, &mut states, &mut newest, &mut changes, &mut record).await {
                tracing::info!(job = %record.id, state = %record.state, "the job goes on when the host is back");
                return;
            }
        }
        tracing::info!(job = %record.id, state = %record.state, cause = record.cause, "job ended");
        self.live.ended(&record.id);
    }

    /// Waits until the job's state has changed, and writes each checkpoint down that is decided meanwhile. `false`: nothing
    /// of it runs any more, though it is not over.
    async fn until_next_state(
        &self,
        live: &LiveJob,
        states: &mut watch::Receiver<JobStatus>,
        newest: &mut watch::Receiver<Option<Decided>>,
        changes: &mut mpsc::UnboundedReceiver<Change>,
        record: &mut JobRecord,
    ) -> bool {
        loop {
            tokio::select! {
                // An end is seen before it is seen that nothing runs any more.
                biased;
                changed = states.changed() => {
                    changed.expect("the handle in `live` holds the sender");
                    return true;
                }
                // What was said last may have been said in between.
                () = live.until_gone() => return states.has_changed().unwrap_or(false),
                change = changes.recv() => {
                    let Change { make, written } = change.expect("`live` holds the sender");
                    make(record);
                    if self.write_down(record).await {
                        // Whoever asked may have left.
                        let _ = written.send(());
                    }
                    continue;
                }
                changed = newest.changed() => changed.expect("the handle in `live` holds the sender"),
            }
            note_newest(record, *newest.borrow_and_update());
            let written = record.clone();
            // Another one follows: what is remembered may be older than what there is.
            if let Err(error) = self.ask(move |catalog| catalog.put_job(&written)).await {
                tracing::warn!(job = %record.id, %error, "the catalog does not learn of a checkpoint");
            }
        }
    }

    /// Whether it is written down.
    pub(super) async fn write_down(&self, record: &JobRecord) -> bool {
        for tries_left in (0..RECORD_TRIES).rev() {
            let written = record.clone();
            match self.ask(move |catalog| catalog.put_job(&written)).await {
                Ok(()) => return true,
                Err(error) => {
                    tracing::error!(job = %record.id, state = %record.state, tries_left, %error, "cannot record a job");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
        false
    }
}

/// With a checkpoint of its own, a run needs what it began from no more.
fn note_newest(record: &mut JobRecord, newest: Option<Decided>) {
    record.newest = newest;
    if newest.is_some() {
        record.origin = None;
    }
}

/// What becomes of the other document when the job is written down as over. Gives it if the job is not over after all,
/// and goes on as it was.
fn settle_at_end(record: &mut JobRecord, was_tried: bool, has_run: bool) -> Option<PendingDocument> {
    let pending = record.pending.take()?;
    let is_open = pending.document != record.document;
    if !was_tried || !is_open {
        return None;
    }
    if has_run || has_begun(record.state) {
        record.adopt(&pending);
        return None;
    }
    if record.state != JobState::Failed {
        return None;
    }
    (record.state, record.cause) = (JobState::Restarting, None);
    Some(pending)
}

/// Whether an attempt has gone on from the checkpoint that was to be gone on from.
pub(super) fn has_begun(state: JobState) -> bool {
    match state {
        JobState::Running | JobState::Paused | JobState::Finished | JobState::Stopped => true,
        JobState::Starting | JobState::Restarting | JobState::Stopping | JobState::Cancelled | JobState::Failed => {
            false
        }
    }
}

/// The report of a job that has ended, as the catalog keeps it.
fn final_report(live: &LiveJob) -> Option<serde_json::Value> {
    serde_json::to_value(live.report()).inspect_err(|error| tracing::error!(%error, "bug: a report is not JSON")).ok()
}
