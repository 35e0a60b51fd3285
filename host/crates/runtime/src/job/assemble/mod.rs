//! Putting a job together: plan and parts go in, chains ready to run come out.

mod log_lines;
mod seats;
mod ways;

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use gristmill_dataflow::JobPlan;
use gristmill_dataflow::plan::{NodeKind, NodePlan};
use gristmill_ports::catalog::JobState;
use gristmill_ports::parts::PartContext;
use gristmill_ports::{OperatorContext, Parts, PortError, Signal};
use gristmill_types::{CallFailure, NodeId, RunId, SubtaskIndex, Watermark, key_hash};
use tokio::sync::watch;

use crate::counters::NodeCounters;
use crate::event::EventLog;
use crate::exchange::heard::GatherBounds;
use crate::exchange::inbox::Inbox;
use crate::job::assemble::log_lines::LogLines;
use crate::job::assemble::seats::seats;
use crate::job::shared::{JobShared, NodeSeat};
use crate::job::spec::{JobSpec, OperatorParts, StartError};
use crate::job::state::JobStatus;
use crate::task::chain::{Chain, ChainNode, Work};
use crate::task::operator_node::OperatorNode;
use crate::task::operator_task::OperatorTask;
use crate::task::sink_node::SinkNode;
use crate::task::source_task::SourceTask;
use crate::task::surroundings::{Surroundings, TaskEnd};

/// A batch takes at most this part of a guest's memory (contract, rule 11).
const MEMORY_SHARE_OF_BATCH: u64 = 8;
/// Batches that come through an exchange are brought together until they have this part of the bound: beyond it, a
/// call is dear enough that copying to save one does not pay.
const GATHERED_SHARE: usize = 4;

/// A job whose parts are all open.
pub(crate) struct Assembled {
    pub(crate) shared: Arc<JobShared>,
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
    /// Runs to its end.
    pub(crate) fn run(&mut self) -> Result<(), TaskEnd> {
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

/// Opens everything.
pub(crate) fn assemble(spec: &JobSpec, parts: Arc<dyn Parts>) -> Result<Assembled, StartError> {
    let events = Arc::new(EventLog::new(parts.clock()));
    let inboxes: Vec<Vec<Arc<Inbox>>> =
        spec.plan.tasks.iter().map(|task| task.parallelism.subtasks().map(|_| Inbox::new()).collect()).collect();
    let nodes = seats(spec);
    let (cancelled, interrupt) = (Signal::default(), Signal::default());
    let builder = Builder {
        spec,
        run: new_run(),
        parts: &*parts,
        events: &events,
        cancelled: &cancelled,
        interrupt: &interrupt,
        inboxes: &inboxes,
        nodes: &nodes,
    };
    let mut subtasks = Vec::new();
    for (task, plan) in spec.plan.tasks.iter().enumerate() {
        for subtask in plan.parallelism.subtasks() {
            subtasks.push((subtask, builder.subtask(task, subtask)?));
        }
    }
    let shared = JobShared {
        id: spec.document.job.clone(),
        max_parallelism: spec.plan.max_parallelism,
        running: AtomicUsize::new(subtasks.len()),
        status: watch::Sender::new(JobStatus { state: JobState::Starting, cause: None }),
        cancelled,
        interrupt,
        failure: Mutex::default(),
        started: Instant::now(),
        took: OnceLock::new(),
        nodes,
        inboxes,
        events,
        parts,
    };
    Ok(Assembled { shared: Arc::new(shared), subtasks })
}

struct Builder<'a> {
    spec: &'a JobSpec,
    run: RunId,
    parts: &'a dyn Parts,
    events: &'a Arc<EventLog>,
    cancelled: &'a Signal,
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
                let reader = self.parts.source(&self.context(task, &head.id, subtask), spec).map_err(at(&head.id))?;
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
        Ok(Chain { nodes, exchanges, around: self.surroundings(task, subtask), held_back: None })
    }

    fn surroundings(&self, task: usize, subtask: SubtaskIndex) -> Surroundings {
        let job = &self.spec.document.job;
        Surroundings {
            job: job.clone(),
            subtask,
            inbox: Arc::clone(&self.inboxes[task][subtask.at()]),
            clock: self.parts.clock(),
            events: Arc::clone(self.events),
            dead_letters: self.parts.dead_letters(),
            jitter: seed(&[job.as_str(), &task.to_string(), &subtask.to_string()]),
        }
    }

    fn work(&self, task: usize, node: &NodePlan, subtask: SubtaskIndex) -> Result<Work, StartError> {
        let seat = self.seat(&node.id);
        let counters = Arc::clone(&seat.counters[subtask.at()]);
        match node.kind {
            NodeKind::Source => Ok(Work::Source { counters, tap: Arc::clone(&seat.tap) }),
            NodeKind::Sink => {
                let spec = &self.spec.document.sinks[&node.id];
                let sink = self.parts.sink(&self.context(task, &node.id, subtask), spec).map_err(at(&node.id))?;
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
        let OperatorParts { prepared, module } = &self.spec.operators[&node.id];
        let part = self.context(task, &node.id, subtask);
        let spec = &self.spec.document.operators[&node.id];
        let context = OperatorContext {
            job: part.job.clone(),
            operator: node.id.clone(),
            subtask,
            parallelism: part.parallelism,
            max_parallelism: part.max_parallelism,
            key_groups: part.key_groups(),
            keys_in_place: node.keys_in_place,
            parameters: prepared.parameters.clone(),
            log: Arc::new(LogLines {
                events: Arc::clone(self.events),
                operator: node.id.clone(),
                subtask,
                counters: Arc::clone(&counters),
            }),
            clock: self.parts.clock(),
            seed: seed(&[part.job.as_str(), node.id.as_str(), &subtask.to_string(), &part.run.to_string()]),
            interrupt: self.interrupt.clone(),
        };
        let refused = |failure: CallFailure| StartError { node: node.id.clone(), message: failure.to_string() };
        Ok(OperatorNode {
            id: node.id.clone(),
            module: *module,
            inputs: seat.inputs.iter().map(|(name, _)| name.clone()).collect(),
            operator: prepared.factory.open(context).map_err(refused)?,
            state: self.parts.state(&part, prepared.factory.descriptor()).map_err(at(&node.id))?,
            policy: spec.on_failure,
            max_call_bytes: usize::try_from(spec.limits.memory.as_u64() / MEMORY_SHARE_OF_BATCH).unwrap_or(usize::MAX),
            counters,
            tap: Arc::clone(&seat.tap),
            watermark: Watermark::START,
            state_generation: 0,
            faulty_run: 0,
        })
    }

    fn context(&self, task: usize, node: &NodeId, subtask: SubtaskIndex) -> PartContext {
        PartContext {
            job: self.spec.document.job.clone(),
            run: self.run,
            node: node.clone(),
            subtask,
            parallelism: self.plan().tasks[task].parallelism,
            max_parallelism: self.plan().max_parallelism,
            cancelled: self.cancelled.clone(),
        }
    }

    fn seat(&self, id: &NodeId) -> &NodeSeat {
        self.nodes.iter().find(|seat| seat.id == *id).expect("every node of the plan has a seat")
    }
}

fn at(node: &NodeId) -> impl FnOnce(PortError) -> StartError + '_ {
    |error| StartError { node: node.clone(), message: error.message }
}

/// A number that no other run has: the standard library seeds its hashers with 128 random bits.
fn new_run() -> RunId {
    RunId(RandomState::new().build_hasher().finish())
}

/// The same for the same names.
fn seed(names: &[&str]) -> u64 {
    key_hash(names.join("/").as_bytes())
}
