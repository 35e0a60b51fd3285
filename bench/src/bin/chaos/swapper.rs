//! Swaps the module of the job as fast as operations allow, whichever host lives, and holds each operation to its word: the job
//! runs the new module if it says so, and only then.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::api::{Api, Gone};
use crate::host::JOB;

/// The operator whose module is swapped.
pub(crate) const OPERATOR: &str = "count";
/// Of these modules the first two are alike; the third keeps its state in another schema, and so rewrites theirs, and they its.
pub(crate) const MODULES: [&str; 3] = ["tally@1", "tally-again@1", "tally-timed@1"];
/// One of so many swaps is taken back on its probation.
const TAKEN_BACK: u32 = 4;
/// During the probation of one of so many nothing is decided, and it would be rewound.
const HELD: u32 = 6;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(3);

/// What became of all swaps.
#[derive(Debug, Default)]
pub(crate) struct Swaps {
    pub(crate) done: u64,
    pub(crate) undone: u64,
    /// Of both, those between two schemas.
    pub(crate) migrating: u64,
    /// Of both, those that were seen while nothing was decided.
    pub(crate) held: u64,
    /// Of both, those that a host left open when it was killed.
    pub(crate) across_kills: u64,
}

#[derive(Default)]
pub(crate) struct Swapper {
    pub(crate) swaps: Swaps,
    open: Option<Open>,
}

/// A swap whose end was not seen.
struct Open {
    operation: String,
    to: &'static str,
    migrates: bool,
    was_held: bool,
    is_taken_back: bool,
    outlived_its_host: bool,
}

/// Why somebody stops asking.
enum Stopped {
    Gone,
    Wrong(anyhow::Error),
}

impl From<Gone> for Stopped {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl From<anyhow::Error> for Stopped {
    fn from(error: anyhow::Error) -> Self {
        Self::Wrong(error)
    }
}

impl Swapper {
    /// Whether the host was killed within a swap.
    pub(crate) fn is_within(&self) -> bool {
        self.open.is_some()
    }

    /// Swaps until this host's life is over.
    pub(crate) fn swap(&mut self, folder: &Path, is_over: &AtomicBool) -> anyhow::Result<()> {
        if let Some(open) = &mut self.open {
            open.outlived_its_host = true;
        }
        let Some(api) = Api::of(folder, is_over) else { return Ok(()) };
        while !is_over.load(Ordering::SeqCst) {
            let stepped = match &self.open {
                Some(_) => self.follow(&api),
                None => self.begin(&api),
            };
            match stepped {
                Ok(()) | Err(Stopped::Gone) => std::thread::sleep(LOOK),
                Err(Stopped::Wrong(error)) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits for the end of the swap that the last kill was in.
    ///
    /// # Errors
    /// If it has none for so long, or one that is not so.
    pub(crate) fn finish(&mut self, folder: &Path, patience: Duration) -> anyhow::Result<()> {
        let Some(api) = Api::of(folder, &AtomicBool::new(false)) else { bail!("no host listens") };
        let deadline = Instant::now() + patience;
        while let Some(open) = &mut self.open {
            let Open { operation, to, .. } = &*open;
            ensure!(Instant::now() < deadline, "operation {operation}, a swap to {to}, has no end in {patience:?}");
            (open.outlived_its_host, open.is_taken_back) = (true, false);
            match self.follow(&api) {
                Ok(()) => std::thread::sleep(LOOK),
                Err(Stopped::Gone) => bail!("the last host is gone"),
                Err(Stopped::Wrong(error)) => return Err(error),
            }
        }
        Ok(())
    }

    fn begin(&mut self, api: &Api) -> Result<(), Stopped> {
        let Some(runs) = module(api)? else { return Ok(()) };
        let others: Vec<&'static str> = MODULES.into_iter().filter(|one| *one != runs).collect();
        let to = *fastrand::choice(&others).context("there are several modules")?;
        let is_taken_back = fastrand::u32(0..TAKEN_BACK) == 0;
        let time = if is_taken_back { "10m" } else { *fastrand::choice(&["0s", "30ms"]).unwrap_or(&"0s") };
        let is_held = fastrand::u32(0..HELD) == 0;
        let way_back = if is_held { "rewind" } else { "migrate" };
        let wish = json!({"module": to, "probation": {"time": time, "events": 0}, "way_back": way_back});
        let path = format!("/v1/jobs/{JOB}/operators/{OPERATOR}/swap");
        let (status, begun) = api.post(&path, |request| request.json(&wish))?;
        let says = |what: &str| begun["detail"].as_str().is_some_and(|detail| detail.contains(what));
        match status {
            202 => {
                let operation = begun["id"].as_str().context("an operation without a name")?.to_owned();
                let migrates = (to == MODULES[2]) != (runs == MODULES[2]);
                self.open =
                    Some(Open { operation, to, migrates, was_held: false, is_taken_back, outlived_its_host: false });
                Ok(())
            }
            // The job is between two attempts.
            409 | 503 => Ok(()),
            // A host that was killed made a swap and could not say so; or a page is left.
            422 if says("runs module") || says("is still being rewritten") => Ok(()),
            _ => Err(anyhow::anyhow!("a swap from {runs} to {to} was answered {status}: {begun}").into()),
        }
    }

    fn follow(&mut self, api: &Api) -> Result<(), Stopped> {
        let Some(open) = &mut self.open else { return Ok(()) };
        let seen = api.get(&format!("/v1/operations/{}", open.operation))?;
        open.was_held |= seen["detail"]["stage"] == "held";
        let is_on_probation = matches!(seen["detail"]["stage"].as_str(), Some("probation" | "held"));
        match seen["status"].as_str() {
            Some("RUNNING") if open.is_taken_back && is_on_probation => {
                let path = format!("/v1/jobs/{JOB}/operators/{OPERATOR}/swap/rollback");
                // Refused if there is nothing to be taken back any more.
                api.post(&path, |request| request)?;
                Ok(())
            }
            Some("RUNNING") => Ok(()),
            Some("SUCCEEDED") => self.ended(api, &seen, true),
            Some("FAILED") => self.ended(api, &seen, false),
            _ => Err(anyhow::anyhow!("operation {} is {seen}", open.operation).into()),
        }
    }

    fn ended(&mut self, api: &Api, seen: &Value, is_done: bool) -> Result<(), Stopped> {
        let Some(runs) = module(api)? else { return Ok(()) };
        let Some(open) = self.open.take() else { return Ok(()) };
        let is_so = || -> anyhow::Result<()> {
            ensure!((runs == open.to) == is_done, "the job runs {runs} after the swap to {}: {seen}", open.to);
            Ok(())
        };
        is_so()?;
        let count = if is_done { &mut self.swaps.done } else { &mut self.swaps.undone };
        *count += 1;
        self.swaps.migrating += u64::from(open.migrates);
        self.swaps.held += u64::from(open.was_held);
        self.swaps.across_kills += u64::from(open.outlived_its_host);
        Ok(())
    }
}

/// The module that the job's document names; nothing while there is no job.
fn module(api: &Api) -> Result<Option<String>, Gone> {
    let seen = api.get(&format!("/v1/jobs/{JOB}"))?;
    Ok(seen["document"]["operators"][OPERATOR]["module"].as_str().map(str::to_owned))
}
