//! The table of rule 17 as a function.
//!
//! | failure | what the host does | then, by `on_failure` |
//! |---|---|---|
//! | bad record | bisects down to one event | dead letter, skip, or the job fails |
//! | transient | tries the same batch again, with backoff and jitter | the job's restart strategy decides, or dead letters |
//! | fatal | never bisects | the job fails |
//! | the host's own | never bisects | the job's restart strategy decides |
//! | fault | tries once more on a new instance, then bisects | dead letter, skip, or the job fails |
//! | a run of faults | takes the operator for broken | the job's restart strategy decides |

use std::time::Duration;

use gristmill_dataflow::document::FailurePolicy;
use gristmill_dataflow::document::operator::EventVerdict;
use gristmill_types::CallFailure;

/// First wait after a transient failure.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// Longest wait.
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// What is done about a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// The same events again, at once.
    TryAgain,
    /// The same events again, after a wait.
    TryLater(Duration),
    /// Each half on its own.
    Split,
    /// All events of the call go to the dead letters.
    SetAside,
    /// All events of the call are counted and forgotten.
    Skip,
    /// The job fails, with this sentence.
    FailJob(String),
    /// The job fails, with this sentence, unless its restart strategy has it start again: it may go well then.
    FailAttempt(String),
}

/// The facts about a failed call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FailedCall<'a> {
    /// How it failed.
    pub(crate) failure: &'a CallFailure,
    /// How many events it had.
    pub(crate) rows: usize,
    /// Whether it had the batch as it came, not a part of it.
    pub(crate) is_whole: bool,
    /// How often exactly these events have failed before, in the same way: by a fault, or for a transient reason.
    pub(crate) failed_before: u32,
    /// Events in a row that were set aside because of faults.
    pub(crate) faulty_run: u32,
    /// A number from 0 to 1 that spreads retries.
    pub(crate) jitter: f64,
}

/// Decides.
pub(crate) fn react(call: FailedCall<'_>, policy: &FailurePolicy) -> Reaction {
    match call.failure {
        CallFailure::Fatal(why) => Reaction::FailJob(format!("the operator says that it cannot go on: {why}")),
        CallFailure::Host(_) => Reaction::FailAttempt(call.failure.to_string()),
        CallFailure::BadRecord(_) if call.rows > 1 => Reaction::Split,
        CallFailure::BadRecord(why) => verdict(policy.bad_record, why),
        CallFailure::Transient(_) if call.failed_before < policy.transient.retry => {
            Reaction::TryLater(backoff(call.failed_before, call.jitter))
        }
        CallFailure::Transient(why) => {
            match verdict(policy.transient.then, &format!("{why} (after {} tries)", call.failed_before + 1)) {
                // The world was not ready for long. It may be when the job starts again.
                Reaction::FailJob(why) => Reaction::FailAttempt(why),
                other => other,
            }
        }
        // One retry alone: a process that was stopped, or a deadline missed by a busy machine, must not cost an event.
        CallFailure::Fault(_) if call.failed_before == 0 && (call.is_whole || call.rows == 1) => Reaction::TryAgain,
        CallFailure::Fault(_) if call.rows > 1 => Reaction::Split,
        CallFailure::Fault(fault) if call.faulty_run >= policy.broken_after => Reaction::FailAttempt(format!(
            "{} events in a row ended in a fault: the operator is broken, not the data; the last: {fault}",
            call.faulty_run
        )),
        CallFailure::Fault(fault) => verdict(policy.fault, &fault.to_string()),
    }
}

fn verdict(verdict: EventVerdict, why: &str) -> Reaction {
    match verdict {
        EventVerdict::DeadLetter => Reaction::SetAside,
        EventVerdict::Skip => Reaction::Skip,
        EventVerdict::FailJob => Reaction::FailJob(why.to_owned()),
    }
}

/// Doubling waits with "equal jitter": between half and the whole of the step.
pub(crate) fn backoff(failed_before: u32, jitter: f64) -> Duration {
    let step = BACKOFF_FIRST.saturating_mul(1 << failed_before.min(16)).min(BACKOFF_MAX);
    step.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use gristmill_dataflow::document::operator::TransientPolicy;
    use gristmill_types::failure::{FaultKind, GuestFault};

    use super::*;

    fn bad() -> CallFailure {
        CallFailure::BadRecord("no such field".into())
    }

    fn transient() -> CallFailure {
        CallFailure::Transient("not yet".into())
    }

    fn fault() -> CallFailure {
        CallFailure::Fault(GuestFault { kind: FaultKind::Trap, message: "unreachable".into(), backtrace: Vec::new() })
    }

    fn call(failure: &CallFailure, rows: usize) -> FailedCall<'_> {
        FailedCall { failure, rows, is_whole: true, failed_before: 0, faulty_run: 0, jitter: 1.0 }
    }

    // Rule 17.
    #[test]
    fn the_table_of_failures_is_kept() {
        let policy = FailurePolicy::default();
        assert_eq!(react(call(&bad(), 8), &policy), Reaction::Split);
        assert_eq!(react(call(&bad(), 1), &policy), Reaction::SetAside);
        assert_eq!(react(call(&transient(), 8), &policy), Reaction::TryLater(BACKOFF_FIRST));
        assert!(matches!(react(call(&CallFailure::Fatal("no".into()), 8), &policy), Reaction::FailJob(_)));
        let host = CallFailure::Host("the disk is gone".into());
        let why = "the host could not do its part: the disk is gone".to_owned();
        assert_eq!(react(call(&host, 8), &policy), Reaction::FailAttempt(why));
        assert_eq!(react(call(&fault(), 8), &policy), Reaction::TryAgain);
        assert_eq!(react(FailedCall { failed_before: 1, ..call(&fault(), 8) }, &policy), Reaction::Split);
        assert_eq!(react(FailedCall { is_whole: false, ..call(&fault(), 8) }, &policy), Reaction::Split);
        assert_eq!(react(FailedCall { is_whole: false, ..call(&fault(), 1) }, &policy), Reaction::TryAgain);
        assert_eq!(react(FailedCall { failed_before: 1, ..call(&fault(), 1) }, &policy), Reaction::SetAside);
    }

    // Rule 17.
    #[test]
    fn a_run_of_faulty_events_means_that_the_operator_is_broken() {
        let policy = FailurePolicy::default();
        let at = |faulty_run| react(FailedCall { failed_before: 1, faulty_run, ..call(&fault(), 1) }, &policy);
        assert_eq!(at(19), Reaction::SetAside);
        assert!(matches!(at(20), Reaction::FailAttempt(why) if why.contains("the operator is broken")));
        let bad = bad();
        let many_bad = FailedCall { faulty_run: 1000, ..call(&bad, 1) };
        assert_eq!(react(many_bad, &policy), Reaction::SetAside, "bad records are the data's doing");
    }

    #[test]
    fn the_author_of_the_job_has_the_last_word() {
        let mut policy = FailurePolicy { bad_record: EventVerdict::Skip, ..FailurePolicy::default() };
        policy.fault = EventVerdict::FailJob;
        let exhausted =
            |policy: &FailurePolicy| react(FailedCall { failed_before: 1, ..call(&transient(), 8) }, policy);
        policy.transient = TransientPolicy { retry: 1, then: EventVerdict::FailJob };
        assert_eq!(exhausted(&policy), Reaction::FailAttempt("not yet (after 2 tries)".into()));
        policy.transient = TransientPolicy { retry: 1, then: EventVerdict::DeadLetter };
        assert_eq!(react(call(&bad(), 1), &policy), Reaction::Skip);
        assert!(matches!(react(FailedCall { failed_before: 1, ..call(&fault(), 1) }, &policy), Reaction::FailJob(_)));
        assert_eq!(exhausted(&policy), Reaction::SetAside);
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        assert_eq!(backoff(0, 1.0), BACKOFF_FIRST);
        assert_eq!(backoff(2, 1.0), 4 * BACKOFF_FIRST);
        assert_eq!(backoff(60, 1.0), BACKOFF_MAX);
        assert_eq!(backoff(2, 0.0), 2 * BACKOFF_FIRST);
    }
}
