//! Whether a job that failed starts again, and when. Pure: no clock, no chance.

use std::collections::VecDeque;
use std::time::Duration;

use gristmill_dataflow::document::RestartSpec;

/// What was decided before, as far as it bears on the next decision.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    /// When failures happened, on the monotonic clock, oldest first.
    failures: VecDeque<Duration>,
    /// Waits in a row that grew.
    in_a_row: u32,
    count: u32,
}

/// What is done about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// Start again after this time.
    StartAgain(Duration),
    /// The job fails.
    Fail,
}

impl Restarts {
    /// A failure happened at this time. `chance` is a number from 0 to 1.
    pub(crate) fn failed(&mut self, strategy: &RestartSpec, now: Duration, chance: f64) -> AfterFailure {
        let before = self.failures.back().copied();
        match strategy {
            RestartSpec::None(_) => AfterFailure::Fail,
            RestartSpec::Exponential(spec) => {
                self.remember(now, 1);
                let quiet = before.is_none_or(|before| now.saturating_sub(before) >= spec.reset_after.0);
                self.in_a_row = if quiet { 0 } else { (self.in_a_row + 1).min(31) };
                let wait = spec.from.0.saturating_mul(1 << self.in_a_row).min(spec.to.0);
                let jitter = 1.0 + spec.jitter.clamp(0.0, 1.0) * (2.0 * chance.clamp(0.0, 1.0) - 1.0);
                AfterFailure::StartAgain(wait.mul_f64(jitter))
            }
            RestartSpec::Fixed(spec) => {
                self.count += 1;
                if self.count > spec.attempts { AfterFailure::Fail } else { AfterFailure::StartAgain(spec.delay.0) }
            }
            RestartSpec::FailureRate(spec) => {
                self.remember(now, spec.failures as usize + 1);
                let recent = self.failures.iter().filter(|at| now.saturating_sub(**at) <= spec.within.0).count();
                if recent > spec.failures as usize {
                    AfterFailure::Fail
                } else {
                    AfterFailure::StartAgain(spec.delay.0)
                }
            }
        }
    }

    fn remember(&mut self, now: Duration, most: usize) {
        self.failures.push_back(now);
        while self.failures.len() > most {
            self.failures.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use gristmill_dataflow::document::{ExponentialRestart, FailureRateRestart, FixedRestart, NoRestart};

    use super::*;

    fn seconds(waits: &[AfterFailure]) -> Vec<Option<u64>> {
        let seconds = |wait: &AfterFailure| match wait {
            AfterFailure::StartAgain(wait) => Some(wait.as_secs()),
            AfterFailure::Fail => None,
        };
        waits.iter().map(seconds).collect()
    }

    #[test]
    fn exponential_waits_double_up_to_their_bound_and_begin_anew_after_a_quiet_time() {
        let strategy = RestartSpec::Exponential(ExponentialRestart::default());
        let mut restarts = Restarts::default();
        let mut failed = |second| restarts.failed(&strategy, Duration::from_secs(second), 0.5);
        let waits: Vec<_> = [0, 1, 2, 3, 4, 5, 6, 7, 606, 1207].map(&mut failed).into();
        assert_eq!(seconds(&waits), [1, 2, 4, 8, 16, 32, 60, 60, 60, 1].map(Some));
    }

    #[test]
    fn chance_moves_a_wait_by_its_jitter_at_most() {
        let strategy = RestartSpec::Exponential(ExponentialRestart { jitter: 0.2, ..ExponentialRestart::default() });
        let wait = |chance| Restarts::default().failed(&strategy, Duration::ZERO, chance);
        assert_eq!(wait(0.0), AfterFailure::StartAgain(Duration::from_millis(800)));
        assert_eq!(wait(1.0), AfterFailure::StartAgain(Duration::from_millis(1200)));
    }

    #[test]
    fn fixed_restarts_give_up_after_their_number() {
        let strategy = RestartSpec::Fixed(FixedRestart { attempts: 2, ..FixedRestart::default() });
        let mut restarts = Restarts::default();
        let waits: Vec<_> =
            (0..3).map(|hour| restarts.failed(&strategy, Duration::from_secs(3600 * hour), 0.5)).collect();
        assert_eq!(seconds(&waits), [Some(1), Some(1), None]);
    }

    #[test]
    fn a_failure_rate_is_borne_up_to_its_bound() {
        let strategy = RestartSpec::FailureRate(FailureRateRestart { failures: 2, ..FailureRateRestart::default() });
        let mut restarts = Restarts::default();
        let waits = [0, 200, 400, 420].map(|second| restarts.failed(&strategy, Duration::from_secs(second), 0.5));
        assert_eq!(seconds(&waits), [Some(1), Some(1), Some(1), None]);
    }

    #[test]
    fn without_restarts_the_first_failure_is_the_last() {
        let strategy = RestartSpec::None(NoRestart {});
        assert_eq!(Restarts::default().failed(&strategy, Duration::ZERO, 0.5), AfterFailure::Fail);
    }
}
