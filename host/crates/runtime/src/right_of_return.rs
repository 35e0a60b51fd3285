//! The right of an operator's old instances to take their seats again: a subtask uses it at a fault, or the driver, which also
//! ends it when the swap is done. Whoever is first decides, so none goes back behind a swap that is done.

use std::sync::atomic::{AtomicU8, Ordering};

use gristmill_checkpoint::swap::Retreat;

const OPEN: u8 = 0;
const USED: u8 = 1;
const ENDED: u8 = 2;

/// See the module.
#[derive(Debug)]
pub(crate) struct RightOfReturn {
    state: AtomicU8,
    retreat: Retreat,
}

impl RightOfReturn {
    pub(crate) fn new(retreat: Retreat) -> Self {
        Self { state: AtomicU8::new(OPEN), retreat }
    }

    /// A subtask goes back, or another has, or all are to; false if the swap is done.
    pub(crate) fn used(&self) -> bool {
        self.moved(USED)
    }

    /// Whether some subtask goes back, or all are told to.
    pub(crate) fn is_used(&self) -> bool {
        self.state.load(Ordering::Acquire) == USED
    }

    /// The swap is done, if no subtask goes back; false if one does, whose word is on its way.
    pub(crate) fn ended(&self) -> bool {
        self.moved(ENDED)
    }

    /// How it goes back.
    pub(crate) fn retreat(&self) -> Retreat {
        self.retreat
    }

    fn moved(&self, to: u8) -> bool {
        match self.state.compare_exchange(OPEN, to, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(there) => there == to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_first_decides_for_all() {
        let right = RightOfReturn::new(Retreat::Seats);
        assert!(!right.is_used() && right.used() && right.used() && right.is_used() && !right.ended());
        let right = RightOfReturn::new(Retreat::Seats);
        assert!(right.ended() && right.ended() && !right.used() && !right.is_used());
    }
}
