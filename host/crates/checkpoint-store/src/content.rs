//! Bytes and the name that their content gives them.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

use gristmill_checkpoint::{FileHash, FileRef};
use gristmill_ports::PortError;
use gristmill_ports::checkpoint_store::Content;

use crate::trouble::cannot;

/// The hash and the length of this content.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn measure(content: Content<'_>) -> Result<(FileHash, u64), PortError> {
    match content {
        Content::Bytes(bytes) => Ok((FileHash::of(bytes), bytes.len() as u64)),
        Content::File(path) => hash_of(path).map_err(cannot("read", path)),
    }
}

/// What a file of this machine is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// It has the content of its name.
    Good,
    /// There is none.
    Missing,
    /// It has other content, and this is what is wrong with it.
    Damaged(String),
}

/// Reads a file and compares it with its name.
///
/// # Errors
/// If it cannot be read, though it is there.
pub(crate) fn condition_of(path: &Path, file: &FileRef) -> Result<Condition, PortError> {
    match hash_of(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Condition::Missing),
        Err(error) => Err(cannot("read", path)(error)),
        Ok((_, bytes)) if bytes != file.bytes => Ok(Condition::Damaged(format!(
            "it has {bytes} bytes where {} belong; it was cut off or written by halves",
            file.bytes
        ))),
        Ok((hash, _)) if hash != file.hash => {
            Ok(Condition::Damaged("its content is not that of its name; a bit has flipped or it was edited".to_owned()))
        }
        Ok(_) => Ok(Condition::Good),
    }
}

fn hash_of(path: &Path) -> io::Result<(FileHash, u64)> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(File::open(path)?)?;
    Ok((FileHash(*hasher.finalize().as_bytes()), hasher.count()))
}

#[cfg(test)]
mod tests {
    use gristmill_types::AttemptId;

    use super::*;

    #[test]
    fn a_file_is_held_against_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let (hash, bytes) = measure(Content::Bytes(b"content")).unwrap();
        let file = FileRef { attempt: AttemptId(1), number: 0, hash, bytes };
        assert_eq!(condition_of(&path, &file).unwrap(), Condition::Missing);
        for (content, expected) in
            [("content", "Good"), ("conte", "it has 5 bytes where 7 belong"), ("Content", "a bit")]
        {
            std::fs::write(&path, content).unwrap();
            let found = format!("{:?}", condition_of(&path, &file).unwrap());
            assert!(found.contains(expected), "{found}");
        }
        std::fs::write(&path, "content").unwrap();
        assert_eq!(measure(Content::File(&path)).unwrap(), (hash, bytes));
    }
}
