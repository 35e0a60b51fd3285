//! Jobs that exist: listed, inspected, steered, deleted.

use std::sync::Arc;

use gristmill_dataflow::{JobDocument, JobPlan};
use gristmill_ports::PortError;
use gristmill_ports::catalog::{Catalog, JobRecord, JobState, OperationRecord};
use gristmill_runtime::{IllegalTransition, JobHandle, JobReport, JobStatus, ShadowStage, forget_run};
use gristmill_types::{JobId, ModuleHash, NodeId};
use serde_json::json;

use super::error::wrong_state;
use super::live::LiveJob;
use super::{Control, ControlError, Thing, blocking};

/// A job: what the catalog has of it and, if it is of this process, the job itself.
#[derive(Clone)]
pub struct JobView {
    /// The job as it was last written down.
    pub record: JobRecord,
    /// The job itself.
    pub live: Option<Arc<LiveJob>>,
}

impl JobView {
    /// Where the job is; its end only when that is written down.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        match &self.live {
            Some(live) => live.status(),
            None => JobStatus { state: self.record.state, cause: self.record.cause.clone() },
        }
    }

    /// Whether the job is not over, or its end is not written down yet.
    #[must_use]
    pub fn is_active(&self) -> bool {
        !self.record.state.is_final()
    }

    /// Whether the job runs this module.
    #[must_use]
    pub fn uses(&self, module: ModuleHash) -> bool {
        let comes = self.record.swap.as_ref().is_some_and(|swap| swap.module == module);
        let comes = comes || self.record.next_document().is_some_and(|next| names(&next.modules, module));
        let shadow = self.live.as_ref().and_then(|live| live.handle().newest_shadow());
        let shadows = shadow.is_some_and(|shadow| shadow.stage != ShadowStage::Over && shadow.shadow == module);
        comes || shadows || names(&self.record.modules, module)
    }

    /// What it has counted; of a job that ended in an earlier process, what it had counted at its end.
    #[must_use]
    pub fn report(&self) -> Option<JobReport> {
        match &self.live {
            Some(live) => Some(live.report()),
            None => serde_json::from_value(self.record.final_report.clone()?).ok(),
        }
    }
}

impl Control {
    /// All jobs, by id.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn jobs(&self) -> Result<Vec<JobView>, ControlError> {
        let records = self.ask(|catalog| catalog.jobs()).await?;
        Ok(records.into_iter().map(|record| self.view(record)).collect())
    }

    /// One job.
    ///
    /// # Errors
    /// If there is none of that id.
    pub async fn job(&self, id: &JobId) -> Result<JobView, ControlError> {
        let wanted = id.clone();
        let (found, known) = self
            .ask(move |catalog| match catalog.job(&wanted)? {
                Some(found) => Ok((Some(found), Vec::new())),
                None => Ok((None, catalog.jobs()?)),
            })
            .await?;
        match found {
            Some(record) => Ok(self.view(record)),
            None => Err(ControlError::missing(Thing::Job, id.as_str(), known.iter().map(|job| job.id.as_str()))),
        }
    }

    fn view(&self, record: JobRecord) -> JobView {
        let live = self.live.get(&record.id);
        JobView { record, live }
    }

    /// How a job runs; `None` if it is over and its modules are gone.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn plan_of(&self, job: &JobView) -> Result<Option<JobPlan>, ControlError> {
        let record = job.record.clone();
        self.ask(move |catalog| {
            let Ok(document) = serde_json::from_value::<JobDocument>(record.document) else { return Ok(None) };
            let mut descriptors = std::collections::HashMap::new();
            for (operator, hash) in record.modules {
                let (Ok(operator), Some(module)) = (operator.parse::<NodeId>(), catalog.module(hash)?) else {
                    return Ok(None);
                };
                descriptors.insert(operator, module.admission.descriptor);
            }
            Ok(gristmill_dataflow::plan(&document, &descriptors).ok())
        })
        .await
    }

    /// Sources hold still.
    ///
    /// # Errors
    /// If there is no such job, or it is over or ending.
    pub async fn pause(&self, id: &JobId) -> Result<JobView, ControlError> {
        self.steer(id, "paused", JobHandle::pause).await
    }

    /// Sources go on.
    ///
    /// # Errors
    /// If there is no such job, or it is over or ending.
    pub async fn resume(&self, id: &JobId) -> Result<JobView, ControlError> {
        self.steer(id, "resumed", JobHandle::resume).await
    }

    async fn steer(
        &self,
        id: &JobId,
        action: &'static str,
        steer: impl FnOnce(&JobHandle) -> Result<(), IllegalTransition>,
    ) -> Result<JobView, ControlError> {
        let job = self.job(id).await?;
        let live = job.running(action)?;
        live.refuse_while_held()?;
        steer(live.handle()).map_err(|error| wrong_state(id, error.state, action))?;
        Ok(job)
    }

    /// Sources end, what is inside flows out. The operation succeeds when the job is `STOPPED` (or had finished).
    ///
    /// # Errors
    /// If there is no such job, or it is over.
    pub async fn stop(self: &Arc<Self>, id: &JobId) -> Result<OperationRecord, ControlError> {
        self.bring_to_end(id, "stop-job", "stopped", JobHandle::stop).await
    }

    /// Everything ends at once. The operation succeeds when the job is `CANCELLED` (or had ended otherwise).
    ///
    /// # Errors
    /// If there is no such job, or it is over.
    pub async fn cancel(self: &Arc<Self>, id: &JobId) -> Result<OperationRecord, ControlError> {
        self.bring_to_end(id, "cancel-job", "cancelled", JobHandle::cancel).await
    }

    async fn bring_to_end(
        self: &Arc<Self>,
        id: &JobId,
        kind: &str,
        action: &'static str,
        steer: impl FnOnce(&JobHandle) -> Result<(), IllegalTransition>,
    ) -> Result<OperationRecord, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running(action)?);
        let operation = self.begin(kind, id).await?;
        if let Err(error) = steer(live.handle()) {
            let refused = wrong_state(id, error.state, action);
            self.end(operation, Err(json!({"message": refused.to_string()}))).await;
            return Err(refused);
        }
        let control = Arc::clone(self);
        let begun = operation.clone();
        tokio::spawn(async move {
            let JobStatus { state, cause } = live.until_recorded().await;
            let detail = json!({"state": state, "cause": cause});
            control.end(begun, if state == JobState::Failed { Err(detail) } else { Ok(detail) }).await;
        });
        Ok(operation)
    }

    /// Forgets a job that is over, its checkpoints and its dead letters.
    ///
    /// # Errors
    /// If there is no such job, or it is not over.
    pub async fn delete_job(self: &Arc<Self>, id: &JobId) -> Result<(), ControlError> {
        let gate = self.gate.lock().await;
        if gate.contains_key(id) {
            return Err(wrong_state(id, JobState::Starting, "deleted"));
        }
        let job = self.job(id).await?;
        if let Some(live) = job.live.as_ref().filter(|live| live.has_ended()) {
            live.until_recorded().await;
        }
        // Whoever waited may find that it has gone back to the document before, and runs.
        let job = self.job(id).await?;
        if job.is_active() {
            return Err(wrong_state(id, job.status().state, "deleted before it is stopped or cancelled"));
        }
        let control = Arc::clone(self);
        let record = job.record.clone();
        blocking(move || {
            control.parts.dead_letters.delete(&record.id)?;
            control.parts.crashes.forget(&record.id)?;
            control.forget_left_behind(&record)?;
            control.parts.catalog.delete_job(&record.id)
        })
        .await??;
        self.live.remove(id);
        drop(gate);
        Ok(())
    }

    /// Deletes the checkpoints of a job that is over, and what its sources kept. Blocks.
    pub(super) fn forget_left_behind(&self, job: &JobRecord) -> Result<(), PortError> {
        (self.parts.forget_job)(&job.id)?;
        job.run.map_or(Ok(()), |run| forget_run(&*self.parts.checkpoints, &job.id, run))
    }

    /// Reports of the jobs of this process.
    #[must_use]
    pub fn reports(&self) -> Vec<JobReport> {
        self.live.all().iter().map(|live| live.handle().report()).collect()
    }
}

impl JobView {
    /// The job itself, if it is not over.
    pub(super) fn running(&self, action: &'static str) -> Result<&Arc<LiveJob>, ControlError> {
        match &self.live {
            Some(live) if live.is_leaving() && !live.has_ended() => {
                Err(ControlError::Busy(format!("starting job `{}` again with another document", self.record.id)))
            }
            Some(live) if !live.has_ended() => Ok(live),
            Some(live) => Err(wrong_state(&self.record.id, live.handle().status().state, action)),
            None => Err(wrong_state(&self.record.id, self.record.state, action)),
        }
    }
}

fn names(modules: &[(String, ModuleHash)], module: ModuleHash) -> bool {
    modules.iter().any(|(_, used)| *used == module)
}

/// The job's `http` sources, for suggestions.
pub(super) fn http_sources(record: &JobRecord) -> Vec<String> {
    let sources = record.document.get("sources").and_then(|sources| sources.as_object());
    let is_http = |source: &serde_json::Value| source.pointer("/from/http").is_some();
    sources.into_iter().flatten().filter(|(_, source)| is_http(source)).map(|(id, _)| id.clone()).collect()
}

/// All jobs that a new host finds running although nobody runs them.
pub(super) fn orphans(catalog: &dyn Catalog) -> Result<Vec<JobRecord>, PortError> {
    Ok(catalog.jobs()?.into_iter().filter(|job| !job.state.is_final()).collect())
}
