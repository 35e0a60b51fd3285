//! Checkpoints of a job: told of, asked for, gone on from.

use std::sync::Arc;
use std::time::Duration;

use gristmill_checkpoint::Slot;
use gristmill_checkpoint::recovery::Fact;
use gristmill_ports::PortError;
use gristmill_ports::catalog::{JobRecord, OperationRecord};
use gristmill_runtime::{CheckpointOutcome, CheckpointReport, CheckpointsReport, JobStatus};
use gristmill_types::{CheckpointId, CheckpointKind, JobId};
use serde_json::{Value, json};

use super::error::wrong_state;
use super::live::LiveJob;
use super::storage::{kept, lack_of};
use super::{Control, ControlError, JobView, blocking};

/// Slots of a chain that are read for people: the newest. Claims of attempts fill slots too, and stay for ever.
const MOST_SLOTS: usize = 256;
/// How long checkpoint storage may take to tell what it has: whoever asks for a list wants the rest of it anyway.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon a job is asked again for a checkpoint while it is between two attempts.
const ASK_AGAIN: Duration = Duration::from_millis(50);

impl JobView {
    /// What this host knows of its checkpoints and restarts, without secrets; nothing of a job that ended before.
    #[must_use]
    pub fn checkpoints(&self) -> CheckpointsReport {
        self.live.as_ref().map(|live| live.checkpoints()).unwrap_or_default()
    }
}

impl LiveJob {
    /// What became of its checkpoints, without secrets.
    pub(crate) fn checkpoints(&self) -> CheckpointsReport {
        let mut report = self.handle().checkpoints();
        for one in &mut report.recent {
            if let CheckpointOutcome::Failed { cause } = &mut one.outcome {
                *cause = self.hide_secrets(cause);
            }
        }
        if let Some(trouble) = &mut report.storing {
            trouble.reason = self.hide_secrets(&trouble.reason);
        }
        if let Some(last) = &mut report.last_restart {
            last.cause = self.hide_secrets(&last.cause);
        }
        report
    }
}

impl Control {
    /// The checkpoints in storage that a job may go on from, newest first, and what is there and cannot be read. Of a job
    /// that runs these come and go meanwhile.
    ///
    /// # Errors
    /// If checkpoint storage cannot be read, or does not answer soon.
    pub async fn kept_checkpoints(&self, job: &JobView) -> Result<Vec<(Slot, Fact)>, ControlError> {
        let Some(run) = job.record.run else { return Ok(Vec::new()) };
        let store = Arc::clone(&self.parts.checkpoints);
        let id = job.record.id.clone();
        let reading = blocking(move || kept(&*store, &id, run, MOST_SLOTS));
        let late = |_| {
            let waited = PATIENCE.as_secs();
            PortError::retry(format!("{} did not answer in {waited} s", self.parts.checkpoints.describe()))
        };
        Ok(tokio::time::timeout(PATIENCE, reading).await.map_err(late)???)
    }

    /// Refuses a checkpoint that a job could not go on from, before anything has changed.
    ///
    /// # Errors
    /// What it lacks, or why that cannot be found out.
    pub(super) async fn check_accepted(&self, job: &JobRecord, accepted: CheckpointId) -> Result<(), ControlError> {
        let Some(run) = job.run.filter(|_| accepted != CheckpointId(0)) else { return Ok(()) };
        let store = Arc::clone(&self.parts.checkpoints);
        let id = job.id.clone();
        let lack = blocking(move || lack_of(&*store, &id, run, accepted)).await?;
        let refused = |message| Err(ControlError::CannotStart { job: job.id.clone(), message });
        match lack {
            Ok(None) => Ok(()),
            Ok(Some(message)) => refused(message),
            Err(error) => refused(error.message),
        }
    }

    /// Has a checkpoint made now. The operation succeeds with its numbers when one that began after this call is decided,
    /// and fails if that one fails or the job ends before.
    ///
    /// # Errors
    /// If there is no such job, or it is over.
    pub async fn make_checkpoint(self: &Arc<Self>, id: &JobId) -> Result<OperationRecord, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running("checkpointed")?);
        let operation = self.begin("checkpoint", id).await?;
        let control = Arc::clone(self);
        let begun = operation.clone();
        tokio::spawn(async move {
            let outcome = ask_for_checkpoint(&live).await;
            control.end(begun, outcome).await;
        });
        Ok(operation)
    }

    /// Starts another attempt of a job from its newest checkpoint: of one that runs, and of one that was ended or failed.
    /// `accept` names an older checkpoint that the latter may go on from, whatever it repeats; 0 is the beginning.
    ///
    /// # Errors
    /// If there is no such job; it has read its input to the end; a checkpoint is accepted for one that runs; what it
    /// needs is gone; it is being started just now.
    pub async fn restart(self: &Arc<Self>, id: &JobId, accept: Option<CheckpointId>) -> Result<JobView, ControlError> {
        let job = self.job(id).await?;
        let Some(live) = job.live.as_ref().filter(|live| !live.has_ended()) else {
            return self.go_on(id, accept).await;
        };
        if accept.is_some() {
            let action = "restarted from an accepted checkpoint before it is stopped or cancelled";
            return Err(wrong_state(id, job.status().state, action));
        }
        let busy = |_| ControlError::Busy(format!("starting job `{id}` at this moment"));
        live.handle().restart().map_err(busy)?;
        Ok(job)
    }

    /// What became of the checkpoints of the jobs of this process.
    #[must_use]
    pub fn checkpoint_reports(&self) -> Vec<(JobId, CheckpointsReport)> {
        self.live.all().iter().map(|live| (live.handle().id().clone(), live.handle().checkpoints())).collect()
    }
}

/// Asks until a checkpoint that began afterwards is decided or has failed: an attempt that ends forgets what it was asked.
pub(super) async fn ask_for_checkpoint(live: &LiveJob) -> Result<Value, Value> {
    let (_, mut said) = live.handle().events();
    let mut asked: Option<Before> = None;
    loop {
        // Looked at before the report: behind its end a job reports nothing new.
        let is_gone = live.is_gone();
        let report = live.checkpoints();
        if let Some(made) = asked.as_ref().and_then(|before| before.first_after(&report)) {
            return told(made);
        }
        if is_gone {
            return Err(never_made(live).await);
        }
        if asked.as_ref().is_none_or(|before| before.restarts != report.restarts) {
            let heard = live.handle().checkpoint(CheckpointKind::Checkpoint).is_ok();
            asked = heard.then(|| Before::of(&report));
        }
        tokio::select! {
            // Whatever was said or missed, the report has it.
            _ = said.recv() => {}
            () = live.until_gone() => {}
            () = tokio::time::sleep(ASK_AGAIN), if asked.is_none() => {}
        }
    }
}

/// What was known of a job's checkpoints when another one was asked for.
#[derive(Debug)]
struct Before {
    outcomes: u64,
    under_way: Option<CheckpointId>,
    restarts: u64,
}

impl Before {
    fn of(report: &CheckpointsReport) -> Self {
        let outcomes = report.completed + report.failed;
        Self { outcomes, under_way: report.under_way, restarts: report.restarts }
    }

    /// The first that was decided or failed, and was not under way then.
    fn first_after<'a>(&self, report: &'a CheckpointsReport) -> Option<&'a CheckpointReport> {
        let new = (report.completed + report.failed).saturating_sub(self.outcomes);
        let new = usize::try_from(new).unwrap_or(usize::MAX).min(report.recent.len());
        // One that is not stored in time is told of more than once.
        report.recent[..new].iter().rev().find(|one| Some(one.checkpoint) != self.under_way)
    }
}

fn told(made: &CheckpointReport) -> Result<Value, Value> {
    let checkpoint = made.checkpoint;
    match &made.outcome {
        CheckpointOutcome::Completed { duration_ms, state_bytes, uploaded_bytes, subtasks: _ } => Ok(json!({
            "checkpoint": checkpoint, "duration_ms": duration_ms, "state_bytes": state_bytes,
            "uploaded_bytes": uploaded_bytes,
        })),
        CheckpointOutcome::Failed { cause } => Err(json!({"checkpoint": checkpoint, "cause": cause})),
    }
}

async fn never_made(live: &LiveJob) -> Value {
    if !live.has_ended() {
        return json!({"message": "the host went down before a checkpoint was made"});
    }
    let JobStatus { state, cause } = live.until_recorded().await;
    json!({"message": "it ended before a checkpoint was made", "state": state, "cause": cause})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(number: u64) -> CheckpointReport {
        let outcome = CheckpointOutcome::Failed { cause: String::new() };
        CheckpointReport { checkpoint: CheckpointId(number), at_ms: 0, outcome }
    }

    #[test]
    fn a_checkpoint_that_was_under_way_is_not_the_one_that_was_asked_for() {
        let report = |numbers: &[u64], under_way: Option<u64>| CheckpointsReport {
            failed: numbers.len() as u64,
            recent: numbers.iter().rev().copied().map(failed).collect(),
            under_way: under_way.map(CheckpointId),
            ..CheckpointsReport::default()
        };
        for (under_way, later, made) in [
            (None, vec![1, 2], None),
            (None, vec![1, 2, 3], Some(3)),
            (None, vec![1, 2, 3, 4], Some(3)),
            (Some(3), vec![1, 2, 3], None),
            (Some(3), vec![1, 2, 3, 4, 5], Some(4)),
            // The attempt that made it ended, and so did it.
            (Some(3), vec![1, 2, 4], Some(4)),
        ] {
            let before = Before::of(&report(&[1, 2], under_way));
            let later = report(&later, None);
            let found = before.first_after(&later).map(|one| one.checkpoint.0);
            assert_eq!(found, made, "{under_way:?} {later:?}");
        }
    }
}
