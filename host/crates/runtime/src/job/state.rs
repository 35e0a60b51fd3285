//! The life of a job: which change may follow which. Pure.

use gristmill_ports::catalog::JobState;
use serde::{Deserialize, Serialize};

/// Where a job is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStatus {
    /// Where.
    pub state: JobState,
    /// Why it failed, if it did.
    pub cause: Option<String>,
}

/// What may be asked of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Sources hold still.
    Pause,
    /// Sources go on.
    Resume,
    /// Sources end, what is inside flows out.
    Stop,
    /// Everything ends at once.
    Cancel,
}

impl Wish {
    fn verb(self) -> &'static str {
        match self {
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Stop => "stopped",
            Self::Cancel => "cancelled",
        }
    }
}

/// A wish that does not fit where the job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a job that is {state} cannot be {verb}", verb = wish.verb())]
pub struct IllegalTransition {
    /// Where the job is.
    pub state: JobState,
    /// What was asked.
    pub wish: Wish,
}

/// Where a wish leads, or `None` if the job is there already.
pub(crate) fn wished(state: JobState, wish: Wish) -> Result<Option<JobState>, IllegalTransition> {
    match (wish, state) {
        (Wish::Pause, JobState::Running) => Ok(Some(JobState::Paused)),
        (Wish::Resume, JobState::Paused) => Ok(Some(JobState::Running)),
        (Wish::Stop, JobState::Running | JobState::Paused) => Ok(Some(JobState::Stopping)),
        // Cancelling is seen once all subtasks have left.
        (Wish::Cancel, JobState::Running | JobState::Paused | JobState::Stopping) => Ok(None),
        (Wish::Pause, JobState::Paused)
        | (Wish::Resume, JobState::Running)
        | (Wish::Stop, JobState::Stopping | JobState::Stopped)
        | (Wish::Cancel, JobState::Cancelled) => Ok(None),
        (Wish::Pause, JobState::Stopping)
        | (Wish::Resume, JobState::Stopping)
        | (_, JobState::Starting | JobState::Finished | JobState::Stopped | JobState::Cancelled | JobState::Failed) => {
            Err(IllegalTransition { state, wish })
        }
    }
}

/// How a job ends whose last subtask has left.
pub(crate) fn ended(state: JobState, failure: Option<String>, cancelled: bool) -> JobStatus {
    match (failure, cancelled, state) {
        (Some(cause), _, _) => JobStatus { state: JobState::Failed, cause: Some(cause) },
        (None, true, _) => JobStatus { state: JobState::Cancelled, cause: None },
        (None, false, JobState::Stopping) => JobStatus { state: JobState::Stopped, cause: None },
        (None, false, _) => JobStatus { state: JobState::Finished, cause: None },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_that_is_fulfilled_already_is_no_error() {
        assert_eq!(wished(JobState::Paused, Wish::Pause), Ok(None));
        assert_eq!(wished(JobState::Stopping, Wish::Stop), Ok(None));
    }

    #[test]
    fn a_job_that_is_over_stays_so() {
        for state in [JobState::Finished, JobState::Failed] {
            for wish in [Wish::Pause, Wish::Resume, Wish::Stop, Wish::Cancel] {
                assert_eq!(wished(state, wish), Err(IllegalTransition { state, wish }));
            }
        }
        let sentence = IllegalTransition { state: JobState::Finished, wish: Wish::Pause }.to_string();
        assert_eq!(sentence, "a job that is FINISHED cannot be paused");
    }

    #[test]
    fn a_failure_outweighs_everything() {
        let failed = ended(JobState::Stopping, Some("disk full".into()), true);
        assert_eq!(failed, JobStatus { state: JobState::Failed, cause: Some("disk full".into()) });
        assert_eq!(ended(JobState::Stopping, None, false).state, JobState::Stopped);
        assert_eq!(ended(JobState::Paused, None, true).state, JobState::Cancelled);
        assert_eq!(ended(JobState::Running, None, false).state, JobState::Finished);
    }
}
