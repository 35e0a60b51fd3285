//! Savepoints of jobs that run: taken beside the stream, or before a stop.

use std::sync::Arc;
use std::time::Duration;

use gristmill_checkpoint::{Savepoint, SavepointFolder};
use gristmill_ports::catalog::{Catalog, JobRecord, JobState, OperationRecord, OperationStatus};
use gristmill_ports::{CheckpointStore, PortError};
use gristmill_runtime::{JobHandle, JobStatus, read_savepoint};
use gristmill_types::JobId;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::error::wrong_state;
use super::live::LiveJob;
use super::names::is_savepoint_name;
use super::operations::LISTED;
use super::reserved::ReservedName;
use super::{Control, ControlError, blocking};

/// In an operation under way: the job is held still for it, and goes on if it comes to nothing.
pub(super) const HOLDS: &str = "holds";
/// In an operation under way: the job comes to its end as if its input had ended.
const DRAINS: &str = "drain";
/// The kind of operations that take a savepoint beside the stream.
const SAVE: &str = "savepoint";
/// The kind of operations that bring a job to its end.
const STOP: &str = "stop-job";
/// How soon a job is asked again for a savepoint while it is between two attempts.
const ASK_AGAIN: Duration = Duration::from_millis(50);

impl Control {
    /// Has a savepoint taken, beside the stream. The operation succeeds when it is there. Without a name it is called
    /// `sp-` and the next number of the job.
    ///
    /// # Errors
    /// If there is no such job, it is over, or the name is none or given already.
    pub async fn make_savepoint(
        self: &Arc<Self>,
        id: &JobId,
        name: Option<String>,
    ) -> Result<OperationRecord, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running("saved")?);
        let name = self.new_savepoint_name(id, name).await?;
        let operation = self.begin_with(SAVE, id, json!({"savepoint": name.as_str()})).await?;
        let (control, begun) = (Arc::clone(self), operation.clone());
        tokio::spawn(async move {
            let taken = control.take(&live, name.as_str()).await.map(|savepoint| told(name.as_str(), &savepoint));
            control.end(begun, taken).await;
        });
        Ok(operation)
    }

    /// Holds the sources still, has a savepoint taken, then stops the job: no event is read behind the savepoint, and none
    /// is taken in that is not in it. If it cannot be taken, the sources go on, and the operation fails.
    ///
    /// # Errors
    /// If there is no such job, it does not run, or the name is none or given already.
    pub async fn stop_with_savepoint(
        self: &Arc<Self>,
        id: &JobId,
        name: String,
    ) -> Result<OperationRecord, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running("stopped")?);
        live.refuse_while_held()?;
        let name = self.new_savepoint_name(id, Some(name)).await?;
        let was_paused = live.handle().status().state == JobState::Paused;
        let detail = json!({"savepoint": name.as_str(), HOLDS: !was_paused});
        let operation = self.begin_with(STOP, id, detail).await?;
        if let Err(error) = live.handle().hold() {
            let refused = wrong_state(id, error.state, "stopped with a savepoint");
            self.end(operation, Err(json!({"message": refused.to_string()}))).await;
            return Err(refused);
        }
        let (control, begun) = (Arc::clone(self), operation.clone());
        tokio::spawn(async move {
            let outcome = control.save_and_stop(&live, name.as_str(), was_paused).await;
            // The host goes down: the next one says that nothing came of it, and lets the job go on as it was.
            if live.has_ended() || !live.is_gone() {
                control.end(begun, outcome).await;
            }
        });
        Ok(operation)
    }

    async fn save_and_stop(&self, live: &LiveJob, name: &str, was_paused: bool) -> Result<Value, Value> {
        let taken = self.take(live, name).await;
        let ended = match &taken {
            Ok(_) => live.handle().stop_here(),
            Err(_) => live.handle().let_go(!was_paused),
        };
        let mut detail = told(name, &taken?);
        if let Err(error) = ended {
            detail["message"] = json!(format!("the savepoint is there; {error}"));
            return Err(detail);
        }
        let JobStatus { state, cause } = live.until_recorded().await;
        (detail["state"], detail["cause"]) = (json!(state), json!(cause));
        if state == JobState::Failed { Err(detail) } else { Ok(detail) }
    }

    /// Brings the job to its end as if all its input had ended, and makes a savepoint of that end: all that was taken in is
    /// read, event time is completed, all output is committed. A host that dies meanwhile leaves it to the next one.
    ///
    /// # Errors
    /// If there is no such job, it does not run, or the name is none or given already.
    pub async fn drain_into(self: &Arc<Self>, id: &JobId, name: String) -> Result<OperationRecord, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running("drained")?);
        let state = live.handle().status().state;
        if state == JobState::Stopping {
            return Err(wrong_state(id, state, "drained"));
        }
        let name = self.new_savepoint_name(id, Some(name)).await?;
        let operation = self.begin_with(STOP, id, json!({"savepoint": name.as_str(), DRAINS: true})).await?;
        if let Err(error) = live.handle().drain(name.as_str()) {
            let refused = wrong_state(id, error.state, "drained");
            self.end(operation, Err(json!({"message": refused.to_string()}))).await;
            return Err(refused);
        }
        self.follow_drain(live, name, operation.clone());
        Ok(operation)
    }

    /// Ends the operation of a job that drains once it is over.
    pub(super) fn follow_drain(self: &Arc<Self>, live: Arc<LiveJob>, name: ReservedName, operation: OperationRecord) {
        let control = Arc::clone(self);
        tokio::spawn(async move {
            let drained = control.until_drained(&live, name.as_str()).await;
            // One that sleeps is left to the next host.
            if live.has_ended() {
                control.end(operation, drained).await;
            }
        });
    }

    async fn until_drained(&self, live: &LiveJob, name: &str) -> Result<Value, Value> {
        let taken = self.ask_until_taken(live, name, |handle| handle.drain(name).ok().flatten()).await;
        live.until_gone().await;
        if !live.has_ended() {
            return Err(never_taken(live).await);
        }
        let JobStatus { state, cause } = live.until_recorded().await;
        let mut detail = taken.as_ref().map_or_else(Value::clone, |savepoint| told(name, savepoint));
        (detail["state"], detail["cause"]) = (json!(state), json!(cause));
        if taken.is_ok() && state != JobState::Failed { Ok(detail) } else { Err(detail) }
    }

    /// A name that nothing has yet, and nothing else gets.
    async fn new_savepoint_name(
        self: &Arc<Self>,
        job: &JobId,
        name: Option<String>,
    ) -> Result<ReservedName, ControlError> {
        if let Some(name) = name.as_deref().filter(|name| !is_savepoint_name(name)) {
            return Err(ControlError::BadName(format!(
                "`{name}` is no name of a savepoint: use up to 64 letters, digits, `-`, `_` and `.`, beginning with a \
                 letter or digit"
            )));
        }
        let (control, job) = (Arc::clone(self), job.clone());
        blocking(move || {
            let stored = || -> Result<Vec<String>, PortError> {
                Ok(control.savepoint_names(Some(&job))?.into_iter().map(|(_, name)| name).collect())
            };
            let exists = |name| ControlError::SavepointExists { job: job.clone(), name };
            loop {
                let taken = control.names.take(&job, name.clone(), &stored()?).map_err(exists)?;
                // Whoever had it before may have come to an end since they were listed.
                if !stored()?.iter().any(|name| name == taken.as_str()) {
                    return Ok(taken);
                }
            }
        })
        .await?
    }

    /// Asks until there is one, or the job refuses: an attempt that ends forgets what it was asked.
    async fn take(&self, live: &LiveJob, name: &str) -> Result<Savepoint, Value> {
        self.ask_until_taken(live, name, |handle| handle.savepoint(name).ok()).await
    }

    async fn ask_until_taken(
        &self,
        live: &LiveJob,
        name: &str,
        ask: impl Fn(&JobHandle) -> Option<oneshot::Receiver<Result<Savepoint, String>>>,
    ) -> Result<Savepoint, Value> {
        loop {
            // Looked at before storage: behind its end a job completes nothing.
            let is_gone = live.is_gone();
            // The answer to an earlier wish may have been lost with its attempt.
            if let Some(savepoint) = self.taken_by(live, name).await {
                return Ok(savepoint);
            }
            if is_gone {
                return Err(never_taken(live).await);
            }
            match ask(live.handle()) {
                Some(told) => match told.await {
                    Ok(Ok(savepoint)) => return Ok(savepoint),
                    Ok(Err(why)) => return Err(json!({"message": live.hide_secrets(&why)})),
                    Err(_) => {}
                },
                None => tokio::select! {
                    () = live.until_gone() => {}
                    () = tokio::time::sleep(ASK_AGAIN) => {}
                },
            }
        }
    }

    /// The savepoint of this name, if this run has taken it. The name was free when it was asked for.
    async fn taken_by(&self, live: &LiveJob, name: &str) -> Option<Savepoint> {
        let folder = SavepointFolder::new(live.handle().id(), name);
        let store = Arc::clone(&self.parts.checkpoints);
        let found = blocking(move || read_savepoint(&*store, &folder)).await.ok()?.ok()??;
        (found.run == live.handle().run()).then_some(found)
    }
}

/// The operation that drains a job, and the savepoint that it drains into, if one was begun and is not over.
pub(super) fn open_drain(catalog: &dyn Catalog, job: &JobId) -> Result<Option<(OperationRecord, String)>, PortError> {
    let drains = |one: &OperationRecord| one.job.as_ref() == Some(job) && is_open_drain(one);
    let found = catalog.operations(LISTED)?.into_iter().find(drains);
    Ok(found.and_then(|one| one.detail["savepoint"].as_str().map(str::to_owned).map(|name| (one, name))))
}

/// What became of a job that was to stop with a savepoint when its host died.
pub(super) fn settled_stop(
    store: &dyn CheckpointStore,
    job: &JobRecord,
    operation: &OperationRecord,
) -> Result<Value, Value> {
    let settled = settled_drain(store, job, operation);
    if job.state.is_final() {
        return settled;
    }
    let mut detail = settled.unwrap_or_else(|nothing| nothing);
    detail["message"] = json!(match detail["savepoint"].is_null() {
        true => "the host stopped before the savepoint was there; the job goes on",
        false => "the host stopped before the job did, which goes on; the savepoint is there",
    });
    Err(detail)
}

/// Whether an operation drains a job.
pub(super) fn is_open_drain(one: &OperationRecord) -> bool {
    one.status == OperationStatus::Running && one.kind == STOP && one.detail[DRAINS] == json!(true)
}

/// Whether an operation takes a savepoint beside the stream.
pub(super) fn is_saving(one: &OperationRecord) -> bool {
    one.kind == SAVE
}

/// What became of a savepoint whose host died: its record is there, or it is none.
pub(super) fn settled_saving(
    store: &dyn CheckpointStore,
    job: &JobRecord,
    operation: &OperationRecord,
) -> Result<Value, Value> {
    let name = operation.detail["savepoint"].as_str().unwrap_or_default();
    match read_savepoint(store, &SavepointFolder::new(&job.id, name)) {
        Ok(Some(savepoint)) if Some(savepoint.run) == job.run => Ok(told(name, &savepoint)),
        Ok(_) => Err(json!({"message": "the host stopped before the savepoint was there; take another one"})),
        Err(error) => Err(
            json!({"message": format!("the host stopped, and whether the savepoint is there is not known: {error}")}),
        ),
    }
}

/// What became of a job that was to drain, and is over.
pub(super) fn settled_drain(
    store: &dyn CheckpointStore,
    job: &JobRecord,
    operation: &OperationRecord,
) -> Result<Value, Value> {
    let name = operation.detail["savepoint"].as_str().unwrap_or_default();
    let found = read_savepoint(store, &SavepointFolder::new(&job.id, name)).ok().flatten();
    let mut detail = match found.filter(|savepoint| Some(savepoint.run) == job.run) {
        Some(savepoint) => told(name, &savepoint),
        None => return Err(json!({"message": "the job ended before the savepoint was there", "state": job.state})),
    };
    detail["state"] = json!(job.state);
    if job.state == JobState::Failed { Err(detail) } else { Ok(detail) }
}

fn told(name: &str, savepoint: &Savepoint) -> Value {
    let files = savepoint.nodes.iter().flat_map(|node| node.subtasks.iter().flat_map(|part| &part.files));
    let entries: u64 = files.map(|file| file.entries).sum();
    json!({
        "savepoint": name, "checkpoint": savepoint.checkpoint, "bytes": savepoint.bytes(), "entries": entries,
    })
}

async fn never_taken(live: &LiveJob) -> Value {
    if !live.has_ended() {
        return json!({"message": "the host went down before the savepoint was there"});
    }
    let JobStatus { state, cause } = live.until_recorded().await;
    json!({"message": "the job ended before the savepoint was there", "state": state, "cause": cause})
}
