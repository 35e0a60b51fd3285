//! The only way into a running job.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use gristmill_checkpoint::recovery::Decided;
use gristmill_dataflow::plan::NodeKind;
use gristmill_ports::catalog::JobState;
use gristmill_types::{
    CheckpointId, CheckpointKind, DeadLetter, EventBatch, InputIndex, JobId, NodeId, PortIndex, RunId, SubtaskIndex,
    key_hash,
};
use tokio::sync::{broadcast, mpsc, watch};

use crate::checkpoint::history::CheckpointsReport;
use crate::checkpoint::told::Told;
use crate::control::{Control, Receipts};
use crate::event::JobEvent;
use crate::exchange::inbox::Inbox;
use crate::exchange::keys::Keying;
use crate::job::shared::{JobShared, NodeSeat};
use crate::job::state::{IllegalTransition, JobStatus, Wish, wished};
use crate::report::JobReport;
use crate::tap::TapEvent;
use crate::task::surroundings::NO_KEY;

/// A running job. Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct JobHandle {
    pub(crate) shared: Arc<JobShared>,
}

/// Nothing of the job runs right now: it is over, or between two attempts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing of job `{0}` runs right now; wait until it is RUNNING")]
pub struct NotRunning(pub JobId);

/// Why letters cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The job has ended.
    #[error("job `{0}` is not running; letters can be replayed only into a running job")]
    NotRunning(JobId),
    /// The job has ended before all letters were taken in.
    #[error("job `{0}` ended before all letters were taken in; those that say so were replayed, the others were not")]
    EndedMeanwhile(JobId),
    /// The job has no such operator or input (any more).
    #[error("job `{job}` has no input `{input}` at `{operator}`")]
    NoSuchInput {
        /// The job.
        job: JobId,
        /// Where the letter comes from.
        operator: NodeId,
        /// Its input.
        input: String,
    },
    /// No key can be found for a keyed input.
    #[error("the letter still has no key for input `{input}` of `{operator}`: {why}")]
    NoKey {
        /// The operator.
        operator: NodeId,
        /// Its input.
        input: String,
        /// Why.
        why: String,
    },
    /// The subtask that would take a letter has read its input to the end already.
    #[error(
        "`{operator}` of job `{job}` has come to its end and takes no letters; submit the job again to replay them"
    )]
    Ended {
        /// The job.
        job: JobId,
        /// Where the letter comes from.
        operator: NodeId,
    },
}

impl JobHandle {
    /// The job's id.
    #[must_use]
    pub fn id(&self) -> &JobId {
        &self.shared.id
    }

    /// Where the job is.
    #[must_use]
    pub fn status(&self) -> JobStatus {
        self.shared.status.borrow().clone()
    }

    /// Follows the job's state.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<JobStatus> {
        self.shared.status.subscribe()
    }

    /// Follows the newest checkpoint that is known to be decided.
    #[must_use]
    pub fn newest(&self) -> watch::Receiver<Option<Decided>> {
        self.shared.newest.subscribe()
    }

    /// Sources hold still; what is inside flows on.
    ///
    /// # Errors
    /// If the job is over or ending.
    pub fn pause(&self) -> Result<(), IllegalTransition> {
        self.wish(Wish::Pause, || Control::Pause)
    }

    /// Sources go on.
    ///
    /// # Errors
    /// If the job is over or ending.
    pub fn resume(&self) -> Result<(), IllegalTransition> {
        self.wish(Wish::Resume, || Control::Resume)
    }

    /// Sources end; what is inside flows out, then the job is `STOPPED`. Event time is not completed.
    ///
    /// # Errors
    /// If the job is over.
    pub fn stop(&self) -> Result<(), IllegalTransition> {
        self.wish(Wish::Stop, || Control::Stop)
    }

    /// The same for a job that was about to stop when its host went down: as soon as it runs.
    ///
    /// # Errors
    /// If the job is over.
    pub fn stop_when_it_runs(&self) -> Result<(), IllegalTransition> {
        let mut waits = false;
        self.shared.change_status(|status| match status.state {
            JobState::Starting => {
                waits = true;
                JobStatus { state: JobState::Stopping, cause: status.cause.clone() }
            }
            JobState::Running
            | JobState::Restarting
            | JobState::Paused
            | JobState::Stopping
            | JobState::Finished
            | JobState::Stopped
            | JobState::Cancelled
            | JobState::Failed => status.clone(),
        });
        if waits { Ok(()) } else { self.stop() }
    }

    /// Everything ends at once; what is inside is dropped. Then the job is `CANCELLED`.
    ///
    /// # Errors
    /// If the job is over.
    pub fn cancel(&self) -> Result<(), IllegalTransition> {
        // Decided under the lock of the status, under which a job also ends: a job that is over is never cancelled.
        let mut granted = Ok(None);
        self.shared.status.send_if_modified(|status| {
            granted = wished(status.state, Wish::Cancel);
            if granted.is_ok() && !status.state.is_final() {
                self.shared.cancelled.raise();
            }
            false
        });
        granted?;
        self.shared.break_off();
        Ok(())
    }

    /// Which life of the job this is.
    #[must_use]
    pub fn run(&self) -> RunId {
        self.shared.run
    }

    /// Asks for a checkpoint now. What becomes of it is in [`Self::checkpoints`].
    ///
    /// # Errors
    /// If nothing of the job runs right now.
    pub fn checkpoint(&self, kind: CheckpointKind) -> Result<(), NotRunning> {
        self.tell(Told::Requested(kind))
    }

    /// Ends the attempt, and starts another from the newest checkpoint.
    ///
    /// # Errors
    /// If nothing of the job runs right now.
    pub fn restart(&self) -> Result<(), NotRunning> {
        self.tell(Told::Restart)
    }

    fn tell(&self, told: Told) -> Result<(), NotRunning> {
        let attempt = self.shared.attempt();
        let heard = attempt.is_some_and(|attempt| attempt.told.send(told).is_ok());
        if heard { Ok(()) } else { Err(NotRunning(self.shared.id.clone())) }
    }

    /// The host goes down: one last checkpoint is made and committed, then nothing of the job runs any more in this host.
    /// Its status stays; [`crate::resume`] goes on.
    pub fn suspend(&self) {
        self.shared.suspended.raise();
        if self.tell(Told::Suspend).is_err() {
            self.shared.break_off();
        }
    }

    /// Ends the job in this host at once, as a crash would; it goes on from its newest checkpoint.
    pub fn abandon(&self) {
        self.shared.suspended.raise();
        self.shared.break_off();
    }

    /// Turns true when nothing of the job runs any more in this host.
    #[must_use]
    pub fn gone(&self) -> watch::Receiver<bool> {
        self.shared.gone.subscribe()
    }

    /// What became of the job's checkpoints.
    #[must_use]
    pub fn checkpoints(&self) -> CheckpointsReport {
        self.shared.history.report()
    }

    fn wish(&self, wish: Wish, control: impl Fn() -> Control) -> Result<(), IllegalTransition> {
        let mut refused = None;
        // Decided, told and said under the lock of the status: sources hear wishes in the order in which they were
        // granted, or a pause could overtake the resume that followed it and hold still a job that says RUNNING.
        self.shared.status.send_if_modified(|status| match wished(status.state, wish) {
            Ok(Some(state)) => {
                status.state = state;
                if let Some(attempt) = self.shared.attempt() {
                    attempt.tell_sources(&control);
                }
                self.shared.say_status(status);
                true
            }
            Ok(None) => false,
            Err(error) => {
                refused = Some(error);
                false
            }
        });
        refused.map_or(Ok(()), Err)
    }

    /// What the job has done so far.
    #[must_use]
    pub fn report(&self) -> JobReport {
        self.shared.report()
    }

    /// Recent events of the job, and all that follow.
    #[must_use]
    pub fn events(&self) -> (Vec<JobEvent>, broadcast::Receiver<JobEvent>) {
        self.shared.events.listen()
    }

    /// A live sample of what leaves a port.
    ///
    /// # Errors
    /// If there is no such node or port, in a sentence.
    pub fn tap(&self, node: &NodeId, port: PortIndex) -> Result<mpsc::Receiver<TapEvent>, String> {
        let seat = self.seat(node).ok_or_else(|| format!("job `{}` has no operator `{node}`", self.shared.id))?;
        if seat.ports.is_empty() {
            return Err(format!("`{node}` is a sink, which has no output port; tap what feeds it"));
        }
        if port.at() >= seat.ports.len() {
            return Err(format!("`{node}` has {} output ports: {}", seat.ports.len(), seat.ports.join(", ")));
        }
        Ok(seat.tap.watch(port))
    }

    /// While this is held, no attempt begins: what was said of the job's work up to now is not undone meanwhile.
    pub fn stays(&self) -> MutexGuard<'_, ()> {
        self.shared.going_back.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts letters back in front of the nodes that refused them, in order, and waits until they were taken in. Says for
    /// each which checkpoint its subtask had passed last: from the next one on it counts as replayed. Blocks; not for a
    /// tokio worker.
    ///
    /// # Errors
    /// If the job or the node has ended, or a letter's place does not exist any more, or it has no key: no letter was
    /// replayed then. [`ReplayError::EndedMeanwhile`] if the job ends before all are taken in: some may have been.
    pub fn replay(&self, letters: &[DeadLetter]) -> Result<Vec<CheckpointId>, ReplayError> {
        let not_running = || ReplayError::NotRunning(self.shared.id.clone());
        let attempt = self.shared.attempt().filter(|_| !self.shared.is_over()).ok_or_else(not_running)?;
        let inbox = |seat: &NodeSeat, subtask: SubtaskIndex| &*attempt.inboxes[seat.task][subtask.at()];
        // For each letter the batch that it travels in.
        let mut travels = Vec::with_capacity(letters.len());
        let mut receipts = Receipts::new();
        let mut told: Vec<(&NodeId, &Inbox, Control)> = Vec::new();
        let mut batches: BTreeMap<(&NodeId, InputIndex, SubtaskIndex), (EventBatch, Vec<usize>)> = BTreeMap::new();
        for (number, letter) in letters.iter().enumerate() {
            let seat = self.seat(&letter.operator).ok_or_else(|| self.no_such_input(letter))?;
            if seat.kind == NodeKind::Source {
                let raw = letter.value.clone().unwrap_or_default();
                let control = Control::Decode { raw, origin: letter.origin.clone(), taken: receipts.give() };
                told.push((&seat.id, inbox(seat, SubtaskIndex(0)), control));
                travels.push(vec![number]);
                continue;
            }
            let (input, subtask, event) = self.placed(seat, letter)?;
            let (events, numbers) = batches.entry((&seat.id, input, subtask)).or_default();
            events.append(&event);
            numbers.push(number);
        }
        for ((id, input, subtask), (events, numbers)) in batches {
            let seat = self.seat(id).expect("its letter was placed at this seat");
            let events = Arc::new(events);
            let control = Control::Replay { node: seat.place, input, events, taken: receipts.give() };
            told.push((id, inbox(seat, subtask), control));
            travels.push(numbers);
        }
        let (operators, told): (Vec<_>, Vec<_>) =
            told.into_iter().map(|(id, inbox, control)| (id, (inbox, control))).unzip();
        Inbox::tell_all(told).map_err(|place| match self.shared.is_over() {
            true => not_running(),
            false => ReplayError::Ended { job: self.shared.id.clone(), operator: operators[place].clone() },
        })?;
        let said = receipts.wait().ok_or_else(|| ReplayError::EndedMeanwhile(self.shared.id.clone()))?;
        let mut passed = vec![CheckpointId(0); letters.len()];
        for (numbers, checkpoint) in travels.into_iter().zip(said) {
            numbers.into_iter().for_each(|number| passed[number] = checkpoint);
        }
        Ok(passed)
    }

    /// The input and subtask at which a letter belongs, and its event, keyed if the input is.
    fn placed(
        &self,
        seat: &NodeSeat,
        letter: &DeadLetter,
    ) -> Result<(InputIndex, SubtaskIndex, EventBatch), ReplayError> {
        let mut event = EventBatch::default();
        event.push(letter.timestamp, letter.key.as_deref(), letter.value.as_deref());
        if seat.kind == NodeKind::Sink {
            return Ok((InputIndex(0), self.owner(seat, &event), event));
        }
        let input = seat.inputs.iter().position(|(name, _)| *name == letter.input);
        let input = input.ok_or_else(|| self.no_such_input(letter))?;
        let Some(key_by) = &seat.inputs[input].1 else {
            return Ok((InputIndex(input as u32), self.owner(seat, &event), event));
        };
        // An event that never got its key for this input may still carry the one that it had before.
        if letter.key.is_none() || letter.reason.kind == NO_KEY {
            let no_key = |why: String| ReplayError::NoKey {
                operator: letter.operator.clone(),
                input: letter.input.clone(),
                why,
            };
            let mut keying = Keying::new(key_by, &*self.shared.parts).map_err(|error| no_key(error.message))?;
            let mut keyed = keying.apply(Arc::new(event));
            if let Some((_, why)) = keyed.without_key.pop() {
                return Err(no_key(why));
            }
            event = keyed.events;
        }
        let event = event.hashed();
        Ok((InputIndex(input as u32), self.owner(seat, &event), event))
    }

    /// The subtask that owns the event's key: later nodes of its chain may count on keys that are kept. One without a
    /// key is as good anywhere.
    fn owner(&self, seat: &NodeSeat, event: &EventBatch) -> SubtaskIndex {
        let max = self.shared.max_parallelism;
        let group = |key: &[u8]| max.group_of(key_hash(key));
        event.keys().get(0).map_or(SubtaskIndex(0), |key| max.owner_of(group(key), seat.parallelism))
    }

    fn no_such_input(&self, letter: &DeadLetter) -> ReplayError {
        ReplayError::NoSuchInput {
            job: self.shared.id.clone(),
            operator: letter.operator.clone(),
            input: letter.input.clone(),
        }
    }

    fn seat(&self, node: &NodeId) -> Option<&NodeSeat> {
        self.shared.nodes.iter().find(|seat| seat.id == *node)
    }
}
