//! A barrier passes a chain: what the subtask does inline is here, and it is little.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use gristmill_checkpoint::snapshot::SubtaskSnapshot;
use gristmill_types::{CheckpointBarrier, CheckpointId, StreamElement};

use crate::checkpoint::cut::{Cut, NodeCut};
use crate::ending::TaskEnd;
use crate::task::chain::{Chain, SourcePosition, Work};
use crate::task::draining::Draining;

impl Chain {
    /// The cut of a checkpoint passes: state is frozen, sinks are cut, receivers are told. What takes long is left to be
    /// drained and stored. A subtask that still has its hands full declines; the barrier passes all the same.
    pub(crate) fn barrier(
        &mut self,
        barrier: CheckpointBarrier,
        aligned: Duration,
        source: Option<SourcePosition>,
    ) -> Result<(), TaskEnd> {
        let since = Instant::now();
        let checkpoint = barrier.checkpoint;
        let free = if self.draining.is_none() { self.around.desk.begin() } else { None };
        let Some(on_its_way) = free else {
            self.around.desk.decline(checkpoint, "it still carries away what earlier checkpoints froze");
            // All subtasks switch at this barrier or none does, whatever becomes of the checkpoint.
            self.switch(barrier, since);
            return self.send_to_all(&StreamElement::Barrier(barrier));
        };
        let (nodes, pending) = self.cut_nodes(checkpoint, source)?;
        self.switch(barrier, since);
        self.tee_from(checkpoint);
        self.around.passed = checkpoint;
        self.send_to_all(&StreamElement::Barrier(barrier))?;
        let by = self.around.desk.by;
        let inline = since.elapsed();
        let cut = Cut { checkpoint, by, nodes, since, aligned, inline, _on_its_way: on_its_way };
        self.hand_over(Draining::new(cut, pending));
        Ok(())
    }

    /// What was prepared for the barrier's swap takes its seat.
    fn switch(&mut self, barrier: CheckpointBarrier, since: Instant) {
        let Some(swap) = barrier.swap else { return };
        for node in &mut self.nodes {
            match &mut node.work {
                Work::Operator(operator) => operator.switch(swap, since, &self.around.desk),
                Work::Source { .. } | Work::Sink(_) => {}
            }
        }
    }

    fn cut_nodes(
        &mut self,
        checkpoint: CheckpointId,
        mut source: Option<SourcePosition>,
    ) -> Result<(Vec<NodeCut>, VecDeque<usize>), TaskEnd> {
        let (mut cuts, mut pending) = (Vec::with_capacity(self.nodes.len()), VecDeque::new());
        for (place, node) in self.nodes.iter_mut().enumerate() {
            let mut snapshot = SubtaskSnapshot {
                subtask: self.around.subtask,
                splits: Vec::new(),
                ended: false,
                groups: self.groups,
                watermark: self.event_time,
                files: Vec::new(),
                sink: Vec::new(),
                counters: Vec::new(),
            };
            let mut staged = None;
            let id = match &mut node.work {
                Work::Source { id, counters, .. } => {
                    if let Some(SourcePosition { splits, ended }) = source.take() {
                        (snapshot.splits, snapshot.ended) = (splits, ended);
                    }
                    snapshot.counters = counters.lasting();
                    id.clone()
                }
                Work::Operator(operator) => {
                    assert!(
                        operator.states.backend.freeze(checkpoint),
                        "the generation before is drained: its cut was handed over"
                    );
                    pending.push_back(place);
                    snapshot.counters = operator.counters.lasting();
                    operator.id.clone()
                }
                Work::Sink(sink) => {
                    staged = sink.pre_commit(checkpoint, &mut self.around)?;
                    (snapshot.sink, snapshot.counters) = (sink.sink.position(), sink.counters.lasting());
                    sink.id.clone()
                }
            };
            cuts.push(NodeCut { node: id, snapshot, frozen: None, staged });
        }
        Ok((cuts, pending))
    }

    /// Carries a slice of frozen state away. `false` if there was none.
    pub(crate) fn drain_slice(&mut self) -> bool {
        let Some(mut draining) = self.draining.take() else { return false };
        if let Some(place) = draining.next() {
            match &mut self.nodes[place].work {
                Work::Operator(operator) => draining.drain(place, operator),
                Work::Source { .. } | Work::Sink(_) => unreachable!("only operators have state"),
            }
        }
        self.hand_over(draining);
        true
    }

    /// Hands a cut over if all of it is out, else keeps it.
    fn hand_over(&mut self, draining: Draining) {
        if draining.is_finished() {
            self.around.desk.hand_over(draining.into_cut());
        } else {
            self.draining = Some(draining);
        }
    }
}

#[cfg(test)]
mod tests;
