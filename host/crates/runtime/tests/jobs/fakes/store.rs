//! Checkpoint storage in memory, which outlives jobs and can be out of reach for a while.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use gristmill_checkpoint::layout::file_in;
use gristmill_checkpoint::{FileHash, FileRef};
use gristmill_ports::checkpoint_store::{Content, PutNew, StoredFile};
use gristmill_ports::{CheckpointStore, FileStore, PortError};
use gristmill_types::AttemptId;

/// See the module. A clone is the same store.
#[derive(Clone, Default)]
pub(crate) struct MemoryStore(Arc<Shared>);

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Vec<u8>>>,
    out_of_reach: Mutex<bool>,
    /// What the disk cannot read.
    unreadable: Mutex<BTreeSet<String>>,
    /// Records and files that were read.
    reads: AtomicU64,
}

impl MemoryStore {
    pub(crate) fn out_of_reach(&self, out: bool) {
        *self.0.out_of_reach.lock().unwrap() = out;
    }

    pub(crate) fn paths(&self) -> Vec<String> {
        self.0.files.lock().unwrap().keys().cloned().collect()
    }

    /// Reads of all but files of state.
    pub(crate) fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::SeqCst)
    }

    /// From now on the disk cannot read what stands at a path; that may pass.
    pub(crate) fn unreadable(&self, path: &str) {
        self.0.unreadable.lock().unwrap().insert(path.to_owned());
    }

    /// Puts a file there that nobody knows of.
    pub(crate) fn leave(&self, path: &str) {
        self.0.files.lock().unwrap().insert(path.to_owned(), Vec::new());
    }

    /// Changes what stands at a path.
    pub(crate) fn damage(&self, path: &str, damage: impl FnOnce(&mut Vec<u8>)) {
        damage(self.0.files.lock().unwrap().get_mut(path).expect("there is such a file"));
    }

    fn with<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Vec<u8>>) -> T) -> Result<T, PortError> {
        if *self.0.out_of_reach.lock().unwrap() {
            return Err(PortError::retry("the store is out of reach"));
        }
        Ok(act(&mut self.0.files.lock().unwrap()))
    }
}

fn bytes(content: Content<'_>) -> Vec<u8> {
    match content {
        Content::Bytes(bytes) => bytes.to_vec(),
        Content::File(path) => std::fs::read(path).unwrap(),
    }
}

impl CheckpointStore for MemoryStore {
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<PutNew, PortError> {
        self.with(|files| match files.contains_key(path) {
            true => PutNew::Exists,
            false => {
                files.insert(path.to_owned(), bytes.to_vec());
                PutNew::Created
            }
        })
    }

    fn put(&self, path: &str, content: Content<'_>) -> Result<(), PortError> {
        self.with(|files| drop(files.insert(path.to_owned(), bytes(content))))
    }

    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, PortError> {
        // Files are read by subtasks while the start goes on.
        if !path.contains("/files/") {
            self.0.reads.fetch_add(1, Ordering::SeqCst);
        }
        if self.0.unreadable.lock().unwrap().contains(path) {
            return Err(PortError::retry(format!("`{path}` cannot be read")));
        }
        self.with(|files| files.get(path).cloned())
    }

    fn fetch(&self, path: &str, to: &Path) -> Result<bool, PortError> {
        let found = self.get(path)?;
        Ok(found.is_some_and(|bytes| std::fs::write(to, bytes).is_ok()))
    }

    fn list(&self, folder: &str) -> Result<Vec<StoredFile>, PortError> {
        let inside = format!("{folder}/");
        let stored = |(path, bytes): (&String, &Vec<u8>)| StoredFile { path: path.clone(), bytes: bytes.len() as u64 };
        self.with(|files| files.iter().filter(|(path, _)| path.starts_with(&inside)).map(stored).collect())
    }

    fn delete(&self, path: &str) -> Result<(), PortError> {
        self.with(|files| drop(files.remove(path)))
    }

    fn local_path(&self, _: &str) -> Option<PathBuf> {
        None
    }

    fn describe(&self) -> String {
        "memory".to_owned()
    }
}

/// The files of a run, or of a savepoint, in it.
pub(crate) struct MemoryFiles {
    store: MemoryStore,
    folder: String,
    attempt: AttemptId,
    scratch: tempfile::TempDir,
    next: AtomicU64,
    next_local: AtomicU64,
}

impl MemoryFiles {
    pub(crate) fn new(store: &MemoryStore, folder: String, attempt: AttemptId) -> Self {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        Self { store: store.clone(), folder, attempt, scratch, next: AtomicU64::new(1), next_local: AtomicU64::new(1) }
    }
}

impl FileStore for MemoryFiles {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        let bytes = bytes(content);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (hash, length) = (FileHash::of(&bytes), bytes.len() as u64);
        let file = FileRef { attempt: self.attempt, number, hash, bytes: length };
        self.store.put(&file_in(&self.folder, &file), Content::Bytes(&bytes))?;
        Ok(file)
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        let path = file_in(&self.folder, file);
        let bytes = self.store.get(&path)?.ok_or_else(|| PortError::fatal(format!("`{path}` is missing")))?;
        if FileHash::of(&bytes) != file.hash {
            return Err(PortError::fatal(format!("`{path}` is damaged")));
        }
        // A place of its own each time: subtasks that begin together may open the same content at once.
        let local = self.scratch.path().join(self.next_local.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::write(&local, bytes).unwrap();
        Ok(local)
    }

    fn scratch(&self) -> &Path {
        self.scratch.path()
    }
}
