//! Swapping the module of an operator: the whole document is looked at again, the swap is written down before it begins, and
//! the catalog learns what a manifest has decided.

use std::sync::Arc;
use std::time::Duration;

use gristmill_checkpoint::Share;
use gristmill_checkpoint::swap::SwapStage;
use gristmill_dataflow::canonical_json;
use gristmill_ports::catalog::{OperationRecord, PendingDocument, PendingSwap};
use gristmill_runtime::{JobSpec, JobStatus, MigrationTried, NotRunning, SwapRefused, SwapReport, SwapTerms};
use gristmill_types::{JobId, NodeId, Parallelism};
use serde_json::{Value, json};

use super::assess::{PreparedJob, ReadJob};
use super::changeover::Exit;
use super::checkpoints::ask_for_checkpoint;
use super::error::{in_the_way, wrong_state};
use super::live::LiveJob;
use super::recording::has_begun;
use super::secrets::Secrets;
use super::swap_end::{ROLL_BACK, told};
use super::{Control, ControlError, JobView, blocking};

/// How long a swap that makes room for another may take to end.
const MAKES_ROOM: Duration = Duration::from_secs(30);

/// How a swap is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SwapMode {
    /// At a barrier, while events flow.
    Barrier,
    /// The job starts again from its newest decided checkpoint.
    Restart,
    /// It is only said whether it could be made at a barrier.
    DryRun,
}

/// What somebody wants to run in an operator.
#[derive(Debug, Clone)]
pub struct SwapWish {
    /// The module, by name or hash.
    pub module: String,
    /// Its parameters; `None`: they stay.
    pub parameters: Option<Value>,
    /// The operator's subtasks; `None`: they stay.
    pub parallelism: Option<Parallelism>,
    /// How.
    pub mode: SwapMode,
    /// How long it may take, and be taken back, and what may be lost by it.
    pub terms: SwapTerms,
    /// Another one that is not over makes room.
    pub supersede: bool,
}

impl From<SwapRefused> for ControlError {
    fn from(refused: SwapRefused) -> Self {
        match &refused {
            SwapRefused::NotRunning(not) => {
                Self::Busy(format!("busy with job `{}`, of which nothing runs right now", not.0))
            }
            SwapRefused::Busy { .. } => Self::SwapUnderWay(refused.to_string()),
            SwapRefused::Canary { .. } => Self::CanaryUnderWay(refused.to_string()),
            SwapRefused::Shadowed { .. } => Self::ShadowUnderWay(refused.to_string()),
            SwapRefused::NoSuchOperator { .. } | SwapRefused::Misfit(_) | SwapRefused::CannotOpen { .. } => {
                Self::SwapRefused(refused.to_string())
            }
        }
    }
}

impl Control {
    /// Puts another module into an operator of a running job. The operation ends when it is known which module runs.
    ///
    /// # Errors
    /// If there is no such job, operator or module; it is over; another swap is not; or the module does not fit.
    pub async fn swap(
        self: &Arc<Self>,
        id: &JobId,
        operator: &NodeId,
        wish: SwapWish,
    ) -> Result<OperationRecord, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running("swapped")?);
        let changed = (wish.parameters.clone(), wish.parallelism);
        // Who only asks moves nothing out of the way.
        let supersede = wish.supersede && wish.mode != SwapMode::DryRun;
        if supersede {
            self.try_document(&job, &live, operator, &wish.module, changed.clone()).await?;
        }
        make_room(&live, supersede, wish.mode == SwapMode::Restart).await?;
        let job = self.settled(&live).await?;
        let read = self.reserve_swap(&job, operator, &wish.module, changed).await?;
        let outcome = self.begin_swap(live, operator, &wish, read).await;
        self.gate.lock().await.remove(id);
        outcome
    }

    /// What stands in the way makes room only for a wish that can be read and prepared.
    pub(super) async fn try_document(
        self: &Arc<Self>,
        job: &JobView,
        live: &LiveJob,
        operator: &NodeId,
        module: &str,
        changed: (Option<Value>, Option<Parallelism>),
    ) -> Result<(), ControlError> {
        let read = self.reserve_swap(job, operator, module, changed).await?;
        let prepared = self.prepare_swap(read, live.secrets()).await;
        self.gate.lock().await.remove(&job.record.id);
        prepared.map(drop)
    }

    /// Reads the job's document with the other module, and sees to it that this stays meanwhile.
    pub(super) async fn reserve_swap(
        self: &Arc<Self>,
        job: &JobView,
        operator: &NodeId,
        module: &str,
        changed: (Option<Value>, Option<Parallelism>),
    ) -> Result<ReadJob, ControlError> {
        let mut gate = self.gate.lock().await;
        let id = &job.record.id;
        if gate.contains_key(id) {
            return Err(ControlError::SwapUnderWay(format!("job `{id}` is being started or swapped at this moment")));
        }
        let (record, operator, module) = (job.record.clone(), operator.clone(), module.to_owned());
        let read = self.ask_control(move |control| {
            ReadJob::with_module(&record, &operator, &module, changed, &*control.parts.catalog)
        });
        let read = read.await?;
        gate.insert(id.clone(), read.modules());
        Ok(read)
    }

    async fn begin_swap(
        self: &Arc<Self>,
        live: Arc<LiveJob>,
        operator: &NodeId,
        wish: &SwapWish,
        read: ReadJob,
    ) -> Result<OperationRecord, ControlError> {
        let prepared = self.prepare_swap(read, live.secrets()).await?;
        let (document, spec) = (canonical_json(&prepared.document), Arc::new(prepared.spec));
        let (checked, wanted, node) = (Arc::clone(&live), Arc::clone(&spec), operator.clone());
        let (mode, terms) = (wish.mode, wish.terms.clone());
        match mode {
            SwapMode::DryRun => see_state(&live, MAKES_ROOM).await?,
            // Where no checkpoint comes through, its own barrier does not either, and its deadline says in whose way it is.
            SwapMode::Barrier if live.handle().would_rewrite(&node, &wanted) => {
                let deadline = Duration::from_millis(terms.policy.deadline_ms);
                _ = see_state(&live, deadline.min(MAKES_ROOM)).await;
            }
            SwapMode::Barrier | SwapMode::Restart => {}
        }
        let tried = blocking(move || match mode {
            // All of it is looked at when it is made.
            SwapMode::Barrier => Ok(None),
            SwapMode::DryRun => checked.handle().check_swap(&node, &wanted, &terms),
            SwapMode::Restart => checked.handle().try_open(&node, &wanted, &terms.dropped).map(|()| None),
        })
        .await?
        .map_err(|refused| without_secrets(&live, refused.into()))?;
        let id = live.handle().id().clone();
        let module = spec.operators[operator].module;
        let old = live.handle().modules().get(operator).copied();
        let detail = json!({"operator": operator, "old": old, "new": module});
        let operation = self.begin_with("swap", &id, detail).await?;
        let pending =
            PendingSwap { operation: operation.id.clone(), operator: operator.clone(), module, document, canary: None };
        match wish.mode {
            SwapMode::DryRun => {
                let message = "it could be made at a barrier";
                let mut detail = json!({"mode": "dry-run", "module": module, "message": message});
                if let Some(tried) = tried {
                    let no_way_back = tried.no_way_back.as_deref().map(|why| live.hide_secrets(why));
                    detail["migration"] = json!(MigrationTried { no_way_back, ..tried });
                }
                self.end(operation.clone(), Ok(detail)).await;
                self.operation(&operation.id).await
            }
            SwapMode::Barrier => self.make_swap(&live, pending, spec, (wish.terms.clone(), None), operation).await,
            SwapMode::Restart => {
                let PendingSwap { operation: id, operator, module, document, canary: _ } = pending;
                let mut modules = self.job(live.handle().id()).await?.record.modules;
                modules.iter_mut().filter(|(name, _)| *name == operator.as_str()).for_each(|(_, runs)| *runs = module);
                let pending = PendingDocument { operation: id, document, modules };
                self.change_over(&live, pending, Exit::AtOnce, operation).await
            }
        }
    }

    pub(super) async fn prepare_swap(
        self: &Arc<Self>,
        read: ReadJob,
        secrets: Arc<Secrets>,
    ) -> Result<PreparedJob, ControlError> {
        let _permit = self.compiling.acquire().await.expect("the semaphore is never closed");
        self.ask_control(move |control| {
            let parts = &control.parts;
            read.prepare_noting(secrets, &*parts.catalog, &*parts.registry, &*parts.environment)
        })
        .await
    }

    /// Written down first: whatever crashes from here on, a manifest says whether it was made. With a share, it begins as a
    /// canary.
    pub(super) async fn make_swap(
        self: &Arc<Self>,
        live: &Arc<LiveJob>,
        pending: PendingSwap,
        spec: Arc<JobSpec>,
        (terms, share): (SwapTerms, Option<Share>),
        mut operation: OperationRecord,
    ) -> Result<OperationRecord, ControlError> {
        let noted = pending.clone();
        let is_written = live.change(move |record| record.swap = Some(noted)).await;
        fail::fail_point!("swap-noted");
        let begun = if is_written {
            let (live, node) = (Arc::clone(live), pending.operator.clone());
            let put_in = move || match share {
                None => live.handle().swap(&node, &spec, terms),
                Some(share) => live.handle().canary(&node, &spec, share, terms.policy),
            };
            blocking(put_in).await?.map_err(ControlError::from)
        } else {
            Err(wrong_state(live.handle().id(), live.handle().status().state, "swapped"))
        };
        match begun {
            Ok(report) => {
                // Whoever asked, and the audit log, see which modules it is about.
                operation.detail = told(live, &report.borrow());
                let followed = self.clone().follow_swap(Arc::clone(live), pending, report, operation.clone());
                tokio::spawn(followed);
                Ok(operation)
            }
            Err(refused) => {
                let refused = without_secrets(live, refused);
                live.change(|record| record.swap = None).await;
                self.end(operation, Err(json!({"message": refused.to_string()}))).await;
                Err(refused)
            }
        }
    }

    /// Lets the old module run again. The operation succeeds when it does.
    ///
    /// # Errors
    /// If there is no such job, it is over, or no swap of this operator is under way.
    pub async fn roll_back_swap(
        self: &Arc<Self>,
        id: &JobId,
        operator: &NodeId,
    ) -> Result<OperationRecord, ControlError> {
        self.take_back(id, operator, ROLL_BACK).await
    }

    /// The same, told of by an operation of this kind.
    pub(super) async fn take_back(
        self: &Arc<Self>,
        id: &JobId,
        operator: &NodeId,
        kind: &str,
    ) -> Result<OperationRecord, ControlError> {
        let job = self.job(id).await?;
        let live = Arc::clone(job.running("swapped back")?);
        let is_meant = |report: &SwapReport| !report.is_over() && report.operator == *operator;
        let newest = live.handle().newest_swap().filter(|report| is_meant(&report.borrow()));
        let none = || ControlError::SwapRefused(format!("no swap of operator `{operator}` of job `{id}` is under way"));
        let mut report = newest.ok_or_else(none)?;
        let SwapReport { old, new, .. } = report.borrow().clone();
        // The other way round: what runs now is what goes.
        let detail = json!({"operator": operator, "old": new, "new": old});
        let operation = self.begin_with(kind, id, detail).await?;
        if let Err(not_running) = live.handle().withdraw_swap("somebody asked for it") {
            let refused = ControlError::from(SwapRefused::from(not_running));
            self.end(operation, Err(json!({"message": refused.to_string()}))).await;
            return Err(refused);
        }
        let (control, begun) = (Arc::clone(self), operation.clone());
        tokio::spawn(async move {
            let over = report.wait_for(SwapReport::is_over).await.map(|report| report.clone());
            let outcome = match over {
                // Whoever settles the swap ends it, or the next host if this one goes down.
                Ok(report) if report.left_open => return,
                Ok(report) if report.stage == SwapStage::Undone => Ok(told(&live, &report)),
                Ok(report) => Err(told(&live, &report)),
                Err(_) => Err(json!({"message": "the job ended before"})),
            };
            control.end(begun, outcome).await;
        });
        Ok(operation)
    }
}

/// A swap that is not over makes room, if it is to. One that is being taken back does so for a restart: it may wait for a
/// barrier that never comes through the operator that is stuck.
pub(super) async fn make_room(live: &LiveJob, supersede: bool, restarts: bool) -> Result<(), ControlError> {
    let Some(mut report) = live.handle().newest_swap() else { return Ok(()) };
    let seen = report.borrow().clone();
    if seen.is_over() {
        return Ok(());
    }
    let refused = |why: &str| in_the_way(&seen, why);
    let told = match seen.stage {
        SwapStage::Undoing if restarts => Ok(()),
        _ if !supersede => return Err(refused("")),
        SwapStage::Probation | SwapStage::Held => live.handle().promote_swap(),
        SwapStage::Preparing
        | SwapStage::Prepared
        | SwapStage::Switching
        | SwapStage::Switched
        | SwapStage::Canary
        | SwapStage::Undoing
        | SwapStage::Done
        | SwapStage::Undone => live.handle().withdraw_swap("another swap takes its place"),
    };
    told.map_err(SwapRefused::from)?;
    let ends = async {
        let is_heard = |report: &SwapReport| report.is_over() || restarts && report.stage == SwapStage::Undoing;
        // Its sender lives in the job.
        let is_over = report.wait_for(is_heard).await.is_ok_and(|report| report.is_over());
        if is_over {
            return Ok(());
        }
        // The checkpoint that another attempt goes on from says what became of it.
        live.handle().restart()?;
        _ = report.wait_for(SwapReport::is_over).await;
        let runs = |status: &JobStatus| status.state.is_final() || has_begun(status.state);
        _ = live.handle().watch().wait_for(runs).await;
        Ok(())
    };
    let ended = tokio::time::timeout(MAKES_ROOM, ends).await.map_err(|_| refused(", and has not made room in time"))?;
    ended.map_err(|not: NotRunning| SwapRefused::from(not).into())
}

/// A module that was opened with a secret may say it in its refusal.
fn without_secrets(live: &LiveJob, refused: ControlError) -> ControlError {
    match refused {
        ControlError::SwapRefused(why) => ControlError::SwapRefused(live.hide_secrets(&why)),
        other => other,
    }
}

/// What `migrate` is tried on is what the newest checkpoint has: of a job without any, one is made first.
async fn see_state(live: &LiveJob, patience: Duration) -> Result<(), ControlError> {
    if live.handle().newest().borrow().is_some() {
        return Ok(());
    }
    let made = tokio::time::timeout(patience, ask_for_checkpoint(live)).await;
    let waited = patience.as_secs();
    let late =
        |_| ControlError::NoAnswer(format!("no checkpoint, which the swap is tried on, was decided in {waited} s"));
    let refused =
        |why: Value| ControlError::NoAnswer(format!("no checkpoint, which the swap is tried on, could be made: {why}"));
    made.map_err(late)?.map(drop).map_err(refused)
}
