//! One attempt: the driver around the coordinator, with its storer, its committer and its merger, step by step. It does
//! what the runtime's driver does, and in the same order.

use std::collections::{BTreeMap, VecDeque};

use gristmill_checkpoint::coordinator::{
    Ack, Action, Coordinator, End, Event, Failure, GiveUp, NodePart, NodeSetup, Now, Policy, Report, Setup, Staged,
    SubtaskStats, ToStore,
};
use gristmill_checkpoint::{ChainEntry, Committable, CommittableId, FileHash, FileRef, Slot, StateFile};
use gristmill_types::{AttemptId, CheckpointId, CheckpointKind, MaxParallelism, NodeId, RunId, SubtaskIndex};

use crate::obvious::Obvious;
use crate::subtask::{ALL_GROUPS, Cut, Subtask};
use crate::takeover::{Takeover, TakenOver};
use crate::world::{Met, Unsure, World, decode, encode};

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

struct Running {
    id: AttemptId,
    coordinator: Coordinator,
    subtasks: Vec<Subtask>,
    /// What the supervisor has yet to hear.
    told: VecDeque<Event>,
    storer: VecDeque<Work>,
    committer: VecDeque<Committable>,
    merging: Option<Merging>,
    files_written: u64,
    /// Committables by the checkpoint that they were staged for; numbered as the coordinator numbers them.
    staged: BTreeMap<CheckpointId, Vec<CommittableId>>,
    next_committable: u64,
    end: Option<End>,
    gave_up: bool,
}

enum Work {
    Part { cut: Box<Cut>, state: Option<StateFile>, output: Option<FileRef>, is_acked: bool },
    Manifest { to_store: Box<ToStore>, pages: usize },
    Delete(VecDeque<String>),
}

struct Merging {
    subtask: SubtaskIndex,
    neighbours: Vec<StateFile>,
    by: Option<StateFile>,
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
        let restored: Option<Vec<_>> =
            (0..subtasks).map(|at| Subtask::restored(at as u32, part(at), world)).collect();
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
            nodes: vec![NodeSetup { node: node("count"), module: None, states: Vec::new(), files }],
            next_slot: Slot(taken.next_slot),
            numbers_above: CheckpointId(taken.numbers_above),
            parent: taken.restored.map(|(_, manifest)| manifest.checkpoint),
            retained: taken.retained,
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

    /// One after the other: what is deleted was nobody's when the order was given.
    fn step_storer(&mut self, world: &mut World) {
        let Some(mut work) = self.storer.pop_front() else { return };
        let is_done = match &mut work {
            Work::Part { cut, state, output, is_acked } => {
                if world.plays(Obvious::AcknowledgesBeforeItIsDurable) && !*is_acked {
                    self.name_without_writing(cut, state, output);
                    self.acknowledge(cut, *state, *output);
                    *is_acked = true;
                    false
                } else if *is_acked && world.dice.per_mille(900) {
                    // It will be written when there is time.
                    self.storer.push_back(work);
                    return;
                } else {
                    self.store_part(cut, state, output, *is_acked, world)
                }
            }
            Work::Manifest { to_store, pages } => self.store_manifest(to_store, pages, world),
            Work::Delete(paths) => {
                if let Some(path) = paths.pop_front() {
                    world.delete(&path);
                }
                paths.is_empty()
            }
        };
        if !is_done {
            self.storer.push_front(work);
        }
    }

    /// Whether the part is durable and acknowledged.
    fn store_part(
        &mut self,
        cut: &Cut,
        state: &mut Option<StateFile>,
        output: &mut Option<FileRef>,
        is_acked: bool,
        world: &mut World,
    ) -> bool {
        if is_acked {
            let state = state.map(|state| (state.file, encode(cut.state.clone())));
            let output = output.map(|output| (output, encode(cut.output.clone())));
            let mut files = state.into_iter().chain(output);
            return files.all(|(file, bytes)| world.put(world.folder.file(&file), &bytes).is_ok());
        }
        if state.is_none() && !cut.state.is_empty() {
            *state = self.write_state(cut.state.clone(), world).ok();
        } else if output.is_none() && !cut.output.is_empty() {
            *output = self.write(&encode(cut.output.clone()), world).ok();
        } else {
            self.acknowledge(cut, *state, *output);
            return true;
        }
        false
    }

    fn name_without_writing(&mut self, cut: &Cut, state: &mut Option<StateFile>, output: &mut Option<FileRef>) {
        if !cut.state.is_empty() {
            let file = self.name(&encode(cut.state.clone()));
            *state = Some(StateFile { file, entries: cut.state.len() as u64, groups: ALL_GROUPS });
        }
        if !cut.output.is_empty() {
            *output = Some(self.name(&encode(cut.output.clone())));
        }
    }

    fn acknowledge(&mut self, cut: &Cut, state: Option<StateFile>, output: Option<FileRef>) {
        let mut snapshot = cut.snapshot.clone();
        snapshot.files.extend(state);
        self.subtasks[snapshot.subtask.at()].on_their_way -= 1;
        let staged = output.map(|file| Staged { sink: node("out"), payload: Vec::new(), files: vec![file] });
        let ack = Ack {
            checkpoint: cut.checkpoint,
            by: cut.by,
            nodes: vec![NodePart { node: node("count"), snapshot }],
            staged: staged.into_iter().collect(),
            stats: SubtaskStats::default(),
        };
        self.told.push_back(Event::Acked(Box::new(ack)));
    }

    fn name(&mut self, bytes: &[u8]) -> FileRef {
        self.files_written += 1;
        FileRef { attempt: self.id, number: self.files_written, hash: FileHash::of(bytes), bytes: bytes.len() as u64 }
    }

    fn write(&mut self, bytes: &[u8], world: &mut World) -> Result<FileRef, Unsure> {
        let file = self.name(bytes);
        world.put(world.folder.file(&file), bytes).map(|()| file)
    }

    fn write_state(&mut self, state: BTreeMap<u8, u64>, world: &mut World) -> Result<StateFile, Unsure> {
        let entries = state.len() as u64;
        self.write(&encode(state), world).map(|file| StateFile { file, entries, groups: ALL_GROUPS })
    }

    /// Whether it is known what became of the manifest.
    fn store_manifest(&mut self, to_store: &ToStore, pages: &mut usize, world: &mut World) -> bool {
        if let Some((file, bytes)) = to_store.pages.get(*pages) {
            *pages += usize::from(world.put(world.folder.file(file), bytes).is_ok());
            return false;
        }
        let entry = ChainEntry::Checkpoint(to_store.manifest.clone());
        let is_ours = match world.put_into_slot(to_store.slot, &entry) {
            Ok(true) => Ok(self.id),
            Ok(false) => {
                world.meet(Met::ReadBack);
                // What stands there is read back: it may be ours, from a put that was answered by an error.
                let found = world.get(&world.folder.slot(to_store.slot));
                found.as_deref().map(ChainEntry::decode).transpose().map(|found| found.map_or(self.id, |one| one.attempt()))
            }
            Err(_) if world.plays(Obvious::TakesAnErrorForANo) => {
                let staged = to_store.manifest.committables.iter().flat_map(|one| &one.files);
                let paths: Vec<_> = staged.map(|file| world.folder.file(file)).collect();
                paths.iter().for_each(|path| world.delete(path));
                self.gave_up = true;
                return true;
            }
            Err(_) => return false,
        };
        match is_ours {
            Ok(owner) if owner == self.id => self.told.push_back(Event::Stored(to_store.manifest.checkpoint)),
            Ok(attempt) => self.told.push_back(Event::Stranger { slot: to_store.slot, attempt }),
            Err(_) => self.gave_up = true,
        }
        true
    }

    fn step_committer(&mut self, world: &mut World) {
        let Some(committable) = self.committer.front() else { return };
        if world.commit(committable).is_ok() {
            self.told.push_back(Event::Committed(vec![committable.id]));
            self.committer.pop_front();
        }
    }

    fn step_merger(&mut self, world: &mut World) {
        let Some(Merging { subtask, neighbours, by }) = self.merging.take() else {
            self.merging = self.choose_merge(world);
            return;
        };
        let replaced: Vec<_> = neighbours.iter().map(|one| one.file).collect();
        if by.is_some() {
            if world.plays(Obvious::DeletesWhatItMerged) {
                replaced.iter().for_each(|file| world.delete(&world.folder.file(file)));
            }
            if self.storer.iter().any(|work| matches!(work, Work::Manifest { .. })) {
                world.meet(Met::MergedWhileStoring);
            }
            self.told.push_back(Event::Merged { node: node("count"), subtask, replaced, by });
            return;
        }
        let mut merged = BTreeMap::new();
        for file in &replaced {
            // Torn, or deleted by a successor: then nothing is merged.
            let Some(bytes) = world.get(&world.folder.file(file)).filter(|bytes| bytes.len() as u64 == file.bytes) else {
                return;
            };
            merged.extend(decode(&bytes));
        }
        let by = self.write_state(merged, world).ok();
        self.merging = by.map(|by| Merging { subtask, neighbours, by: Some(by) });
    }

    fn choose_merge(&self, world: &mut World) -> Option<Merging> {
        let lists: Vec<_> = self.coordinator.state_files().filter(|(_, _, files)| files.len() > 1).collect();
        let (_, subtask, files) = lists.get(world.dice.below(lists.len().max(1)))?;
        let first = world.dice.below(files.len() - 1);
        let end = first + 2 + world.dice.below(files.len() - first - 1);
        Some(Merging { subtask: *subtask, neighbours: files[first..end].to_vec(), by: None })
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
    match world.dice.below(3) {
        0 => Event::Suspend,
        1 => Event::Requested(CheckpointKind::Checkpoint),
        _ => Event::Requested(CheckpointKind::Savepoint),
    }
}

fn node(name: &str) -> NodeId {
    name.parse().unwrap()
}

fn now(world: &World) -> Now {
    Now { monotonic_ms: world.now_ms, wall_ms: world.now_ms as i64 }
}
