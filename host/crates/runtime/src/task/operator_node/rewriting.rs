//! Moving what keys have in another schema, page by page, while calls go on.

use gristmill_ports::state::StateTime;
use gristmill_types::{CallFailure, EventBatch, Watermark};

use crate::ending::TaskEnd;
use crate::swap::PageRewritten;
use crate::task::operator_node::OperatorNode;
use crate::task::surroundings::Surroundings;

impl OperatorNode {
    /// Moves what these keys have in another schema, between two calls. Of keys for which that fails it is told how.
    pub(crate) fn rewrite_page(&mut self, keys: &EventBatch, around: &Surroundings) -> Result<PageRewritten, TaskEnd> {
        let time = time_without_events(self.watermark, around.clock.now_ms());
        let mut page = PageRewritten::default();
        if let Err(failure) = self.states.rewrite(keys, time) {
            self.unless_lost(&failure)?;
            // Again one by one: those that can be moved are, and the others are found.
            for row in 0..keys.len() {
                let key = keys.slice(row..row + 1);
                let moved = match self.states.rewrite(&key, time) {
                    // As of a call: the next try has a new instance, and it may have been the old one's fault, not the key's.
                    Err(CallFailure::Fault(_)) => self.states.rewrite(&key, time),
                    moved => moved,
                };
                if let Err(failure) = moved {
                    self.unless_lost(&failure)?;
                    page.failed += 1;
                    page.first_failure.get_or_insert_with(|| {
                        let key = String::from_utf8_lossy(key.keys().bytes_of(0)).escape_debug().to_string();
                        format!("key `{key}`: {failure}; go on by setting its state, or clearing it")
                    });
                }
            }
        }
        page.keys = keys.len() as u64 - page.failed;
        self.counters.note_state(self.states.backend.size());
        fail::fail_point!("state-page-rewritten");
        Ok(page)
    }

    /// What the host itself fails at may have moved a half of something: the state is that of the checkpoint, in another
    /// attempt.
    pub(super) fn unless_lost(&self, failure: &CallFailure) -> Result<(), TaskEnd> {
        match failure {
            CallFailure::Host(_) => Err(self.job_failure(&failure.to_string(), false)),
            CallFailure::Fault(_) | CallFailure::Fatal(_) | CallFailure::BadRecord(_) | CallFailure::Transient(_) => {
                Ok(())
            }
        }
    }
}

/// When something is written that no event is the cause of. Before the first watermark no event says how far event time is
/// either: what is written then must not be older than anything, and gone with that watermark.
fn time_without_events(watermark: Watermark, now_ms: i64) -> StateTime {
    let event_ms = if watermark == Watermark::START { now_ms } else { watermark.0 };
    StateTime { processing_ms: now_ms, event_ms }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_rewritten_before_the_first_watermark_does_not_expire_with_it() {
        assert_eq!(time_without_events(Watermark::START, 7_000), StateTime { processing_ms: 7_000, event_ms: 7_000 });
        assert_eq!(time_without_events(Watermark(5), 7_000), StateTime { processing_ms: 7_000, event_ms: 5 });
    }
}
