//! The word that a job is cancelled, for parts that wait for the outside world.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised once, when the job is cancelled. A clone is the same signal. A part that may wait for longer than a moment
/// looks at it while it waits.
#[derive(Debug, Clone, Default)]
pub struct CancelSignal(Arc<AtomicBool>);

impl CancelSignal {
    /// The job is cancelled.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether the job is cancelled.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
