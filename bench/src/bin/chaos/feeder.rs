//! Posts events to the host that lives, each post under a key of its own: what a host took and could not say so is posted
//! again to the next one, which takes it once.

use std::io::{BufReader, Cursor};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::api::{Api, Gone};
use crate::checker::Expected;
use crate::host::JOB;

/// Events of a post.
const EVENTS: u64 = 2_000;
const KEYS: u64 = 10_000;
/// From the beginning of a post to that of the next.
const EVERY: Duration = Duration::from_millis(50);
/// A host that is full, or not open yet, is asked again after this.
const PATIENCE: Duration = Duration::from_millis(5);

#[derive(Default)]
pub(crate) struct Feeder {
    /// The post that no host has acknowledged.
    next: u64,
}

/// The key of an event: any of them, and each time the same.
fn key(event: u64) -> u64 {
    let mixed = (event ^ (event >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) % KEYS
}

fn keys(post: u64) -> impl Iterator<Item = u64> {
    (post * EVENTS..(post + 1) * EVENTS).map(key)
}

impl Feeder {
    /// Events that were acknowledged.
    pub(crate) fn events(&self) -> u64 {
        self.next * EVENTS
    }

    /// What every sink should hold.
    pub(crate) fn expected(&self) -> anyhow::Result<Expected> {
        let mut expected = Expected::default();
        for post in 0..self.next {
            let lines: String = keys(post).map(|key| format!("k-{key}\n")).collect();
            expected.count(BufReader::new(Cursor::new(lines)))?;
        }
        Ok(expected)
    }

    /// Posts until this host's life is over.
    pub(crate) fn feed(&mut self, folder: &Path, is_over: &AtomicBool) -> anyhow::Result<()> {
        let Some(api) = Api::of(folder, is_over) else { return Ok(()) };
        while !is_over.load(Ordering::SeqCst) {
            let began = Instant::now();
            match self.post(&api) {
                Ok(Some(())) => std::thread::sleep(EVERY.saturating_sub(began.elapsed())),
                Ok(None) => std::thread::sleep(PATIENCE),
                // Killed; that its life is over is said next.
                Err(Ended::Gone) => std::thread::sleep(PATIENCE),
                Err(Ended::Refused(why)) => bail!("post {} was refused: {why}", self.next),
            }
        }
        Ok(())
    }

    /// Has the post that is open acknowledged, by a host that stays.
    ///
    /// # Errors
    /// If it is not for so long, or refused.
    pub(crate) fn finish(&mut self, folder: &Path, patience: Duration) -> anyhow::Result<()> {
        let Some(api) = Api::of(folder, &AtomicBool::new(false)) else { bail!("no host listens") };
        let deadline = Instant::now() + patience;
        loop {
            match self.post(&api) {
                Ok(Some(())) => return Ok(()),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(PATIENCE),
                Ok(None) => bail!("post {} was not taken in {patience:?}", self.next),
                Err(Ended::Gone) => bail!("the last host is gone"),
                Err(Ended::Refused(why)) => bail!("post {} was refused: {why}", self.next),
            }
        }
    }

    /// Posts the next; `None` if the host cannot take it now.
    fn post(&mut self, api: &Api) -> Result<Option<()>, Ended> {
        let lines: String = keys(self.next).map(|key| format!("{{\"key\":\"k-{key}\"}}\n")).collect();
        let (status, answer) = api.post(&format!("/v1/jobs/{JOB}/sources/events/events"), |request| {
            let request = request.header("content-type", "application/x-ndjson");
            request.header("idempotency-key", format!("post-{}", self.next)).body(lines)
        })?;
        match status {
            202 => {
                self.next += 1;
                Ok(Some(()))
            }
            404 | 409 | 429 | 503 => Ok(None),
            _ => Err(Ended::Refused(format!("{status}: {answer}"))),
        }
    }
}

enum Ended {
    Gone,
    Refused(String),
}

impl From<Gone> for Ended {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}
