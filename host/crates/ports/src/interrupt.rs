//! The word that what an operator works for is over.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set once, when a job is cancelled, stopped or failed; never taken back. Clones are the same word.
///
/// An operator looks at it within a call that may last: whatever the call's limits allow, it ends soon after, with a
/// failure of any kind, whose effects nobody waits for any more.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Says that it is over.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
