//! Crash bundles on disk: a folder for each job, a file for each bundle. Written by a thread of its own.
//!
//! Of each fault of a module the first bundle is kept; of many faults those that were seen last. A flood of ever new faults
//! writes no more than a folder full of them in a minute.

mod shelf;

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use gristmill_ports::PortError;
use gristmill_ports::crash::{CrashBundle, CrashName, CrashStore, KeptCrash};
use gristmill_types::JobId;

use self::shelf::Shelf;
use crate::trouble::cannot;

/// Bundles that wait to be written; what comes when so many do is not kept.
const WAITING: usize = 4;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrashLimits {
    /// Bundles of each job.
    pub bundles: usize,
    /// Bytes of each bundle.
    pub bytes: usize,
}

/// The folder `crashes` of a data directory.
pub struct CrashFiles {
    shelf: Arc<Shelf>,
    /// Absent only while this is dropped.
    work: Option<SyncSender<Work>>,
    writer: Option<JoinHandle<()>>,
}

/// A bundle to be written, and the one that makes room for it.
struct Work {
    bundle: CrashBundle,
    instead_of: Option<CrashName>,
}

impl CrashFiles {
    /// Opens the folder, making it if there is none. The data directory must be the caller's alone.
    ///
    /// # Errors
    /// If it cannot be read or written, or no thread can be started.
    pub fn open(data_dir: &Path, limits: CrashLimits) -> Result<Self, PortError> {
        let dir = data_dir.join("crashes");
        let shelf = Arc::new(Shelf::open(&dir, limits)?);
        let (work, todo) = sync_channel(WAITING);
        let written = Arc::clone(&shelf);
        let writer = std::thread::Builder::new().name("crashes".to_owned()).spawn(move || write(&written, &todo));
        let writer = writer.map_err(cannot("start the thread that writes into", &dir))?;
        Ok(Self { shelf, work: Some(work), writer: Some(writer) })
    }
}

fn write(shelf: &Shelf, todo: &Receiver<Work>) {
    for Work { bundle, instead_of } in todo {
        if let Some(oldest) = instead_of
            && let Err(error) = shelf.remove(&bundle.job, &oldest)
        {
            tracing::warn!(job = %bundle.job, %error, "an old crash bundle cannot be removed");
        }
        match shelf.write(&bundle) {
            Ok(path) => tracing::info!(job = %bundle.job, path = %path.display(), "kept a call that ended in a fault"),
            Err(error) => tracing::warn!(job = %bundle.job, %error, "a crash bundle is not kept"),
        }
    }
}

impl Drop for CrashFiles {
    fn drop(&mut self) {
        drop(self.work.take());
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("bug: the thread that writes crash bundles panicked");
        }
    }
}

impl CrashStore for CrashFiles {
    fn room(&self, job: &JobId, name: &CrashName, now_ms: i64) -> Option<usize> {
        self.shelf.room(job, name, now_ms)
    }

    fn keep(&self, bundle: CrashBundle) -> bool {
        let (job, name) = (bundle.job.clone(), bundle.name());
        let Some(instead_of) = self.shelf.reserve(&job, &name, bundle.at_ms) else { return false };
        let work = self.work.as_ref().expect("it is there until this is dropped");
        let is_taken = work.try_send(Work { bundle, instead_of }).is_ok();
        if !is_taken {
            tracing::warn!(%job, bundle = %name, "a crash bundle is not kept: others wait to be written");
            self.shelf.give_up(&job, &name);
        }
        is_taken
    }

    fn list(&self, job: &JobId) -> Result<Vec<KeptCrash>, PortError> {
        let names = self.shelf.names(job);
        let kept = names.into_iter().filter_map(|name| match self.shelf.read(job, &name) {
            Ok(file) => file.map(|file| {
                let bundle = CrashBundle::decode(&file).map_err(|damaged| damaged.to_string());
                Ok(KeptCrash { name, bytes: file.len() as u64, bundle })
            }),
            Err(error) => Some(Err(error)),
        });
        kept.collect()
    }

    fn get(&self, job: &JobId, name: &CrashName) -> Result<Option<Vec<u8>>, PortError> {
        self.shelf.read(job, name)
    }

    fn delete(&self, job: &JobId, name: &CrashName) -> Result<bool, PortError> {
        let was_there = self.shelf.give_up(job, name);
        self.shelf.remove(job, name)?;
        Ok(was_there)
    }

    fn has(&self, job: &JobId, name: &CrashName) -> bool {
        self.shelf.has(job, name)
    }

    fn forget(&self, job: &JobId) -> Result<(), PortError> {
        self.shelf.forget(job)
    }
}

#[cfg(test)]
mod tests;
