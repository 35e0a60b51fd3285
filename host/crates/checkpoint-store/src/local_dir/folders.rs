//! Folders within the store: made as needed, and lasting before anything in them is.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use fail::fail_point;

/// The folders that this process knows to outlast a power cut, from the root on.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
    /// Bounded: a folder for each attempt whose files are kept, and those above.
    lasting: Mutex<HashSet<PathBuf>>,
}

impl Folders {
    /// Of a root that exists and lasts.
    pub(super) fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), lasting: Mutex::new(HashSet::from([root.to_owned()])) }
    }

    /// Makes a folder below the root, with all above it.
    ///
    /// A folder that another thread or process has made may not last yet: it does when its parent is synced by
    /// somebody, and so each process does it once itself before it puts anything there.
    pub(super) fn make(&self, folder: &Path) -> io::Result<()> {
        let mut lasting = self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        if lasting.contains(folder) {
            return Ok(());
        }
        let mut missing: Vec<_> = folder.ancestors().take_while(|one| !lasting.contains(*one)).collect();
        missing.reverse();
        for one in missing {
            match fs::create_dir(one) {
                Ok(()) => fail_point!("store-folder-made"),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && one.is_dir() => {}
                Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(ErrorKind::NotADirectory.into()),
                Err(error) => return Err(error),
            }
            sync(one.parent().expect("the root lasts, so this lies below it"))?;
            lasting.insert(one.to_owned());
        }
        Ok(())
    }

    /// Removes a folder and those above it, as long as they are empty.
    pub(super) fn remove_empty(&self, folder: &Path) {
        let mut lasting = self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        for one in folder.ancestors().take_while(|one| *one != self.root && one.starts_with(&self.root)) {
            if fs::remove_dir(one).is_err() {
                return; // there is something in it
            }
            lasting.remove(one);
        }
    }

    /// Forgets what is known of a folder: it turned out to be gone.
    pub(super) fn forget(&self, folder: &Path) {
        let mut lasting = self.lasting.lock().unwrap_or_else(PoisonError::into_inner);
        folder.ancestors().take_while(|one| *one != self.root).for_each(|one| {
            lasting.remove(one);
        });
    }
}

/// Makes new and removed names of a folder last.
pub(super) fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the folder that is to be the root, an absolute path, and those above it, and makes them last.
pub(super) fn make_root(root: &Path) -> io::Result<()> {
    let missing: Vec<_> = root.ancestors().take_while(|one| !one.exists()).collect();
    match fs::create_dir_all(root) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(ErrorKind::NotADirectory.into()),
        made => made?,
    }
    missing.iter().rev().filter_map(|one| one.parent()).try_for_each(sync)
}
