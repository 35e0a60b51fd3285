//! Which module runs in each operator, and the newest swap. The manifest that an attempt goes on from decides a swap that
//! is open by then.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gristmill_checkpoint::NodeSnapshot;
use gristmill_checkpoint::swap::SwapStage;
use gristmill_types::{ModuleHash, NodeId, SwapId};
use tokio::sync::watch;

use crate::job::spec::OperatorParts;
use crate::swap::SwapReport;

/// A swap that an earlier process has left open: the manifest that the job goes on from decides it.
pub struct OpenSwap {
    /// Whose module was to be swapped.
    pub operator: NodeId,
    /// The module that was to run.
    pub new: OperatorParts,
}

/// See the module.
pub(crate) struct Modules {
    running: HashMap<NodeId, OperatorParts>,
    newest: Option<NewestSwap>,
}

struct NewestSwap {
    old: OperatorParts,
    new: OperatorParts,
    report: Arc<watch::Sender<SwapReport>>,
}

impl Modules {
    pub(crate) fn new(running: HashMap<NodeId, OperatorParts>, open: Option<OpenSwap>) -> Self {
        let mut modules = Self { running, newest: None };
        if let Some(OpenSwap { operator, new }) = open {
            // There is no other yet.
            _ = modules.begin(&operator, new, SwapStage::Switched);
        }
        modules
    }

    /// What runs in an operator.
    pub(crate) fn running(&self, node: &NodeId) -> Option<&OperatorParts> {
        self.running.get(node)
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
            cause: None,
            pauses: Vec::new(),
            gap_us: None,
            left_open: false,
        }));
        self.newest = Some(NewestSwap { old, new, report: Arc::clone(&report) });
        Some(report)
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

    /// An attempt goes on from these pages: they say what became of a swap that is open. What it begins with.
    pub(crate) fn settle(&mut self, pages: Option<&BTreeMap<NodeId, NodeSnapshot>>) -> HashMap<NodeId, OperatorParts> {
        let open = self.under_way().map(Arc::clone);
        if let Some(report) = open {
            let SwapReport { operator, new, .. } = report.borrow().clone();
            let named = pages.and_then(|pages| pages.get(&operator)).and_then(|page| page.module);
            if named == Some(new) {
                self.decided();
            }
            report.send_modify(|report| match named == Some(new) {
                true => report.stage = SwapStage::Done,
                false => {
                    report.stage = SwapStage::Undone;
                    let why = "the job went on from a checkpoint that does not name the new module: it never switched";
                    report.cause = Some(why.to_owned());
                }
            });
        }
        self.running.clone()
    }

    /// Nothing of the job runs any more in this process.
    pub(crate) fn leave_open(&self) {
        if let Some(report) = self.under_way() {
            report.send_modify(|report| report.left_open = true);
        }
    }
}
