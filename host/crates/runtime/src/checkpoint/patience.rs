//! Trying the same again until it is done, or the attempt is over.

use std::time::Duration;

use gristmill_ports::{ErrorKind, PortError, Signal};

use crate::failure::reaction::backoff;

/// The longest stretch of a wait in which nobody looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

/// Why it is not done.
pub(crate) enum Undone {
    /// The attempt is over.
    Over,
    /// It was refused for good.
    Refused(String),
}

/// Acts until it succeeds. `failed` hears each failure that may pass.
pub(crate) fn until_done<T>(
    over: &Signal,
    mut act: impl FnMut() -> Result<T, PortError>,
    mut failed: impl FnMut(&str),
) -> Result<T, Undone> {
    let mut failed_before = 0;
    loop {
        if over.is_raised() {
            return Err(Undone::Over);
        }
        match act() {
            Ok(done) => return Ok(done),
            Err(PortError { kind: ErrorKind::Fatal, message }) => return Err(Undone::Refused(message)),
            Err(PortError { kind: ErrorKind::Retry | ErrorKind::GivenUp, message }) => {
                failed(&message);
                rest(|| over.is_raised(), backoff(failed_before, 0.5));
                failed_before += 1;
            }
        }
    }
}

/// Waits, but not longer than it is wanted.
pub(crate) fn rest(is_unwanted: impl Fn() -> bool, time: Duration) {
    let mut left = time;
    while !left.is_zero() && !is_unwanted() {
        let step = left.min(LOOK);
        std::thread::sleep(step);
        left -= step;
    }
}
