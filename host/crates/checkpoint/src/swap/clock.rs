//! What time does to a swap: deadlines end it, a probation passes.

use std::collections::BTreeSet;

use gristmill_types::SubtaskIndex;

use super::bounds::{Conduct, ProbationBounds};
use super::{Phase, Swap, SwapAction};

/// A probation lasts at most so many times its time, however few events come.
const LONGEST_PROBATION: u64 = 10;

impl Swap {
    /// When [`super::SwapEvent::Tick`] is wanted at the latest; `None` if time changes nothing.
    #[must_use]
    pub fn next_tick_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Preparing { .. } | Phase::Prepared { .. } => Some(self.deadline_ms()),
            Phase::Switching { waiting, .. } if !waiting.is_empty() => Some(self.deadline_ms()),
            Phase::Switching { .. }
            | Phase::Naming { .. }
            | Phase::Undoing { .. }
            | Phase::Returning { .. }
            | Phase::Returned { .. }
            | Phase::Done
            | Phase::Undone { .. } => None,
            // Whoever asks looks as often as it can.
            Phase::Probation { since_ms } | Phase::Held { since_ms } if self.policy.bounds != ProbationBounds::NONE => {
                Some(*since_ms)
            }
            Phase::Probation { .. } if !self.share.is_whole() => None,
            Phase::Probation { since_ms } | Phase::Held { since_ms } => {
                Some(since_ms.saturating_add(self.policy.probation_ms))
            }
        }
    }

    /// A canary that is widened is in nobody's way: it waits for its barrier.
    fn deadline_ms(&self) -> u64 {
        if self.serves {
            return u64::MAX;
        }
        self.began_ms.saturating_add(self.policy.deadline_ms)
    }

    pub(super) fn look_at_clock(&mut self, now_ms: u64, events: u64, conduct: &Conduct) -> Vec<SwapAction> {
        match &self.phase {
            Phase::Preparing { waiting, .. } if self.deadline_ms() <= now_ms => {
                let who = in_words(waiting);
                self.withdraw(format!(
                    "{who} did not take the new instance within {} ms, busy with a batch or still filling its state; \
                     `mode: restart` does not wait for it",
                    self.policy.deadline_ms
                ))
            }
            Phase::Prepared { .. } if self.deadline_ms() <= now_ms => {
                let after = self.policy.deadline_ms;
                self.withdraw(format!("no checkpoint could be begun within {after} ms; see the job's checkpoints"))
            }
            Phase::Switching { waiting, .. } if !waiting.is_empty() && self.deadline_ms() <= now_ms => {
                let who = in_words(waiting);
                self.withdraw(format!(
                    "the barrier that switches did not come through {who} within {} ms; `mode: restart` does not wait for \
                     it",
                    self.policy.deadline_ms
                ))
            }
            Phase::Probation { since_ms } | Phase::Held { since_ms } => {
                if let Some(cause) = self.policy.bounds.broken_by(conduct) {
                    return self.withdraw(cause);
                }
                if !self.share.is_whole() {
                    return Vec::new();
                }
                let elapsed_ms = now_ms.saturating_sub(*since_ms);
                let longest_ms = self.policy.probation_ms.saturating_mul(LONGEST_PROBATION);
                let is_long_enough = elapsed_ms >= self.policy.probation_ms && events >= self.policy.probation_events;
                if !is_long_enough && elapsed_ms < longest_ms {
                    return Vec::new();
                }
                match self.policy.bounds.broken_at_last(conduct) {
                    Some(cause) => self.withdraw(cause),
                    None if self.rewinds() => self.name(),
                    None => self.let_go(),
                }
            }
            Phase::Preparing { .. }
            | Phase::Prepared { .. }
            | Phase::Switching { .. }
            | Phase::Naming { .. }
            | Phase::Undoing { .. }
            | Phase::Returning { .. }
            | Phase::Returned { .. }
            | Phase::Done
            | Phase::Undone { .. } => Vec::new(),
        }
    }
}

/// `subtask 0`, or `subtasks 0, 3`.
fn in_words(subtasks: &BTreeSet<SubtaskIndex>) -> String {
    let numbers: Vec<String> = subtasks.iter().map(ToString::to_string).collect();
    format!("subtask{} {}", if numbers.len() == 1 { "" } else { "s" }, numbers.join(", "))
}
