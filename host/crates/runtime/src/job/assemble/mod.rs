//! Putting a job together: plan and parts go in, chains ready to run come out.

mod log_lines;
pub(crate) mod seats;
mod ways;
mod canary;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use gristmill_checkpoint::Seating;
use gristmill_checkpoint::coordinator::Participant;
use gristmill_dataflow::JobPlan;
use gristmill_dataflow::plan::{NodeKind, NodePlan};
use gristmill_ports::parts::PartContext;
use gristmill_ports::{FileStore, OperatorContext, Parts, PortError, Signal};
use gristmill_types::{AttemptId, CallFailure, CheckpointId, Descriptor, NodeId, SubtaskIndex, key_hash};

use crate::checkpoint::cut::StorerWork;
use crate::checkpoint::desk::Desk;
use crate::checkpoint::restored::Restored;
use crate::checkpoint::told::Told;
use crate::counters::NodeCounters;
use crate::ending::TaskEnd;
use crate::event::EventLog;
use crate::exchange::heard::GatherBounds;
use crate::exchange::inbox::Inbox;
use crate::job::assemble::canary::seat_canary;
use crate::job::assemble::log_lines::LogLines;
use crate::job::attempt::Attempt;
use crate::job::shared::{JobShared, NodeSeat};
use crate::job::spec::{JobSpec, OperatorParts, StartError};
use crate::states::{Rewriting, States};
use crate::task::chain::{Chain, ChainNode, Work};
use crate::task::operator_node::{Beside, CrashNotes, OperatorNode, Teeing};
use crate::task::operator_task::OperatorTask;
use crate::task::sink_node::SinkNode;
use crate::task::source_task::SourceTask;
use crate::task::surroundings::Surroundings;

/// A batch takes at most this part of a guest's memory (contract, rule 11).
const MEMORY_SHARE_OF_BATCH: u64 = 8;
/// Batches that come through an exchange are brought together until they have this part of the bound: beyond it, a
/// call is dear enough that copying to save one does not pay.
const GATHERED_SHARE: usize = 4;

/// An attempt whose parts are all open.
pub(crate) struct Assembled {
    pub(crate) attempt: Arc<Attempt>,
    pub(crate) subtasks: Vec<(SubtaskIndex, Subtask)>,
}

/// One subtask, ready to run.
pub(crate) enum Subtask {
    Source(SourceTask),
    /// With the name of its head.
    Operator(OperatorTask, NodeId),
}

impl Subtask {
    /// The id of its head.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Source(task) => task.id.as_str(),
            Self::Operator(_, head) => head.as_str(),
        }
    }
}

impl Subtask {
    /// Runs to its end, its state filled first.
    pub(crate) fn run(&mut self, files: &dyn FileStore) -> Result<(), TaskEnd> {
        self.chain().restore(files)?;
        match self {
            Self::Source(task) => task.run(),
            Self::Operator(task, _) => task.run(),
        }
    }

    pub(crate) fn chain(&mut self) -> &mut Chain {
        match self {
            Self::Source(task) => &mut task.chain,
            Self::Operator(task, _) => &mut task.chain,
        }
    }
}

/// What an attempt is put together around.
pub(crate) struct Frame<'a> {
    pub(crate) spec: &'a JobSpec,
    pub(crate) job: &'a JobShared,
    pub(crate) attempt: AttemptId,
    /// The checkpoint that it goes on from; zero if it begins. What is set aside before the first barrier stands behind it.
    pub(crate) from: CheckpointId,
    /// What it goes on from.
    pub(crate) restored: &'a Restored,
    /// How the states of each operator's module stand among those that it goes on with.
    pub(crate) seatings: &'a HashMap<NodeId, Seating>,
    pub(crate) files: &'a Arc<dyn FileStore>,
    pub(crate) storer: &'a Sender<StorerWork>,
    pub(crate) told: &'a Sender<Told>,
    pub(crate) over: &'a Signal,
}

/// Opens everything.
pub(crate) fn assemble(frame: &Frame<'_>) -> Result<Assembled, StartError> {
    let plan = &frame.spec.plan;
    let inboxes: Vec<Vec<Arc<Inbox>>> =
        plan.tasks.iter().map(|task| task.parallelism.subtasks().map(|_| Inbox::new()).collect()).collect();
    let interrupt = Signal::default();
    let builder = Builder {
        frame,
        spec: frame.spec,
        parts: &*frame.job.parts,
        events: &frame.job.events,
        interrupt: &interrupt,
        inboxes: &inboxes,
        nodes: &frame.job.nodes,
    };
    let mut subtasks = Vec::new();
    for (task, plan) in plan.tasks.iter().enumerate() {
        for subtask in plan.parallelism.subtasks() {
            subtasks.push((subtask, builder.subtask(task, subtask)?));
        }
    }
    seat_canary(frame, &interrupt, &mut subtasks);
    let is_source = |task: &usize| plan.tasks[*task].nodes[0].kind == NodeKind::Source;
    let attempt = Attempt {
        id: frame.attempt,
        files: Arc::clone(frame.files),
        sources: (0..plan.tasks.len()).filter(is_source).collect(),
        inboxes,
        interrupt,
        over: frame.over.clone(),
        told: frame.told.clone(),
    };
    Ok(Assembled { attempt: Arc::new(attempt), subtasks })
}

struct Builder<'a> {
    frame: &'a Frame<'a>,
    spec: &'a JobSpec,
    parts: &'a dyn Parts,
    events: &'a Arc<EventLog>,
    interrupt: &'a Signal,
    inboxes: &'a [Vec<Arc<Inbox>>],
    nodes: &'a [NodeSeat],
}

impl Builder<'_> {
    fn plan(&self) -> &JobPlan {
        &self.spec.plan
    }

    fn subtask(&self, task: usize, subtask: SubtaskIndex) -> Result<Subtask, StartError> {
        let (head, batch) = (&self.plan().tasks[task].nodes[0], self.plan().batch);
        let chain = self.chain(task, subtask)?;
        let (rows, bytes) = (batch.max_rows as usize, usize::try_from(batch.max_bytes.as_u64()).unwrap_or(usize::MAX));
        match head.kind {
            NodeKind::Source => {
                let spec = &self.spec.document.sources[&head.id];
                let resume = self.frame.restored.splits(&head.id);
                let context = self.context(task, &head.id, subtask);
                let reader = self.parts.source(&context, spec, resume.as_deref()).map_err(at(&head.id))?;
                Ok(Subtask::Source(SourceTask {
                    id: head.id.clone(),
                    reader,
                    chain,
                    counters: Arc::clone(&self.seat(&head.id).counters[subtask.at()]),
                    max_rows: rows,
                    max_bytes: bytes,
                    max_delay: batch.max_delay.0,
                }))
            }
            NodeKind::Operator | NodeKind::Sink => {
                let bounds = GatherBounds { rows: rows.div_ceil(GATHERED_SHARE), bytes, delay: batch.max_delay.0 };
                Ok(Subtask::Operator(OperatorTask { chain, bounds }, head.id.clone()))
            }
        }
    }

    fn chain(&self, task: usize, subtask: SubtaskIndex) -> Result<Chain, StartError> {
        let mut exchanges = Vec::new();
        let mut nodes = Vec::new();
        for (place, node) in self.plan().tasks[task].nodes.iter().enumerate() {
            let mut ports = Vec::new();
            for routes in &node.ports {
                let mut ways = Vec::new();
                for route in routes {
                    ways.push(self.way(task, place, subtask, route, &mut exchanges)?);
                }
                ports.push(ways);
            }
            nodes.push(ChainNode { work: self.work(task, node, subtask)?, ports });
        }
        let groups = self.context(task, &self.plan().tasks[task].nodes[0].id, subtask).key_groups();
        let event_time = self.frame.restored.watermark(&self.plan().tasks[task].nodes[0].id, groups);
        let around = self.surroundings(task, subtask);
        Ok(Chain { nodes, exchanges, around, held_back: None, groups, event_time, draining: None })
    }

    fn surroundings(&self, task: usize, subtask: SubtaskIndex) -> Surroundings {
        let job = &self.spec.document.job;
        Surroundings {
            job: job.clone(),
            run: self.spec.run,
            passed: self.frame.from,
            desk: Desk::new(Participant { task, subtask }, self.frame.storer.clone(), self.frame.told.clone()),
            subtask,
            inbox: Arc::clone(&self.inboxes[task][subtask.at()]),
            clock: self.parts.clock(),
            events: Arc::clone(self.events),
            dead_letters: self.parts.dead_letters(),
            crashes: self.parts.crashes(),
            veil: Arc::clone(&self.spec.veil),
            jitter: seed(&[job.as_str(), &task.to_string(), &subtask.to_string()]),
        }
    }

    fn work(&self, task: usize, node: &NodePlan, subtask: SubtaskIndex) -> Result<Work, StartError> {
        let seat = self.seat(&node.id);
        let counters = Arc::clone(&seat.counters[subtask.at()]);
        counters.go_on_from(self.frame.restored.counters(&node.id, subtask));
        match node.kind {
            NodeKind::Source => Ok(Work::Source { id: node.id.clone(), counters, tap: Arc::clone(&seat.tap) }),
            NodeKind::Sink => {
                let spec = &self.spec.document.sinks[&node.id];
                let resume = self.frame.restored.sink(&node.id, subtask);
                let context = self.context(task, &node.id, subtask);
                let sink = self.parts.sink(&context, spec, resume).map_err(at(&node.id))?;
                Ok(Work::Sink(SinkNode { id: node.id.clone(), sink, counters, unflushed: false }))
            }
            NodeKind::Operator => {
                self.operator(task, node, subtask, seat, counters).map(|node| Work::Operator(Box::new(node)))
            }
        }
    }

    fn operator(
        &self,
        task: usize,
        node: &NodePlan,
        subtask: SubtaskIndex,
        seat: &NodeSeat,
        counters: Arc<NodeCounters>,
    ) -> Result<OperatorNode, StartError> {
        let parts @ OperatorParts { prepared, module, .. } = &self.spec.operators[&node.id];
        let part = self.context(task, &node.id, subtask);
        let spec = &self.spec.document.operators[&node.id];
        let context = operator_context(self.frame.job, seat, subtask, node.keys_in_place, parts, self.interrupt);
        // Whoever uploads a module hears of it at once; a job that starts again has opened this module before.
        let refused = |failure: CallFailure| StartError::Part {
            node: node.id.clone(),
            message: failure.to_string(),
            lasts: true,
        };
        let seating = &self.frame.seatings[&node.id];
        let rewriting = self.rewriting(&node.id, seating, &context)?;
        let descriptor = Descriptor { states: seating.states.clone(), ..prepared.factory.descriptor().clone() };
        let backend = self.parts.state(&part, &descriptor, &self.spec.document.checkpoint).map_err(at(&node.id))?;
        Ok(OperatorNode {
            id: node.id.clone(),
            module: *module,
            inputs: seat.inputs.iter().map(|(name, _)| name.clone()).collect(),
            operator: prepared.factory.open(context).map_err(refused)?,
            beside: Beside::default(),
            teeing: Teeing::default(),
            states: States::seated(backend, seating, rewriting),
            restore: self.frame.restored.state(&node.id, part.key_groups()),
            policy: spec.on_failure,
            max_call_bytes: usize::try_from(spec.limits.memory.as_u64() / MEMORY_SHARE_OF_BATCH).unwrap_or(usize::MAX),
            counters,
            tap: Arc::clone(&seat.tap),
            watermark: self.frame.restored.watermark(&node.id, part.key_groups()),
            state_generation: 0,
            cannot_rewrite: false,
            faulty_run: 0,
            crashes: CrashNotes::default(),
        })
    }

    /// What moves entries of another schema into the states of the module, if there are such states.
    fn rewriting(
        &self,
        node: &NodeId,
        seating: &Seating,
        context: &OperatorContext,
    ) -> Result<Option<Rewriting>, StartError> {
        if seating.moves.is_empty() {
            return Ok(None);
        }
        let by = self.frame.job.modules().rewriter(node).cloned();
        let migrator = by.map(|by| by.prepared.factory.migrator(context.clone())).transpose();
        let refused = |message| StartError::Part { node: node.clone(), message, lasts: true };
        match migrator.map_err(|failure| refused(failure.to_string()))?.flatten() {
            Some(migrator) => Ok(Some(Rewriting::new(migrator, seating.moves.clone()))),
            None => Err(refused(format!(
                "its checkpoint has state `{}` in another schema, and the module exports no `migration`; run the module that \
                 wrote it, or one that can rewrite it",
                seating.moves[0].state
            ))),
        }
    }

    fn context(&self, task: usize, node: &NodeId, subtask: SubtaskIndex) -> PartContext {
        PartContext {
            job: self.spec.document.job.clone(),
            run: self.spec.run,
            attempt: self.frame.attempt,
            node: node.clone(),
            subtask,
            parallelism: self.plan().tasks[task].parallelism,
            max_parallelism: self.plan().max_parallelism,
            layer: 0,
            cancelled: self.frame.over.clone(),
        }
    }

    fn seat(&self, id: &NodeId) -> &NodeSeat {
        self.nodes.iter().find(|seat| seat.id == *id).expect("every node of the plan has a seat")
    }
}

/// What the instance of one subtask of an operator is told when it opens.
pub(crate) fn operator_context(
    job: &JobShared,
    seat: &NodeSeat,
    subtask: SubtaskIndex,
    keys_in_place: bool,
    parts: &OperatorParts,
    interrupt: &Signal,
) -> OperatorContext {
    OperatorContext {
        job: job.id.clone(),
        operator: seat.id.clone(),
        subtask,
        parallelism: seat.parallelism,
        max_parallelism: job.max_parallelism,
        key_groups: job.max_parallelism.owned_by(subtask, seat.parallelism),
        keys_in_place,
        parameters: parts.prepared.parameters.clone(),
        written_parameters: parts.written_parameters(),
        log: Arc::new(LogLines {
            events: Arc::clone(&job.events),
            operator: seat.id.clone(),
            subtask,
            counters: Arc::clone(&seat.counters[subtask.at()]),
        }),
        clock: job.parts.clock(),
        seed: seed(&[job.id.as_str(), seat.id.as_str(), &subtask.to_string(), &job.run.to_string()]),
        interrupt: interrupt.clone(),
    }
}

fn at(node: &NodeId) -> impl FnOnce(PortError) -> StartError + '_ {
    |error| StartError::part(node, error)
}

/// The same for the same names.
fn seed(names: &[&str]) -> u64 {
    key_hash(names.join("/").as_bytes())
}
