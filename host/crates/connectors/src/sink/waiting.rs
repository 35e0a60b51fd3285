//! Waits that end when the job does.

use std::time::Duration;

use gristmill_ports::Signal;

/// How often it is asked whether the job is cancelled, while an answer is awaited.
const LOOK: Duration = Duration::from_millis(50);

/// Returns once the signal is raised.
pub(super) async fn raised(signal: &Signal) {
    while !signal.is_raised() {
        tokio::time::sleep(LOOK).await;
    }
}
