//! Which operators of an attempt have state that is being rewritten, and how far that is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use gristmill_checkpoint::seating::Move;
use gristmill_ports::parts::Urgency;
use gristmill_ports::{FileStore, Signal};
use gristmill_types::NodeId;

use crate::checkpoint::told::{RewriteTold, Told};
use crate::event::JobEventKind;
use crate::job::attempt::Attempt;
use crate::job::helpers::Helpers;
use crate::job::rewrites::{Left, RewriteWork};
use crate::job::shared::JobShared;
use crate::swap::Rewritten;

/// See the module.
pub(crate) struct RewritingsUnderWay<'a> {
    job: &'a Arc<JobShared>,
    attempt: Arc<Attempt>,
    files: Arc<dyn FileStore>,
    told: Sender<Told>,
    of: BTreeMap<NodeId, UnderWay>,
    works: u64,
}

struct UnderWay {
    moves: Vec<Move>,
    number: u64,
    unwanted: Signal,
    rewritten: Rewritten,
    /// Keys could not be read, or somebody has mended one that could not be rewritten: once more from the files of the next
    /// checkpoint.
    again: bool,
    /// Somebody has edited state since it began.
    edited: bool,
}

impl<'a> RewritingsUnderWay<'a> {
    pub(crate) fn new(
        job: &'a Arc<JobShared>,
        attempt: &Arc<Attempt>,
        files: Arc<dyn FileStore>,
        told: Sender<Told>,
    ) -> Self {
        Self { job, attempt: Arc::clone(attempt), files, told, of: BTreeMap::new(), works: 0 }
    }

    /// Begins with an operator, in the place of what was under way with it.
    pub(crate) fn begin(&mut self, helpers: &mut Helpers, node: &NodeId, moves: Vec<Move>, left: Left) {
        self.forget(node);
        self.works += 1;
        let seat = self.job.nodes.iter().find(|seat| seat.id == *node).expect("only operators of the plan have state");
        let unwanted = Signal::default();
        let work = RewriteWork {
            node: node.clone(),
            place: seat.place,
            subtasks: self.attempt.inboxes[seat.task].iter().cloned().zip(left.files).collect(),
            from: left.from,
            reader: self.job.parts.state_reader(),
            files: Arc::clone(&self.files),
            told: self.told.clone(),
            over: self.attempt.over.clone(),
            unwanted: unwanted.clone(),
            number: self.works,
        };
        let under_way = UnderWay {
            moves,
            number: self.works,
            unwanted,
            rewritten: Rewritten::default(),
            again: false,
            edited: false,
        };
        self.of.insert(node.clone(), under_way);
        let parts = Arc::clone(&self.job.parts);
        helpers.spawn(self.job, "rewrite", move || {
            parts.stand_back(Urgency::Whenever);
            work.run();
        });
    }

    /// Nothing of it is wanted any more.
    pub(crate) fn forget(&mut self, node: &NodeId) {
        if let Some(before) = self.of.remove(node) {
            before.unwanted.raise();
        }
    }

    /// Gives whether a checkpoint is wanted, behind which the keys are gone through once more.
    pub(crate) fn hear(&mut self, node: &NodeId, work: u64, told: RewriteTold) -> bool {
        let Some(one) = self.of.get_mut(node).filter(|one| one.number == work) else { return false };
        let mut wanted = false;
        match told {
            RewriteTold::Page(page) => one.rewritten.add(page),
            RewriteTold::Over(Ok(())) => {
                one.rewritten.is_over = true;
                one.look_again();
                wanted = one.again;
                let Rewritten { keys, failed, first_failure, .. } = one.rewritten.clone();
                tracing::info!(job = %self.job.id, operator = %node, keys, failed, first_failure, "state is rewritten");
                let kind = JobEventKind::StateRewritten { keys, failed, first_failure };
                self.job.events.say(Some(node), None, kind);
            }
            RewriteTold::Over(Err(error)) => {
                tracing::warn!(job = %self.job.id, operator = %node, error, "state is rewritten later");
                one.again = true;
            }
        }
        let rewritten = one.rewritten.clone();
        if let Some(report) = self.job.modules().newest().filter(|report| report.borrow().operator == *node) {
            report.send_modify(|report| report.rewriting = Some(rewritten));
        }
        wanted
    }

    /// Whether somebody waits for keys to be gone through once more.
    pub(crate) fn are_wanted_again(&self) -> bool {
        self.of.values().any(|one| one.again && one.edited)
    }

    /// Somebody has edited state of this operator: of what could not be rewritten, nothing may be left.
    pub(crate) fn edited(&mut self, node: &NodeId) {
        if let Some(one) = self.of.get_mut(node) {
            one.edited = true;
            one.look_again();
        }
    }

    /// Operators whose keys are to be gone through once more, and what is to be moved there.
    pub(crate) fn to_begin_again(&self) -> Vec<(NodeId, Vec<Move>)> {
        let again = self.of.iter().filter(|(_, one)| one.again);
        again.map(|(node, one)| (node.clone(), one.moves.clone())).collect()
    }

    /// What is rewritten to the last key, and may be forgotten.
    pub(crate) fn take_complete(&mut self, is_held: impl Fn(&NodeId) -> bool) -> Vec<(NodeId, Vec<Move>)> {
        let is_complete =
            |node: &NodeId, one: &UnderWay| one.rewritten.is_over && one.rewritten.failed == 0 && !is_held(node);
        let (complete, rest) = std::mem::take(&mut self.of).into_iter().partition(|(node, one)| is_complete(node, one));
        self.of = rest;
        let complete: BTreeMap<NodeId, UnderWay> = complete;
        complete.into_iter().map(|(node, one)| (node, one.moves)).collect()
    }
}

impl UnderWay {
    /// An edit may have come behind the page of its key, or before it: once all keys were looked through, those that could
    /// not be rewritten are looked for again.
    fn look_again(&mut self) {
        self.again |= self.edited && self.rewritten.is_over && self.rewritten.failed > 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn under_way(failed: u64) -> UnderWay {
        let rewritten = Rewritten { failed, ..Rewritten::default() };
        UnderWay { moves: Vec::new(), number: 1, unwanted: Signal::default(), rewritten, again: false, edited: false }
    }

    /// The key that somebody mends may be one whose page was looked through, while others are not yet.
    #[test]
    fn an_edit_counts_whenever_it_comes() {
        for edit_first in [true, false] {
            let mut one = under_way(2);
            one.look_again();
            (one.edited, one.rewritten.is_over) = (edit_first, !edit_first);
            one.look_again();
            assert!(!one.again, "an edit, or the end, alone: {edit_first}");
            (one.edited, one.rewritten.is_over) = (true, true);
            one.look_again();
            assert!(one.again, "{edit_first}");
        }
        let mut one = under_way(0);
        (one.edited, one.rewritten.is_over) = (true, true);
        one.look_again();
        assert!(!one.again, "nothing is left");
    }
}
