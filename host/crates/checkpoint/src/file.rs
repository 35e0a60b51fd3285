//! Files of a checkpoint: named by the attempt that wrote them, and by their content.

use std::fmt;

use gristmill_types::AttemptId;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// BLAKE3 of a file's bytes. People read 64 hexadecimal digits, records hold the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

impl Serialize for FileHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for FileHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return <[u8; 32]>::deserialize(deserializer).map(Self);
        }
        let digits = String::deserialize(deserializer)?;
        blake3::Hash::from_hex(&digits).map(|hash| Self(*hash.as_bytes())).map_err(D::Error::custom)
    }
}

/// A file in checkpoint storage.
///
/// The attempt is part of its name: what a host that was stopped for long writes and deletes when it goes on as if nothing
/// had happened never has the name of what its successor wrote, not even where the content is the same.
///
/// So is a number, and no name is ever used twice: state that goes back and forth, and output that repeats itself, make
/// files of equal content. Were they one file, it would be deleted as garbage in the moment in which it is stored anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FileRef {
    /// Who wrote it.
    pub attempt: AttemptId,
    /// Counts what the attempt wrote, so that equal content has different names. Pages have the number of the
    /// checkpoint that they were written for.
    pub number: u64,
    /// Its content.
    pub hash: FileHash,
    /// Its length.
    pub bytes: u64,
}

impl fmt::Display for FileRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:016x}-{}", self.attempt, self.number, self.hash)
    }
}
