//! Threads that work in the background stand back behind those that work on the stream.

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
