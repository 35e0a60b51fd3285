//! Which module runs in each operator, and the newest swap. The manifest that an attempt goes on from decides a swap that
//! is open by then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gristmill_checkpoint::seating::Move;
use gristmill_checkpoint::swap::{Retreat, SwapPolicy, SwapStage};
use gristmill_checkpoint::{CanaryRef, NodeSnapshot, Seating};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{MaxParallelism, ModuleHash, NodeId, SwapId};
use tokio::sync::watch;

use crate::canary::CanaryTerms;
use crate::job::spec::OperatorParts;
use crate::right_of_return::RightOfReturn;
use crate::swap::SwapReport;
use crate::written::WrittenJob;

/// A swap that an earlier process has left open: the manifest that the job goes on from decides it.
pub struct OpenSwap {
    /// Whose module was to be swapped.
    pub operator: NodeId,
    /// The module that was to run.
    pub new: OperatorParts,
    /// What a canary may do, and how it is taken over; of no meaning for other swaps.
    pub policy: SwapPolicy,
}

/// A canary that is named by the manifest that an attempt goes on from.
pub(crate) struct CanaryThere {
    pub(crate) swap: SwapId,
    pub(crate) operator: NodeId,
    /// What serves the rest.
    pub(crate) old: ModuleHash,
    pub(crate) parts: OperatorParts,
    pub(crate) terms: CanaryTerms,
    pub(crate) report: Arc<watch::Sender<SwapReport>>,
}

/// See the module.
pub(crate) struct Modules {
    running: HashMap<NodeId, OperatorParts>,
    /// The job's document as the job began with it.
    text: String,
    newest: Option<NewestSwap>,
    /// All states of each operator in the attempt that runs, in the order in which files name them.
    states: HashMap<NodeId, Vec<StateSpec>>,
}

struct NewestSwap {
    old: OperatorParts,
    new: OperatorParts,
    /// It began as a canary.
    terms: Option<CanaryTerms>,
    /// What a canary is held to that an earlier process has left open.
    policy: SwapPolicy,
    report: Arc<watch::Sender<SwapReport>>,
}

impl Modules {
    pub(crate) fn new(running: HashMap<NodeId, OperatorParts>, text: String, open: Option<OpenSwap>) -> Self {
        let mut modules = Self { running, text, newest: None, states: HashMap::new() };
        if let Some(OpenSwap { operator, new, policy }) = open {
            // There is no other yet.
            _ = modules.begin(&operator, new, SwapStage::Switched);
            modules.newest.iter_mut().for_each(|newest| newest.policy = policy);
        }
        modules
    }

    /// What runs in an operator.
    pub(crate) fn running(&self, node: &NodeId) -> Option<&OperatorParts> {
        self.running.get(node)
    }

    /// What the job's document is, by what runs in each operator.
    pub(crate) fn written(&self) -> WrittenJob {
        let mut known: Vec<(NodeId, &OperatorParts)> =
            self.running.iter().map(|(node, parts)| (node.clone(), parts)).collect();
        if let Some(NewestSwap { old, new, report, .. }) = &self.newest {
            let node = &report.borrow().operator;
            known.extend([(node.clone(), new), (node.clone(), old)]);
        }
        let operators = known.into_iter().map(|(node, parts)| (node, parts.module, parts.written.clone()));
        WrittenJob { text: self.text.clone(), operators: operators.collect() }
    }

    /// What has the calls of an operator now: one on a held probation is not decided, but it has them all.
    pub(crate) fn seated(&self, node: &NodeId) -> Option<&OperatorParts> {
        let held = self.newest.as_ref().filter(|newest| {
            let report = newest.report.borrow();
            report.operator == *node && report.stage == SwapStage::Held && !report.left_open
        });
        held.map(|newest| &newest.new).or_else(|| self.running.get(node))
    }

    /// All that runs.
    pub(crate) fn hashes(&self) -> BTreeMap<NodeId, ModuleHash> {
        self.running.iter().map(|(node, parts)| (node.clone(), parts.module)).collect()
    }

    /// The newest swap, if it is not over.
    pub(crate) fn under_way(&self) -> Option<&Arc<watch::Sender<SwapReport>>> {
        self.newest.as_ref().map(|newest| &newest.report).filter(|report| !report.borrow().is_over())
    }

    /// The newest swap, over or not.
    pub(crate) fn newest(&self) -> Option<&Arc<watch::Sender<SwapReport>>> {
        self.newest.as_ref().map(|newest| &newest.report)
    }

    /// Takes the place of the one swap that may be under way; `None` if it is taken, or there is no such operator.
    pub(crate) fn begin(
        &mut self,
        node: &NodeId,
        new: OperatorParts,
        stage: SwapStage,
    ) -> Option<Arc<watch::Sender<SwapReport>>> {
        if self.under_way().is_some() {
            return None;
        }
        let old = self.running.get(node)?.clone();
        let before = self.newest.as_ref().map_or(0, |newest| newest.report.borrow().swap.0);
        let report = Arc::new(watch::Sender::new(SwapReport {
            swap: SwapId(before + 1),
            operator: node.clone(),
            old: old.module,
            new: new.module,
            stage,
            share: None,
            cause: None,
            failed: 0,
            pauses: Vec::new(),
            gap_us: None,
            rewriting: None,
            left_open: false,
        }));
        let policy = SwapPolicy::default();
        self.newest = Some(NewestSwap { old, new, terms: None, policy, report: Arc::clone(&report) });
        Some(report)
    }

    /// The newest swap begins as a canary.
    pub(crate) fn begins_as_canary(&mut self, terms: CanaryTerms) {
        if let Some(newest) = &mut self.newest {
            newest.report.send_modify(|report| report.share = Some(terms.share));
            newest.terms = Some(terms);
        }
    }

    /// How the newest swap serves a share, if it is a canary or was.
    pub(crate) fn newest_terms(&self) -> Option<CanaryTerms> {
        self.newest.as_ref()?.terms.clone()
    }

    /// The canary that serves while an attempt begins.
    pub(crate) fn canary(&self) -> Option<CanaryThere> {
        let NewestSwap { new, terms, report, .. } = self.newest.as_ref()?;
        let SwapReport { swap, operator, old, share, stage, .. } = report.borrow().clone();
        let terms = CanaryTerms { share: share?, ..terms.clone()? };
        let (parts, report) = (new.clone(), Arc::clone(report));
        (stage == SwapStage::Canary).then_some(CanaryThere { swap, operator, old, parts, terms, report })
    }

    /// A manifest names the new module: attempts begin with it.
    pub(crate) fn decided(&mut self) {
        if let Some(NewestSwap { new, report, .. }) = &self.newest {
            self.running.insert(report.borrow().operator.clone(), new.clone());
        }
    }

    /// The swap is taken back: attempts begin with the old module.
    pub(crate) fn taken_back(&mut self) {
        if let Some(NewestSwap { old, report, .. }) = &self.newest {
            self.running.insert(report.borrow().operator.clone(), old.clone());
        }
    }

    /// The states of an operator are these from now on.
    pub(crate) fn states_are(&mut self, node: &NodeId, states: Vec<StateSpec>) {
        self.states.insert(node.clone(), states);
    }

    /// All states of an operator, whether its module sees them or not; none before its first attempt.
    pub(crate) fn states(&self, node: &NodeId) -> &[StateSpec] {
        self.states.get(node).map_or(&[], Vec::as_slice)
    }

    /// Whose `migrate` rewrites the states of an operator for the module that runs in it: its own, unless a swap is taken
    /// back, for then it is the new one that knows both schemas.
    pub(crate) fn rewriter(&self, node: &NodeId) -> Option<&OperatorParts> {
        let undoing = self.newest.as_ref().filter(|_| self.returns(node));
        undoing.map(|newest| &newest.new).or_else(|| self.running.get(node))
    }

    /// Whether a swap of an operator is being taken back.
    pub(crate) fn returns(&self, node: &NodeId) -> bool {
        self.newest.as_ref().is_some_and(|newest| {
            let report = newest.report.borrow();
            report.operator == *node && report.stage == SwapStage::Undoing && !report.left_open
        })
    }

    /// An attempt goes on from these pages: they say what became of a swap that is open. What it begins with.
    pub(crate) fn settle(
        &mut self,
        pages: Option<&BTreeMap<NodeId, NodeSnapshot>>,
        canaries: &[CanaryRef],
        max: MaxParallelism,
    ) -> HashMap<NodeId, OperatorParts> {
        let open = self.under_way().map(Arc::clone).filter(|_| !self.goes_on_as_canary(canaries, max));
        if let Some(report) = open {
            let SwapReport { operator, old, new, stage, .. } = report.borrow().clone();
            let page = pages.and_then(|pages| pages.get(&operator));
            // What was taken back in this process stays so, whatever the newest manifest came to say.
            let is_named = stage != SwapStage::Undoing
                && match self.is_of_parameters() {
                    // No manifest says with which: those run that were known to be decided.
                    true => self.is_decided(),
                    false => page.is_some_and(|page| page.module == Some(new)),
                };
            let returns = page.is_some_and(|page| self.has_rewritten(&page.states));
            if is_named {
                self.decided();
            }
            report.send_modify(|report| match is_named {
                true => (report.stage, report.cause) = (SwapStage::Done, None),
                false => {
                    report.stage = if returns { SwapStage::Undoing } else { SwapStage::Undone };
                    let why = match old == new {
                        true => "the job went on before it was known that all subtasks had the new parameters",
                        false => "the job went on from a checkpoint that does not name the new module",
                    };
                    if stage != SwapStage::Undoing && report.cause.is_none() {
                        report.cause = Some(why.to_owned());
                    }
                }
            });
        }
        self.running.clone()
    }

    /// Whether the new module has rewritten some of these states: that is rewritten back by the attempt that begins. What an
    /// earlier swap has left to be rewritten is none of this one's.
    fn has_rewritten(&self, stored: &[StateSpec]) -> bool {
        let Some(NewestSwap { old, new, .. }) = &self.newest else { return false };
        let [old_states, new_states] = [old, new].map(|parts| &parts.prepared.factory.descriptor().states);
        let is_from = |one: &Move, states: &[StateSpec]| {
            states
                .iter()
                .any(|state| (&state.name, state.version, state.kind) == (&one.state, one.from.version, one.from.kind))
        };
        Seating::restored(stored, old_states).moves.iter().any(|one| is_from(one, new_states))
    }

    /// An attempt goes on from a manifest that names the open swap's module for a share. What was withdrawn stays so.
    fn goes_on_as_canary(&mut self, canaries: &[CanaryRef], max: MaxParallelism) -> bool {
        let Some(NewestSwap { terms, policy, report, .. }) = &mut self.newest else { return false };
        let SwapReport { operator, new, stage, .. } = report.borrow().clone();
        let named = canaries.iter().find(|canary| canary.node == operator && canary.module == new);
        let Some(CanaryRef { share, .. }) = named.filter(|_| stage != SwapStage::Undoing) else { return false };
        let share = *share;
        terms.get_or_insert_with(|| CanaryTerms {
            share,
            max,
            policy: *policy,
            tally: Arc::default(),
            right: Arc::new(RightOfReturn::new(Retreat::Seats)),
        });
        report.send_modify(|report| (report.stage, report.share) = (SwapStage::Canary, Some(share)));
        true
    }

    /// Whether the newest swap changes nothing but parameters.
    fn is_of_parameters(&self) -> bool {
        self.newest.as_ref().is_some_and(|newest| newest.old.module == newest.new.module)
    }

    /// Whether what the newest swap brings is what attempts begin with.
    fn is_decided(&self) -> bool {
        let running = |newest: &NewestSwap| self.running.get(&newest.report.borrow().operator);
        self.newest.as_ref().is_some_and(|newest| running(newest).is_some_and(|runs| runs.is_same(&newest.new)))
    }

    /// All that a swap had rewritten is rewritten back.
    pub(crate) fn returned(&mut self) {
        if let Some(report) = self.under_way().filter(|report| report.borrow().stage == SwapStage::Undoing) {
            report.send_modify(|report| report.stage = SwapStage::Undone);
        }
    }

    /// Nothing of the job runs any more in this process.
    pub(crate) fn leave_open(&self) {
        if let Some(report) = self.under_way() {
            report.send_modify(|report| report.left_open = true);
        }
    }
}
