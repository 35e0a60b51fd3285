//! Threads that work in the background stand back behind those that work on the stream; and how long a thread worked.

use std::time::Duration;

use gristmill_ports::parts::Urgency;

/// Lowers the priority of the calling thread, for good. If the system refuses, it runs as it is: slower tasks, but no
/// wrong ones.
#[expect(unsafe_code, reason = "the standard library cannot set priorities")]
pub fn stand_back(urgency: Urgency) {
    // Shares of a busy core on Linux: about a quarter, and next to nothing.
    let nice: libc::c_int = match urgency {
        Urgency::Soon => 5,
        Urgency::Whenever => 19,
    };
    // SAFETY: takes numbers only. On Linux, zero stands for the calling thread.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
}

/// How long the calling thread has worked so far, its waits for a core left out. `None` if the system does not tell.
#[must_use]
#[expect(unsafe_code, reason = "the standard library cannot ask for it")]
pub fn worked() -> Option<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec of this function's own, which the call fills.
    let asked = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    (asked == 0).then(|| Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0)))
}
