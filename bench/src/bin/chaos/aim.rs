//! When to kill: at moments that are seen from outside, and a little later by chance.

use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::phases;

/// What a life is to end in. It may miss: what was hit is found out afterwards.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Aim {
    /// Whatever the host is at.
    Anything,
    /// Output of a checkpoint is stored, its manifest is not.
    Checkpoint,
    /// A manifest is stored, its output is not visible.
    Commit,
    /// The job does not run yet.
    Recovery,
}

/// From what was seen to the kill.
const LATER_US: Range<u64> = 0..5_000;
/// How often storage is looked at.
const LOOK: Duration = Duration::from_micros(300);
/// Checkpoints come far more often, but storing them stands back behind all else that the machine does.
const PATIENCE: Duration = Duration::from_secs(60);
/// No recovery takes as long, not on a machine with other work either.
const LONGEST_RECOVERY: Duration = Duration::from_secs(60);

impl Aim {
    /// One after the other.
    pub(crate) const ALL: [Self; 4] = [Self::Anything, Self::Commit, Self::Recovery, Self::Checkpoint];

    /// Waits for the moment, once the job has got something done for so many milliseconds. `recovery` is how long it took to
    /// run, the last time that was waited for.
    ///
    /// # Errors
    /// If the job does not run, or makes no checkpoint.
    pub(crate) fn wait(self, host: &Host, work_ms: Range<u64>, recovery: &mut Duration) -> anyhow::Result<()> {
        if let Self::Recovery = self {
            std::thread::sleep(recovery.mul_f64(fastrand::f64()));
            return Ok(());
        }
        host.until("RUNNING", LONGEST_RECOVERY)?;
        *recovery = host.started.elapsed();
        std::thread::sleep(Duration::from_millis(fastrand::u64(work_ms)));
        match self {
            Self::Anything | Self::Recovery => return Ok(()),
            Self::Checkpoint => until_new(|| entries_below(host, "files"), phases::is_of_checkpoint)?,
            Self::Commit => until_new(|| entries_below(host, "chain"), |_| true)?,
        }
        std::thread::sleep(Duration::from_micros(fastrand::u64(LATER_US)));
        Ok(())
    }
}

/// Waits until such a file is there that was not there before.
fn until_new(entries: impl Fn() -> HashSet<PathBuf>, is_such: fn(&Path) -> bool) -> anyhow::Result<()> {
    let before = entries();
    let deadline = Instant::now() + PATIENCE;
    while !entries().difference(&before).any(|path| is_such(path)) {
        anyhow::ensure!(Instant::now() < deadline, "no checkpoint was made in {PATIENCE:?}");
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The files in a folder of the run, and in the folders there.
fn entries_below(host: &Host, folder: &str) -> HashSet<PathBuf> {
    let mut found = HashSet::new();
    let mut folders: Vec<PathBuf> = host.run_folder().map(|run| run.join(folder)).into_iter().collect();
    while let Some(folder) = folders.pop() {
        for path in entries(&folder) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path);
            }
        }
    }
    found
}

/// What is in a folder; nothing if it is not there, or not any more.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path())
}
