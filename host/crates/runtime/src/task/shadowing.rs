//! A chain and the shadows of its operators.

use gristmill_types::CheckpointId;

use crate::shadow::ShadowControl;
use crate::task::chain::{Chain, Work};

impl Chain {
    /// The calls of a node are to go into a tee as well.
    pub(crate) fn shadow(&mut self, ShadowControl { node, from, tee }: ShadowControl) {
        match &mut self.nodes[node].work {
            Work::Operator(operator) => operator.teeing.prepare(from, tee),
            Work::Source { .. } | Work::Sink(_) => unreachable!("only operators have modules"),
        }
    }

    /// All state is cut for a checkpoint, and no call was made since.
    pub(super) fn tee_from(&mut self, checkpoint: CheckpointId) {
        for node in &mut self.nodes {
            match &mut node.work {
                Work::Operator(operator) => operator.teeing.cut(checkpoint),
                Work::Source { .. } | Work::Sink(_) => {}
            }
        }
    }
}
