//! Where checkpoints are kept: names and bytes, on this machine or elsewhere.

use std::path::Path;

use gristmill_checkpoint::FileRef;

use crate::error::PortError;

/// What is put.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// These bytes.
    Bytes(&'a [u8]),
    /// The bytes of a local file, which is the store's from then on: it may move it.
    File(&'a Path),
}

/// What became of a put that must not replace anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PutNew {
    /// It stands there now.
    Created,
    /// Something stood there already; it was left as it was.
    Exists,
}

/// Something that is stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredFile {
    /// Its path.
    pub path: String,
    /// Its length.
    pub bytes: u64,
}

/// A store of named bytes. Whatever is put is durable when the call returns, and a list made afterwards has it.
///
/// Paths are relative with `/` between their parts. Calls block: not for a tokio worker, nor for a subtask.
///
/// # Errors
/// Every function: `Retry` if the store cannot be reached or is full, `Fatal` if it refuses for good. After an error it
/// is not known whether a put took effect.
#[expect(clippy::missing_errors_doc, reason = "one sentence above serves all")]
pub trait CheckpointStore: Send + Sync {
    /// Puts bytes where nothing stands; of several at once, one succeeds.
    fn put_new(&self, path: &str, bytes: &[u8]) -> Result<PutNew, PortError>;
    /// Puts bytes, whatever stands there. Never seen by halves.
    fn put(&self, path: &str, content: Content<'_>) -> Result<(), PortError>;
    /// What stands there.
    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, PortError>;
    /// Copies what stands there into a new local file. `false` if nothing does.
    fn fetch(&self, path: &str, to: &Path) -> Result<bool, PortError>;
    /// Everything whose path begins with this folder, by path.
    fn list(&self, folder: &str) -> Result<Vec<StoredFile>, PortError>;
    /// Removes what stands there, if anything does.
    fn delete(&self, path: &str) -> Result<(), PortError>;
    /// The local file at this path, if the store is a folder of this machine.
    fn local_path(&self, path: &str) -> Option<std::path::PathBuf>;
    /// What it is, for people, such as `s3://bucket/prefix`.
    fn describe(&self) -> String;
}

/// The files of one run, as one attempt sees them: named by what it wrote, verified when they are read.
///
/// # Errors
/// Every function: `Retry` if the store cannot be reached or is full; `Fatal` if a file is missing or damaged, in a
/// sentence that names it.
#[expect(clippy::missing_errors_doc, reason = "one sentence above serves all")]
pub trait FileStore: Send + Sync {
    /// Stores a file; durable when this returns. No name is given out twice, not even for the same content: each call
    /// counts [`FileRef::number`] on.
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError>;
    /// A local copy of a file, whole and verified. It may be the stored file itself, and is only to be read.
    fn open(&self, file: &FileRef) -> Result<std::path::PathBuf, PortError>;
    /// A folder of this machine for what is under way; emptied when the attempt begins.
    fn scratch(&self) -> &Path;

    /// Whether the attempt that these files are of is over. Whoever works through many of them asks between two blocks,
    /// and gives up with [`interrupted`].
    fn is_over(&self) -> bool {
        false
    }
}

/// What is said by work that was given up because of [`FileStore::is_over`].
#[must_use]
pub fn interrupted() -> PortError {
    PortError::retry("the attempt ended meanwhile")
}
