//! Checkpoints and restarts: numbers that make no sense together.

use std::time::Duration;

use crate::document::{Backend, JobDocument, RestartSpec};
use crate::problem::Problem;
use crate::quantity::Bytes;

/// More often than this, a job makes checkpoints and little else.
const MOST_OFTEN: Duration = Duration::from_millis(10);

/// So many checkpoints may be kept: each start reads them all.
const MOST_KEPT: u32 = 1000;

/// Less would hold hardly more than what one checkpoint freezes.
const LEAST_MEMORY: Bytes = Bytes::mib(1);

pub(super) fn check(document: &JobDocument, problems: &mut Vec<Problem>) {
    let spec = &document.checkpoint;
    let mut refuse = |at: &str, message: String, hint: String| problems.push(Problem::error(at, message).hint(hint));
    if spec.every.0.is_some_and(|every| every < MOST_OFTEN) {
        let message = "the job would do nothing but make checkpoints".to_owned();
        refuse("checkpoint.every", message, "write 10ms or more, or never".to_owned());
    }
    if spec.timeout.0.is_zero() {
        let message = "no checkpoint is complete in no time".to_owned();
        refuse("checkpoint.timeout", message, "write such as 10m".to_owned());
    }
    if !(1..=MOST_KEPT).contains(&spec.keep) {
        let message = format!("{} checkpoints cannot be kept", spec.keep);
        refuse("checkpoint.keep", message, format!("write 1 to {MOST_KEPT}"));
    }
    if spec.backend == Backend::Rocksdb && spec.memory < LEAST_MEMORY {
        let message = format!("{} hold no state to speak of", spec.memory);
        refuse("checkpoint.memory", message, format!("write {LEAST_MEMORY} or more"));
    }
    match &document.restart {
        RestartSpec::Exponential(spec) => {
            if !(0.0..=1.0).contains(&spec.jitter) {
                let message = format!("a wait cannot change by {} of itself", spec.jitter);
                refuse("restart.exponential.jitter", message, "write 0 to 1".to_owned());
            }
            if spec.from > spec.to {
                let message = "the first wait is longer than the longest".to_owned();
                refuse("restart.exponential.from", message, "make it at most `to`".to_owned());
            }
        }
        RestartSpec::Fixed(_) | RestartSpec::FailureRate(_) | RestartSpec::None(_) => {}
    }
}
