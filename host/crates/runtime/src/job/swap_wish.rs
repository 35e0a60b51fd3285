//! Asking a running job for a swap: what cannot be swapped while it runs is refused before anything is touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use gristmill_checkpoint::fit::{Declared, StateFit, Stored, fit_states};
use gristmill_checkpoint::swap::{SwapPolicy, SwapStage};
use gristmill_ports::Operator;
use gristmill_ports::parts::Urgency;
use gristmill_types::{Descriptor, ModuleHash, NodeId, SwapId};
use tokio::sync::watch;

use crate::checkpoint::told::Told;
use crate::job::assemble::operator_context;
use crate::job::attempt::Attempt;
use crate::job::handle::{JobHandle, NotRunning};
use crate::job::shared::NodeSeat;
use crate::job::spec::{JobSpec, OperatorParts};
use crate::swap::{SwapReport, SwapTold, SwapWanted, SwapWish};

/// Why a swap is not made. Nothing was touched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwapRefused {
    /// Nothing of the job runs right now.
    #[error(transparent)]
    NotRunning(#[from] NotRunning),
    /// There is no such operator.
    #[error("job `{job}` has no operator `{operator}`")]
    NoSuchOperator {
        /// The job.
        job: gristmill_types::JobId,
        /// What was named.
        operator: NodeId,
    },
    /// Another one is under way.
    #[error(
        "swap {swap} of operator `{operator}` is under way: wait until it is done, roll it back, or say `supersede`"
    )]
    Busy {
        /// Which.
        swap: SwapId,
        /// Of which operator.
        operator: NodeId,
    },
    /// A shadow runs beside an operator of the job.
    #[error("a shadow with module {module} runs beside operator `{operator}`: promote or discard it first")]
    Shadowed {
        /// Which module.
        module: ModuleHash,
        /// Beside which operator.
        operator: NodeId,
    },
    /// It does not fit into the place of the old one while events flow.
    #[error("{0}")]
    Misfit(String),
    /// An instance cannot be opened.
    #[error("module {module} cannot be opened in subtask {subtask}: {why}")]
    CannotOpen {
        /// The new module.
        module: ModuleHash,
        /// Where.
        subtask: gristmill_types::SubtaskIndex,
        /// What it said.
        why: String,
    },
}

impl JobHandle {
    /// Says whether a swap could be made now: what runs in `operator` goes, what `spec` has there comes. Opens an instance for
    /// each subtask and drops it. Blocks; not for a tokio worker.
    ///
    /// # Errors
    /// Why it could not.
    pub fn check_swap(&self, operator: &NodeId, spec: &JobSpec) -> Result<(), SwapRefused> {
        let (attempt, seat) = self.swappable(operator, spec)?;
        self.open_all(&attempt, seat, spec).map(drop)
    }

    /// Opens an instance of what `spec` has in `operator` for each subtask, as they are now, and drops it. Blocks; not for a
    /// tokio worker.
    ///
    /// # Errors
    /// Why one cannot be opened.
    pub fn try_open(&self, operator: &NodeId, spec: &JobSpec) -> Result<(), SwapRefused> {
        let not_running = || NotRunning(self.shared.id.clone());
        let attempt = self.shared.attempt().filter(|_| !self.shared.is_over()).ok_or_else(not_running)?;
        let no_such = || SwapRefused::NoSuchOperator { job: self.shared.id.clone(), operator: operator.clone() };
        let seat = self.seat(operator).filter(|_| spec.operators.contains_key(operator)).ok_or_else(no_such)?;
        self.open_all(&attempt, seat, spec).map(drop)
    }

    /// Begins a swap, and follows it: what runs in `operator` goes, what `spec` has there comes. Blocks until the new instances
    /// are open; not for a tokio worker.
    ///
    /// # Errors
    /// Why it is not made.
    pub fn swap(
        &self,
        operator: &NodeId,
        spec: &JobSpec,
        policy: SwapPolicy,
    ) -> Result<watch::Receiver<SwapReport>, SwapRefused> {
        let (attempt, seat) = self.swappable(operator, spec)?;
        let parts = spec.operators[operator].clone();
        let report = {
            let mut modules = self.shared.modules();
            if let Some(busy) = modules.under_way() {
                let SwapReport { swap, operator, .. } = busy.borrow().clone();
                return Err(SwapRefused::Busy { swap, operator });
            }
            self.shadow_makes_way(operator, parts.module)?;
            let begun = modules.begin(operator, parts.clone(), SwapStage::Preparing);
            begun.expect("nothing is under way, and the operator runs")
        };
        let begun = self.open_all(&attempt, seat, spec).and_then(|instances| {
            let SwapReport { swap, old, .. } = report.borrow().clone();
            let node = operator.clone();
            let wanted =
                SwapWanted { swap, node, module: parts.module, old, policy, instances, report: Arc::clone(&report) };
            let told = attempt.told.send(Told::Swap(SwapTold::Wanted(Box::new(wanted))));
            told.map_err(|_| NotRunning(self.shared.id.clone()).into())
        });
        begun.inspect_err(|why: &SwapRefused| {
            report.send_modify(|report| (report.stage, report.cause) = (SwapStage::Undone, Some(why.to_string())));
        })?;
        Ok(report.subscribe())
    }

    /// What became of the newest swap of this process; of one that the process before has left open, too.
    #[must_use]
    pub fn newest_swap(&self) -> Option<watch::Receiver<SwapReport>> {
        self.shared.modules().newest().map(|report| report.subscribe())
    }

    /// The operator of the swap that is under way is to go back to its old module.
    ///
    /// # Errors
    /// If nothing of the job runs right now.
    pub fn withdraw_swap(&self, cause: &str) -> Result<(), NotRunning> {
        self.tell(Told::Swap(SwapTold::Ended(SwapWish::Withdraw { cause: cause.to_owned() })))
    }

    /// The probation of the swap that is under way is long enough.
    ///
    /// # Errors
    /// If nothing of the job runs right now.
    pub fn promote_swap(&self) -> Result<(), NotRunning> {
        self.tell(Told::Swap(SwapTold::Ended(SwapWish::Promote)))
    }

    /// The module that runs in each operator, as far as manifests have decided.
    #[must_use]
    pub fn modules(&self) -> std::collections::BTreeMap<NodeId, ModuleHash> {
        self.shared.modules().hashes()
    }

    fn swappable(&self, operator: &NodeId, spec: &JobSpec) -> Result<(Arc<Attempt>, &NodeSeat), SwapRefused> {
        let no_such = || SwapRefused::NoSuchOperator { job: self.shared.id.clone(), operator: operator.clone() };
        let seat = self.seat(operator).ok_or_else(no_such)?;
        let old = self.shared.modules().running(operator).cloned().ok_or_else(no_such)?;
        let new = spec.operators.get(operator).ok_or_else(no_such)?;
        let not_running = || NotRunning(self.shared.id.clone());
        let attempt = self.shared.attempt().filter(|_| !self.shared.is_over()).ok_or_else(not_running)?;
        if self.shared.plan != spec.plan {
            return Err(SwapRefused::Misfit(format!(
                "with this module of `{operator}` the job would have other tasks or other ways between them; \
                 `mode: restart` goes on with those from the newest checkpoint"
            )));
        }
        misfit(operator, &old, new).map_or(Ok((attempt, seat)), |why| Err(SwapRefused::Misfit(why)))
    }

    /// Opens an instance for each subtask, by a thread that stands back behind those that work on the stream.
    fn open_all(
        &self,
        attempt: &Attempt,
        seat: &NodeSeat,
        spec: &JobSpec,
    ) -> Result<Vec<Box<dyn Operator>>, SwapRefused> {
        let OperatorParts { prepared, module } = &spec.operators[&seat.id];
        let nodes = spec.plan.tasks.iter().flat_map(|task| &task.nodes);
        let keys_in_place = nodes.filter(|node| node.id == seat.id).any(|node| node.keys_in_place);
        let open = |subtask| {
            let context =
                operator_context(&self.shared, seat, subtask, keys_in_place, &prepared.parameters, &attempt.interrupt);
            let refused = |why: gristmill_types::CallFailure| SwapRefused::CannotOpen {
                module: *module,
                subtask,
                why: why.to_string(),
            };
            prepared.factory.open(context).map_err(refused)
        };
        let opened = std::thread::scope(|scope| {
            let opening = scope.spawn(|| {
                self.shared.parts.stand_back(Urgency::Whenever);
                seat.parallelism.subtasks().map(open).collect()
            });
            opening.join()
        });
        opened.unwrap_or_else(|_| {
            Err(SwapRefused::Misfit(format!("a bug in the host: opening module {module} panicked")))
        })
    }
}

/// Why one module cannot take the place of another while events flow, if it cannot.
fn misfit(operator: &NodeId, old: &OperatorParts, new: &OperatorParts) -> Option<String> {
    if old.module == new.module {
        return Some(format!(
            "operator `{operator}` runs module {} already; a checkpoint does not say with which parameters, so other \
             parameters of the same module take `mode: restart`",
            new.module
        ));
    }
    let (before, after) = (old.prepared.factory.descriptor(), new.prepared.factory.descriptor());
    ports_misfit(operator, before, after).or_else(|| states_misfit(operator, before, after))
}

pub(super) fn ports_misfit(operator: &NodeId, before: &Descriptor, after: &Descriptor) -> Option<String> {
    let inputs = |descriptor: &Descriptor| descriptor.inputs.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let outputs = |descriptor: &Descriptor| descriptor.outputs.iter().map(|one| one.name.clone()).collect::<Vec<_>>();
    let differ = |what: &str, old: Vec<String>, new: Vec<String>| {
        (old != new).then(|| {
            format!(
                "`{operator}` has the {what} {}, and the new module {}; `mode: restart` goes on with other ports, if the \
                 job's document fits them",
                old.join(", "),
                if new.is_empty() { "none".to_owned() } else { new.join(", ") }
            )
        })
    };
    differ("inputs", inputs(before), inputs(after)).or_else(|| differ("output ports", outputs(before), outputs(after)))
}

fn states_misfit(operator: &NodeId, before: &Descriptor, after: &Descriptor) -> Option<String> {
    let there = Stored { node: operator, states: &before.states, is_occupied: true };
    // Told of every change of schema, whoever would rewrite it.
    let wanted = Declared { node: operator, states: &after.states, migrates: true };
    let fits = match fit_states(&there, &wanted, &BTreeSet::new(), &mut BTreeSet::new()) {
        Ok(fits) => fits,
        Err(misfits) => return Some(misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    };
    for fit in fits {
        match fit {
            StateFit::Same { .. } | StateFit::Dropped { .. } => {}
            StateFit::Migrated { state, from_version, to_version, .. } => {
                return Some(format!(
                    "state `{state}` of `{operator}` is of schema version {from_version}, and {to_version} in the new module; a \
                     swap does not rewrite state: keep its schema, or begin another job with the new module"
                ));
            }
            StateFit::New { state } => {
                return Some(format!(
                    "the new module has a state `{state}` that `{operator}` does not have; `mode: restart` goes on with it, \
                     empty"
                ));
            }
        }
    }
    (before.states != after.states).then(|| {
        format!(
            "the new module declares the states of `{operator}` in another order, scope, or with another time to live; \
             `mode: restart` goes on with them"
        )
    })
}
