//! The files of bundles, and what is known of them without reading them.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use gristmill_ports::PortError;
use gristmill_ports::crash::{CrashBundle, CrashName};
use gristmill_types::JobId;

use crate::crash_files::CrashLimits;
use crate::data_dir::{INCOMING, write_whole};
use crate::trouble::cannot;

/// How files of bundles end.
const ENDING: &str = "crash";
/// A full folder takes a new bundle only if its oldest one has stood so long.
const STANDS_MS: i64 = 60_000;

/// Folders and files, and an account of them.
pub(super) struct Shelf {
    dir: PathBuf,
    limits: CrashLimits,
    /// Of each job, oldest first; those that are yet to be written, too.
    known: Mutex<HashMap<JobId, Vec<Known>>>,
}

struct Known {
    name: CrashName,
    at_ms: i64,
}

impl Shelf {
    pub(super) fn open(dir: &Path, limits: CrashLimits) -> Result<Self, PortError> {
        fs::create_dir_all(dir).map_err(cannot("make the directory", dir))?;
        let mut known = HashMap::new();
        for entry in fs::read_dir(dir).map_err(cannot("read", dir))? {
            let folder = entry.map_err(cannot("read", dir))?.path();
            let job = folder.file_name().and_then(|name| name.to_str()?.parse().ok());
            if let Some(job) = job.filter(|_| folder.is_dir()) {
                known.insert(job, bundles_in(&folder)?);
            }
        }
        Ok(Self { dir: dir.to_owned(), limits, known: Mutex::new(known) })
    }

    fn known(&self) -> MutexGuard<'_, HashMap<JobId, Vec<Known>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, job: &JobId, name: &CrashName) -> PathBuf {
        self.dir.join(job.as_str()).join(format!("{name}.{ENDING}"))
    }

    pub(super) fn has(&self, job: &JobId, name: &CrashName) -> bool {
        self.known().get(job).is_some_and(|of_job| of_job.iter().any(|known| known.name == *name))
    }

    pub(super) fn names(&self, job: &JobId) -> Vec<CrashName> {
        self.known().get(job).into_iter().flatten().map(|known| known.name.clone()).collect()
    }

    pub(super) fn room(&self, job: &JobId, name: &CrashName, now_ms: i64) -> Option<usize> {
        let known = self.known();
        let of_job = known.get(job).map_or(&[][..], Vec::as_slice);
        let is_known = of_job.iter().any(|known| known.name == *name);
        let is_full = of_job.len() >= self.limits.bundles;
        let oldest_stands = of_job.first().is_some_and(|oldest| now_ms.saturating_sub(oldest.at_ms) >= STANDS_MS);
        (!is_known && (!is_full || oldest_stands)).then_some(self.limits.bytes)
    }

    /// Makes the name known; gives the one that makes room for it, if one must. `None` if there is no room.
    pub(super) fn reserve(&self, job: &JobId, name: &CrashName, at_ms: i64) -> Option<Option<CrashName>> {
        self.room(job, name, at_ms)?;
        let mut known = self.known();
        let of_job = known.entry(job.clone()).or_default();
        // Another subtask may have met the same fault meanwhile.
        if of_job.iter().any(|known| known.name == *name) {
            return None;
        }
        let oldest = (of_job.len() >= self.limits.bundles).then(|| of_job.remove(0).name);
        of_job.push(Known { name: name.clone(), at_ms });
        Some(oldest)
    }

    /// Makes the name unknown; whether it was known.
    pub(super) fn give_up(&self, job: &JobId, name: &CrashName) -> bool {
        let mut known = self.known();
        let Some(of_job) = known.get_mut(job) else { return false };
        let before = of_job.len();
        of_job.retain(|known| known.name != *name);
        of_job.len() < before
    }

    /// Writes a bundle whose name is known; what cannot be written is given up.
    pub(super) fn write(&self, bundle: &CrashBundle) -> Result<PathBuf, PortError> {
        let (job, name) = (&bundle.job, bundle.name());
        let path = self.path(job, &name);
        let written = self.write_to(&path, bundle);
        if written.is_err() {
            self.give_up(job, &name);
        }
        if !self.has(job, &name) {
            self.remove(job, &name)?;
        }
        written.map(|()| path)
    }

    fn write_to(&self, path: &Path, bundle: &CrashBundle) -> Result<(), PortError> {
        let (file, most) = (bundle.encode(), self.limits.bytes);
        if file.len() > most {
            let message = format!("`{}` would have {} bytes; at most {most} are kept", path.display(), file.len());
            return Err(PortError::fatal(message));
        }
        let folder = path.parent().expect("a bundle lies in the folder of its job");
        fs::create_dir_all(folder).map_err(cannot("make the directory", folder))?;
        write_whole(path, &file)
    }

    pub(super) fn read(&self, job: &JobId, name: &CrashName) -> Result<Option<Vec<u8>>, PortError> {
        let path = self.path(job, name);
        match fs::read(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot("read", &path)(error)),
        }
    }

    pub(super) fn remove(&self, job: &JobId, name: &CrashName) -> Result<(), PortError> {
        let path = self.path(job, name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", &path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    pub(super) fn forget(&self, job: &JobId) -> Result<(), PortError> {
        self.known().remove(job);
        let folder = self.dir.join(job.as_str());
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(cannot("remove", &folder)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The bundles of a folder, oldest first. What was being written when the host ended is removed.
fn bundles_in(folder: &Path) -> Result<Vec<Known>, PortError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(cannot("read", folder))? {
        let entry = entry.map_err(cannot("read", folder))?;
        let path = entry.path();
        if entry.file_name().to_string_lossy().starts_with(INCOMING) {
            fs::remove_file(&path).map_err(cannot("remove", &path))?;
        }
        let is_bundle = path.extension().is_some_and(|ending| ending == ENDING);
        let name = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok()).filter(|_| is_bundle);
        let Some(name) = name else { continue };
        let written = entry.metadata().and_then(|metadata| metadata.modified()).map_err(cannot("look at", &path))?;
        let since = written.duration_since(UNIX_EPOCH).unwrap_or_default();
        found.push(Known { name, at_ms: i64::try_from(since.as_millis()).unwrap_or(i64::MAX) });
    }
    found.sort_by_key(|known| known.at_ms);
    Ok(found)
}
