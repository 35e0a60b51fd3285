//! Drives one attempt: hears its threads, asks the coordinator, and has done what it says. Decides nothing about
//! checkpoints; which of several lists of state files is merged next is `checkpoint::merger`'s.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use gristmill_checkpoint::coordinator::{Action, Coordinator, End, Event, GiveUp, Report};
use gristmill_checkpoint::retention::Splits;
use gristmill_checkpoint::seating::Move;
use gristmill_checkpoint::{CommitPermit, Committable, Seating, StateFile};
use gristmill_ports::catalog::JobState;
use gristmill_ports::state::StateMerger;
use gristmill_types::{CheckpointId, CheckpointKind, NodeId};
use tokio::sync::oneshot;

use crate::checkpoint::archivist::SavepointWork;
use crate::checkpoint::cut::StorerWork;
use crate::checkpoint::merger;
use crate::checkpoint::told::{Told, Wanted};
use crate::control::Control;
use crate::ending::{Failure, TaskEnd};
use crate::event::JobEventKind;
use crate::job::attempt::Attempt;
use crate::job::begin::{Begun, now};
use crate::job::crew::spawn_subtasks;
use crate::job::edits::OpenEdits;
use crate::job::helpers::Helpers;
use crate::job::rewrites::Left;
use crate::job::rewriting::RewritingsUnderWay;
use crate::job::savepoints::SavepointsUnderWay;
use crate::job::shadows::ShadowsUnderWay;
use crate::job::shared::{Ending, JobShared};
use crate::job::state::AttemptEnd;
use crate::job::swaps::SwapsUnderWay;
use crate::swap::SwapControl;

/// The longest sleep of the driver: clocks of tests may be moved meanwhile.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

struct Driver<'a> {
    job: &'a Arc<JobShared>,
    attempt: Arc<Attempt>,
    coordinator: Coordinator,
    helpers: Helpers,
    chooser: Arc<dyn StateMerger>,
    savepoints: SavepointsUnderWay,
    swaps: SwapsUnderWay<'a>,
    rewritings: RewritingsUnderWay<'a>,
    edits: OpenEdits,
    shadows: ShadowsUnderWay<'a>,
    merging: bool,
    running: usize,
    end: Option<AttemptEnd>,
}

/// Runs an attempt to its end.
pub(crate) fn drive(job: &Arc<JobShared>, begun: Begun) -> AttemptEnd {
    let Begun { assembled, coordinator, tools, told, unfinished } = begun;
    let attempt = Arc::clone(&assembled.attempt);
    let files = Arc::clone(&tools.files);
    let rewritings = RewritingsUnderWay::new(job, &attempt, Arc::clone(&files), tools.told.clone());
    let helpers = Helpers::start(job, tools);
    let running = assembled.subtasks.len();
    spawn_subtasks(job, &attempt, assembled.subtasks, &files);
    let chooser = job.parts.state_merger();
    let savepoints = SavepointsUnderWay::default();
    let swaps = SwapsUnderWay::new(job, &attempt);
    let edits = OpenEdits::default();
    let shadows = ShadowsUnderWay::new(job, &attempt, &files);
    let mut driver = Driver {
        job,
        attempt,
        coordinator,
        helpers,
        chooser,
        savepoints,
        swaps,
        rewritings,
        edits,
        shadows,
        merging: false,
        running,
        end: None,
    };
    for (node, moves, left) in unfinished {
        driver.rewritings.begin(&mut driver.helpers, &node, moves, left);
    }
    let end = driver.run(&told);
    *job.current() = None;
    // One that was wanted too late to be heard of.
    job.end_shadow_of_attempt();
    end
}

impl Driver<'_> {
    fn run(mut self, told: &mpsc::Receiver<Told>) -> AttemptEnd {
        let clock = self.job.parts.clock();
        self.obey_status();
        self.obey_signals();
        while self.running > 0 {
            let due = self
                .coordinator
                .next_tick_ms()
                .into_iter()
                .chain(self.swaps.next_tick_ms(now(&*clock).monotonic_ms))
                .min();
            let due = due.map(|due| due.saturating_sub(now(&*clock).monotonic_ms));
            let sleep = due.map_or(LONGEST_SLEEP, |due| Duration::from_millis(due).min(LONGEST_SLEEP));
            match told.recv_timeout(sleep) {
                Ok(told) => self.hear(told),
                Err(RecvTimeoutError::Timeout) => self.tell(Event::Tick),
                Err(RecvTimeoutError::Disconnected) => unreachable!("the attempt holds a sender"),
            }
            let swapped = self.swaps.tick(now(&*clock).monotonic_ms);
            self.tell_all(swapped);
            if self.savepoints.are_wanted()
                && let Some(why) = self.swaps.holding()
            {
                self.savepoints.refuse_wanted(&why);
            }
            if let Some(why) = self.swaps.take_rewound() {
                self.finish(AttemptEnd::Restarted { why });
            }
            self.look_after_rewriting();
            self.obey_signals();
        }
        let Self { job, attempt, helpers, end, swaps, edits, shadows, .. } = self;
        swaps.close();
        job.edits().hand_over(edits);
        attempt.close();
        shadows.close();
        helpers.join();
        end.unwrap_or(AttemptEnd::Complete)
    }

    /// What was wished before the attempt began holds for it too.
    fn obey_status(&mut self) {
        // Told under the lock of the status, as wishes are: a resume must not be overtaken by this pause.
        let status = self.job.status.borrow();
        let ending = self.job.ending().clone();
        if ending.holds() {
            self.attempt.tell_sources(|| Control::Hold(true));
        }
        match status.state {
            JobState::Paused => self.attempt.tell_sources(|| Control::Pause),
            JobState::Stopping => self.attempt.tell_sources(|| ending.control()),
            JobState::Starting
            | JobState::Running
            | JobState::Restarting
            | JobState::Finished
            | JobState::Stopped
            | JobState::Cancelled
            | JobState::Failed => {}
        }
        drop(status);
        if let Ending::Drain(name) = ending {
            // Whoever waits for it asks again.
            let (tell, _) = oneshot::channel();
            self.hear(Told::DrainWanted(Wanted { name, tell }));
        }
    }

    /// A word that was said to the job ends the attempt, whether it was running already or not.
    fn obey_signals(&mut self) {
        if self.job.cancelled.is_raised() {
            self.finish(AttemptEnd::Cancelled);
        } else if self.job.suspended.is_raised() && self.attempt.over.is_raised() {
            self.finish(AttemptEnd::Suspended);
        }
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Acked(ack) => self.tell(Event::Acked(ack)),
            Told::Declined { checkpoint, by, why } => self.tell(Event::Declined { checkpoint, by, why }),
            Told::Ended(by) => self.tell(Event::Ended(by)),
            Told::Stored(checkpoint) => self.stored(checkpoint),
            Told::Stranger { slot, attempt } => self.tell(Event::Stranger { slot, attempt }),
            Told::Storing { trouble } => {
                self.job.history.storing(self.job.parts.clock().now_ms(), trouble.clone());
                self.tell(Event::Storing { trouble });
            }
            Told::Committed(ids) => self.tell(Event::Committed(ids)),
            Told::Merged { node, subtask, replaced, by } => {
                self.merging = false;
                if !replaced.is_empty() {
                    self.tell(Event::Merged { node, subtask, replaced, by });
                    self.merge_if_worth_it();
                }
            }
            Told::Requested(kind) => self.tell(Event::Requested(kind)),
            Told::SavepointWanted(wanted) => {
                self.savepoints.want(wanted);
                if self.swaps.holding().is_none() {
                    self.tell(Event::Requested(CheckpointKind::Savepoint));
                }
            }
            Told::DrainWanted(wanted) => {
                self.savepoints.want_at_end(wanted);
                self.tell(Event::SavepointAtEnd);
            }
            Told::Carried { checkpoint, carried } => match self.savepoints.carried(checkpoint, carried) {
                true => self.tell(Event::Carried(checkpoint)),
                false => self.tell(Event::SavepointOver(checkpoint)),
            },
            Told::Sealed { checkpoint, sealed } => {
                self.savepoints.sealed(checkpoint, sealed);
                self.tell(Event::SavepointOver(checkpoint));
            }
            Told::Swap(told) => {
                let now_ms = now(&*self.job.parts.clock()).monotonic_ms;
                let events = self.swaps.hear(now_ms, told);
                self.tell_all(events);
            }
            Told::Rewrite { node, work, told } => {
                if self.rewritings.hear(&node, work, told) {
                    self.tell(Event::Requested(CheckpointKind::Checkpoint));
                }
            }
            Told::FilesWanted { node, tell } => _ = tell.send(self.files_of(&node)),
            Told::StateEdited(node, edit) => {
                self.edits.add(edit);
                self.rewritings.edited(&node);
                self.tell(Event::Requested(CheckpointKind::Checkpoint));
            }
            Told::Shadow(told) => {
                let events = self.shadows.hear(told);
                self.tell_all(events);
            }
            // What was done since the checkpoint is done again: nothing is worth waiting for until the state is filled.
            Told::Suspend if self.job.is_restoring() => self.finish(AttemptEnd::Suspended),
            Told::Suspend => self.tell(Event::Suspend),
            Told::Restart => self.finish(AttemptEnd::Restarted { why: "somebody asked for it".to_owned() }),
            Told::Failed(end) => self.failed(end),
            Told::Left(result) => {
                self.running -= 1;
                if let Err(end) = result {
                    self.failed(end);
                }
            }
        }
    }

    fn failed(&mut self, end: TaskEnd) {
        match end {
            TaskEnd::Closed => {}
            TaskEnd::Failed(failure) => self.finish(AttemptEnd::Failed(failure)),
        }
    }

    /// The attempt ends; what was first is why.
    fn finish(&mut self, end: AttemptEnd) {
        self.end.get_or_insert(end);
        self.attempt.close();
    }

    fn tell(&mut self, event: Event) {
        let now = now(&*self.job.parts.clock());
        let actions = self.coordinator.handle(now, event);
        self.job.history.under_way(self.coordinator.under_way());
        actions.into_iter().for_each(|action| self.act(action));
    }

    fn tell_all(&mut self, events: Vec<Event>) {
        events.into_iter().for_each(|event| self.tell(event));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Inject(barrier) => {
                self.savepoints.injected(&barrier, self.coordinator.is_last_under_way());
                self.shadows.injecting(barrier.checkpoint);
                let events = self.swaps.injected(now(&*self.job.parts.clock()).monotonic_ms, &barrier);
                self.tell_all(events);
                self.attempt.tell_sources(|| Control::Barrier(barrier));
            }
            Action::Store(to_store) => {
                let now_ms = now(&*self.job.parts.clock()).monotonic_ms;
                let events = self.swaps.storing(now_ms, to_store.manifest.checkpoint);
                self.shadows.storing(&to_store.manifest);
                self.order(StorerWork::Manifest(to_store));
                self.tell_all(events);
            }
            Action::Delete(garbage) => self.order(StorerWork::Garbage(garbage)),
            Action::Commit { permit, committables } => self.commit(&permit, committables),
            Action::Carry(manifest) => match self.savepoints.name_of(manifest.checkpoint) {
                Some(name) => {
                    let document = self.job.modules().written();
                    self.archive(SavepointWork::Carry { name, manifest, document });
                }
                None => self.tell(Event::SavepointOver(manifest.checkpoint)),
            },
            Action::Seal(checkpoint) => {
                if let Some(carried) = self.savepoints.take_carried(checkpoint) {
                    self.archive(SavepointWork::Seal(Box::new(carried)));
                }
            }
            Action::Forget(oldest) => self.forget(oldest),
            Action::EndHold => {
                let events = self.swaps.ended(now(&*self.job.parts.clock()).monotonic_ms);
                self.tell_all(events);
            }
            Action::Report(report) => self.report(report),
            Action::Finish(End::Input) => self.attempt.tell_all(|| Control::Leave),
            Action::Finish(End::Suspended) => self.finish(AttemptEnd::Suspended),
            Action::GiveUp(give_up) => {
                let lasts = matches!(give_up, GiveUp::Fenced { .. });
                self.finish(AttemptEnd::Failed(Failure { cause: give_up.to_string(), lasts }));
            }
        }
    }

    fn commit(&mut self, permit: &CommitPermit, committables: Vec<Committable>) {
        let mut by_sink: HashMap<NodeId, Vec<_>> = HashMap::new();
        for one in committables {
            by_sink.entry(one.sink.clone()).or_default().push(one);
        }
        for (sink, committables) in by_sink {
            let committer = self.helpers.committers.get(&sink);
            let sent = committer.is_some_and(|way| way.send((permit.clone(), committables)).is_ok());
            self.check_sent(sent, || format!("nobody commits the output of sink `{sink}`"));
        }
    }

    fn archive(&mut self, work: SavepointWork) {
        let sent = self.helpers.archivist.send(work).is_ok();
        self.check_sent(sent, || "nobody carries savepoints".to_owned());
    }

    /// A thread that is gone before the attempt is over is a bug.
    fn check_sent(&mut self, sent: bool, what: impl FnOnce() -> String) {
        if !sent && !self.attempt.over.is_raised() {
            let cause = format!("bug: {}", what());
            self.finish(AttemptEnd::Failed(Failure { cause, lasts: false }));
        }
    }

    fn order(&mut self, work: StorerWork) {
        let sent = self.helpers.storer.send(work).is_ok();
        self.check_sent(sent, || "nobody stores checkpoints".to_owned());
    }

    fn stored(&mut self, checkpoint: CheckpointId) {
        let events = self.swaps.decided(now(&*self.job.parts.clock()).monotonic_ms, checkpoint);
        self.tell(Event::Stored(checkpoint));
        self.tell_all(events);
        let events = self.shadows.decided(checkpoint);
        self.tell_all(events);
        if self.savepoints.are_wanted() {
            self.tell(Event::Requested(CheckpointKind::Savepoint));
        }
        for (node, moves) in self.rewritings.to_begin_again() {
            self.rewrite(&node, moves);
        }
        self.edits.decided(checkpoint);
        self.ask_for_edits();
        self.merge_if_worth_it();
    }

    /// The files of an operator's state, by subtask, oldest first.
    fn files_of(&self, node: &NodeId) -> Vec<Vec<StateFile>> {
        let all = self.coordinator.state_files();
        all.filter(|(setup, ..)| setup.node == *node).map(|(_, _, files)| files.to_vec()).collect()
    }

    /// Has state rewritten in the background.
    fn rewrite(&mut self, node: &NodeId, moves: Vec<Move>) {
        let left = Left { files: self.files_of(node), from: moves.iter().map(|one| one.from.seat).collect() };
        self.rewritings.begin(&mut self.helpers, node, moves, left);
    }

    /// Begins what swaps want to be rewritten, and forgets the states that all was moved out of.
    fn look_after_rewriting(&mut self) {
        if let Some(node) = self.swaps.take_recalled() {
            self.rewritings.forget(&node);
        }
        if let Some((node, moves)) = self.swaps.take_rewrite() {
            self.rewrite(&node, moves);
        }
        for (node, moves) in self.rewritings.take_complete(|node| self.swaps.may_go_back(node)) {
            let seat = self.job.nodes.iter().find(|seat| seat.id == node).expect("it was found before");
            let place = seat.place;
            for inbox in &self.attempt.inboxes[seat.task] {
                inbox.tell(Control::Swap(SwapControl::Rewritten { node: place }));
            }
            fail::fail_point!("state-all-rewritten");
            let states = Seating::moved(self.job.modules().states(&node), &moves);
            self.job.modules().states_are(&node, states.clone());
            self.tell(Event::StatesAre { node: node.clone(), states });
            let events = self.swaps.rewritten(now(&*self.job.parts.clock()).monotonic_ms, &node);
            self.tell_all(events);
        }
    }

    /// Edits that no checkpoint has yet want one, and so do keys that they have mended.
    fn ask_for_edits(&mut self) {
        if self.edits.are_there() || self.rewritings.are_wanted_again() {
            self.tell(Event::Requested(CheckpointKind::Checkpoint));
        }
    }

    fn forget(&self, oldest: Splits) {
        for (source, splits) in oldest {
            let Some(seat) = self.job.nodes.iter().find(|seat| seat.id == source) else { continue };
            let splits = Arc::new(splits);
            let inboxes = &self.attempt.inboxes[seat.task];
            inboxes.iter().for_each(|inbox| inbox.tell(Control::Forget(Arc::clone(&splits))));
        }
    }

    /// One merge at a time.
    fn merge_if_worth_it(&mut self) {
        if self.merging {
            return;
        }
        let processing_ms = self.job.parts.clock().now_ms();
        let work = merger::most_worth_it(&self.coordinator, &*self.chooser, processing_ms);
        let Some(work) = work else { return };
        self.merging = self.helpers.merger.send(work).is_ok();
    }

    fn report(&mut self, report: Report) {
        let at_ms = self.job.parts.clock().now_ms();
        let kind = match report {
            Report::Completed { checkpoint, duration_ms, stats } => {
                self.job.history.completed(checkpoint, at_ms, duration_ms, &stats, &self.job.heads());
                let uploaded_bytes = stats.uploaded_bytes;
                tracing::debug!(job = %self.job.id, %checkpoint, duration_ms, uploaded_bytes, "checkpoint");
                JobEventKind::Checkpoint { checkpoint, duration_ms, uploaded_bytes }
            }
            Report::Failed { checkpoint, failure } => {
                let cause = failure.to_string();
                self.savepoints.failed(checkpoint, &failure);
                self.shadows.failed(checkpoint, &failure);
                tracing::warn!(job = %self.job.id, %checkpoint, cause, "checkpoint failed");
                self.job.history.failed(checkpoint, at_ms, cause.clone());
                // One that was not even begun is forgotten.
                self.ask_for_edits();
                if self.swaps.awaits_manifest() {
                    self.tell(Event::Requested(CheckpointKind::Checkpoint));
                }
                JobEventKind::CheckpointFailed { checkpoint, cause }
            }
        };
        self.job.events.say(None, None, kind);
    }
}
