//! The life of a job: which change may follow which. Pure.

use gristmill_ports::catalog::JobState;
use serde::{Deserialize, Serialize};

use crate::ending::Failure;

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
        (Wish::Stop, JobState::Running | JobState::Restarting | JobState::Paused) => Ok(Some(JobState::Stopping)),
        // Cancelling is seen once all subtasks have left.
        (
            Wish::Cancel,
            JobState::Starting | JobState::Running | JobState::Restarting | JobState::Paused | JobState::Stopping,
        ) => Ok(None),
        (Wish::Pause, JobState::Paused)
        | (Wish::Resume, JobState::Running)
        | (Wish::Stop, JobState::Stopping | JobState::Stopped)
        | (Wish::Cancel, JobState::Cancelled) => Ok(None),
        (Wish::Pause | Wish::Resume, JobState::Starting | JobState::Restarting | JobState::Stopping)
        | (Wish::Stop, JobState::Starting)
        | (_, JobState::Finished | JobState::Stopped | JobState::Cancelled | JobState::Failed) => {
            Err(IllegalTransition { state, wish })
        }
    }
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    /// All input was read to its end, or to where it was stopped, and all of it is committed.
    Complete,
    /// The host goes down.
    Suspended,
    /// By somebody's wish.
    Cancelled,
    /// It is to begin anew, and nothing has failed by itself.
    Restarted {
        /// Why.
        why: String,
    },
    /// By an error.
    Failed(Failure),
}

/// What follows the end of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// The job is over.
    Over(JobStatus),
    /// The job goes on when the host is back; its status stays.
    Sleep,
    /// Another attempt, at once.
    AtOnce {
        /// Why.
        why: String,
    },
    /// Another attempt, if the strategy allows it.
    Again {
        /// What failed.
        cause: String,
    },
}

/// What follows. `state` is where the job was when the attempt ended.
pub(crate) fn next(state: JobState, end: AttemptEnd) -> Next {
    let over = |state, cause| Next::Over(JobStatus { state, cause });
    match (end, state) {
        (AttemptEnd::Complete, JobState::Stopping) => over(JobState::Stopped, None),
        (AttemptEnd::Complete, _) => over(JobState::Finished, None),
        (AttemptEnd::Cancelled, _) => over(JobState::Cancelled, None),
        (AttemptEnd::Suspended, _) => Next::Sleep,
        (AttemptEnd::Restarted { why }, _) => Next::AtOnce { why },
        (AttemptEnd::Failed(Failure { cause, lasts: true }), _) => over(JobState::Failed, Some(cause)),
        (AttemptEnd::Failed(Failure { cause, lasts: false }), _) => Next::Again { cause },
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
    fn what_follows_an_attempt_is_told_by_how_it_ended() {
        let failed = |lasts| AttemptEnd::Failed(Failure { cause: "disk full".into(), lasts });
        let over = |state, cause: Option<&str>| Next::Over(JobStatus { state, cause: cause.map(str::to_owned) });
        for (state, end, follows) in [
            (JobState::Running, AttemptEnd::Complete, over(JobState::Finished, None)),
            (JobState::Stopping, AttemptEnd::Complete, over(JobState::Stopped, None)),
            (JobState::Stopping, failed(true), over(JobState::Failed, Some("disk full"))),
            (JobState::Running, failed(false), Next::Again { cause: "disk full".into() }),
            (JobState::Paused, AttemptEnd::Cancelled, over(JobState::Cancelled, None)),
            (JobState::Running, AttemptEnd::Suspended, Next::Sleep),
            (JobState::Running, AttemptEnd::Restarted { why: "so".into() }, Next::AtOnce { why: "so".into() }),
        ] {
            assert_eq!(next(state, end), follows);
        }
    }
}
