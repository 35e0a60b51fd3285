//! Asking a running job for a shadow of one of its operators; looking at it, and ending it.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};

use gristmill_checkpoint::fit::{Declared, StateFit, Stored, fit_states};
use gristmill_dataflow::document::Backend;
use gristmill_ports::Operator;
use gristmill_ports::parts::Urgency;
use gristmill_ports::telemetry::{GuestLog, LogLevel};
use gristmill_types::{CallFailure, Descriptor, ModuleHash, NodeId, SubtaskIndex};

use crate::checkpoint::told::Told;
use crate::event::{EventLog, JobEventKind};
use crate::job::assemble::operator_context;
use crate::job::handle::{JobHandle, NotRunning};
use crate::job::modules::Modules;
use crate::job::shared::NodeSeat;
use crate::job::spec::{JobSpec, OperatorParts};
use crate::job::swap_terms::SwapRefused;
use crate::job::swap_wish::ports_misfit;
use crate::shadow::{Shadow, ShadowPolicy, ShadowReport, ShadowTold, ShadowWanted};

impl JobHandle {
    /// Begins a shadow: what `spec` has in `operator` runs beside what runs there. Blocks until its instances are open; not for
    /// a tokio worker.
    ///
    /// # Errors
    /// Why it is not made.
    pub fn shadow(&self, operator: &NodeId, spec: &JobSpec, policy: ShadowPolicy) -> Result<ShadowReport, SwapRefused> {
        let job = &self.shared;
        let no_such = || SwapRefused::NoSuchOperator { job: job.id.clone(), operator: operator.clone() };
        let seat = self.seat(operator).ok_or_else(no_such)?;
        let new = spec.operators.get(operator).ok_or_else(no_such)?;
        let old = job.modules().running(operator).cloned().ok_or_else(no_such)?;
        if let Some(why) = misfit(operator, &old, new) {
            return Err(SwapRefused::Misfit(why));
        }
        drop(self.refuse_if_busy()?);
        let shadow = Arc::new(Shadow::new(operator, (old.module, new.module), policy, seat.parallelism));
        let instances = self.open_shadows(&shadow, seat, spec)?;
        self.reserve(&shadow)?;
        let mut checkpoint = spec.document.checkpoint;
        // What it holds is a copy, of no use to anybody once it is over.
        checkpoint.backend = Backend::Memory;
        let descriptor = new.prepared.factory.descriptor().clone();
        let wanted = ShadowWanted { shadow: Arc::clone(&shadow), descriptor, checkpoint, instances };
        let told = self.tell(Told::Shadow(ShadowTold::Wanted(Box::new(wanted))));
        told.inspect_err(|why| job.end_shadow(&shadow, &why.to_string()))?;
        Ok(shadow.report())
    }

    /// What the newest shadow of this process has found so far.
    #[must_use]
    pub fn newest_shadow(&self) -> Option<ShadowReport> {
        self.shared.shadow().as_ref().map(|shadow| shadow.report())
    }

    /// The shadow that runs beside `operator` is to end; what it found stays. `None` if there is none.
    pub fn discard_shadow(&self, operator: &NodeId, cause: &str) -> Option<ShadowReport> {
        let shadow = self.shared.running_shadow().filter(|shadow| shadow.operator == *operator)?;
        self.shared.end_shadow(&shadow, cause);
        // Between two attempts there is nobody to tell, and nothing of it runs.
        let _ = self.tell(Told::Shadow(ShadowTold::Ended(Arc::clone(&shadow), cause.to_owned())));
        Some(shadow.report())
    }

    /// A swap is about to begin: a shadow with its module beside its operator has done its work, any other is in its way.
    pub(super) fn shadow_makes_way(&self, operator: &NodeId, module: ModuleHash) -> Result<(), SwapRefused> {
        match self.shared.running_shadow() {
            None => Ok(()),
            Some(shadow) if shadow.operator == *operator && shadow.module == module => {
                _ = self.discard_shadow(operator, "its module takes the operator over");
                Ok(())
            }
            Some(shadow) => Err(SwapRefused::Shadowed { module: shadow.module, operator: shadow.operator.clone() }),
        }
    }

    /// Takes the place of the one shadow or swap that may be under way.
    fn reserve(&self, shadow: &Arc<Shadow>) -> Result<(), SwapRefused> {
        let _no_swap_begins = self.refuse_if_busy()?;
        *self.shared.shadow() = Some(Arc::clone(shadow));
        Ok(())
    }

    /// While the lock is held nothing else begins: every shadow and every swap takes it first.
    fn refuse_if_busy(&self) -> Result<MutexGuard<'_, Modules>, SwapRefused> {
        let job = &self.shared;
        if job.attempt().is_none() || job.is_over() {
            return Err(NotRunning(job.id.clone()).into());
        }
        let modules = job.modules();
        if let Some(busy) = modules.under_way() {
            return Err(SwapRefused::busy_with(&busy.borrow()));
        }
        match job.running_shadow() {
            Some(shadow) => Err(SwapRefused::Shadowed { module: shadow.module, operator: shadow.operator.clone() }),
            None => Ok(modules),
        }
    }

    /// Opens an instance for each subtask, by a thread that stands back behind those that work on the stream.
    fn open_shadows(
        &self,
        shadow: &Shadow,
        seat: &NodeSeat,
        spec: &JobSpec,
    ) -> Result<Vec<Box<dyn Operator>>, SwapRefused> {
        let parts @ OperatorParts { prepared, module, .. } = &spec.operators[&seat.id];
        let nodes = spec.plan.tasks.iter().flat_map(|task| &task.nodes);
        let keys_in_place = nodes.filter(|node| node.id == seat.id).any(|node| node.keys_in_place);
        let open = |subtask| {
            let mut context = operator_context(&self.shared, seat, subtask, keys_in_place, parts, &shadow.over);
            let (events, operator) = (Arc::clone(&self.shared.events), seat.id.clone());
            context.log = Arc::new(ShadowLines { events, operator, subtask });
            let refused = |why: CallFailure| SwapRefused::CannotOpen { module: *module, subtask, why: why.to_string() };
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

/// Why a module cannot run beside another, if it cannot. It may have other states: these begin empty, and what it does not
/// declare is not read.
fn misfit(operator: &NodeId, old: &OperatorParts, new: &OperatorParts) -> Option<String> {
    let (before, after) = (old.prepared.factory.descriptor(), new.prepared.factory.descriptor());
    ports_misfit(operator, before, after).or_else(|| states_misfit(operator, before, after))
}

fn states_misfit(operator: &NodeId, before: &Descriptor, after: &Descriptor) -> Option<String> {
    let there = Stored { node: operator, states: &before.states, is_occupied: false };
    // Told of every change of schema, whoever would rewrite it.
    let wanted = Declared { node: operator, states: &after.states, migrates: true };
    let fits = match fit_states(&there, &wanted, &BTreeSet::new(), &mut BTreeSet::new()) {
        Ok(fits) => fits,
        Err(misfits) => return Some(misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
    };
    fits.into_iter().find_map(|fit| match fit {
        StateFit::Same { .. } | StateFit::New { .. } | StateFit::Dropped { .. } => None,
        StateFit::Migrated { state, from_version, to_version, .. } => Some(format!(
            "state `{state}` of `{operator}` is of schema version {from_version}, and {to_version} in the new module; a \
             shadow reads the state as it is, and rewrites none: keep its schema, or try it in a fork of the job"
        )),
    })
}

/// The log lines of a shadow, among those of its operator.
struct ShadowLines {
    events: Arc<EventLog>,
    operator: NodeId,
    subtask: SubtaskIndex,
}

impl GuestLog for ShadowLines {
    fn line(&self, level: LogLevel, row: Option<u32>, message: &str) {
        let kind = JobEventKind::Log { level, row, message: format!("shadow: {message}") };
        self.events.say(Some(&self.operator), Some(self.subtask), kind);
    }

    fn dropped(&self, lines: u64) {
        self.events.say(Some(&self.operator), Some(self.subtask), JobEventKind::LogDropped { lines });
    }
}
