//! The shadow of an attempt: begins behind the cut of a checkpoint, fills its state from that, and ends with the attempt.
//! Neither a checkpoint nor the stream waits for it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;

use gristmill_checkpoint::coordinator::{Event, Failure};
use gristmill_checkpoint::{FileRef, Manifest};
use gristmill_ports::FileStore;
use gristmill_ports::parts::PartContext;
use gristmill_types::{AttemptId, CheckpointId, CheckpointKind, SubtaskIndex};

use crate::checkpoint::attempt_files::AttemptFiles;
use crate::checkpoint::told::Told;
use crate::control::Control;
use crate::exchange::inbox::Inbox;
use crate::job::attempt::Attempt;
use crate::job::crew::STACK_BYTES;
use crate::job::follower::{Follower, Ground};
use crate::job::shared::{JobShared, NodeSeat};
use crate::shadow::tee::{TeeEnd, tee};
use crate::shadow::{Shadow, ShadowControl, ShadowStage, ShadowTold, ShadowWanted};

/// The shadow that is under way, if one is.
pub(crate) struct ShadowsUnderWay<'a> {
    job: &'a JobShared,
    attempt: Arc<Attempt>,
    files: Arc<dyn FileStore>,
    current: Option<UnderWay>,
    /// Threads of this one and of those before.
    threads: Vec<JoinHandle<()>>,
}

struct UnderWay {
    shadow: Arc<Shadow>,
    step: Step,
}

enum Step {
    /// The next barrier is the one.
    Ready(Box<ShadowWanted>),
    /// Calls are kept from the cut of this checkpoint on.
    Waits { wanted: Box<ShadowWanted>, from: CheckpointId, queues: Vec<TeeEnd>, page: Option<(AttemptId, FileRef)> },
    /// Its threads run. So many still read the checkpoint's files.
    Follows { from: CheckpointId, filling: usize },
}

impl<'a> ShadowsUnderWay<'a> {
    pub(crate) fn new(job: &'a JobShared, attempt: &Arc<Attempt>, files: &Arc<dyn FileStore>) -> Self {
        let (attempt, files) = (Arc::clone(attempt), Arc::clone(files));
        Self { job, attempt, files, current: None, threads: Vec::new() }
    }

    /// Takes a word in; gives what the coordinator is told.
    pub(crate) fn hear(&mut self, told: ShadowTold) -> Vec<Event> {
        match told {
            ShadowTold::Wanted(wanted) if wanted.shadow.is_over() => Vec::new(),
            ShadowTold::Wanted(wanted) => {
                let shadow = Arc::clone(&wanted.shadow);
                self.current = Some(UnderWay { shadow, step: Step::Ready(wanted) });
                vec![Event::Requested(CheckpointKind::Checkpoint)]
            }
            ShadowTold::Filled(shadow) => self.filled(&shadow),
            ShadowTold::Ended(shadow, cause) => self.end(&shadow, &cause),
        }
    }

    /// A barrier is about to be sent: whoever is told now has heard of it before the barrier comes.
    pub(crate) fn injecting(&mut self, from: CheckpointId) {
        let Some(UnderWay { shadow, step }) = self.current.take() else { return };
        let wanted = match step {
            Step::Ready(wanted) => wanted,
            Step::Waits { .. } | Step::Follows { .. } => {
                self.current = Some(UnderWay { shadow, step });
                return;
            }
        };
        let seat = self.seat(&shadow);
        let room = shadow.policy.room_bytes / seat.parallelism.get() as usize;
        let queue = |inbox: &Arc<Inbox>| {
            let (tee, queue) = tee((shadow.policy.room_calls, room), &shadow.over);
            inbox.tell(Control::Shadow(ShadowControl { node: seat.place, from, tee }));
            queue
        };
        let queues: Vec<_> = self.attempt.inboxes[seat.task].iter().map(queue).collect();
        shadow.has_rooms(queues.iter().map(|queue| Arc::clone(queue.room())).collect());
        self.current = Some(UnderWay { shadow, step: Step::Waits { wanted, from, queues, page: None } });
    }

    /// A manifest is made.
    pub(crate) fn storing(&mut self, manifest: &Manifest) {
        let Some(UnderWay { shadow, step: Step::Waits { from, page, .. } }) = &mut self.current else { return };
        if manifest.checkpoint == *from {
            let of_node = manifest.pages.iter().find(|page| page.node == shadow.operator);
            *page = of_node.map(|page| (manifest.attempt, page.file));
        }
    }

    /// It stands in its slot: what it names is there, and stays while it is read.
    pub(crate) fn decided(&mut self, checkpoint: CheckpointId) -> Vec<Event> {
        let is_base = |current: &mut UnderWay| matches!(&current.step, Step::Waits { from, page: Some(_), .. } if *from == checkpoint);
        let Some(UnderWay { shadow, step }) = self.current.take_if(is_base) else { return Vec::new() };
        let Step::Waits { wanted, from, queues, page: Some(page) } = step else {
            unreachable!("the step was just looked at")
        };
        let filling = queues.len();
        if let Err(why) = self.spawn(&shadow, *wanted, queues, page) {
            self.job.end_shadow(&shadow, &why);
            return Vec::new();
        }
        shadow.follows(from);
        self.job.say_shadow(&shadow, ShadowStage::Following, None);
        self.current = Some(UnderWay { shadow, step: Step::Follows { from, filling } });
        vec![Event::Held(from)]
    }

    /// A checkpoint has failed. One that was not stored in time may yet be decided.
    pub(crate) fn failed(&mut self, checkpoint: CheckpointId, failure: &Failure) {
        let is_lost = match failure {
            Failure::TimedOut { .. } | Failure::Declined { .. } => true,
            Failure::NotStored { .. } | Failure::Uncommitted { .. } => false,
        };
        let Some(UnderWay { shadow, step }) = self.current.take() else { return };
        let step = match step {
            Step::Waits { wanted, from, .. } if is_lost && from == checkpoint => Step::Ready(wanted),
            other @ (Step::Ready(_) | Step::Waits { .. } | Step::Follows { .. }) => other,
        };
        self.current = Some(UnderWay { shadow, step });
    }

    /// The attempt is over, and so is its shadow.
    pub(crate) fn close(mut self) {
        self.job.end_shadow_of_attempt();
        self.current = None;
        self.reap(|_| true);
    }

    fn filled(&mut self, filled: &Arc<Shadow>) -> Vec<Event> {
        match &mut self.current {
            Some(UnderWay { shadow, step: Step::Follows { from, filling } }) if Arc::ptr_eq(shadow, filled) => {
                *filling = filling.saturating_sub(1);
                if *filling == 0 { vec![Event::Released(*from)] } else { Vec::new() }
            }
            Some(_) | None => Vec::new(),
        }
    }

    fn end(&mut self, ended: &Arc<Shadow>, cause: &str) -> Vec<Event> {
        self.job.end_shadow(ended, cause);
        self.reap(JoinHandle::is_finished);
        match self.current.take_if(|current| Arc::ptr_eq(&current.shadow, ended)) {
            Some(UnderWay { step: Step::Follows { from, .. }, .. }) => vec![Event::Released(from)],
            Some(UnderWay { step: Step::Ready(_) | Step::Waits { .. }, .. }) | None => Vec::new(),
        }
    }

    /// Waits for threads that are about to end.
    fn reap(&mut self, ends: impl Fn(&JoinHandle<()>) -> bool) {
        let (ending, going_on) = std::mem::take(&mut self.threads).into_iter().partition(|thread| ends(thread));
        self.threads = going_on;
        let ending: Vec<JoinHandle<()>> = ending;
        for thread in ending {
            if thread.join().is_err() {
                tracing::error!(job = %self.job.id, "bug: a thread of a shadow panicked");
            }
        }
    }

    fn spawn(
        &mut self,
        shadow: &Arc<Shadow>,
        ShadowWanted { descriptor, checkpoint, instances, .. }: ShadowWanted,
        queues: Vec<TeeEnd>,
        (attempt, page): (AttemptId, FileRef),
    ) -> Result<(), String> {
        let ground = Arc::new(Ground {
            shadow: Arc::clone(shadow),
            descriptor,
            checkpoint,
            page,
            files: Arc::new(AttemptFiles { files: Arc::clone(&self.files), over: shadow.over.clone() }),
            parts: Arc::clone(&self.job.parts),
            told: self.attempt.told.clone(),
        });
        for ((subtask, operator), queue) in (0..).map(SubtaskIndex).zip(instances).zip(queues) {
            let context = self.context(shadow, subtask, attempt);
            let thread = self.start(Follower { ground: Arc::clone(&ground), context, operator, queue })?;
            self.threads.push(thread);
        }
        Ok(())
    }

    fn start(&self, follower: Follower) -> Result<JoinHandle<()>, String> {
        let name = format!("{}-shadow-{}", self.job.id, follower.context.subtask);
        let (told, shadow) = (self.attempt.told.clone(), Arc::clone(&follower.ground.shadow));
        let run = move || follow(follower, &told, &shadow);
        let spawned = std::thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(run);
        spawned.map_err(|error| format!("a thread for it cannot be started: {error}"))
    }

    fn context(&self, shadow: &Shadow, subtask: SubtaskIndex, attempt: AttemptId) -> PartContext {
        PartContext {
            job: self.job.id.clone(),
            run: self.job.run,
            attempt,
            node: shadow.operator.clone(),
            subtask,
            parallelism: self.seat(shadow).parallelism,
            max_parallelism: self.job.max_parallelism,
            layer: 0,
            cancelled: shadow.over.clone(),
        }
    }

    fn seat(&self, shadow: &Shadow) -> &'a NodeSeat {
        let seat = self.job.nodes.iter().find(|seat| seat.id == shadow.operator);
        seat.expect("whoever wanted the shadow has found the seat")
    }
}

/// A panic is a bug of the host, and ends the shadow, not the process.
fn follow(follower: Follower, told: &Sender<Told>, shadow: &Arc<Shadow>) {
    if catch_unwind(AssertUnwindSafe(|| follower.run())).is_err() {
        tracing::error!(operator = %shadow.operator, "bug: a shadow panicked");
        let cause = "a bug in the host ended it".to_owned();
        let _ = told.send(Told::Shadow(ShadowTold::Ended(Arc::clone(shadow), cause)));
    }
}
