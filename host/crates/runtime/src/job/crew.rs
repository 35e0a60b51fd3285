//! The threads of an attempt's subtasks.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use gristmill_ports::FileStore;
use gristmill_types::SubtaskIndex;

use crate::ending::TaskEnd;
use crate::job::assemble::Subtask;
use crate::job::attempt::Attempt;
use crate::job::shared::JobShared;

/// Stack of a subtask's thread: the guest's stack lies on it too. Only what is used is ever backed by memory.
pub(crate) const STACK_BYTES: usize = 8 << 20;

/// Starts a thread for each subtask. One that cannot be started leaves at once, and fails the attempt.
pub(crate) fn spawn_subtasks(
    job: &Arc<JobShared>,
    attempt: &Arc<Attempt>,
    subtasks: Vec<(SubtaskIndex, Subtask)>,
    files: &Arc<dyn FileStore>,
) {
    for (index, subtask) in subtasks {
        let name = format!("{}-{index}", subtask.name());
        let spawned = std::thread::Builder::new().name(name.clone()).stack_size(STACK_BYTES).spawn({
            let (job, attempt, files) = (Arc::clone(job), Arc::clone(attempt), Arc::clone(files));
            move || attempt.left(run(subtask, &job, index, &*files))
        });
        if let Err(error) = spawned {
            attempt.left(Err(TaskEnd::passing(format!("thread `{name}` cannot be started: {error}"))));
        }
    }
}

/// Runs a subtask to its end, and drops it; a panic is a bug of the host and fails the attempt, not the process.
fn run(mut subtask: Subtask, job: &JobShared, index: SubtaskIndex, files: &dyn FileStore) -> Result<(), TaskEnd> {
    let name = subtask.name().to_owned();
    catch_unwind(AssertUnwindSafe(|| {
        let result = subtask.run(files);
        if result.is_err() && !job.is_called_off() {
            subtask.chain().salvage();
        }
        result
    }))
    .unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        let what = what.unwrap_or("unknown");
        tracing::error!(job = %job.id, node = %name, subtask = %index, panic = what, "bug: a subtask panicked");
        Err(TaskEnd::passing(format!("a bug in the host ended subtask {index} of `{name}`: {what}")))
    })
}
