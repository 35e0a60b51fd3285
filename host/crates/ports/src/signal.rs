//! A word that is said once, for parts that may be at work when it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Raised once, never taken back. A clone is the same signal. A part that may work or wait for longer than a moment
/// looks at it meanwhile.
#[derive(Debug, Clone, Default)]
pub struct Signal(Arc<AtomicBool>);

impl Signal {
    /// Says it.
    pub fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it was said.
    #[must_use]
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
