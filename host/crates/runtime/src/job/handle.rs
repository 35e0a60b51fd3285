//! The only way into a running job.

use std::sync::{Arc, MutexGuard, PoisonError};

use gristmill_checkpoint::Savepoint;
use gristmill_checkpoint::recovery::Decided;
use gristmill_ports::catalog::JobState;
use gristmill_types::{CheckpointKind, JobId, NodeId, PortIndex, RunId};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::checkpoint::history::CheckpointsReport;
use crate::checkpoint::told::{Told, Wanted};
use crate::control::Control;
use crate::event::JobEvent;
use crate::job::shared::{Ending, JobShared, NodeSeat};
use crate::job::state::{IllegalTransition, JobStatus, Wish, wished};
use crate::report::JobReport;
use crate::tap::TapEvent;

/// A running job. Cheap to clone; dropping it changes nothing.
#[derive(Clone)]
pub struct JobHandle {
    pub(crate) shared: Arc<JobShared>,
}

/// Nothing of the job runs right now: it is over, or between two attempts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing of job `{0}` runs right now; wait until it is RUNNING")]
pub struct NotRunning(pub JobId);

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
        let ending = self.shared.ending().clone();
        self.wish(Wish::Stop, || ending.control())
    }

    /// Sources hold still and take nothing new in, so that a savepoint has all that was ever taken in. [`Self::stop_here`]
    /// or [`Self::let_go`] follows.
    ///
    /// # Errors
    /// If the job is over or ending.
    pub fn hold(&self) -> Result<(), IllegalTransition> {
        let before = std::mem::replace(&mut *self.shared.ending(), Ending::Held);
        self.pause().inspect_err(|_| *self.shared.ending() = before)?;
        self.tell_held(true);
        Ok(())
    }

    /// Whether sources are held still for a savepoint that the job is to be stopped with.
    #[must_use]
    pub fn is_held(&self) -> bool {
        *self.shared.ending() == Ending::Held
    }

    /// Sources take in again what comes; they go on if `resumes`.
    ///
    /// # Errors
    /// If the job is over or ending.
    pub fn let_go(&self, resumes: bool) -> Result<(), IllegalTransition> {
        *self.shared.ending() = Ending::Plain;
        self.tell_held(false);
        if resumes { self.resume() } else { Ok(()) }
    }

    /// Sources end where they stand: what was taken in and not read is in the savepoint that was taken while they were
    /// held, and stays in this job for whoever starts it again.
    ///
    /// # Errors
    /// If the job is over.
    pub fn stop_here(&self) -> Result<(), IllegalTransition> {
        *self.shared.ending() = Ending::Here;
        self.stop()
    }

    /// The job comes to its end as if all its input had ended: what was taken in is read, event time is completed, all
    /// output is committed. The last checkpoint becomes a savepoint of this name. The receiver hears what came of that, and
    /// nothing if the attempt ends before: whoever asks again is told by the next one.
    ///
    /// # Errors
    /// If the job is over, or does not run yet.
    pub fn drain(&self, name: &str) -> Result<Option<oneshot::Receiver<Result<Savepoint, String>>>, IllegalTransition> {
        let before = std::mem::replace(&mut *self.shared.ending(), Ending::Drain(name.to_owned()));
        self.stop().inspect_err(|_| *self.shared.ending() = before)?;
        let (tell, told) = oneshot::channel();
        let heard = self.tell(Told::DrainWanted(Wanted { name: name.to_owned(), tell }));
        Ok(heard.ok().map(|()| told))
    }

    fn tell_held(&self, held: bool) {
        if let Some(attempt) = self.shared.attempt() {
            attempt.tell_sources(|| Control::Hold(held));
        }
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

    /// Asks for a savepoint of this name. The receiver hears what came of it, and nothing if the attempt ends before.
    ///
    /// # Errors
    /// If nothing of the job runs right now.
    pub fn savepoint(&self, name: &str) -> Result<oneshot::Receiver<Result<Savepoint, String>>, NotRunning> {
        let (tell, told) = oneshot::channel();
        self.tell(Told::SavepointWanted(Wanted { name: name.to_owned(), tell }))?;
        Ok(told)
    }

    /// Ends the attempt, and starts another from the newest checkpoint.
    ///
    /// # Errors
    /// If nothing of the job runs right now.
    pub fn restart(&self) -> Result<(), NotRunning> {
        self.tell(Told::Restart)
    }

    pub(super) fn tell(&self, told: Told) -> Result<(), NotRunning> {
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

    pub(super) fn seat(&self, node: &NodeId) -> Option<&NodeSeat> {
        self.shared.nodes.iter().find(|seat| seat.id == *node)
    }
}
