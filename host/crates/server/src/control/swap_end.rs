//! What becomes of a swap: followed to its end, over a death of the host too, and written down.

use std::sync::Arc;

use gristmill_checkpoint::swap::SwapStage;
use gristmill_ports::catalog::{JobRecord, OperationRecord, OperationStatus, PendingSwap};
use gristmill_runtime::{OpenSwap, SwapReport};
use gristmill_types::JobId;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::assess::ReadJob;
use super::live::LiveJob;
use super::operations::LISTED;
use super::secrets::Secrets;
use super::{Control, ControlError};

/// The kind of operations that take a swap back.
pub(super) const ROLL_BACK: &str = "roll-back-swap";
/// The kind of operations that take a canary back.
pub(super) const WITHDRAW: &str = "withdraw-canary";

impl Control {
    /// Follows a swap to its end; the catalog and the operation learn what came of it.
    pub(super) async fn follow_swap(
        self: Arc<Self>,
        live: Arc<LiveJob>,
        pending: PendingSwap,
        mut report: watch::Receiver<SwapReport>,
        mut operation: OperationRecord,
    ) {
        loop {
            let said = report.borrow_and_update().clone();
            operation.detail = told(&live, &said);
            if said.is_over() {
                self.settle_swap(&live, pending, &said, operation).await;
                return;
            }
            operation.changed_ms = self.now_ms();
            let written = operation.clone();
            if operation.status == OperationStatus::Running
                && let Err(error) = self.ask(move |catalog| catalog.put_operation(&written)).await
            {
                tracing::warn!(operation = %operation.id, %error, "the stage of a swap cannot be written down");
            }
            if report.changed().await.is_err() {
                return;
            }
        }
    }

    async fn settle_swap(
        &self,
        live: &LiveJob,
        pending: PendingSwap,
        report: &SwapReport,
        mut operation: OperationRecord,
    ) {
        let mut detail = std::mem::take(&mut operation.detail);
        let settled = pending.operation.clone();
        match report.stage {
            // A host that goes down leaves the operation as it is: the next one ends it.
            _ if report.left_open && !live.has_ended() => return,
            _ if report.left_open => {
                detail["message"] = json!(match report.stage {
                    SwapStage::Canary => "the job ended while the canary served; started again, it goes on with it",
                    SwapStage::Undoing =>
                        "the job ended while the swap was taken back; started again, it goes on with that",
                    SwapStage::Preparing
                    | SwapStage::Prepared
                    | SwapStage::Switching
                    | SwapStage::Switched
                    | SwapStage::Held
                    | SwapStage::Probation
                    | SwapStage::Done
                    | SwapStage::Undone => "the job ended before a checkpoint decided the swap",
                });
                self.end_ways_back(live.handle().id(), &Err(detail.clone())).await;
                return self.end_unless_ended(operation, Err(detail)).await;
            }
            SwapStage::Done => {
                // Whoever hears of it finds it in the job's document.
                live.change(move |record| take_over(record, &pending)).await;
                fail::fail_point!("swap-recorded");
                self.end_ways_back(live.handle().id(), &Err(detail.clone())).await;
                self.end_unless_ended(operation, Ok(detail)).await;
            }
            SwapStage::Preparing
            | SwapStage::Prepared
            | SwapStage::Switching
            | SwapStage::Switched
            | SwapStage::Held
            | SwapStage::Canary
            | SwapStage::Probation
            | SwapStage::Undoing
            | SwapStage::Undone => {
                self.end_ways_back(live.handle().id(), &Ok(detail.clone())).await;
                self.end_unless_ended(operation, Err(detail)).await;
            }
        }
        fail::fail_point!("swap-told");
        // Last: a host that dies before leaves it to the next one to say what became of the swap.
        live.change(move |record| _ = record.swap.take_if(|open| open.operation == settled)).await;
    }

    /// Whoever asked for the old module hears whether it runs, of the next host too if this one dies meanwhile.
    pub(super) async fn end_ways_back(&self, id: &JobId, outcome: &Result<Value, Value>) {
        let job = id.clone();
        let open = self.ask(move |catalog| {
            let is_meant = |one: &OperationRecord| one.job.as_ref() == Some(&job) && is_open_way_back(one);
            Ok(catalog.operations(LISTED)?.into_iter().filter(is_meant).collect::<Vec<_>>())
        });
        match open.await {
            Ok(open) => {
                for operation in open {
                    self.end(operation, outcome.clone()).await;
                }
            }
            Err(error) => {
                tracing::warn!(job = %id, %error, "the end of a rollback cannot be written down")
            }
        }
    }

    /// The host before may have come to the end of an operation, and no further.
    pub(super) async fn end_unless_ended(&self, operation: OperationRecord, outcome: Result<Value, Value>) {
        if operation.status == OperationStatus::Running {
            self.end(operation, outcome).await;
        }
    }

    /// A swap that was open when the job ran last, for [`gristmill_runtime::resume_open`].
    pub(super) async fn open_swap(
        self: &Arc<Self>,
        record: &JobRecord,
        pending: PendingSwap,
        secrets: Arc<Secrets>,
    ) -> Result<OpenSwap, ControlError> {
        let (operator, policy) = (pending.operator.clone(), pending.canary.unwrap_or_default());
        let mut with = record.clone();
        take_over(&mut with, &pending);
        let prepared = self.ask_control(move |control| {
            let read = ReadJob::of_record(&with, &*control.parts.catalog)?;
            let parts = &control.parts;
            read.prepare_noting(secrets, &*parts.catalog, &*parts.registry, &*parts.environment)
        });
        let mut prepared = prepared.await?;
        let lost = || ControlError::Bug(format!("the document of the swap has no operator `{operator}`"));
        let new = prepared.spec.operators.remove(&operator).ok_or_else(lost)?;
        Ok(OpenSwap { operator, new, policy })
    }

    /// Learns from the job, once it goes on, what became of a swap that was open.
    pub(super) async fn follow_open_swap(self: Arc<Self>, live: Arc<LiveJob>, pending: PendingSwap) {
        let Some(report) = live.handle().newest_swap() else { return };
        match self.operation(&pending.operation).await {
            Ok(operation) => self.follow_swap(live, pending, report, operation).await,
            Err(error) => {
                tracing::warn!(job = %live.handle().id(), %error, "the operation of a swap is gone");
                let (id, job) = (pending.operation.clone(), Some(live.handle().id().clone()));
                let now_ms = self.now_ms();
                let status = OperationStatus::Running;
                let (kind, detail) = ("swap".to_owned(), json!({}));
                let operation =
                    OperationRecord { id, kind, job, status, detail, created_ms: now_ms, changed_ms: now_ms };
                self.follow_swap(live, pending, report, operation).await;
            }
        }
    }
}

/// Whether an operation takes a swap or a canary back, and is not over.
pub(super) fn is_open_way_back(one: &OperationRecord) -> bool {
    one.status == OperationStatus::Running && [ROLL_BACK, WITHDRAW].contains(&one.kind.as_str())
}

/// The record of a job whose swap was made.
fn take_over(record: &mut JobRecord, pending: &PendingSwap) {
    for (name, runs) in &mut record.modules {
        if *name == pending.operator.as_str() {
            *runs = pending.module;
        }
    }
    record.document = pending.document.clone();
}

/// How far a swap is, without secrets.
pub(super) fn told(live: &LiveJob, report: &SwapReport) -> Value {
    let mut report = report.clone();
    report.cause = report.cause.map(|cause| live.hide_secrets(&cause));
    if let Some(rewritten) = &mut report.rewriting {
        rewritten.first_failure = rewritten.first_failure.as_deref().map(|why| live.hide_secrets(why));
    }
    let longest = report.pauses.iter().filter_map(|pause| pause.pause_us).max();
    let mut detail = serde_json::to_value(&report).unwrap_or_default();
    detail["pause_max_us"] = json!(longest);
    detail
}
