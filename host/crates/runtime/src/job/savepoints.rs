//! Savepoints of an attempt, from the wish to the answer.

use std::collections::{BTreeMap, VecDeque};

use gristmill_checkpoint::Savepoint;
use gristmill_checkpoint::coordinator::Failure;
use gristmill_types::{CheckpointBarrier, CheckpointId, CheckpointKind};
use tokio::sync::oneshot;

use crate::checkpoint::told::{Carried, Wanted};

/// What came of a savepoint: its record, or why there is none.
type SavepointTold = Result<Savepoint, String>;

/// Savepoints that are wanted, and those in the making. Whoever waits for one hears nothing if the attempt ends before.
#[derive(Default)]
pub(crate) struct SavepointsUnderWay {
    /// No barrier was sent for these yet.
    wanted: VecDeque<Wanted>,
    /// What the last checkpoint becomes.
    at_end: Option<Wanted>,
    taking: BTreeMap<CheckpointId, Wanted>,
    carried: BTreeMap<CheckpointId, Carried>,
    /// The barrier of the newest one was the last.
    is_last: bool,
}

impl SavepointsUnderWay {
    pub(crate) fn want(&mut self, wanted: Wanted) {
        self.wanted.push_back(wanted);
    }

    /// The last checkpoint is to become this one. Whoever asked for the same before hears nothing.
    pub(crate) fn want_at_end(&mut self, wanted: Wanted) {
        match self.taking.values_mut().find(|taking| taking.name == wanted.name) {
            Some(taking) => *taking = wanted,
            None => self.at_end = Some(wanted),
        }
    }

    /// Whether there are some for which no barrier was sent yet.
    pub(crate) fn are_wanted(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// None can be taken now.
    pub(crate) fn refuse_wanted(&mut self, why: &str) {
        self.wanted.drain(..).for_each(|one| one.refuse(why.to_owned()));
    }

    /// A barrier is sent. One of a savepoint is for whoever has waited longest; the last one for whoever wanted that.
    pub(crate) fn injected(&mut self, barrier: &CheckpointBarrier, is_last: bool) {
        if barrier.kind == CheckpointKind::Savepoint
            && let Some(wanted) = self.at_end.take_if(|_| is_last).or_else(|| self.wanted.pop_front())
        {
            self.is_last = is_last;
            self.taking.insert(barrier.checkpoint, wanted);
        }
    }

    /// A checkpoint has failed, or is late.
    pub(crate) fn failed(&mut self, checkpoint: CheckpointId, failure: &Failure) {
        match failure {
            // Begun anew, under another number.
            Failure::TimedOut { .. } | Failure::Declined { .. } => {
                if let Some(wanted) = self.taking.remove(&checkpoint) {
                    match self.is_last {
                        true => self.at_end = Some(wanted),
                        false => self.wanted.push_front(wanted),
                    }
                }
            }
            // It may still be stored.
            Failure::NotStored { .. } => {}
            // Not begun at all.
            Failure::Uncommitted { .. } => {
                let cause = failure.to_string();
                self.wanted.drain(..).for_each(|one| say(one.tell, Err(cause.clone())));
            }
        }
    }

    /// The name of the savepoint that a checkpoint becomes.
    pub(crate) fn name_of(&self, checkpoint: CheckpointId) -> Option<String> {
        self.taking.get(&checkpoint).map(|wanted| wanted.name.clone())
    }

    /// Its files are carried, or cannot be: then false.
    pub(crate) fn carried(&mut self, checkpoint: CheckpointId, carried: Result<Box<Carried>, String>) -> bool {
        match carried {
            Ok(carried) => {
                self.carried.insert(checkpoint, *carried);
                true
            }
            Err(why) => {
                self.sealed(checkpoint, Err(why));
                false
            }
        }
    }

    /// What is to be sealed.
    pub(crate) fn take_carried(&mut self, checkpoint: CheckpointId) -> Option<Carried> {
        self.carried.remove(&checkpoint)
    }

    /// It is one now, or will never be.
    pub(crate) fn sealed(&mut self, checkpoint: CheckpointId, sealed: SavepointTold) {
        if let Some(wanted) = self.taking.remove(&checkpoint) {
            say(wanted.tell, sealed);
        }
    }
}

fn say(tell: oneshot::Sender<SavepointTold>, told: SavepointTold) {
    // Nobody has to wait for it.
    let _ = tell.send(told);
}
