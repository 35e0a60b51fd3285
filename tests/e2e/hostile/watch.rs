//! Whether a host answers, and how fast, while something else goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reqwest::blocking::Client;

use crate::host::{Host, PATIENCE};

/// Asks for `/healthz` again and again, and keeps the slowest answer.
pub(crate) struct Watch {
    slowest_us: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    pub(crate) fn over(host: &Host) -> Self {
        let (slowest_us, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (slowest, end, url) = (Arc::clone(&slowest_us), Arc::clone(&over), format!("{}/healthz", host.address));
        let thread = std::thread::spawn(move || {
            let client = Client::builder().timeout(PATIENCE).build().unwrap();
            while !end.load(Relaxed) {
                let start = Instant::now();
                assert!(client.get(&url).send().unwrap().status().is_success());
                slowest.fetch_max(start.elapsed().as_micros() as u64, Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { slowest_us, over, thread: Some(thread) }
    }

    /// The slowest answer since the last time that this was asked.
    pub(crate) fn slowest(&self) -> Duration {
        Duration::from_micros(self.slowest_us.swap(0, Relaxed))
    }

    pub(crate) fn end(mut self) {
        self.over.store(true, Relaxed);
        self.thread.take().unwrap().join().expect("every answer was well");
    }
}
