//! Changes that were drained ahead of a freeze, because memory was short.
//!
//! They wait for the freeze, which may be hours away: a job may make no checkpoints, or their storage be gone. So what
//! is more than a part of the budget is written to local files, in the layout of files of state, and merged there as
//! lists of a checkpoint are: the same key changed a thousand times then takes the room of a few changes. A thread of
//! its own does it. The task waits for it if it cannot keep up, and so does not grow.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use gristmill_checkpoint::{FileHash, FileRef, StateFile};
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::parts::Urgency;
use gristmill_ports::state::{StateError, StateMerger, StateTime};
use gristmill_ports::{FileStore, PortError};
use gristmill_types::AttemptId;
use tempfile::TempDir;

use crate::file::Merger;
use crate::gathered::Gathered;
use crate::ordered::{Ordered, WriterStates};
use crate::priority::stand_back;

/// Parts that wait for the thread, beside those that it is writing.
const WAITING: usize = 1;

/// What one generation drained before its freeze.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The newest parts, oldest first; each changes what those before it say.
    parts: Vec<Gathered>,
    writer: Option<Writer>,
    entries: u64,
}

/// What came of it: first the files, then the parts.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) files: Vec<StateFile>,
    pub(crate) parts: Vec<Gathered>,
    folder: Option<Arc<LocalFiles>>,
}

#[derive(Debug)]
struct Writer {
    parts: SyncSender<Vec<Gathered>>,
    folder: Arc<LocalFiles>,
    thread: JoinHandle<Result<Vec<StateFile>, PortError>>,
}

impl Ahead {
    /// Adds a part behind the others. If those in memory take more than `bound` bytes then, they are written to files
    /// below `scratch`.
    ///
    /// # Errors
    /// [`StateError::Backend`] if they cannot be written.
    pub(crate) fn push(
        &mut self,
        part: Gathered,
        bound: usize,
        scratch: Option<&Path>,
        states: &Arc<WriterStates>,
    ) -> Result<(), StateError> {
        self.entries += part.entries();
        self.parts.push(part);
        let Some(scratch) = scratch.filter(|_| self.bytes() > bound) else { return Ok(()) };
        let parts = std::mem::take(&mut self.parts);
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::start(scratch, Arc::clone(states)).map_err(failed)?,
        };
        match writer.parts.send(parts) {
            Ok(()) => self.writer = Some(writer),
            Err(_) => return Err(failed(writer.end().err().unwrap_or_else(|| PortError::fatal(GONE)))),
        }
        Ok(())
    }

    /// Entries of all parts; those that are told several times, because they changed again, as often.
    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// Bytes in memory, those apart that are being written.
    pub(crate) fn bytes(&self) -> usize {
        self.parts.iter().map(Gathered::bytes).sum()
    }

    /// Waits for what is being written. Not for a task's thread.
    ///
    /// # Errors
    /// `Fatal` if something could not be written: it is lost.
    pub(crate) fn end(self) -> Result<Written, PortError> {
        let Some(writer) = self.writer else { return Ok(Written { parts: self.parts, ..Written::default() }) };
        let folder = Some(Arc::clone(&writer.folder));
        let files = writer.end().map_err(|error| PortError::fatal(error.message))?;
        Ok(Written { files, parts: self.parts, folder })
    }
}

impl Written {
    /// Where a file lies.
    pub(crate) fn path_of(&self, file: &StateFile) -> PathBuf {
        let folder = self.folder.as_ref().expect("where there are files there is a folder");
        folder.path_of(&file.file)
    }
}

const GONE: &str = "the thread that writes changes to local disk has ended";

fn failed(error: impl std::fmt::Display) -> StateError {
    StateError::Backend(format!("changes since the last checkpoint do not fit into memory: {error}"))
}

impl Writer {
    fn start(scratch: &Path, states: Arc<WriterStates>) -> std::io::Result<Self> {
        let folder = Arc::new(LocalFiles { dir: TempDir::with_prefix_in("ahead-", scratch)?, next: AtomicU64::new(0) });
        let (parts, incoming) = sync_channel(WAITING);
        let theirs = Arc::clone(&folder);
        let thread = std::thread::Builder::new().name("state-ahead".to_owned()).spawn(move || {
            stand_back(Urgency::Soon);
            write(&incoming, &theirs, &states)
        })?;
        Ok(Self { parts, folder, thread })
    }

    fn end(self) -> Result<Vec<StateFile>, PortError> {
        drop(self.parts);
        self.thread.join().unwrap_or_else(|_| Err(PortError::fatal(GONE)))
    }
}

/// Writes what comes, each part as a file, and keeps the list of files short.
fn write(
    incoming: &Receiver<Vec<Gathered>>,
    folder: &LocalFiles,
    states: &WriterStates,
) -> Result<Vec<StateFile>, PortError> {
    let mut list = Vec::new();
    for part in incoming.iter().flatten() {
        list.extend(Ordered { gathered: &part, states }.store(folder)?);
        drop(part);
        while let Some(range) = Merger.choose(&list) {
            let merged = Merger.merge(&[], &list[range.clone()], false, NEVER, folder)?;
            list.splice(range, merged).for_each(|old| folder.remove(&old.file));
        }
    }
    Ok(list)
}

/// Nothing expires here: no times to live are told to the merger.
const NEVER: StateTime = StateTime { processing_ms: i64::MIN, event_ms: i64::MIN };

/// Files in a folder of their own, which goes away with them.
#[derive(Debug)]
struct LocalFiles {
    dir: TempDir,
    next: AtomicU64,
}

impl LocalFiles {
    fn path_of(&self, file: &FileRef) -> PathBuf {
        self.dir.path().join(file.number.to_string())
    }

    fn remove(&self, file: &FileRef) {
        // What is left goes with the folder.
        drop(std::fs::remove_file(self.path_of(file)));
    }
}

impl FileStore for LocalFiles {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        let file = FileRef {
            attempt: AttemptId(0),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            hash: FileHash([0; 32]),
            bytes: 0,
        };
        let path = self.path_of(&file);
        let put = match content {
            Content::Bytes(bytes) => std::fs::write(&path, bytes),
            Content::File(from) => std::fs::rename(from, &path),
        };
        let length = put.and_then(|()| std::fs::metadata(&path)).map(|metadata| metadata.len());
        let failed = |error| PortError::retry(format!("cannot write `{}`: {error}", path.display()));
        length.map(|bytes| FileRef { bytes, ..file }).map_err(failed)
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        Ok(self.path_of(file))
    }

    fn scratch(&self) -> &Path {
        self.dir.path()
    }
}
