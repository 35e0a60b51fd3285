//! A folder of this machine, or of a network mount that knows hard links or exclusive renames.
//!
//! Whatever is put is written aside, synced, renamed to its place, and its folder synced; so it is never seen by halves
//! and outlasts a power cut once the call has returned. Nothing keeps a second host out: two may share the folder, and
//! the chain, not a lock, tells which of them is to stop.

mod folders;
mod incoming;

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use fail::fail_point;
use gristmill_ports::checkpoint_store::{Content, PutNew, StoredFile};
use gristmill_ports::{CheckpointStore, PortError};
use tempfile::{NamedTempFile, PersistError};

use self::folders::{Folders, make_root, sync};
use self::incoming::Incoming;
use crate::stored_path::checked;
use crate::trouble::cannot;

/// A folder that may go while somebody puts into it, because its last file was deleted, is made anew at most so often.
const PLACING_ATTEMPTS: u32 = 16;

/// A store in a folder.
#[derive(Debug)]
pub struct LocalDir {
    root: PathBuf,
    folders: Folders,
    incoming: Incoming,
}

impl LocalDir {
    /// Opens the folder, making it if there is none, and removes what a crash has left half written.
    ///
    /// # Errors
    /// `Retry` if the disk is full or fails; `Fatal` if the folder cannot be had or written.
    pub fn open(root: &Path) -> Result<Self, PortError> {
        let root = std::path::absolute(root).map_err(cannot("find", root))?;
        make_root(&root).map_err(cannot("make the folder", &root))?;
        let incoming = Incoming::open(&root).map_err(cannot("make a folder in", &root))?;
        Ok(Self { folders: Folders::new(&root), root, incoming })
    }

    fn place_of(&self, path: &str) -> Result<PathBuf, PortError> {
        checked(path).map(|path| self.root.join(path))
    }

    /// Makes the folder of a place and has the file put there, again if the folder was removed in between.
    fn place<T>(&self, to: &Path, mut put: impl FnMut() -> io::Result<T>) -> Result<T, PortError> {
        let folder = to.parent().expect("a place lies below the root");
        let mut attempt = 1;
        loop {
            match self.folders.make(folder).and_then(|()| put()) {
                Err(error) if error.kind() == ErrorKind::NotFound && attempt < PLACING_ATTEMPTS => {
                    self.folders.forget(folder);
                    attempt += 1;
                }
                placed => return placed.map_err(cannot("write", to)),
            }
        }
    }

    fn sync_folder_of(&self, place: &Path) -> Result<(), PortError> {
        let folder = place.parent().expect("a place lies below the root");
        match sync(folder) {
            // Emptied and removed since, by whoever deleted what stood there.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            synced => synced.map_err(cannot("sync the folder", folder)),
        }
    }

    fn write_aside(&self, fill: impl FnOnce(&mut File) -> io::Result<()>) -> Result<NamedTempFile, PortError> {
        self.incoming.write(fill).map_err(cannot("write into", self.incoming.folder()))
    }

    /// Puts what was written aside in its place, as `persist` does it. Says whether it did, or something stood there.
    fn place_aside(
        &self,
        aside: NamedTempFile,
        to: &Path,
        persist: impl Fn(NamedTempFile, &Path) -> Result<File, PersistError>,
    ) -> Result<bool, PortError> {
        let mut aside = Some(aside);
        self.place(to, || {
            let whole = aside.take().expect("every error but the last brings it back");
            match persist(whole, to) {
                Ok(_) => Ok(true),
                Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => Ok(false),
                Err(refused) => {
                    aside = Some(refused.file);
                    Err(refused.error)
                }
            }
        })
    }

    /// Moves a file to its place; across file systems it is copied.
    fn put_file(&self, to: &Path, from: &Path) -> Result<(), PortError> {
        let file = File::open(from).map_err(cannot("read", from))?;
        file.sync_all().map_err(cannot("sync", from))?;
        fail_point!("store-put-file-synced");
        let moved = self.place(to, || match fs::rename(from, to) {
            Err(error) if error.kind() == ErrorKind::CrossesDevices => Ok(false),
            renamed => renamed.map(|()| true),
        })?;
        if moved {
            return Ok(());
        }
        let aside = self.write_aside(|into| io::copy(&mut &file, into).map(drop))?;
        self.place_aside(aside, to, |aside, to| aside.persist(to))?;
        fs::remove_file(from).map_err(cannot("remove", from))
    }

    fn collect(&self, folder: &Path, found: &mut Vec<StoredFile>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let path = entry.path();
            let relative = path.strip_prefix(&self.root).expect("it was found below the root");
            // What is under way, and what people left behind, is nothing that was stored.
            let Some(name) = relative.to_str().filter(|name| checked(name).is_ok()) else { continue };
            match entry.metadata() {
                Ok(metadata) if metadata.is_dir() => self.collect(&path, found)?,
                Ok(metadata) => found.push(StoredFile { path: name.to_owned(), bytes: metadata.len() }),
                // Deleted since it was seen.
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl CheckpointStore for LocalDir {
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<PutNew, PortError> {
        let to = self.place_of(path)?;
        let aside = self.write_aside(|file| file.write_all(bytes))?;
        fail_point!("store-new-aside");
        let is_new = self.place_aside(aside, &to, |aside, to| aside.persist_noclobber(to))?;
        fail_point!("store-new-placed");
        // Also where it stood already: whoever put it may not have come so far, and the caller acts on it.
        self.sync_folder_of(&to)?;
        Ok(if is_new { PutNew::Created } else { PutNew::Exists })
    }

    fn put(&self, path: &str, content: Content<'_>) -> Result<(), PortError> {
        let to = self.place_of(path)?;
        match content {
            Content::Bytes(bytes) => {
                let aside = self.write_aside(|file| file.write_all(bytes))?;
                fail_point!("store-put-aside");
                self.place_aside(aside, &to, |aside, to| aside.persist(to))?;
            }
            Content::File(from) => self.put_file(&to, from)?,
        }
        fail_point!("store-put-placed");
        self.sync_folder_of(&to)
    }

    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, PortError> {
        let place = self.place_of(path)?;
        match fs::read(&place) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(cannot("read", &place)(error)),
        }
    }

    fn fetch(&self, path: &str, to: &Path) -> Result<bool, PortError> {
        let place = self.place_of(path)?;
        match fs::hard_link(&place, to) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(cannot("write", to)(error)),
            Err(_) => {} // another file system, or one without links: copied, which also says what is wrong
        }
        let mut from = match File::open(&place) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            opened => opened.map_err(cannot("read", &place))?,
        };
        let mut copy = File::create_new(to).map_err(cannot("write", to))?;
        io::copy(&mut from, &mut copy).map_err(cannot("write", to))?;
        Ok(true)
    }

    fn list(&self, folder: &str) -> Result<Vec<StoredFile>, PortError> {
        let folder = if folder.is_empty() { self.root.clone() } else { self.place_of(folder)? };
        let mut found = Vec::new();
        self.collect(&folder, &mut found).map_err(cannot("list", &folder))?;
        found.sort_unstable();
        Ok(found)
    }

    fn delete(&self, path: &str) -> Result<(), PortError> {
        let place = self.place_of(path)?;
        match fs::remove_file(&place) {
            // Perhaps since a moment ago, by a call that could not make it last.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            removed => removed.map_err(cannot("delete", &place))?,
        }
        fail_point!("store-deleted");
        self.sync_folder_of(&place)?;
        self.folders.remove_empty(place.parent().expect("a place lies below the root"));
        Ok(())
    }

    fn local_path(&self, path: &str) -> Option<PathBuf> {
        self.place_of(path).ok()
    }

    fn describe(&self) -> String {
        self.root.display().to_string()
    }
}

#[cfg(test)]
mod tests;
