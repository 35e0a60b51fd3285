//! The files of an attempt, for work that takes long: they know when the attempt is over.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_checkpoint::FileRef;
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::{FileStore, PortError, Signal};

/// See the module.
pub(crate) struct AttemptFiles {
    pub(crate) files: Arc<dyn FileStore>,
    pub(crate) over: Signal,
}

impl FileStore for AttemptFiles {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        self.files.put(content)
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        self.files.open(file)
    }

    fn scratch(&self) -> &Path {
        self.files.scratch()
    }

    fn is_over(&self) -> bool {
        self.over.is_raised()
    }
}
