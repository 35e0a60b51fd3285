//! The nodes of one subtask, calling each other directly.
//!
//! The transaction is one operator's call: when a later node of the chain fails on an event, that node's input is set
//! aside, and what the earlier nodes did stands. Control elements pass behind all events that came before them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_checkpoint::SplitPosition;
use gristmill_ports::FileStore;
use gristmill_types::dead_letter::Reason;
use gristmill_types::{EventBatch, InputIndex, KeyGroupRange, NodeId, PortIndex, StreamElement, Watermark};

use crate::counters::NodeCounters;
use crate::ending::TaskEnd;
use crate::exchange::keys::Keying;
use crate::exchange::writer::ExchangeWriter;
use crate::state_access::StateControl;
use crate::swap::SwapControl;
use crate::tap::Tap;
use crate::task::draining::Draining;
use crate::task::operator_node::{Handling, OperatorNode, Output};
use crate::task::sink_node::SinkNode;
use crate::task::surroundings::{Address, NO_KEY, Surroundings};

/// While events keep coming, sinks hold them back for at most about this long.
const HELD_BACK: Duration = Duration::from_millis(100);

/// Where the source at the head of a chain stands at a cut.
pub(crate) struct SourcePosition {
    pub(crate) splits: Vec<SplitPosition>,
    /// There is nothing left to read.
    pub(crate) ended: bool,
}

/// The nodes of a subtask and the ways between them.
pub(crate) struct Chain {
    /// The head first, each node after the one that feeds it.
    pub(crate) nodes: Vec<ChainNode>,
    /// The exchanges that leave the chain.
    pub(crate) exchanges: Vec<Outlet>,
    pub(crate) around: Surroundings,
    /// Since when sinks hold something back.
    pub(crate) held_back: Option<Instant>,
    /// The key groups that the subtask owns.
    pub(crate) groups: KeyGroupRange,
    /// How far event time has come.
    pub(crate) event_time: Watermark,
    /// The cut whose state is not all out yet.
    pub(crate) draining: Option<Draining>,
}

/// A node with, for each of its ports, its ways out.
pub(crate) struct ChainNode {
    pub(crate) work: Work,
    pub(crate) ports: Vec<Vec<Way>>,
}

/// What a node does.
pub(crate) enum Work {
    /// The events come from a reader that the source task drives; this node only sends them on.
    Source {
        id: NodeId,
        counters: Arc<NodeCounters>,
        tap: Arc<Tap>,
    },
    Operator(Box<OperatorNode>),
    Sink(SinkNode),
}

/// A way out of a port.
pub(crate) enum Way {
    /// To another node of this chain.
    Node { node: usize, input: InputIndex, keying: Option<Keying>, to: Receiver },
    /// Into an exchange: its place in the chain's list.
    Exchange(usize),
}

/// An exchange that leaves the chain.
pub(crate) struct Outlet {
    pub(crate) writer: ExchangeWriter,
    /// Who waits when there is no room.
    pub(crate) sender: Arc<NodeCounters>,
    pub(crate) to: Receiver,
}

/// Whom events without a key were meant for.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) operator: NodeId,
    pub(crate) input: String,
    /// The sending subtask's counters of dead letters made on the way.
    pub(crate) counters: Arc<NodeCounters>,
}

impl Chain {
    /// Fills the state of all operators with what a checkpoint says it was.
    pub(crate) fn restore(&mut self, files: &dyn FileStore) -> Result<(), TaskEnd> {
        self.nodes.iter_mut().try_for_each(|node| match &mut node.work {
            Work::Operator(operator) => operator.restore(files, &self.around),
            Work::Source { .. } | Work::Sink(_) => Ok(()),
        })
    }

    /// Sends events that a reader of the head produced on their way.
    pub(crate) fn emit(&mut self, batch: Arc<EventBatch>) -> Result<(), TaskEnd> {
        let port = PortIndex(0);
        if let Work::Source { counters, tap, .. } = &self.nodes[0].work {
            counters.events_out[0].add(batch.len() as u64);
            tap.sample(self.around.subtask, port, &batch);
        }
        self.send_on(0, port, batch)
    }

    /// Hands events to a node.
    pub(crate) fn deliver(&mut self, node: usize, input: InputIndex, batch: Arc<EventBatch>) -> Result<(), TaskEnd> {
        let mut handling = match &mut self.nodes[node].work {
            Work::Source { .. } => return self.emit(batch),
            Work::Sink(sink) => {
                self.held_back.get_or_insert_with(Instant::now);
                return sink.write(&batch, &mut self.around);
            }
            Work::Operator(operator) => operator.accept(input, batch),
        };
        while let Some(output) = self.advance(node, &mut handling)? {
            output.into_iter().try_for_each(|(port, events)| self.send_on(node, port, events))?;
        }
        Ok(())
    }

    fn advance(&mut self, node: usize, handling: &mut Handling) -> Result<Option<Output>, TaskEnd> {
        match &mut self.nodes[node].work {
            Work::Operator(operator) => operator.advance(handling, &mut self.around),
            Work::Source { .. } | Work::Sink(_) => unreachable!("only an operator takes a batch in"),
        }
    }

    /// Sends events out of a port, all its ways.
    fn send_on(&mut self, node: usize, port: PortIndex, batch: Arc<EventBatch>) -> Result<(), TaskEnd> {
        let ways = self.nodes[node].ports[port.at()].len();
        for way in 0..ways {
            let last = way + 1 == ways;
            // The last way takes the batch itself, so that a batch with one reader is never copied.
            if last {
                return self.send_one_way(node, port, way, batch);
            }
            self.send_one_way(node, port, way, Arc::clone(&batch))?;
        }
        Ok(())
    }

    fn send_one_way(
        &mut self,
        node: usize,
        port: PortIndex,
        way: usize,
        batch: Arc<EventBatch>,
    ) -> Result<(), TaskEnd> {
        match &mut self.nodes[node].ports[port.at()][way] {
            Way::Exchange(outlet) => {
                let outlet = &mut self.exchanges[*outlet];
                let sent = outlet.writer.send(batch)?;
                outlet.sender.blocked_ns.add(u64::try_from(sent.waited.as_nanos()).unwrap_or(u64::MAX));
                set_aside_without_key(&outlet.to, &sent.without_key, &self.around)
            }
            Way::Node { node, input, keying: None, .. } => {
                let (node, input) = (*node, *input);
                self.deliver(node, input, batch)
            }
            Way::Node { node, input, keying: Some(keying), to } => {
                let (node, input) = (*node, *input);
                let keyed = keying.apply(batch);
                set_aside_without_key(to, &keyed.without_key, &self.around)?;
                if keyed.events.is_empty() { Ok(()) } else { self.deliver(node, input, Arc::new(keyed.events)) }
            }
        }
    }

    /// Takes a step of a swap, between two batches.
    pub(crate) fn swap(&mut self, control: SwapControl) -> Result<(), TaskEnd> {
        let Work::Operator(operator) = &mut self.nodes[control.node()].work else {
            unreachable!("only operators have modules");
        };
        match control {
            SwapControl::Take { instance, .. } => operator.take_instance(*instance, &self.around),
            SwapControl::Widen { swap, share, .. } => operator.widen(swap, share),
            SwapControl::Recall { swap, .. } => operator.recall(swap, &self.around.desk),
            SwapControl::LetGo { swap, .. } => operator.let_go(swap, &self.around.desk),
            SwapControl::Rewrite { keys, done, .. } => {
                // Nobody waits any more only when the attempt is over.
                let _ = done.send(operator.rewrite_page(&keys, &self.around)?);
            }
            SwapControl::Rewritten { .. } => operator.states.note_rewritten(),
        }
        Ok(())
    }

    /// Does what somebody asks of the state of a key, between two batches, unless that was given up.
    pub(crate) fn act_on_state(&mut self, StateControl { node, of, deed }: &StateControl) -> Result<(), TaskEnd> {
        let Work::Operator(operator) = &mut self.nodes[*node].work else {
            unreachable!("only operators have state");
        };
        deed.take().map_or(Ok(()), |act| operator.act_on_state(of, act, &self.around))
    }

    /// The watermark of the chain's input has moved on.
    pub(crate) fn watermark(&mut self, watermark: Watermark) -> Result<(), TaskEnd> {
        self.event_time = watermark;
        for node in &mut self.nodes {
            if let Work::Operator(operator) = &mut node.work {
                operator.watermark = watermark;
            }
        }
        self.send_to_all(&StreamElement::Watermark(watermark))
    }

    /// The chain's input has nothing to say for now.
    pub(crate) fn idle(&mut self) -> Result<(), TaskEnd> {
        self.send_to_all(&StreamElement::Idle)
    }

    /// Events keep coming: what sinks have held back for long goes out.
    pub(crate) fn flush_if_due(&mut self) -> Result<(), TaskEnd> {
        if self.held_back.is_some_and(|since| since.elapsed() >= HELD_BACK) { self.flush() } else { Ok(()) }
    }

    /// The input pauses: what sinks hold back goes out.
    pub(crate) fn flush(&mut self) -> Result<(), TaskEnd> {
        self.held_back = None;
        self.nodes.iter_mut().try_for_each(|node| match &mut node.work {
            Work::Sink(sink) => sink.flush(&mut self.around),
            Work::Source { .. } | Work::Operator(_) => Ok(()),
        })
    }

    /// The job fails: one try to bring out what sinks have taken, since it counts as written. No retries, and an error is
    /// nothing new to a job that fails already.
    pub(crate) fn salvage(&mut self) {
        for node in &mut self.nodes {
            match &mut node.work {
                Work::Sink(sink) => sink.salvage(),
                Work::Source { .. } | Work::Operator(_) => {}
            }
        }
    }

    /// The input has ended: sinks are brought to their end, receivers are told.
    pub(crate) fn end(&mut self) -> Result<(), TaskEnd> {
        for node in &mut self.nodes {
            match &mut node.work {
                Work::Sink(sink) => sink.finish(&mut self.around)?,
                Work::Source { .. } | Work::Operator(_) => {}
            }
        }
        self.send_to_all(&StreamElement::EndOfInput)?;
        self.around.desk.ended();
        Ok(())
    }

    pub(super) fn send_to_all(&self, element: &StreamElement) -> Result<(), TaskEnd> {
        self.exchanges.iter().try_for_each(|outlet| Ok(outlet.writer.send_to_all(element)?))
    }
}

fn set_aside_without_key(
    to: &Receiver,
    without: &[(EventBatch, String)],
    around: &Surroundings,
) -> Result<(), TaskEnd> {
    if without.is_empty() {
        return Ok(());
    }
    let address = Address { operator: &to.operator, input: &to.input, module: None };
    let letter = |(event, why): &(EventBatch, String)| {
        around.letter(&address, event, 0, Reason { kind: NO_KEY.to_owned(), message: why.clone() })
    };
    let letters: Vec<_> = without.iter().map(letter).collect();
    to.counters.dead_letters.add(letters.len() as u64);
    around.set_aside(letters)
}
