//! One attempt: the driver around the coordinator, with its storer, its committer and its merger, step by step. It does
//! what the runtime's driver does, and in the same order.

use std::collections::{BTreeMap, VecDeque};

use gristmill_checkpoint::coordinator::{
    Action, Coordinator, End, Event, Failure, GiveUp, NodeSetup, Now, Policy, Report, Setup, SwapNotice,
};
use gristmill_checkpoint::{Committable, CommittableId, Share, Slot};
use gristmill_types::{AttemptId, CheckpointId, CheckpointKind, MaxParallelism, ModuleHash, NodeId, RunId, SwapId};

use crate::merger::Merging;
use crate::obvious::Obvious;
use crate::storer::Work;
use crate::subtask::Subtask;
use crate::takeover::{TakenOver, Takeover};
use crate::world::{Met, World};

/// Cuts of one subtask that may be on their way at once.
const MOST_ON_THEIR_WAY: usize = 2;

/// See the module.
pub(crate) struct Attempt {
    id: AttemptId,
    /// A stopped host: it does nothing until it goes on as if nothing had happened.
    pub(crate) is_stopped: bool,
    pub(crate) is_over: bool,
    takeover: Takeover,
    running: Option<Running>,
}

pub(crate) struct Running {
    pub(crate) id: AttemptId,
    pub(crate) coordinator: Coordinator,
    pub(crate) subtasks: Vec<Subtask>,
    /// What the supervisor has yet to hear.
    pub(crate) told: VecDeque<Event>,
    pub(crate) storer: VecDeque<Work>,
    committer: VecDeque<Committable>,
    pub(crate) merging: Option<Merging>,
    pub(crate) files_written: u64,
    /// Committables by the checkpoint that they were staged for; numbered as the coordinator numbers them.
    staged: BTreeMap<CheckpointId, Vec<CommittableId>>,
    next_committable: u64,
    end: Option<End>,
    pub(crate) gave_up: bool,
}

impl Attempt {
    pub(crate) fn new(id: u64) -> Self {
        Self { id: AttemptId(id), is_stopped: false, is_over: false, takeover: Takeover::Reading, running: None }
    }

    pub(crate) fn step(&mut self, input: &[Vec<u8>], world: &mut World) {
        if world.chaos && matches!(self.takeover, Takeover::Claiming(..)) && world.dice.per_mille(100) {
            // The worst moment to be stopped in: what was read is not true for long.
            self.is_stopped = true;
            return;
        }
        if let Some(running) = &mut self.running {
            running.step(input, world);
            self.is_over = running.gave_up || running.end.is_some();
            if running.end == Some(End::Input) {
                world.finished = true;
            }
            return;
        }
        match std::mem::replace(&mut self.takeover, Takeover::Reading).step(self.id, world) {
            Takeover::Refused => {
                world.meet(Met::Refused);
                self.is_over = true;
            }
            Takeover::Done(taken) => {
                self.running = Running::new(self.id, *taken, input.len(), world);
                // A file of state was torn: another attempt will read it again.
                self.is_over = self.running.is_none();
            }
            under_way => self.takeover = under_way,
        }
    }

    /// Somebody asks for a checkpoint, or the host goes down.
    pub(crate) fn tell(&mut self, event: Event) {
        if let Some(running) = &mut self.running {
            running.told.push_back(event);
        }
    }
}

impl Running {
    fn new(id: AttemptId, taken: TakenOver, subtasks: usize, world: &mut World) -> Option<Self> {
        let page = taken.pages.first();
        let part = |at: usize| page.map(|page| &page.subtasks[at]);
        let restored: Option<Vec<_>> = (0..subtasks).map(|at| Subtask::restored(at as u32, part(at), world)).collect();
        let subtasks = restored?;
        let files = (0..subtasks.len()).map(|at| part(at).map(|part| part.files.clone()).unwrap_or_default()).collect();
        let setup = Setup {
            job: "orders".parse().unwrap(),
            run: RunId(1),
            attempt: id,
            max_parallelism: MaxParallelism::DEFAULT,
            policy: Policy {
                every_ms: Some(200),
                min_pause_ms: 20,
                pause_after_failure_ms: 50,
                timeout_ms: 600,
                tolerated_failures: 3,
                keep: world.keep,
            },
            participants: subtasks.iter().map(Subtask::participant).collect(),
            nodes: vec![NodeSetup { node: node("count"), module: None, canary: None, states: Vec::new(), files }],
            next_slot: Slot(taken.next_slot),
            numbers_above: CheckpointId(taken.numbers_above),
            parent: taken.restored.map(|(_, manifest)| manifest.checkpoint),
            retained: taken.retained,
            given_up: taken.given_up,
        };
        Some(Self {
            id,
            coordinator: Coordinator::new(setup, now(world)),
            subtasks,
            told: VecDeque::new(),
            storer: [Work::Delete(taken.left_behind.unwrap_or_default().into())].into(),
            committer: VecDeque::new(),
            merging: None,
            files_written: 0,
            staged: BTreeMap::new(),
            next_committable: 0,
            end: None,
            gave_up: false,
        })
    }

    fn step(&mut self, input: &[Vec<u8>], world: &mut World) {
        match world.dice.below(10) {
            0..3 => self.step_subtask(input, world),
            3..6 => self.step_storer(world),
            6 => self.step_committer(world),
            7 => self.step_merger(world),
            _ => self.step_supervisor(world),
        }
    }

    fn step_subtask(&mut self, input: &[Vec<u8>], world: &mut World) {
        let at = world.dice.below(self.subtasks.len());
        let subtask = &mut self.subtasks[at];
        let stays_away = subtask.said_that_it_ended && world.plays(Obvious::EndedSubtasksStayAway);
        if world.dice.per_mille(300) && !stays_away {
            // A barrier that was overtaken is never met.
            if subtask.barriers.len() > 1 {
                world.meet(Met::OvertakenBarrier);
                subtask.barriers.pop_front();
            }
            let Some(checkpoint) = subtask.barriers.pop_front() else { return };
            if subtask.on_their_way >= MOST_ON_THEIR_WAY {
                world.meet(Met::Declined);
                let why = "it still carries earlier ones away".to_owned();
                self.told.push_back(Event::Declined { checkpoint, by: subtask.participant(), why });
                return;
            }
            let cut = Box::new(subtask.cut(checkpoint));
            self.storer.push_back(Work::Part { cut, state: None, output: None, is_acked: false });
        } else if !subtask.process(&input[at]) && !std::mem::replace(&mut subtask.said_that_it_ended, true) {
            self.told.push_back(Event::Ended(subtask.participant()));
        }
    }

    fn step_committer(&mut self, world: &mut World) {
        let Some(committable) = self.committer.front() else { return };
        if world.commit(committable).is_ok() {
            self.told.push_back(Event::Committed(vec![committable.id]));
            self.committer.pop_front();
        }
    }

    fn step_supervisor(&mut self, world: &mut World) {
        let event = match self.told.pop_front() {
            Some(event) => event,
            None if self.coordinator.next_tick_ms().is_some_and(|at| at <= world.now_ms) => Event::Tick,
            None => return,
        };
        if let Event::Acked(ack) = &event {
            if self.coordinator.under_way() != Some(ack.checkpoint) {
                world.meet(Met::LateAcknowledgement);
            }
            for _ in &ack.staged {
                let id = CommittableId { attempt: self.id, number: self.next_committable };
                self.next_committable += 1;
                self.staged.entry(ack.checkpoint).or_default().push(id);
            }
        }
        let all_ended = self.subtasks.iter().all(|one| one.said_that_it_ended);
        for action in self.coordinator.handle(now(world), event) {
            self.act(action, world);
        }
        if all_ended && self.told.is_empty() && world.plays(Obvious::LeavesAtTheEndOfInput) {
            self.end = Some(End::Input);
        }
    }

    fn act(&mut self, action: Action, world: &mut World) {
        match action {
            Action::Inject(barrier) => {
                self.subtasks.iter_mut().for_each(|one| one.barriers.push_back(barrier.checkpoint));
            }
            Action::Store(to_store) => {
                if world.plays(Obvious::CommitsWhatIsNotDecided) {
                    self.committer.extend(to_store.manifest.committables.iter().cloned());
                }
                self.storer.push_back(Work::Manifest { to_store, pages: 0 });
            }
            Action::Commit { committables, .. } => self.committer.extend(committables),
            Action::Delete(garbage) => {
                let slots = garbage.slots.iter().map(|slot| world.folder.slot(*slot));
                let files = garbage.files.iter().map(|file| world.folder.file(file));
                self.storer.push_back(Work::Delete(slots.chain(files).collect()));
            }
            Action::Report(Report::Failed { checkpoint, failure }) => {
                if matches!(failure, Failure::TimedOut { .. }) {
                    world.meet(Met::TimedOut);
                }
                // "Aborted": as if it were committed, it never joins another checkpoint.
                if let (true, Some(ids)) =
                    (world.plays(Obvious::AbortsOutputOfFailedCheckpoints), self.staged.remove(&checkpoint))
                {
                    self.told.push_front(Event::Committed(ids));
                }
            }
            Action::EndHold => {
                world.meet(Met::HoldEnded);
                self.told.push_back(Event::HoldOver(some_swap()));
            }
            // Its sources can be read from the beginning.
            Action::Forget(_) => {}
            Action::Carry(manifest) => self.told.push_back(Event::Carried(manifest.checkpoint)),
            Action::Seal(checkpoint) => self.told.push_back(Event::SavepointOver(checkpoint)),
            Action::Report(Report::Completed { .. }) => world.meet(Met::Decided),
            Action::Finish(end) => {
                if end == End::Suspended {
                    world.meet(Met::Suspended);
                }
                self.end = Some(end);
            }
            Action::GiveUp(why) => {
                world.meet(if matches!(why, GiveUp::Fenced { .. }) { Met::Fenced } else { Met::TooManyFailures });
                self.gave_up = true;
            }
        }
    }
}

/// What people ask for, at random.
pub(crate) fn some_request(world: &mut World) -> Event {
    match world.dice.below(5) {
        0 => Event::Suspend,
        1 => Event::Requested(CheckpointKind::Checkpoint),
        2 => Event::SwapHolds(some_swap()),
        3 => Event::HoldOver(some_swap()),
        _ => Event::Requested(CheckpointKind::Savepoint),
    }
}

fn some_swap() -> SwapNotice {
    SwapNotice {
        swap: SwapId(1),
        node: node("count"),
        module: ModuleHash([1; 32]),
        share: Share::WHOLE,
        states: Vec::new(),
    }
}

pub(crate) fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn now(world: &World) -> Now {
    Now { monotonic_ms: world.now_ms, wall_ms: world.now_ms as i64 }
}
