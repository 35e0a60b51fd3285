//! A shadow as its threads, its driver and its handles see it, and what these tell each other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gristmill_dataflow::document::CheckpointSpec;
use gristmill_ports::{Operator, Signal};
use gristmill_types::{CheckpointId, Descriptor, ModuleHash, NodeId, Parallelism, SubtaskIndex};

use crate::shadow::report::{ShadowCounts, ShadowPolicy, ShadowReport, ShadowStage};
use crate::shadow::tally::{Tally, join};
use crate::shadow::tee::{Room, Tee};

/// What is shared of a shadow.
pub(crate) struct Shadow {
    pub(crate) operator: NodeId,
    pub(crate) primary: ModuleHash,
    pub(crate) module: ModuleHash,
    pub(crate) policy: ShadowPolicy,
    /// Ends its calls and its waits.
    pub(crate) over: Signal,
    progress: Mutex<Progress>,
    tallies: Vec<Mutex<Tally>>,
}

struct Progress {
    stage: ShadowStage,
    cause: Option<String>,
    from: Option<CheckpointId>,
    rooms: Vec<Arc<Room>>,
}

impl Shadow {
    pub(crate) fn new(
        operator: &NodeId,
        (primary, module): (ModuleHash, ModuleHash),
        policy: ShadowPolicy,
        parallelism: Parallelism,
    ) -> Self {
        let tally = |subtask| Mutex::new(Tally::new(subtask, policy.samples));
        Self {
            operator: operator.clone(),
            primary,
            module,
            policy,
            over: Signal::default(),
            progress: Mutex::new(Progress { stage: ShadowStage::Waiting, cause: None, from: None, rooms: Vec::new() }),
            tallies: parallelism.subtasks().map(tally).collect(),
        }
    }

    pub(crate) fn tally(&self, subtask: SubtaskIndex) -> MutexGuard<'_, Tally> {
        self.tallies[subtask.at()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls that it has not made yet wait in these.
    pub(crate) fn has_rooms(&self, rooms: Vec<Arc<Room>>) {
        self.progress().rooms = rooms;
    }

    /// Its state begins with this checkpoint.
    pub(crate) fn follows(&self, from: CheckpointId) {
        let mut progress = self.progress();
        if progress.stage != ShadowStage::Over {
            (progress.stage, progress.from) = (ShadowStage::Following, Some(from));
        }
    }

    /// It runs no more. The first cause stands; `false` if there was one.
    pub(crate) fn end(&self, cause: &str) -> bool {
        self.over.raise();
        let mut progress = self.progress();
        let is_first = progress.stage != ShadowStage::Over;
        if is_first {
            (progress.stage, progress.cause) = (ShadowStage::Over, Some(cause.to_owned()));
            progress.rooms.clear();
        }
        is_first
    }

    pub(crate) fn is_over(&self) -> bool {
        self.progress().stage == ShadowStage::Over
    }

    /// What it has found so far.
    pub(crate) fn report(&self) -> ShadowReport {
        let (mut counts, mut failures, mut samples) = (ShadowCounts::default(), Vec::new(), Vec::new());
        for subtask in (0..self.tallies.len() as u32).map(SubtaskIndex) {
            let tally = self.tally(subtask);
            counts.add(&tally.counts);
            tally.failures.iter().for_each(|failure| join(&mut failures, failure.clone()));
            samples.extend(tally.samples.iter().cloned());
        }
        samples.truncate(self.policy.samples);
        let progress = self.progress();
        let waiting = progress.rooms.iter().map(|room| room.waiting());
        let (waiting_calls, waiting_bytes) = waiting.fold((0, 0), |sum, (calls, bytes)| (sum.0 + calls, sum.1 + bytes));
        ShadowReport {
            operator: self.operator.clone(),
            primary: self.primary,
            shadow: self.module,
            stage: progress.stage,
            cause: progress.cause.clone(),
            from: progress.from,
            counts,
            failures,
            samples,
            waiting_calls,
            waiting_bytes,
        }
    }
}

/// What a subtask is told, of a node of its chain.
#[derive(Debug)]
pub(crate) struct ShadowControl {
    /// The place of the node in its chain.
    pub(crate) node: usize,
    /// From the cut of this checkpoint on, each call of the node goes into the tee.
    pub(crate) from: CheckpointId,
    pub(crate) tee: Tee,
}

/// What the driver of an attempt is told.
pub(crate) enum ShadowTold {
    /// Somebody wants one, and all its instances are open.
    Wanted(Box<ShadowWanted>),
    /// The state of a subtask of it is filled.
    Filled(Arc<Shadow>),
    /// It cannot go on, or nobody wants it any more.
    Ended(Arc<Shadow>, String),
}

/// A shadow whose instances are open.
pub(crate) struct ShadowWanted {
    pub(crate) shadow: Arc<Shadow>,
    pub(crate) descriptor: Descriptor,
    /// How its state is held.
    pub(crate) checkpoint: CheckpointSpec,
    /// One for each subtask.
    pub(crate) instances: Vec<Box<dyn Operator>>,
}
