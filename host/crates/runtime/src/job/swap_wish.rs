//! Asking a running job for a swap: what cannot be swapped while it runs is refused before anything is touched.

use std::collections::BTreeSet;
use std::sync::Arc;

use gristmill_checkpoint::swap::{Retreat, SwapStage};
use gristmill_checkpoint::{Seating, Share};
use gristmill_ports::Operator;
use gristmill_ports::parts::{PartContext, Urgency};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{Descriptor, ModuleHash, NodeId, StateIndex, SubtaskIndex, SwapId};
use tokio::sync::watch;

use crate::canary::CanaryTerms;
use crate::checkpoint::told::Told;
use crate::job::assemble::operator_context;
use crate::job::attempt::Attempt;
use crate::job::handle::{JobHandle, NotRunning};
use crate::job::shared::NodeSeat;
use crate::job::spec::{JobSpec, OperatorParts};
use crate::job::swap_states::{MigrationTried, lives_as_before, seat as seat_states, try_migration};
use crate::job::swap_terms::{SwapRefused, SwapTerms, WayBack};
use crate::right_of_return::RightOfReturn;
use crate::states::{NextStates, Rewriting};
use crate::swap::{SwapReport, SwapTold, SwapWanted, SwapWish};

/// A swap that can be made.
struct Fitting<'a> {
    attempt: Arc<Attempt>,
    seat: &'a NodeSeat,
    /// All states of the operator as they are.
    there: Vec<StateSpec>,
    seating: Seating,
    /// What the new module's `migrate` came to, if it has something to rewrite.
    tried: Option<MigrationTried>,
}

impl JobHandle {
    /// Says whether a swap could be made now: what runs in `operator` goes, what `spec` has there comes. Has the new module
    /// rewrite what it would have to, opens an instance for each subtask, and drops all of it. Blocks; not for a tokio
    /// worker.
    ///
    /// # Errors
    /// Why it could not.
    pub fn check_swap(
        &self,
        operator: &NodeId,
        spec: &JobSpec,
        terms: &SwapTerms,
    ) -> Result<Option<MigrationTried>, SwapRefused> {
        let fitting = self.fitting(operator, spec, terms)?;
        self.open_all(&fitting.attempt, fitting.seat, spec)?;
        Ok(fitting.tried)
    }

    /// Whether state would have to be rewritten for what `spec` has in `operator`; false if there is no such operator.
    #[must_use]
    pub fn would_rewrite(&self, operator: &NodeId, spec: &JobSpec) -> bool {
        let there = self.shared.modules().states(operator).to_vec();
        let declared = spec.operators.get(operator).map(|parts| &parts.prepared.factory.descriptor().states);
        declared.is_some_and(|declared| !Seating::among(&there, declared).moves.is_empty())
    }

    /// Has what `spec` has in `operator` rewrite what it would have to, opens an instance for each subtask, as they are now, and
    /// drops all of it: whether the job could start again with it. Blocks; not for a tokio worker.
    ///
    /// # Errors
    /// Why one cannot be opened, or what becomes of its states.
    pub fn try_open(&self, operator: &NodeId, spec: &JobSpec, dropped: &BTreeSet<String>) -> Result<(), SwapRefused> {
        let not_running = || NotRunning(self.shared.id.clone());
        let attempt = self.shared.attempt().filter(|_| !self.shared.is_over()).ok_or_else(not_running)?;
        let no_such = || SwapRefused::NoSuchOperator { job: self.shared.id.clone(), operator: operator.clone() };
        let seat = self.seat(operator).filter(|_| spec.operators.contains_key(operator)).ok_or_else(no_such)?;
        let there = self.shared.modules().states(operator).to_vec();
        let seating = seat_states(operator, &there, &spec.operators[operator], dropped).map_err(SwapRefused::Misfit)?;
        if !seating.moves.is_empty() {
            self.try_migration(&attempt, seat, &seating, spec)?;
        }
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
        terms: impl Into<SwapTerms>,
    ) -> Result<watch::Receiver<SwapReport>, SwapRefused> {
        self.put_in(operator, spec, terms.into(), Share::WHOLE)
    }

    /// The same for a share of the operator.
    pub(super) fn put_in(
        &self,
        operator: &NodeId,
        spec: &JobSpec,
        mut terms: SwapTerms,
        share: Share,
    ) -> Result<watch::Receiver<SwapReport>, SwapRefused> {
        let fitting = self.fitting(operator, spec, &terms)?;
        if fitting.has_no_way_back() && terms.way_back == WayBack::None {
            terms.policy.probation_ms = 0;
        }
        let policy = terms.policy;
        let parts = spec.operators[operator].clone();
        let report = {
            let mut modules = self.shared.modules();
            if let Some(busy) = modules.under_way() {
                return Err(SwapRefused::busy_with(&busy.borrow()));
            }
            self.shadow_makes_way(operator, parts.module)?;
            let begun = modules.begin(operator, parts.clone(), SwapStage::Preparing);
            let begun = begun.expect("nothing is under way, and the operator runs");
            if !share.is_whole() {
                let max = self.shared.max_parallelism;
                modules.begins_as_canary(CanaryTerms {
                    share,
                    max,
                    policy,
                    tally: Arc::default(),
                    right: Arc::new(RightOfReturn::new(Retreat::Seats)),
                });
            }
            begun
        };
        let canary = self.shared.modules().newest_terms();
        let SwapReport { swap, old, .. } = report.borrow().clone();
        let begun = self.next_states(&fitting, spec, swap).and_then(|states| {
            let opened = self.open_all(&fitting.attempt, fitting.seat, spec)?;
            let wanted = SwapWanted {
                swap,
                node: operator.clone(),
                module: parts.module,
                old,
                policy,
                retreat: retreat(&fitting, terms.way_back),
                instances: opened.into_iter().zip(states).collect(),
                states: fitting.seating.states.clone(),
                moves: fitting.seating.moves.clone(),
                canary,
                report: Arc::clone(&report),
            };
            let told = fitting.attempt.told.send(Told::Swap(SwapTold::Wanted(Box::new(wanted))));
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

    /// Fits a new module into the operator: ports, states, and what it has to rewrite.
    fn fitting(&self, operator: &NodeId, spec: &JobSpec, terms: &SwapTerms) -> Result<Fitting<'_>, SwapRefused> {
        let (attempt, seat) = self.swappable(operator, spec)?;
        let new = &spec.operators[operator];
        let (there, unfinished) = {
            let modules = self.shared.modules();
            let there = modules.states(operator).to_vec();
            let running = modules.running(operator).map(|old| &old.prepared.factory.descriptor().states);
            let unfinished = running.map(|running| Seating::among(&there, running).moves);
            (there, unfinished.unwrap_or_default())
        };
        let seating = seat_states(operator, &there, new, &terms.dropped).map_err(SwapRefused::Misfit)?;
        lives_as_before(operator, &seating, &new.prepared.factory.descriptor().states).map_err(SwapRefused::Misfit)?;
        // One with the same schemas, too: were it taken back, it would take back what it did not begin.
        if let Some(one) = unfinished.first() {
            return Err(SwapRefused::Misfit(format!(
                "state `{}` of `{operator}` is still being rewritten by the module that runs; wait until it is through, set \
                 or clear what it fails at, or use `mode: restart`",
                one.state
            )));
        }
        let mut fitting = Fitting { attempt, seat, there, seating, tried: None };
        if !fitting.seating.moves.is_empty() {
            fitting.tried = Some(self.try_migration(&fitting.attempt, seat, &fitting.seating, spec)?);
        }
        if fitting.has_no_way_back() && terms.way_back == WayBack::Migrate {
            let why = fitting.tried.and_then(|tried| tried.no_way_back).unwrap_or_default();
            return Err(SwapRefused::Misfit(format!(
                "what module {} rewrites cannot be rewritten back, so the swap could not be taken back: {why}; teach its \
                 `migrate` the way back, or say `way_back: rewind`, which commits nothing before the probation is over, or \
                 `way_back: none`, which leaves no probation",
                new.module
            )));
        }
        Ok(fitting)
    }

    /// Off the threads of the stream: as many entries as there are.
    fn try_migration(
        &self,
        attempt: &Attempt,
        seat: &NodeSeat,
        seating: &Seating,
        spec: &JobSpec,
    ) -> Result<MigrationTried, SwapRefused> {
        let context = self.context_of(attempt, seat, spec, SubtaskIndex(0));
        let refused = |why: String| SwapRefused::Misfit(why);
        self.in_background(attempt, || {
            let made = spec.operators[&seat.id].prepared.factory.migrator(context);
            let mut migrator = made
                .map_err(|failure| refused(failure.to_string()))?
                .ok_or_else(|| refused("the module exports no `migration`".to_owned()))?;
            let (parts, files) = (&*self.shared.parts, &*attempt.files);
            try_migration(attempt, &seat.id, &seating.moves, &mut *migrator, (parts, files)).map_err(refused)
        })
    }

    /// What each subtask needs for the states of the new module.
    fn next_states(&self, fitting: &Fitting<'_>, spec: &JobSpec, swap: SwapId) -> Result<Vec<NextStates>, SwapRefused> {
        let Fitting { attempt, seat, there, seating, .. } = fitting;
        let factory = &spec.operators[&seat.id].prepared.factory;
        let descriptor = Descriptor { states: seating.states.clone(), ..factory.descriptor().clone() };
        let next = |subtask: SubtaskIndex| {
            let cannot =
                |why: String| SwapRefused::CannotOpen { module: spec.operators[&seat.id].module, subtask, why };
            let mut layer = None;
            if seating.states.len() > there.len() {
                let context = PartContext {
                    job: self.shared.id.clone(),
                    run: self.shared.run,
                    attempt: attempt.id,
                    node: seat.id.clone(),
                    subtask,
                    parallelism: seat.parallelism,
                    max_parallelism: self.shared.max_parallelism,
                    layer: u32::try_from(swap.0).unwrap_or(u32::MAX),
                    cancelled: attempt.over.clone(),
                };
                let backend = self.shared.parts.state(&context, &descriptor, &spec.document.checkpoint);
                let first = StateIndex(u32::try_from(there.len()).unwrap_or(u32::MAX));
                layer = Some((backend.map_err(|error| cannot(error.message))?, first));
            }
            let mut rewriting = None;
            if !seating.moves.is_empty() {
                let context = self.context_of(attempt, seat, spec, subtask);
                let migrator = factory.migrator(context).map_err(|failure| cannot(failure.to_string()))?;
                rewriting = migrator.map(|migrator| Rewriting::new(migrator, seating.moves.clone()));
            }
            let seats = (!seating.is_plain()).then(|| seating.seats.clone());
            Ok(NextStates { seats, layer, rewriting })
        };
        self.in_background(attempt, || seat.parallelism.subtasks().map(next).collect())
    }

    fn context_of(
        &self,
        attempt: &Attempt,
        seat: &NodeSeat,
        spec: &JobSpec,
        subtask: SubtaskIndex,
    ) -> gristmill_ports::OperatorContext {
        let nodes = spec.plan.tasks.iter().flat_map(|task| &task.nodes);
        let keys_in_place = nodes.filter(|node| node.id == seat.id).any(|node| node.keys_in_place);
        operator_context(&self.shared, seat, subtask, keys_in_place, &spec.operators[&seat.id], &attempt.interrupt)
    }

    /// Opens an instance for each subtask.
    fn open_all(
        &self,
        attempt: &Attempt,
        seat: &NodeSeat,
        spec: &JobSpec,
    ) -> Result<Vec<Box<dyn Operator>>, SwapRefused> {
        let OperatorParts { prepared, module, .. } = &spec.operators[&seat.id];
        let open = |subtask| {
            let refused = |why: gristmill_types::CallFailure| SwapRefused::CannotOpen {
                module: *module,
                subtask,
                why: why.to_string(),
            };
            prepared.factory.open(self.context_of(attempt, seat, spec, subtask)).map_err(refused)
        };
        self.in_background(attempt, || seat.parallelism.subtasks().map(open).collect())
    }

    /// Works in a thread that stands back behind those that work on the stream. What fails when the attempt has ended
    /// meanwhile may fail for that, so it blames nobody: it can be asked for again.
    fn in_background<T: Send>(
        &self,
        attempt: &Attempt,
        work: impl FnOnce() -> Result<T, SwapRefused> + Send,
    ) -> Result<T, SwapRefused> {
        let done = std::thread::scope(|scope| {
            let working = scope.spawn(|| {
                self.shared.parts.stand_back(Urgency::Whenever);
                work()
            });
            working.join()
        });
        let panicked = |_| Err(SwapRefused::Misfit("a bug in the host: preparing the new module panicked".to_owned()));
        let blamed = |why: SwapRefused| {
            if !attempt.over.is_raised() {
                return why;
            }
            tracing::info!(job = %self.shared.id, %why, "the job started again while a swap was prepared");
            NotRunning(self.shared.id.clone()).into()
        };
        done.map(|done| done.map_err(blamed)).unwrap_or_else(panicked)
    }
}

fn retreat(fitting: &Fitting<'_>, way_back: WayBack) -> Retreat {
    match way_back {
        WayBack::Rewind => Retreat::Rewind,
        WayBack::None if fitting.has_no_way_back() => Retreat::Restart,
        WayBack::Migrate | WayBack::None => Retreat::Seats,
    }
}

impl Fitting<'_> {
    fn has_no_way_back(&self) -> bool {
        self.tried.as_ref().is_some_and(|tried| tried.no_way_back.is_some())
    }
}

/// Why one module cannot take the place of another while events flow, if it cannot.
fn misfit(operator: &NodeId, old: &OperatorParts, new: &OperatorParts) -> Option<String> {
    if old.is_same(new) {
        return Some(format!("operator `{operator}` runs module {} with these parameters already", new.module));
    }
    ports_misfit(operator, old.prepared.factory.descriptor(), new.prepared.factory.descriptor())
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
