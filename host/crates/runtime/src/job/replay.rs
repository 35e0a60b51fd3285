//! Letters go back to the nodes that refused them.

use std::collections::BTreeMap;
use std::sync::Arc;

use gristmill_dataflow::plan::NodeKind;
use gristmill_types::{CheckpointId, DeadLetter, EventBatch, InputIndex, JobId, NodeId, SubtaskIndex, key_hash};

use crate::control::{Control, Receipts};
use crate::exchange::inbox::Inbox;
use crate::exchange::keys::Keying;
use crate::job::attempt::Attempt;
use crate::job::handle::JobHandle;
use crate::job::shared::NodeSeat;
use crate::task::surroundings::NO_KEY;

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

/// Letters on their way back: what each inbox is told, and which letters travel with it.
#[derive(Default)]
struct Travels<'a> {
    told: Vec<(&'a NodeId, &'a Inbox, Control)>,
    letters: Vec<Vec<usize>>,
}

impl<'a> Travels<'a> {
    fn push(&mut self, to: &'a NodeId, inbox: &'a Inbox, control: Control, letters: Vec<usize>) {
        self.told.push((to, inbox, control));
        self.letters.push(letters);
    }
}

impl JobHandle {
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
        let mut receipts = Receipts::new();
        let Travels { told, letters: travels } = self.addressed(&attempt, letters, &mut receipts)?;
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

    /// Says for all letters where they go: raw input one by one, events for one input of one subtask in one batch.
    fn addressed<'a>(
        &'a self,
        attempt: &'a Attempt,
        letters: &'a [DeadLetter],
        receipts: &mut Receipts,
    ) -> Result<Travels<'a>, ReplayError> {
        let inbox = |seat: &NodeSeat, subtask: SubtaskIndex| &*attempt.inboxes[seat.task][subtask.at()];
        let mut travels = Travels::default();
        let mut batches: BTreeMap<(&NodeId, InputIndex, SubtaskIndex), (EventBatch, Vec<usize>)> = BTreeMap::new();
        for (number, letter) in letters.iter().enumerate() {
            let seat = self.seat(&letter.operator).ok_or_else(|| self.no_such_input(letter))?;
            if seat.kind == NodeKind::Source {
                let raw = letter.value.clone().unwrap_or_default();
                let control = Control::Decode { raw, origin: letter.origin.clone(), taken: receipts.give() };
                travels.push(&seat.id, inbox(seat, SubtaskIndex(0)), control, vec![number]);
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
            travels.push(id, inbox(seat, subtask), control, numbers);
        }
        Ok(travels)
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
}
