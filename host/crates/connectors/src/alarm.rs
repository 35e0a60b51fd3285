//! Wakes a reader at a later time, without a thread that waits.

use std::task::Waker;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::AbortHandle;

/// One pending wake-up. A new one takes the place of the old; dropping the alarm silences it.
pub(crate) struct Alarm {
    runtime: Handle,
    pending: Option<AbortHandle>,
}

impl Alarm {
    pub(crate) fn new(runtime: Handle) -> Self {
        Self { runtime, pending: None }
    }

    /// Wakes the waker after this time, to about a millisecond.
    pub(crate) fn wake_after(&mut self, delay: Duration, waker: &Waker) {
        self.silence();
        let waker = waker.clone();
        let task = self.runtime.spawn(async move {
            tokio::time::sleep(delay).await;
            waker.wake();
        });
        self.pending = Some(task.abort_handle());
    }

    fn silence(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.abort();
        }
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.silence();
    }
}
