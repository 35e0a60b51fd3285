//! A cut on its way out of a subtask: state leaves it in slices, between two batches.

use std::collections::VecDeque;

use gristmill_ports::state::Drained;

use crate::checkpoint::cut::Cut;
use crate::task::operator_node::OperatorNode;

/// Entries that leave at once: about half a millisecond of the subtask's time.
const SLICE: usize = 4096;

/// A cut with the nodes whose state is not out yet.
pub(crate) struct Draining {
    cut: Cut,
    /// Places of the operators in the chain, which are those of their parts in the cut.
    pending: VecDeque<usize>,
}

impl Draining {
    pub(crate) fn new(cut: Cut, pending: VecDeque<usize>) -> Self {
        Self { cut, pending }
    }

    /// The operator that is next.
    pub(crate) fn next(&self) -> Option<usize> {
        self.pending.front().copied()
    }

    /// Takes a slice out of the operator that is next.
    pub(crate) fn drain(&mut self, place: usize, operator: &mut OperatorNode) {
        match operator.states.backend.drain_frozen(SLICE) {
            Drained::More => {}
            Drained::All(frozen) => {
                self.cut.nodes[place].frozen = Some(frozen);
                self.pending.pop_front();
            }
        }
    }

    /// Whether all is out.
    pub(crate) fn is_finished(&self) -> bool {
        self.pending.is_empty()
    }

    /// The cut, all of it being out.
    pub(crate) fn into_cut(self) -> Cut {
        self.cut
    }
}
