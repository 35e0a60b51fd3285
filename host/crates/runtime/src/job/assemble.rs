//! Putting a job together: plan and parts go in, chains ready to run come out.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use gristmill_dataflow::document::KeyBy;
use gristmill_dataflow::plan::{ExchangePlan, NodeKind, NodePlan, Partitioning, Route};
use gristmill_dataflow::{JobDocument, JobPlan};
use gristmill_ports::catalog::JobState;
use gristmill_ports::parts::PartContext;
use gristmill_ports::telemetry::{GuestLog, LogLevel};
use gristmill_ports::{OperatorContext, Parts, PortError};
use gristmill_types::{CallFailure, Descriptor, InputIndex, OperatorId, SubtaskIndex, Watermark, key_hash};
use tokio::sync::watch;

use crate::event::{EventLog, JobEventKind};
use crate::exchange::inbox::{ChannelSender, GatherBounds, Inbox};
use crate::exchange::keys::Keying;
use crate::exchange::writer::{ExchangeWriter, Spread};
use crate::job::launch::{JobSpec, OperatorParts, StartError};
use crate::job::shared::{JobShared, NodeSeat};
use crate::job::state::JobStatus;
use crate::report::NodeCounters;
use crate::task::chain::{Chain, ChainNode, Outlet, Receiver, Way, Work};
use crate::task::operator_node::OperatorNode;
use crate::task::operator_task::OperatorTask;
use crate::task::sink_node::SinkNode;
use crate::task::source_task::SourceTask;
use crate::task::surroundings::Surroundings;

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
    Operator(OperatorTask, OperatorId),
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

/// Opens everything.
pub(crate) fn assemble(spec: &JobSpec, parts: Arc<dyn Parts>) -> Result<Assembled, StartError> {
    let events = Arc::new(EventLog::new(parts.clock()));
    let inboxes: Vec<Vec<Arc<Inbox>>> =
        spec.plan.tasks.iter().map(|task| task.parallelism.subtasks().map(|_| Inbox::new()).collect()).collect();
    let nodes = seats(spec);
    let builder = Builder { spec, parts: &*parts, events: &events, inboxes: &inboxes, nodes: &nodes };
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
        cancelled: AtomicBool::new(false),
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

/// What can be known of each node before anything is opened.
fn seats(spec: &JobSpec) -> Vec<NodeSeat> {
    let JobSpec { document, plan, operators } = spec;
    let mut seats = Vec::new();
    for (task, task_plan) in plan.tasks.iter().enumerate() {
        for (place, node) in task_plan.nodes.iter().enumerate() {
            let descriptor = operators.get(&node.id).map(|parts| parts.prepared.factory.descriptor());
            let (inputs, ports, metrics) = match descriptor {
                None => (Vec::new(), node.ports.iter().map(|_| "out".to_owned()).collect::<Vec<_>>(), &[][..]),
                Some(descriptor) => (
                    keyed_inputs(document, &node.id, descriptor),
                    descriptor.outputs.iter().map(|output| output.name.clone()).collect(),
                    descriptor.metrics.as_slice(),
                ),
            };
            let counters = task_plan.parallelism.subtasks().map(|_| Arc::new(NodeCounters::new(ports.len(), metrics)));
            seats.push(NodeSeat {
                id: node.id.clone(),
                kind: node.kind,
                task,
                place,
                parallelism: task_plan.parallelism,
                counters: counters.collect(),
                tap: Arc::default(),
                inputs,
                ports,
            });
        }
    }
    seats
}

fn keyed_inputs(document: &JobDocument, id: &OperatorId, descriptor: &Descriptor) -> Vec<(String, Option<KeyBy>)> {
    let declared = &document.operators[id].inputs;
    let key_by = |name: &String| declared.get(name).and_then(|input| input.key_by.clone());
    descriptor.inputs.iter().map(|input| (input.name.clone(), key_by(&input.name))).collect()
}

struct Builder<'a> {
    spec: &'a JobSpec,
    parts: &'a dyn Parts,
    events: &'a Arc<EventLog>,
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
        Ok(Chain { nodes, exchanges, around: self.surroundings(task, subtask) })
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

    fn way(
        &self,
        task: usize,
        place: usize,
        subtask: SubtaskIndex,
        route: &Route,
        exchanges: &mut Vec<Outlet>,
    ) -> Result<Way, StartError> {
        match route {
            Route::Chained { node, input, key_by } => {
                let target = &self.plan().tasks[task].nodes[*node];
                let keying = key_by.as_ref().map(|key_by| self.keying(key_by, &target.id)).transpose()?;
                Ok(Way::Node { node: *node, input: *input, keying, to: self.receiver(&target.id, *input, subtask) })
            }
            Route::Exchange(exchange) => {
                let plan = &self.plan().exchanges[*exchange];
                let sender = &self.plan().tasks[task].nodes[place].id;
                let target = &self.plan().tasks[plan.to].nodes[0].id;
                exchanges.push(Outlet {
                    writer: self.writer(plan, subtask, target)?,
                    sender: Arc::clone(&self.seat(sender).counters[subtask.at()]),
                    to: self.receiver(target, plan.input, SubtaskIndex(0)),
                });
                Ok(Way::Exchange(exchanges.len() - 1))
            }
        }
    }

    fn writer(
        &self,
        plan: &ExchangePlan,
        subtask: SubtaskIndex,
        target: &OperatorId,
    ) -> Result<ExchangeWriter, StartError> {
        let credit = usize::try_from(self.plan().batch.channel_bytes.as_u64()).unwrap_or(usize::MAX);
        let receivers = &self.inboxes[plan.to];
        let all =
            || -> Vec<ChannelSender> { receivers.iter().map(|inbox| inbox.add_channel(plan.input, credit)).collect() };
        let (spread, channels) = match &plan.partitioning {
            Partitioning::KeyBy(key_by) => (Spread::ByKey(self.keying(key_by, target)?), all()),
            Partitioning::Forward => (Spread::Forward, vec![receivers[subtask.at()].add_channel(plan.input, credit)]),
            Partitioning::Rebalance => (Spread::Rebalance(subtask.at()), all()),
            Partitioning::Broadcast => (Spread::Broadcast, all()),
        };
        Ok(ExchangeWriter::new(spread, channels, self.plan().max_parallelism))
    }

    fn keying(&self, key_by: &KeyBy, target: &OperatorId) -> Result<Keying, StartError> {
        Keying::new(key_by, self.parts).map_err(at(target))
    }

    fn receiver(&self, target: &OperatorId, input: InputIndex, subtask: SubtaskIndex) -> Receiver {
        let seat = self.seat(target);
        Receiver {
            operator: target.clone(),
            input: seat.inputs.get(input.at()).map(|(name, _)| name.clone()).unwrap_or_default(),
            counters: Arc::clone(&seat.counters[subtask.at()]),
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
            parameters: prepared.parameters.clone(),
            log: Arc::new(LogLines {
                events: Arc::clone(self.events),
                operator: node.id.clone(),
                subtask,
                counters: Arc::clone(&counters),
            }),
            clock: self.parts.clock(),
            seed: seed(&[part.job.as_str(), node.id.as_str(), &subtask.to_string()]),
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

    fn context(&self, task: usize, node: &OperatorId, subtask: SubtaskIndex) -> PartContext {
        PartContext {
            job: self.spec.document.job.clone(),
            node: node.clone(),
            subtask,
            parallelism: self.plan().tasks[task].parallelism,
            max_parallelism: self.plan().max_parallelism,
        }
    }

    fn seat(&self, id: &OperatorId) -> &NodeSeat {
        self.nodes.iter().find(|seat| seat.id == *id).expect("every node of the plan has a seat")
    }
}

fn at(node: &OperatorId) -> impl FnOnce(PortError) -> StartError + '_ {
    |error| StartError { node: node.clone(), message: error.message }
}

/// The same for the same names, so that a job behaves the same when it is started again.
fn seed(names: &[&str]) -> u64 {
    key_hash(names.join("/").as_bytes())
}

/// Takes a guest's log lines into the job's event log.
struct LogLines {
    events: Arc<EventLog>,
    operator: OperatorId,
    subtask: SubtaskIndex,
    counters: Arc<NodeCounters>,
}

impl GuestLog for LogLines {
    fn line(&self, level: LogLevel, row: Option<u32>, message: &str) {
        let kind = JobEventKind::Log { level, row, message: message.to_owned() };
        self.events.say(Some(&self.operator), Some(self.subtask), kind);
    }

    fn dropped(&self, lines: u64) {
        self.counters.log_lines_dropped.add(lines);
        self.events.say(Some(&self.operator), Some(self.subtask), JobEventKind::LogDropped { lines });
    }
}
