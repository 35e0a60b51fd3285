//! Starting a job: every part is opened before the first thread runs, so that a job that cannot start touches nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gristmill_ports::Parts;
use gristmill_ports::catalog::JobState;
use gristmill_types::SubtaskIndex;

use crate::job::assemble::{Assembled, Subtask, assemble};
use crate::job::handle::JobHandle;
use crate::job::shared::JobShared;
use crate::job::spec::{JobSpec, StartError};
use crate::job::state::JobStatus;
use crate::task::surroundings::TaskEnd;

/// Stack of a subtask's thread: the guest's stack lies on it too. Only what is used is ever backed by memory.
const STACK_BYTES: usize = 8 << 20;

/// Opens all parts and starts the threads. Blocks while modules open; not for a tokio worker.
///
/// # Errors
/// If a part cannot be opened.
#[expect(clippy::needless_pass_by_value, reason = "what is prepared for one start serves one job only")]
pub fn start(spec: JobSpec, parts: Arc<dyn Parts>) -> Result<JobHandle, StartError> {
    let Assembled { shared, subtasks } = assemble(&spec, parts)?;
    shared.status.send_modify(|status| {
        *status = JobStatus { state: JobState::Running, cause: None };
        shared.say_status(status);
    });
    for (index, subtask) in subtasks {
        let job = Arc::clone(&shared);
        let name = format!("{}-{index}", subtask.name());
        let spawned = std::thread::Builder::new().name(name.clone()).stack_size(STACK_BYTES).spawn({
            let job = Arc::clone(&job);
            move || job.left(run(subtask, &job, index))
        });
        if let Err(error) = spawned {
            job.left(Err(TaskEnd::Failed(format!("thread `{name}` cannot be started: {error}"))));
        }
    }
    Ok(JobHandle { shared })
}

/// Runs a subtask to its end, and drops it; a panic is a bug of the host and fails the job, not the process.
fn run(mut subtask: Subtask, job: &JobShared, index: SubtaskIndex) -> Result<(), TaskEnd> {
    let name = subtask.name().to_owned();
    catch_unwind(AssertUnwindSafe(|| {
        let result = subtask.run();
        if result.is_err() && !job.cancelled.is_raised() {
            subtask.chain().salvage();
        }
        result
    }))
    .unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let what = what.unwrap_or("unknown");
        tracing::error!(job = %job.id, node = %name, subtask = %index, panic = what, "bug: a subtask panicked");
        Err(TaskEnd::Failed(format!("a bug in the host ended subtask {index} of `{name}`: {what}")))
    })
}
