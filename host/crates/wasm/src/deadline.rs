//! Until when a call may run, in ticks of the engine's clock.
//!
//! The guest is not charged for the time that the host takes to answer it, up to a second deadline: without that cap, a
//! guest that asks for dear things all the time would never end. Nothing here runs; the epoch callback asks.

/// After how many ticks a running guest is looked at, whatever its deadline: so soon it notices that its job is over.
const SLICE: u64 = 20;

/// Why a guest may not run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Halt {
    /// Its time is over.
    Late,
    /// The job is over.
    JobOver,
}

/// The deadline of one call.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadline {
    ends_at: u64,
    creditable: u64,
}

impl Deadline {
    /// A deadline that begins now and is as long as `ticks`.
    pub(crate) fn starting(now: u64, ticks: u64) -> Self {
        Self { ends_at: now.saturating_add(ticks), creditable: ticks }
    }

    /// Puts the deadline off by the time that the host has taken, as far as the call has credit left.
    pub(crate) fn credit(&mut self, ticks: u64) {
        let credited = ticks.min(self.creditable);
        self.creditable -= credited;
        self.ends_at = self.ends_at.saturating_add(credited);
    }

    /// How many ticks the guest may run before the next look; none once its time is over.
    pub(crate) fn slice(&self, now: u64) -> Option<u64> {
        let left = self.ends_at.saturating_sub(now);
        (left > 0).then(|| left.min(SLICE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_own_time_is_credited_up_to_a_second_deadline() {
        let mut deadline = Deadline::starting(100, 10);
        assert_eq!((deadline.slice(100), deadline.slice(109), deadline.slice(110)), (Some(10), Some(1), None));
        deadline.credit(4);
        assert_eq!((deadline.slice(110), deadline.slice(114)), (Some(4), None));
        deadline.credit(1_000);
        assert_eq!((deadline.slice(119), deadline.slice(120)), (Some(1), None), "not a third");
    }

    #[test]
    fn a_long_deadline_is_looked_at_in_short_slices() {
        let deadline = Deadline::starting(5, u64::MAX / 2);
        assert_eq!(deadline.slice(5), Some(SLICE));
    }
}
