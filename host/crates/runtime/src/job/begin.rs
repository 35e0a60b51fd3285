//! The beginning of an attempt: what it goes on from is found, the run is claimed, decided output is committed, parts
//! are opened. Nothing flows before all of this is done.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, PoisonError};

use gristmill_checkpoint::coordinator::{Coordinator, NodeSetup, Now, Participant, Policy, Setup};
use gristmill_checkpoint::seating::Move;
use gristmill_checkpoint::{RunFolder, Seating, StateFile};
use gristmill_dataflow::document::CheckpointSpec;
use gristmill_dataflow::plan::NodeKind;
use gristmill_ports::parts::PartContext;
use gristmill_ports::{Clock, FileStore, PortError, Signal};
use gristmill_types::descriptor::StateSpec;
use gristmill_types::{AttemptId, CheckpointId, NodeId, StateIndex, SubtaskIndex};

use crate::checkpoint::archivist::Archivist;
use crate::checkpoint::attempt_files::AttemptFiles;
use crate::checkpoint::chain_reader::{Claimant, Claimed, WholeCheckpoint};
use crate::checkpoint::committer::SinkCommitter;
use crate::checkpoint::cut::StorerWork;
use crate::checkpoint::patience::Undone;
use crate::checkpoint::restored::Restored;
use crate::checkpoint::storer::Storer;
use crate::checkpoint::told::Told;
use crate::job::assemble::{Assembled, Frame, assemble};
use crate::job::helpers::Tools;
use crate::job::origin::Beginner;
use crate::job::rewrites::Left;
use crate::job::shared::JobShared;
use crate::job::spec::{JobSpec, OperatorParts, StartError, unheard_of};

/// A failed checkpoint is not tried again before this.
const PAUSE_AFTER_FAILURE_MS: u64 = 1000;

/// An attempt that may run.
pub(crate) struct Begun {
    pub(crate) assembled: Assembled,
    pub(crate) coordinator: Coordinator,
    pub(crate) tools: Tools,
    pub(crate) told: Receiver<Told>,
    /// What of operators' state is to be rewritten, since the attempt before did not come to the end of it.
    pub(crate) unfinished: Vec<(NodeId, Vec<Move>, Left)>,
}

/// What the beginning came to.
pub(crate) enum Beginning {
    /// Events may flow.
    Run(Box<Begun>),
    /// The checkpoint that was found is the last: all is done, and now committed too.
    Over(CheckpointId),
    /// Nobody wants it any more.
    GivenUp,
}

/// Begins an attempt.
///
/// # Errors
/// If a part cannot be opened, or the checkpoints cannot be had.
pub(crate) fn begin(job: &Arc<JobShared>, spec: &mut JobSpec, over: &Signal) -> Result<Beginning, StartError> {
    let attempt = AttemptId(unheard_of());
    let (parts, clock) = (&job.parts, job.parts.clock());
    let store = parts.checkpoint_store();
    let files = parts.files(&job.id, spec.run, attempt).map_err(StartError::checkpoints)?;
    let files: Arc<dyn FileStore> = Arc::new(AttemptFiles { files, over: over.clone() });
    let keep = spec.document.checkpoint.keep.max(1) as usize;
    let claimant = Claimant {
        job: &job.id,
        run: spec.run,
        attempt,
        host: parts.host(),
        now_ms: clock.now_ms(),
        goes_on: spec.goes_on,
        accepted: spec.accepted,
        newest: *job.newest.borrow(),
        keep,
        store: &*store,
        files: &*files,
    };
    let claimed = claimant.claim().map_err(StartError::checkpoints)?;
    // From now on the chain says what was accepted, and must be there.
    (spec.goes_on, spec.accepted) = (true, None);
    let canaries = claimed.restored.as_ref().map_or(&[][..], |whole| &whole.manifest.canaries);
    let pages = claimed.restored.as_ref().map(|whole| &whole.pages);
    spec.operators = job.modules().settle(pages, canaries, job.max_parallelism);
    let spec = &*spec;
    let restored_number = claimed.restored.as_ref().map(|whole| whole.manifest.checkpoint);
    job.edits().settle(restored_number);
    let dead_letters = parts.dead_letters();
    {
        let _alone = job.going_back.lock().unwrap_or_else(PoisonError::into_inner);
        dead_letters.abort_behind(&job.id, spec.run, restored_number).map_err(StartError::checkpoints)?;
    }
    let (told_sender, told) = mpsc::channel();
    let mut committers = open_committers(job, spec, attempt, &files, &told_sender, over)?;
    match settle(&mut committers, &claimed) {
        Ok(()) => {}
        Err((_, Undone::Over)) => return Ok(Beginning::GivenUp),
        Err((sink, Undone::Refused(why))) => return Err(StartError::part(&sink, PortError::fatal(why))),
    }
    let sources = || job.nodes.iter().filter(|seat| seat.kind == NodeKind::Source).map(|seat| &seat.id);
    if let Some(whole) = claimed.restored.as_ref().filter(|whole| whole.is_complete(sources())) {
        return Ok(Beginning::Over(whole.manifest.checkpoint));
    }
    let restored = match (&claimed.restored, &spec.origin) {
        (Some(whole), _) => Restored(whole.pages.clone()).in_plan(&spec.plan),
        (None, None) => Restored::default(),
        (None, Some(origin)) => {
            let beginner = Beginner { spec, origin, attempt, parts: &**parts, files: &*files };
            beginner.begin().map_err(StartError::checkpoints)?.in_plan(&spec.plan)
        }
    };
    let seatings = seatings(job, spec, &restored);
    let storer_work = mpsc::channel();
    let from = restored_number.unwrap_or(CheckpointId(0));
    let frame = Frame {
        spec,
        job,
        attempt,
        from,
        restored: &restored,
        seatings: &seatings,
        files: &files,
        storer: &storer_work.0,
        told: &told_sender,
        over,
    };
    let assembled = assemble(&frame)?;
    let folder = RunFolder::new(&job.id, spec.run);
    let sweep = StorerWork::Sweep(claimed.left_behind.clone());
    storer_work.0.send(sweep).expect("the receiver is in the same hands");
    let setup = setup(job, spec, attempt, claimed, (&restored, &seatings));
    let coordinator = Coordinator::new(setup, now(&*clock));
    let storer = Storer {
        attempt,
        folder,
        store,
        files: Arc::clone(&files),
        dead_letters,
        newest: job.newest.clone(),
        told: told_sender.clone(),
        over: over.clone(),
        parts: Arc::clone(parts),
        every: spec.document.checkpoint.every.0,
        is_late: false,
    };
    let archivist = Archivist {
        job: job.id.clone(),
        run: spec.run,
        attempt,
        sources: spec.document.sources.iter().map(|(id, source)| (id.clone(), source.clone())).collect(),
        parts: Arc::clone(parts),
        files: Arc::clone(&files),
        told: told_sender.clone(),
        over: over.clone(),
    };
    job.history.began(restored_number);
    let tools = Tools { storer, storer_work, committers, archivist, files, told: told_sender };
    let unfinished = seatings.into_iter().filter(|(_, seating)| !seating.moves.is_empty());
    let unfinished = unfinished.map(|(node, seating)| {
        let left = left(job, &restored, &node, &seating.moves);
        (node, seating.moves, left)
    });
    let unfinished = unfinished.collect();
    Ok(Beginning::Run(Box::new(Begun { assembled, coordinator, tools, told, unfinished })))
}

/// Where the checkpoint that is restored has all keys that have something to be moved.
fn left(job: &JobShared, restored: &Restored, node: &NodeId, moves: &[Move]) -> Left {
    let seat = job.nodes.iter().find(|seat| seat.id == *node).expect("every operator has a seat");
    let files = |subtask| {
        let groups = job.max_parallelism.owned_by(subtask, seat.parallelism);
        restored.state(node, groups).map(|state| state.files).unwrap_or_default()
    };
    let is_left = |state: &StateSpec| {
        let same =
            |one: &Move| (&one.state, one.from.version, one.from.kind) == (&state.name, state.version, state.kind);
        moves.iter().any(same)
    };
    let states = (0..).map(StateIndex).zip(restored.states(node));
    Left {
        files: seat.parallelism.subtasks().map(files).collect(),
        from: states.filter(|(_, state)| is_left(state)).map(|(place, _)| place).collect(),
    }
}

/// How the states of each operator stand among those that it is filled with; the job is told.
fn seatings(job: &JobShared, spec: &JobSpec, restored: &Restored) -> HashMap<NodeId, Seating> {
    let seating = |(node, parts): (&NodeId, &OperatorParts)| {
        let seating = Seating::restored(restored.states(node), &parts.prepared.factory.descriptor().states);
        job.modules().states_are(node, seating.states.clone());
        (node.clone(), seating)
    };
    spec.operators.iter().map(seating).collect()
}

/// The moment, on both clocks.
pub(crate) fn now(clock: &dyn Clock) -> Now {
    let monotonic_ms = u64::try_from(clock.monotonic().as_millis()).unwrap_or(u64::MAX);
    Now { monotonic_ms, wall_ms: clock.now_ms() }
}

fn policy(spec: &CheckpointSpec) -> Policy {
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Policy {
        every_ms: spec.every.0.map(ms),
        min_pause_ms: ms(spec.min_pause.0),
        pause_after_failure_ms: PAUSE_AFTER_FAILURE_MS,
        timeout_ms: ms(spec.timeout.0),
        tolerated_failures: spec.tolerate,
        keep: spec.keep.max(1) as usize,
    }
}

/// Opens what commits the output of each transactional sink.
fn open_committers(
    job: &Arc<JobShared>,
    spec: &JobSpec,
    attempt: AttemptId,
    files: &Arc<dyn FileStore>,
    told: &Sender<Told>,
    over: &Signal,
) -> Result<HashMap<NodeId, SinkCommitter>, StartError> {
    let mut committers = HashMap::new();
    for seat in job.nodes.iter().filter(|seat| seat.kind == NodeKind::Sink) {
        let context = PartContext {
            job: job.id.clone(),
            run: spec.run,
            attempt,
            node: seat.id.clone(),
            subtask: SubtaskIndex(0),
            parallelism: seat.parallelism,
            max_parallelism: job.max_parallelism,
            layer: 0,
            cancelled: over.clone(),
        };
        let document = &spec.document.sinks[&seat.id];
        let refused = |error| StartError::part(&seat.id, error);
        if let Some(committer) = job.parts.committer(&context, document, files).map_err(refused)? {
            let committer = SinkCommitter {
                sink: seat.id.clone(),
                committer,
                counters: Arc::clone(&seat.counters[0]),
                events: Arc::clone(&job.events),
                clock: job.parts.clock(),
                told: told.clone(),
                over: over.clone(),
            };
            committers.insert(seat.id.clone(), committer);
        }
    }
    Ok(committers)
}

/// Commits all that is decided and may not be visible, and throws away all that was staged and never decided. An error
/// comes with the sink that it is about.
fn settle(committers: &mut HashMap<NodeId, SinkCommitter>, claimed: &Claimed) -> Result<(), (NodeId, Undone)> {
    committers.iter_mut().try_for_each(|(sink, committer)| {
        settle_sink(sink, committer, claimed).map_err(|undone| (sink.clone(), undone))
    })
}

fn settle_sink(
    sink: &NodeId,
    committer: &mut SinkCommitter,
    Claimed { restored, earlier, .. }: &Claimed,
) -> Result<(), Undone> {
    let mut decided = Vec::new();
    if let Some(WholeCheckpoint { manifest, permit, .. }) = restored {
        for committable in manifest.committables.iter().filter(|one| one.sink == *sink) {
            committer.commit(permit, committable)?;
            decided.push(committable.clone());
        }
    }
    fail::fail_point!("restored-output-committed");
    committer.abort_all_but(&decided, earlier)
}

fn setup(
    job: &JobShared,
    spec: &JobSpec,
    attempt: AttemptId,
    claimed: Claimed,
    (restored, seatings): (&Restored, &HashMap<NodeId, Seating>),
) -> Setup {
    let tasks = spec.plan.tasks.iter().enumerate();
    let participants = tasks
        .flat_map(|(task, plan)| plan.parallelism.subtasks().map(move |subtask| Participant { task, subtask }))
        .collect();
    let canary = job.modules().canary();
    let node = |seat: &crate::job::shared::NodeSeat| {
        let operator = spec.operators.get(&seat.id);
        let states = seatings.get(&seat.id).map(|seating| seating.states.clone()).unwrap_or_default();
        let files = |subtask| -> Vec<StateFile> {
            let groups = job.max_parallelism.owned_by(subtask, seat.parallelism);
            restored.files(&seat.id, &states, groups)
        };
        let files = match seat.kind {
            NodeKind::Operator => seat.parallelism.subtasks().map(files).collect(),
            NodeKind::Source | NodeKind::Sink => Vec::new(),
        };
        let canary = canary.as_ref().filter(|canary| canary.operator == seat.id);
        let canary = canary.map(|canary| (canary.parts.module, canary.terms.share));
        NodeSetup { node: seat.id.clone(), module: operator.map(|parts| parts.module), canary, states, files }
    };
    Setup {
        job: job.id.clone(),
        run: spec.run,
        attempt,
        max_parallelism: job.max_parallelism,
        policy: policy(&spec.document.checkpoint),
        participants,
        nodes: job.nodes.iter().map(node).collect(),
        next_slot: claimed.next_slot,
        numbers_above: claimed.numbers_above,
        parent: claimed.restored.as_ref().map(|whole| whole.manifest.checkpoint),
        retained: claimed.retained.into(),
        given_up: claimed.given_up,
    }
}
