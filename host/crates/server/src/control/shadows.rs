//! Shadows of the operators of running jobs: begun, looked at, promoted, discarded.

use std::sync::Arc;

use gristmill_checkpoint::swap::SwapPolicy;
use gristmill_ports::catalog::OperationRecord;
use gristmill_runtime::{ShadowPolicy, ShadowReport, ShadowStage};
use gristmill_types::{JobId, NodeId};
use serde_json::Value;

use super::assess::ReadJob;
use super::live::{LiveJob, ShadowedAs};
use super::swaps::{SwapMode, SwapWish};
use super::{Control, ControlError, blocking};

/// What somebody wants to run beside an operator.
#[derive(Debug, Clone)]
pub struct ShadowWish {
    /// The module, by name or hash.
    pub module: String,
    /// Its parameters; `None`: those of the operator.
    pub parameters: Option<Value>,
    /// What it may take.
    pub policy: ShadowPolicy,
}

impl Control {
    /// Lets another module run beside an operator of a running job, on a copy of its state. Nothing of it leaves but the
    /// report.
    ///
    /// # Errors
    /// If there is no such job, operator or module; the job is over; a swap or another shadow is not; or the module does not
    /// fit.
    pub async fn shadow(
        self: &Arc<Self>,
        id: &JobId,
        operator: &NodeId,
        wish: ShadowWish,
    ) -> Result<ShadowReport, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running("shadowed")?);
        let read = self.reserve_swap(&job, operator, &wish.module, (wish.parameters.clone(), None)).await?;
        let outcome = self.begin_shadow(&live, operator, wish, read).await;
        self.gate.lock().await.remove(id);
        outcome.map(|report| without_secrets(&live, report))
    }

    async fn begin_shadow(
        self: &Arc<Self>,
        live: &Arc<LiveJob>,
        operator: &NodeId,
        ShadowWish { module, parameters, policy }: ShadowWish,
        read: ReadJob,
    ) -> Result<ShadowReport, ControlError> {
        let spec = self.prepare_swap(read, live.secrets()).await?.spec;
        let (job, node) = (Arc::clone(live), operator.clone());
        let report = blocking(move || job.handle().shadow(&node, &spec, policy)).await??;
        live.note_shadow(ShadowedAs { module, parameters });
        Ok(report)
    }

    /// What the newest shadow of an operator has found so far, over or not.
    ///
    /// # Errors
    /// If there is no such job, or none ran since the job was started in this process.
    pub async fn shadow_report(&self, id: &JobId, operator: &NodeId) -> Result<ShadowReport, ControlError> {
        let none = || ControlError::NoShadow { job: id.clone(), operator: operator.clone(), verb: "ran" };
        let live = self.job(id).await?.live.ok_or_else(none)?;
        let report = live.handle().newest_shadow().filter(|report| report.operator == *operator).ok_or_else(none)?;
        Ok(without_secrets(&live, report))
    }

    /// Ends the shadow of an operator. What it has found stays.
    ///
    /// # Errors
    /// If there is no such job, or none runs.
    pub async fn discard_shadow(&self, id: &JobId, operator: &NodeId) -> Result<ShadowReport, ControlError> {
        let none = || ControlError::NoShadow { job: id.clone(), operator: operator.clone(), verb: "runs" };
        let live = self.job(id).await?.live.ok_or_else(none)?;
        let report = live.handle().discard_shadow(operator, "somebody discarded it").ok_or_else(none)?;
        Ok(without_secrets(&live, report))
    }

    /// Swaps an operator to the module of its shadow. The shadow ends when the swap begins.
    ///
    /// # Errors
    /// As for [`Self::swap`]; or if none runs.
    pub async fn promote_shadow(
        self: &Arc<Self>,
        id: &JobId,
        operator: &NodeId,
        policy: SwapPolicy,
    ) -> Result<OperationRecord, ControlError> {
        let none = || ControlError::NoShadow { job: id.clone(), operator: operator.clone(), verb: "runs" };
        let live = Arc::clone(self.job(id).await?.running("swapped")?);
        let is_meant = |report: &ShadowReport| report.operator == *operator && report.stage != ShadowStage::Over;
        let runs = live.handle().newest_shadow().filter(is_meant);
        let ShadowedAs { module, parameters } = runs.and_then(|_| live.shadow()).ok_or_else(none)?;
        let terms = policy.into();
        let mode = SwapMode::Barrier;
        let wish = SwapWish { module, parameters, parallelism: None, mode, terms, supersede: false };
        self.swap(id, operator, wish).await
    }
}

fn without_secrets(live: &LiveJob, mut report: ShadowReport) -> ShadowReport {
    report.cause = report.cause.map(|cause| live.hide_secrets(&cause));
    report.failures.iter_mut().for_each(|failure| failure.message = live.hide_secrets(&failure.message));
    report
}
