//! The clock of deadlines: one thread that moves the engine's epoch on while guests are being called.
//!
//! A deadline is a number of ticks. The ticker gives one tick at each wake-up, however late it is woken: a host that
//! was stopped for a minute must not find all its guests past their deadlines. While no call is under way it sleeps
//! for good, so that an idle host uses no processor time.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::Engine;

/// The time between two ticks.
pub(crate) const TICK: Duration = Duration::from_millis(5);

/// How many ticks without a call the ticker waits before it goes to sleep; so a steady stream of short calls never
/// pays for waking it.
const LINGER: u32 = 20;

/// Owns the ticking thread, which ends with it.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    engine: Engine,
    in_flight: AtomicUsize,
    ticks: AtomicU64,
    asleep: AtomicBool,
    stopped: Mutex<bool>,
    wake: Condvar,
}

/// A call under way; the ticker ticks as long as one exists.
pub(crate) struct InFlight<'a>(&'a Shared);

impl Ticker {
    /// Starts the ticker of an engine.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            engine,
            in_flight: AtomicUsize::new(0),
            ticks: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            stopped: Mutex::new(false),
            wake: Condvar::new(),
        });
        let ticking = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("guest-deadlines".to_owned()).spawn(move || ticking.run())?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Announces a call, waking the ticker if it sleeps.
    pub(crate) fn begin_call(&self) -> InFlight<'_> {
        self.shared.in_flight.fetch_add(1, Ordering::SeqCst);
        if self.shared.asleep.load(Ordering::SeqCst) && self.shared.asleep.swap(false, Ordering::SeqCst) {
            let _stopped = self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.wake.notify_one();
        }
        InFlight(&self.shared)
    }

    /// How many ticks there have been.
    pub(crate) fn ticks(&self) -> u64 {
        self.shared.ticks.load(Ordering::Relaxed)
    }

    /// How many ticks make a deadline: never fewer than asked for, since the first may come at once.
    pub(crate) fn ticks_for(deadline: Duration) -> u64 {
        let ticks = deadline.as_nanos().div_ceil(TICK.as_nanos());
        u64::try_from(ticks).unwrap_or(u64::MAX / 2).min(u64::MAX / 2) + 1
    }

    #[cfg(test)]
    fn is_asleep(&self) -> bool {
        self.shared.asleep.load(Ordering::SeqCst)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        *self.shared.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // It cannot have panicked, and there would be nothing to do about it here.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        let mut idle = 0;
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        while !*stopped {
            if idle >= LINGER {
                self.asleep.store(true, Ordering::SeqCst);
                // A call that began before the store saw nobody asleep; it is seen here instead.
                if self.in_flight.load(Ordering::SeqCst) > 0 {
                    self.asleep.store(false, Ordering::SeqCst);
                }
                while self.asleep.load(Ordering::SeqCst) && !*stopped {
                    stopped = self.wake.wait(stopped).unwrap_or_else(PoisonError::into_inner);
                }
                idle = 0;
            }
            (stopped, _) = self.wake.wait_timeout(stopped, TICK).unwrap_or_else(PoisonError::into_inner);
            self.engine.increment_epoch();
            self.ticks.fetch_add(1, Ordering::Relaxed);
            idle = if self.in_flight.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(mut condition: impl FnMut() -> bool) {
        let begun = std::time::Instant::now();
        while !condition() {
            assert!(begun.elapsed() < Duration::from_secs(20), "waited for twenty seconds");
            std::thread::yield_now();
        }
    }

    #[test]
    fn it_ticks_while_a_call_is_under_way_and_sleeps_afterwards() {
        let ticker = Ticker::start(Engine::default()).expect("a thread");
        for _ in 0..2 {
            let call = ticker.begin_call();
            let begun = ticker.ticks();
            until(|| ticker.ticks() >= begun + 3);
            drop(call);
            until(|| ticker.is_asleep());
        }
    }

    #[test]
    fn a_deadline_is_never_shorter_than_asked_for() {
        assert_eq!(Ticker::ticks_for(Duration::from_millis(1)), 2);
        assert_eq!(Ticker::ticks_for(Duration::from_millis(10)), 3);
        assert!(Ticker::ticks_for(Duration::MAX) > 1 << 40);
    }
}
