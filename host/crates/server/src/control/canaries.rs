//! Canaries: a second module serves some key groups of an operator. Begun, looked at, widened, promoted, withdrawn.

use std::sync::Arc;

use gristmill_checkpoint::Share;
use gristmill_checkpoint::swap::SwapPolicy;
use gristmill_dataflow::canonical_json;
use gristmill_ports::catalog::{OperationRecord, PendingSwap};
use gristmill_runtime::{CanaryReport, SwapRefused};
use gristmill_types::{JobId, NodeId};
use serde_json::Value;

use super::assess::ReadJob;
use super::live::LiveJob;
use super::swap_end::WITHDRAW;
use super::swaps::make_room;
use super::{Control, ControlError};

/// What somebody wants to serve some keys of an operator.
#[derive(Debug, Clone)]
pub struct CanaryWish {
    /// The module, by name or hash.
    pub module: String,
    /// Its parameters; `None`: those of the operator.
    pub parameters: Option<Value>,
    /// How much it serves at first.
    pub share: Share,
    /// How long it may take to begin, what it may do while it lasts, and the probation when it has taken over.
    pub policy: SwapPolicy,
    /// A swap or another canary that is not over makes room.
    pub supersede: bool,
}

impl Control {
    /// Lets another module serve a share of the key groups of an operator. The operation lasts as long as the canary, and
    /// succeeds when its module has taken the operator over.
    ///
    /// # Errors
    /// If there is no such job, operator or module; the job is over; something else is under way; or the module does not fit.
    pub async fn canary(
        self: &Arc<Self>,
        id: &JobId,
        operator: &NodeId,
        wish: CanaryWish,
    ) -> Result<OperationRecord, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running("served by a canary")?);
        if wish.supersede {
            self.try_document(&job, &live, operator, &wish.module, (wish.parameters.clone(), None)).await?;
        }
        make_room(&live, wish.supersede, false).await?;
        let job = self.settled(&live).await?;
        let read = self.reserve_swap(&job, operator, &wish.module, (wish.parameters.clone(), None)).await?;
        let outcome = self.begin_canary(&live, operator, &wish, read).await;
        self.gate.lock().await.remove(id);
        outcome
    }

    async fn begin_canary(
        self: &Arc<Self>,
        live: &Arc<LiveJob>,
        operator: &NodeId,
        &CanaryWish { share, policy, .. }: &CanaryWish,
        read: ReadJob,
    ) -> Result<OperationRecord, ControlError> {
        let prepared = self.prepare_swap(read, live.secrets()).await?;
        let (document, spec) = (canonical_json(&prepared.document), Arc::new(prepared.spec));
        let operation = self.begin("canary", live.handle().id()).await?;
        let (module, canary) = (spec.operators[operator].module, Some(policy));
        let pending =
            PendingSwap { operation: operation.id.clone(), operator: operator.clone(), module, document, canary };
        self.make_swap(live, pending, spec, (policy.into(), Some(share)), operation).await
    }

    /// What the newest canary of an operator came to so far, over or not.
    ///
    /// # Errors
    /// If there is no such job, or none served since the job was started in this process.
    pub async fn canary_report(&self, id: &JobId, operator: &NodeId) -> Result<CanaryReport, ControlError> {
        let none = || ControlError::NoCanary { job: id.clone(), operator: operator.clone(), verb: "served" };
        let live = self.job(id).await?.live.ok_or_else(none)?;
        let report = live.handle().newest_canary().filter(|report| report.swap.operator == *operator);
        report.map(|report| without_secrets(&live, report)).ok_or_else(none)
    }

    /// Lets the canary of an operator serve a larger share from the next checkpoint on; all: its module takes over.
    ///
    /// # Errors
    /// If there is no such job, it is over, none serves, it is about to take another step, or it serves as much already.
    pub async fn widen_canary(
        &self,
        id: &JobId,
        operator: &NodeId,
        share: Share,
    ) -> Result<CanaryReport, ControlError> {
        let live = self.serving(id, operator).await?;
        live.handle().widen_canary(operator, share).map_err(|refused| match refused {
            SwapRefused::Canary { .. } => {
                ControlError::Busy(format!("busy with another step of the canary of operator `{operator}`"))
            }
            other => other.into(),
        })?;
        self.canary_report(id, operator).await
    }

    /// Ends the canary of an operator: its own module serves all, at once. The operation succeeds when a checkpoint says so.
    ///
    /// # Errors
    /// If there is no such job, it is over, or none serves.
    pub async fn withdraw_canary(
        self: &Arc<Self>,
        id: &JobId,
        operator: &NodeId,
    ) -> Result<OperationRecord, ControlError> {
        self.serving(id, operator).await?;
        self.take_back(id, operator, WITHDRAW).await
    }

    /// A job in which a canary of this operator is not over.
    async fn serving(&self, id: &JobId, operator: &NodeId) -> Result<Arc<LiveJob>, ControlError> {
        let live = Arc::clone(self.job(id).await?.running("served by a canary")?);
        let is_meant = |report: &CanaryReport| report.swap.operator == *operator && !report.swap.is_over();
        match live.handle().newest_canary().filter(is_meant) {
            Some(_) => Ok(live),
            None => Err(ControlError::NoCanary { job: id.clone(), operator: operator.clone(), verb: "serves" }),
        }
    }
}

fn without_secrets(live: &LiveJob, mut report: CanaryReport) -> CanaryReport {
    report.swap.cause = report.swap.cause.map(|cause| live.hide_secrets(&cause));
    report
}
