//! Files of a checkpoint: named by their content, and by the attempt that wrote them.

use std::fmt;

use gristmill_types::AttemptId;
use serde::{Deserialize, Serialize};

/// BLAKE3 of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FileHash(pub [u8; 32]);

impl FileHash {
    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A file in checkpoint storage.
///
/// The attempt is part of its name. A host that was stopped for long and goes on as if nothing had happened deletes what
/// it no longer needs; it can do so only under the names of its own attempt, and never touches what its successor wrote,
/// not even where the content is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileRef {
    /// Who wrote it.
    pub attempt: AttemptId,
    /// Its content.
    pub hash: FileHash,
    /// Its length.
    pub bytes: u64,
}

impl fmt::Display for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.attempt, self.hash)
    }
}
