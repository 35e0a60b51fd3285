//! The life of a job: one attempt after the other, until one ends it.

use std::sync::Arc;
use std::time::Duration;

use gristmill_ports::Signal;
use gristmill_ports::catalog::JobState;

use crate::checkpoint::patience::rest;
use crate::ending::Failure;
use crate::job::begin::{Beginning, begin};
use crate::job::driver::drive;
use crate::job::restart::{AfterFailure, Restarts};
use crate::job::shared::JobShared;
use crate::job::spec::{JobSpec, StartError, unheard_of};
use crate::job::state::{AttemptEnd, JobStatus, Next, next};

/// Runs a job to its end; `first` is its first attempt, if somebody has begun it already.
pub(crate) fn supervise(job: &Arc<JobShared>, mut spec: JobSpec, first: Option<Beginning>) {
    let mut restarts = Restarts::default();
    let mut first = first.map(Ok);
    loop {
        let beginning = first.take().unwrap_or_else(|| {
            let over = Signal::default();
            job.begins(&over);
            begin(job, &mut spec, &over)
        });
        let end = run(job, beginning);
        let state = job.status.borrow().state;
        let wait = match next(state, end) {
            Next::Sleep => return job.sleep(),
            Next::Over(status) => return job.end(status),
            Next::AtOnce { why } => {
                job.starts_again(&why);
                Duration::ZERO
            }
            Next::Again { cause } => {
                let chance = (unheard_of() >> 11) as f64 / (1u64 << 53) as f64;
                match restarts.failed(&spec.document.restart, job.parts.clock().monotonic(), chance) {
                    AfterFailure::Fail => return job.end(JobStatus { state: JobState::Failed, cause: Some(cause) }),
                    AfterFailure::StartAgain(wait) => {
                        job.starts_again(&cause);
                        wait
                    }
                }
            }
        };
        rest(|| job.is_called_off(), wait);
        if job.cancelled.is_raised() {
            return job.end(JobStatus { state: JobState::Cancelled, cause: None });
        }
        if job.suspended.is_raised() {
            return job.sleep();
        }
    }
}

fn run(job: &Arc<JobShared>, beginning: Result<Beginning, StartError>) -> AttemptEnd {
    match beginning {
        Ok(Beginning::Run(begun)) => {
            job.runs(&begun.assembled.attempt);
            drive(job, *begun)
        }
        Ok(Beginning::Over(checkpoint)) => {
            tracing::info!(job = %job.id, %checkpoint, "all was read already; what was decided is committed");
            AttemptEnd::Complete
        }
        Ok(Beginning::GivenUp) if job.cancelled.is_raised() => AttemptEnd::Cancelled,
        Ok(Beginning::GivenUp) => AttemptEnd::Suspended,
        Err(_) if job.cancelled.is_raised() => AttemptEnd::Cancelled,
        Err(error) => AttemptEnd::Failed(Failure { cause: error.to_string(), lasts: error.lasts() }),
    }
}
