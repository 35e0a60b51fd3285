//! What a cut says of a subtask, and what a subtask does with its hands full.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};

use gristmill_checkpoint::NodeSnapshot;
use gristmill_checkpoint::coordinator::Participant;
use gristmill_types::{CheckpointKind, NodeId, SubtaskIndex, Watermark};

use super::*;
use crate::checkpoint::cut::StorerWork;
use crate::checkpoint::desk::Desk;
use crate::checkpoint::restored::Restored;
use crate::checkpoint::told::Told;
use crate::counters::NodeCounters;
use crate::exchange::inbox::Inbox;
use crate::task::chain::{ChainNode, Way};
use crate::task::fixture::chain;

fn barrier(number: u64) -> CheckpointBarrier {
    CheckpointBarrier { checkpoint: CheckpointId(number), kind: CheckpointKind::Checkpoint, swap: None }
}

/// A chain with a source at its head, what it hands to the storer, and what it tells the supervisor.
fn source_chain() -> (Chain, mpsc::Receiver<StorerWork>, mpsc::Receiver<Told>) {
    let (own, next) = (Inbox::new(), Inbox::new());
    let work = Work::Source { id: head(), counters: Arc::new(NodeCounters::new(1, &[])), tap: Arc::default() };
    let mut chain = chain(vec![ChainNode { work, ports: vec![vec![Way::Exchange(0)]] }], &own, &next);
    let ((storer, stored), (supervisor, told)) = (mpsc::channel(), mpsc::channel());
    chain.around.desk = Desk::new(Participant { task: 0, subtask: SubtaskIndex(0) }, storer, supervisor);
    (chain, stored, told)
}

fn head() -> NodeId {
    "head".parse().unwrap()
}

#[test]
fn event_time_of_a_chain_without_an_operator_is_restored() {
    let (mut chain, stored, _told) = source_chain();
    chain.watermark(Watermark(7)).unwrap();
    chain.barrier(barrier(1), Duration::ZERO, None).unwrap();
    let StorerWork::Part(cut) = stored.recv().unwrap() else { panic!("it is a part") };
    let subtasks = cut.nodes.into_iter().map(|node| node.snapshot).collect();
    let page = NodeSnapshot { node: head(), module: None, states: Vec::new(), subtasks };
    let restored = Restored(BTreeMap::from([(head(), page.clone())]));
    assert_eq!(restored.watermark(&head(), chain.groups), Watermark(7));
    // As earlier hosts wrote it.
    let mut earlier = page;
    earlier.subtasks[0].groups.end = earlier.subtasks[0].groups.start;
    let restored = Restored(BTreeMap::from([(head(), earlier)]));
    assert_eq!(restored.watermark(&head(), chain.groups), Watermark(7));
}

#[test]
fn with_two_parts_on_their_way_a_subtask_declines_and_the_barrier_passes() {
    let (mut chain, stored, told) = source_chain();
    for number in 1..=3 {
        chain.barrier(barrier(number), Duration::ZERO, None).unwrap();
    }
    let parts: Vec<_> = stored.try_iter().collect();
    assert_eq!(parts.len(), 2);
    let declined = told.try_iter().filter(|told| matches!(told, Told::Declined { checkpoint: CheckpointId(3), .. }));
    assert_eq!(declined.count(), 1);
    drop(parts);
    chain.barrier(barrier(4), Duration::ZERO, None).unwrap();
    assert_eq!(stored.try_iter().count(), 1, "its hands are free again");
}
