//! Whether a host answers, and how fast, while something else goes on.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::blocking::Client;

use crate::host::{Host, PATIENCE};

/// Asks for `/healthz` again and again, and keeps the slowest answer.
pub(crate) struct Watch {
    seen: Arc<Mutex<Seen>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Seen {
    /// Of the answers since the last look.
    slowest: Duration,
    /// Since when an answer is waited for.
    asked: Option<Instant>,
}

impl Watch {
    pub(crate) fn over(host: &Host) -> Self {
        let (seen, over) = (Arc::<Mutex<Seen>>::default(), Arc::new(AtomicBool::new(false)));
        let (noted, end, url) = (Arc::clone(&seen), Arc::clone(&over), format!("{}/healthz", host.address));
        let thread = std::thread::spawn(move || {
            let client = Client::builder().timeout(PATIENCE).build().unwrap();
            while !end.load(Relaxed) {
                let start = Instant::now();
                noted.lock().unwrap().asked = Some(start);
                assert!(client.get(&url).send().unwrap().status().is_success());
                let mut seen = noted.lock().unwrap();
                seen.slowest = seen.slowest.max(start.elapsed());
                seen.asked = None;
                drop(seen);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { seen, over, thread: Some(thread) }
    }

    /// The slowest answer since the last time that this was asked. One that still waits counts for as long as it has
    /// waited, so that no guest holds the host up unseen.
    pub(crate) fn slowest(&self) -> Duration {
        let mut seen = self.seen.lock().unwrap();
        let waiting = seen.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        std::mem::take(&mut seen.slowest).max(waiting)
    }

    /// Waits for the last answer; gives the slowest since [`Self::slowest`] was last asked.
    pub(crate) fn end(mut self) -> Duration {
        self.over.store(true, Relaxed);
        self.thread.take().unwrap().join().expect("every answer was well");
        self.slowest()
    }
}
