//! Starting a job: every part is opened before the first thread runs, so that a job that cannot start touches nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use gristmill_ports::catalog::JobState;
use gristmill_ports::{Parts, Signal};
use tokio::sync::watch;

use crate::checkpoint::history::History;
use crate::event::EventLog;
use crate::job::assemble::seats::seats;
use crate::job::begin::{Beginning, begin};
use crate::job::handle::JobHandle;
use crate::job::modules::{Modules, OpenSwap};
use crate::job::shared::{Ending, JobShared};
use crate::job::spec::{JobSpec, StartError};
use crate::job::state::JobStatus;
use crate::job::supervisor::supervise;

/// Opens all parts and starts the threads. Blocks while modules open and checkpoints are read; not for a tokio worker.
///
/// # Errors
/// If a part cannot be opened, or the checkpoint storage cannot be used. The job has not run then.
pub fn start(mut spec: JobSpec, parts: Arc<dyn Parts>) -> Result<JobHandle, StartError> {
    let shared = shared(&spec, None, parts);
    let over = Signal::default();
    shared.begins(&over);
    let beginning = begin(&shared, &mut spec, &over)?;
    match &beginning {
        Beginning::Run(begun) => shared.runs(&begun.assembled.attempt),
        Beginning::Over(_) | Beginning::GivenUp => {}
    }
    hand_over(shared, spec, Some(beginning))
}

/// Starts a job that ran before, from its newest checkpoint. What does not work now is tried again as after a failure, so
/// a store that is out of reach for a while costs the job nothing but time.
///
/// # Errors
/// If its thread cannot be started.
pub fn resume(spec: JobSpec, parts: Arc<dyn Parts>) -> Result<JobHandle, StartError> {
    resume_open(spec, None, parts)
}

/// The same. A swap that the process before has left open is decided by the manifest that the job goes on from: see
/// [`JobHandle::newest_swap`].
///
/// # Errors
/// As for [`resume`].
pub fn resume_open(spec: JobSpec, open: Option<OpenSwap>, parts: Arc<dyn Parts>) -> Result<JobHandle, StartError> {
    let shared = shared(&spec, open, parts);
    hand_over(shared, spec, None)
}

fn shared(spec: &JobSpec, open: Option<OpenSwap>, parts: Arc<dyn Parts>) -> Arc<JobShared> {
    // A job that has run stays one in the catalog, whatever becomes of this start.
    let state = if spec.goes_on { JobState::Restarting } else { JobState::Starting };
    Arc::new(JobShared {
        id: spec.document.job.clone(),
        run: spec.run,
        nodes: seats(spec),
        plan: spec.plan.clone(),
        modules: Mutex::new(Modules::new(spec.operators.clone(), spec.text.clone(), open)),
        shadow: Mutex::default(),
        events: Arc::new(EventLog::new(parts.clock())),
        max_parallelism: spec.plan.max_parallelism,
        status: watch::Sender::new(JobStatus { state, cause: None }),
        attempt: Mutex::default(),
        over: Mutex::default(),
        going_back: Mutex::default(),
        held_still: AtomicBool::new(spec.paused),
        ending: Mutex::new(spec.drains_into.clone().map_or(Ending::Plain, Ending::Drain)),
        cancelled: Signal::default(),
        suspended: Signal::default(),
        history: History::default(),
        edits: Mutex::default(),
        newest: watch::Sender::new(spec.newest),
        gone: watch::Sender::new(false),
        started: Instant::now(),
        took: OnceLock::new(),
        parts,
    })
}

/// Gives the job a thread of its own that looks after it until it is over.
fn hand_over(job: Arc<JobShared>, spec: JobSpec, first: Option<Beginning>) -> Result<JobHandle, StartError> {
    let name = job.id.to_string();
    let thread = std::thread::Builder::new().name(name.clone()).spawn({
        let job = Arc::clone(&job);
        move || {
            let bug = catch_unwind(AssertUnwindSafe(|| supervise(&job, spec, first))).is_err();
            if bug {
                job.break_off();
                let cause = Some("a bug in the host ended the supervision of the job".to_owned());
                job.end(JobStatus { state: JobState::Failed, cause });
            }
        }
    });
    match thread {
        Ok(_) => Ok(JobHandle { shared: job }),
        Err(error) => Err(StartError::Checkpoints {
            message: format!("thread `{name}` cannot be started: {error}"),
            lasts: false,
        }),
    }
}
