//! The files of one run, or of one savepoint, as one attempt sees them: counted and named by content, verified before
//! anybody reads them.
//!
//! Uploads need no reading back: a folder syncs them, and object storage refuses bytes whose hash is not the one sent
//! with them.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fail::fail_point;
use gristmill_checkpoint::layout::file_in;
use gristmill_checkpoint::{FileRef, RunFolder, SavepointFolder};
use gristmill_ports::checkpoint_store::{Content, StoredFile};
use gristmill_ports::{CheckpointStore, FileStore, PortError};
use gristmill_types::{AttemptId, JobId, RunId};

use crate::content::{Condition, condition_of, measure};
use crate::copies::Copies;
use crate::trouble::cannot;

/// What copies of stored files may take on this machine.
const MOST_BYTES_OF_COPIES: u64 = 16 << 30;
/// A copy that was wanted within this time stays, also above the bound.
const COPIES_STAY: Duration = Duration::from_secs(600);
/// Names of files that were verified; beyond, all are verified again when they are wanted.
const MOST_VERIFIED: usize = 1 << 16;
/// What arrives damaged is fetched once more: it may have been the way.
const FETCHES: u32 = 2;

/// The files of a run, or of a savepoint, in any store.
pub struct RunFiles {
    /// Whose files they are, for people.
    owner: String,
    /// The folder that holds them.
    folder: String,
    attempt: AttemptId,
    store: Arc<dyn CheckpointStore>,
    scratch: PathBuf,
    /// Within the scratch: files on their way into the store or out of it.
    passing: PathBuf,
    next_passing: AtomicU64,
    next_number: AtomicU64,
    copies: Copies,
    verified: Mutex<HashSet<FileRef>>,
    /// What is stored of an attempt, as it was when it was first asked for.
    stored: Mutex<HashMap<AttemptId, BTreeSet<StoredFile>>>,
}

impl RunFiles {
    /// The files of a run, for this attempt. The scratch folder is emptied; copies of what is stored elsewhere are kept
    /// in `copies` beside it, across attempts.
    ///
    /// # Errors
    /// `Retry` if the disk is full or fails; `Fatal` if the folders cannot be had.
    pub fn open(
        store: Arc<dyn CheckpointStore>,
        job: &JobId,
        run: RunId,
        attempt: AttemptId,
        scratch: &Path,
    ) -> Result<Arc<dyn FileStore>, PortError> {
        let of = (format!("job `{job}`"), RunFolder::new(job, run).files());
        Ok(Arc::new(Self::open_folder(store, of, attempt, scratch)?))
    }

    /// The files of a savepoint, for whoever writes it or starts from it. As [`Self::open`].
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn of_savepoint(
        store: Arc<dyn CheckpointStore>,
        folder: &SavepointFolder,
        attempt: AttemptId,
        scratch: &Path,
    ) -> Result<Arc<dyn FileStore>, PortError> {
        let of = (format!("savepoint `{}`", folder.prefix()), folder.files());
        Ok(Arc::new(Self::open_folder(store, of, attempt, scratch)?))
    }

    fn open_folder(
        store: Arc<dyn CheckpointStore>,
        (owner, folder): (String, String),
        attempt: AttemptId,
        scratch: &Path,
    ) -> Result<Self, PortError> {
        let beside = scratch.parent().ok_or_else(|| {
            PortError::fatal(format!("`{}` cannot be a scratch folder; choose one below another", scratch.display()))
        })?;
        match fs::remove_dir_all(scratch) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(cannot("empty", scratch)(error)),
            Ok(()) | Err(_) => {}
        }
        let passing = scratch.join(".passing");
        fs::create_dir_all(&passing).map_err(cannot("make the folder", &passing))?;
        let copies = beside.join("copies");
        let copies = Copies::open(copies.clone(), MOST_BYTES_OF_COPIES, COPIES_STAY)
            .map_err(cannot("make the folder", &copies))?;
        Ok(Self {
            owner,
            folder,
            attempt,
            store,
            scratch: scratch.to_owned(),
            passing,
            next_passing: AtomicU64::new(0),
            next_number: AtomicU64::new(0),
            copies,
            verified: Mutex::default(),
            stored: Mutex::default(),
        })
    }

    fn place_of(&self, file: &FileRef) -> String {
        file_in(&self.folder, file)
    }

    fn passing(&self) -> PathBuf {
        self.passing.join(self.next_passing.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Stores a second name of a local file, so that the file itself is still there if the store fails half way.
    fn store_link_to(&self, path: &str, from: &Path) -> Result<(), PortError> {
        let link = self.passing();
        match fs::hard_link(from, &link) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(cannot("read", from)(error)),
            Err(_) => fs::copy(from, &link).map(drop).map_err(cannot("copy", from))?,
            Ok(()) => {}
        }
        let stored = self.store.put(path, Content::File(&link));
        // The store may have moved it.
        let _ = fs::remove_file(&link);
        stored
    }

    fn is_verified(&self, file: &FileRef, local: &Path) -> bool {
        let is_known = self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(file);
        is_known && fs::metadata(local).is_ok_and(|metadata| metadata.len() == file.bytes)
    }

    fn mark_verified(&self, file: &FileRef) {
        let mut verified = self.verified.lock().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MOST_VERIFIED {
            verified.clear();
        }
        verified.insert(*file);
    }

    fn verify(&self, file: &FileRef, local: &Path) -> Result<Condition, PortError> {
        if self.is_verified(file, local) {
            return Ok(Condition::Good);
        }
        let condition = condition_of(local, file)?;
        if condition == Condition::Good {
            self.mark_verified(file);
        }
        Ok(condition)
    }

    /// A copy that is good, if there is one. What is stored is put back from it if it is gone or was cut off.
    fn good_copy(&self, file: &FileRef) -> Result<Option<PathBuf>, PortError> {
        let Some(copy) = self.copies.get(file).map_err(cannot("use", &self.passing))? else { return Ok(None) };
        if self.is_verified(file, &copy) {
            return Ok(Some(copy));
        }
        if self.verify(file, &copy)? != Condition::Good {
            self.copies.remove(file).map_err(cannot("remove", &copy))?;
            return Ok(None);
        }
        if self.is_stored(file) {
            return Ok(Some(copy));
        }
        self.store_link_to(&self.place_of(file), &copy)?;
        Ok(Some(copy))
    }

    /// Whether a file stands where it belongs, in its length. If that cannot be found out, it counts as stored: the
    /// copy is good, and the next attempt asks again.
    fn is_stored(&self, file: &FileRef) -> bool {
        if file.attempt == self.attempt {
            return true;
        }
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = match stored.entry(file.attempt) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => {
                let folder = format!("{}/{}", self.folder, file.attempt);
                let Ok(found) = self.store.list(&folder) else { return true };
                unknown.insert(found.into_iter().collect())
            }
        };
        stored.contains(&StoredFile { path: self.place_of(file), bytes: file.bytes })
    }

    fn fetch(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        let path = self.place_of(file);
        let mut found = Condition::Missing;
        for _ in 0..FETCHES {
            let passing = self.passing();
            if !self.store.fetch(&path, &passing)? {
                break;
            }
            found = self.verify(file, &passing)?;
            if found == Condition::Good {
                return self.copies.keep(file, &passing).map_err(cannot("keep a copy of", &passing));
            }
            let _ = fs::remove_file(&passing); // if it stays, it goes with the scratch
        }
        Err(self.unusable(&path, &found))
    }

    fn unusable(&self, path: &str, condition: &Condition) -> PortError {
        let what = match condition {
            Condition::Missing => "is missing".to_owned(),
            Condition::Damaged(why) => format!("is damaged: {why}"),
            Condition::Good => unreachable!("a good file is used"),
        };
        PortError::fatal(format!(
            "a file of {}, `{path}` in {}, {what}; put it back from a backup of that storage, or let the job go on \
             from an older checkpoint",
            self.owner,
            self.store.describe()
        ))
    }
}

impl FileStore for RunFiles {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        let (hash, bytes) = measure(content)?;
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let file = FileRef { attempt: self.attempt, number, hash, bytes };
        let path = self.place_of(&file);
        fail_point!("run-file-hashed");
        match content {
            Content::Bytes(_) => self.store.put(&path, content)?,
            Content::File(from) => {
                self.store_link_to(&path, from)?;
                // Without a copy it is fetched when it is wanted; what is left here goes with the scratch.
                if self.store.local_path(&path).is_some() || self.copies.keep(&file, from).is_err() {
                    let _ = fs::remove_file(from);
                }
                self.mark_verified(&file);
            }
        }
        fail_point!("run-file-stored");
        Ok(file)
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        let path = self.place_of(file);
        if let Some(local) = self.store.local_path(&path) {
            return match self.verify(file, &local)? {
                Condition::Good => Ok(local),
                unusable => Err(self.unusable(&path, &unusable)),
            };
        }
        match self.good_copy(file)? {
            Some(copy) => Ok(copy),
            None => self.fetch(file),
        }
    }

    fn scratch(&self) -> &Path {
        &self.scratch
    }
}
