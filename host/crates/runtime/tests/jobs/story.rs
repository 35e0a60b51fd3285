//! A job that goes from version to version, on hosts that die, and all that may happen to it meanwhile.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Instant;

use gristmill_checkpoint::swap::SwapStage;
use gristmill_ports::catalog::JobState;
use gristmill_runtime::{JobSpec, JobStatus, OpenSwap, SwapReport};
use gristmill_types::CheckpointKind;
use tokio::sync::watch;

use crate::counting::{COUNT, Outside, checkpoint};
use crate::fakes::{Book, MemoryStore, PATIENCE, Running, Sluice, Tape};
use crate::swapping::{AT_ONCE, ON_PROBATION, node, until, with};
use crate::versions::{Complaints, Version};

/// In each of two subtasks more than a page of the background.
pub(crate) const KEYS: usize = 2_500;

/// Keys that the background moves at once.
pub(crate) const PAGE: usize = 1_024;

const EVENTS: usize = 4 * KEYS;

/// Entries enough for the background to come to its end.
pub(crate) const ALL: u64 = u64::MAX;

/// What outlives the death of a host: what is outside of it, and what its catalog has of the job.
pub(crate) struct Host {
    outside: Outside,
    /// What entries pass through on their way to the background.
    sluice: Sluice,
    pub(crate) complaints: Complaints,
    runs: Version,
    /// What is to run, if a swap is open.
    open: Option<Version>,
}

impl Host {
    fn new() -> Self {
        let outside = Outside { tape: Tape::new(EVENTS, KEYS), book: Book::default(), store: MemoryStore::default() };
        let (sluice, complaints) = (Sluice::default(), Complaints::default());
        Self { outside, sluice, complaints, runs: Version::FIRST, open: None }
    }

    fn spec(&self, version: Version) -> JobSpec {
        with(version.native(&self.complaints, || {}), version.hash())
    }

    fn start(&self) -> Running {
        let parts = |version| self.spec(version).operators.remove(&node()).unwrap();
        let open = self.open.map(|version| OpenSwap { operator: node(), new: parts(version), policy: AT_ONCE });
        let runs = self.runs.native(&self.complaints, || {});
        let world = self.outside.world().sluice(&self.sluice).operator_of("count", self.runs.hash(), runs);
        world.resume_open(COUNT, open)
    }

    /// Nothing is held up any more.
    pub(crate) fn lets_all(&self) {
        self.outside.store.out_of_reach(false);
        self.sluice.open();
    }

    /// Once nothing of the job runs any more, another host goes on with what the catalog says.
    fn again(&mut self, job: &Running, heard: bool) -> Running {
        self.lets_all();
        job.is_gone();
        if let Some(report) = job.handle.newest_swap() {
            let SwapReport { old, new, stage, left_open, .. } = report.borrow().clone();
            let is_open = left_open || !heard;
            let runs = if stage == SwapStage::Done && !is_open { new } else { old };
            (self.runs, self.open) = (Version::of(runs), is_open.then(|| Version::of(new)));
        }
        self.start()
    }
}

/// Where a swap is held up from its beginning on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stays {
    /// Nowhere, and nobody waits for it.
    Nowhere,
    /// Before its barrier: the checkpoint before it cannot be stored.
    Prepared,
    /// Behind its barrier: its own checkpoint cannot be stored.
    Switched,
    /// Nowhere: what comes next comes when it is decided.
    Decided,
}

/// What happens to a job that goes from version to version.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Turn {
    Play(usize),
    Checkpoint,
    /// A checkpoint is asked for and nobody waits for it.
    CheckpointUnderWay,
    /// Before the catalog has heard of the end of a swap, or after.
    Crash {
        heard: bool,
    },
    Suspend,
    Restart,
    /// The background sees so many entries, and then none until something lets it go on.
    Swap {
        stays: Stays,
        at_once: bool,
        passes: u64,
    },
    Promote,
    Withdraw,
    /// The background comes to its end.
    Rewritten,
}

/// A job, and all that happens to it.
pub(crate) struct Story {
    pub(crate) host: Host,
    pub(crate) job: Running,
    played: usize,
}

impl Story {
    /// Each key was counted once, and a checkpoint has it.
    pub(crate) fn begins() -> Self {
        let host = Host::new();
        let job = host.start();
        let mut story = Self { host, job, played: 0 };
        story.goes_on(Turn::Play(KEYS));
        story.goes_on(Turn::Checkpoint);
        story
    }

    pub(crate) fn goes_on(&mut self, turn: Turn) {
        match turn {
            Turn::Play(more) => {
                self.played = (self.played + more).min(EVENTS - 1);
                self.host.outside.tape.play(self.played);
                self.host.outside.tape.wait_reached(self.played);
            }
            Turn::Checkpoint => {
                self.host.outside.store.out_of_reach(false);
                checkpoint(&self.job);
            }
            Turn::CheckpointUnderWay => drop(self.job.handle.checkpoint(CheckpointKind::Checkpoint)),
            Turn::Crash { heard } => {
                self.job.handle.abandon();
                self.job = self.host.again(&self.job, heard);
            }
            Turn::Suspend => {
                self.job.handle.suspend();
                self.job = self.host.again(&self.job, true);
            }
            Turn::Restart => {
                drop(self.job.handle.restart());
                self.host.lets_all();
            }
            Turn::Swap { stays, at_once, passes } => self.swap(stays, at_once, passes),
            Turn::Promote => drop(self.job.handle.promote_swap()),
            Turn::Withdraw => drop(self.job.handle.withdraw_swap("somebody asked for it")),
            Turn::Rewritten => self.rewritten(),
        }
    }

    pub(crate) fn newest(&self) -> watch::Receiver<SwapReport> {
        self.job.handle.newest_swap().unwrap()
    }

    fn is_swapping(&self) -> bool {
        self.job.handle.newest_swap().is_some_and(|report| !report.borrow().is_over())
    }

    pub(crate) fn runs(&self) -> Version {
        Version::of(self.job.handle.modules()[&node()])
    }

    pub(crate) fn is_rewriting(&self) -> bool {
        self.job.handle.would_rewrite(&node(), &self.host.spec(self.runs()))
    }

    fn swap(&self, stays: Stays, at_once: bool, passes: u64) {
        if self.is_swapping() {
            return;
        }
        self.host.lets_all();
        let (sluice, store) = (self.host.sluice.clone(), self.host.outside.store.clone());
        let once = Mutex::new(Some(self.job.handle.clone()));
        // Instances are opened when `migrate` was tried, and before anything is switched.
        let opened = move || {
            let Some(job) = once.lock().unwrap().take() else { return };
            sluice.lets(passes);
            store.out_of_reach(matches!(stays, Stays::Prepared | Stays::Switched));
            if stays == Stays::Prepared {
                drop(job.checkpoint(CheckpointKind::Checkpoint));
            }
        };
        let new = self.runs().successor();
        let spec = with(new.native(&self.host.complaints, opened), new.hash());
        // Refused while state is still being rewritten, or the job starts again.
        let policy = if at_once { AT_ONCE } else { ON_PROBATION };
        let Ok(mut report) = self.job.handle.swap(&node(), &spec, policy) else { return };
        match stays {
            Stays::Nowhere => {}
            Stays::Prepared | Stays::Switched => {
                until(&mut report, |report| report.stage != SwapStage::Preparing);
            }
            Stays::Decided => {
                until(&mut report, |report| report.stage == SwapStage::Probation || report.is_over());
            }
        }
    }

    fn rewritten(&self) {
        self.host.lets_all();
        let since = Instant::now();
        while !self.is_swapping() && self.is_rewriting() {
            // Of keys that could not be read, another one is wanted.
            checkpoint(&self.job);
            assert!(since.elapsed() < PATIENCE, "it is never through: {:?}", self.host.complaints.all());
        }
    }

    /// The job comes to its end, and whoever is asked for a count had it once for each event, in their order.
    pub(crate) fn ends(&self) {
        self.host.lets_all();
        self.host.outside.tape.play(EVENTS);
        let JobStatus { state, cause } = self.job.end();
        assert_eq!(self.host.complaints.all(), [""; 0], "the job is {state:?}: {cause:?}");
        assert_eq!((state, cause), (JobState::Finished, None));
        let committed = self.host.outside.book.committed();
        let (counts, once) = (by_key(&committed), (1..=EVENTS / KEYS).collect::<Vec<_>>());
        let wrong: Vec<_> = counts.iter().filter(|(_, counts)| **counts != once).take(9).collect();
        assert!(wrong.is_empty() && counts.len() == KEYS, "of {} keys {wrong:?}", counts.len());
        assert_eq!((self.host.outside.book.staged(), self.job.letters.all().len()), (0, 0));
    }
}

/// What was committed of each key, in order.
fn by_key(committed: &[String]) -> BTreeMap<&str, Vec<usize>> {
    let mut counts = BTreeMap::<_, Vec<_>>::new();
    for (key, count) in committed.iter().map(|one| one.split_once('=').unwrap()) {
        counts.entry(key).or_default().push(count.parse().unwrap());
    }
    counts
}
