//! Holds files against their names, and notes what is wrong.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use gristmill_checkpoint::{ChainEntry, FileHash, FileRef, NodeSnapshot};
use gristmill_types::NodeId;

use super::found::{Damage, Entry};

/// Looks at the files of one run, each once.
pub(super) struct Examiner {
    /// The run's folder of files; without it nothing can be followed.
    files: Option<PathBuf>,
    /// What was looked at, and whether it is whole.
    pub(super) seen: BTreeMap<FileRef, bool>,
    pub(super) damaged: Vec<Damage>,
}

impl Examiner {
    pub(super) fn new(files: Option<PathBuf>) -> Self {
        Self { files, seen: BTreeMap::new(), damaged: Vec::new() }
    }

    pub(super) fn note(&mut self, path: &Path, why: impl Into<String>) {
        self.damaged.push(Damage { path: path.display().to_string(), why: why.into() });
    }

    /// What a slot holds, with everything that it names looked at.
    pub(super) fn entry(&mut self, path: &Path, record: &[u8]) -> (Entry, Option<ChainEntry>) {
        match ChainEntry::decode(record) {
            Ok(entry) => {
                if let ChainEntry::Checkpoint(manifest) = &entry {
                    let staged = manifest.committables.iter().flat_map(|committable| &committable.files);
                    staged.for_each(|file| drop(self.whole(file)));
                }
                let shown = Entry::new(entry.clone(), |node, file| self.page(node, file));
                (shown, Some(entry))
            }
            Err(damaged) => {
                self.note(path, damaged.to_string());
                (Entry::Unreadable { why: damaged.to_string() }, None)
            }
        }
    }

    /// What a page says, if it can be read; the files that it names are looked at.
    fn page(&mut self, node: &NodeId, file: &FileRef) -> Option<NodeSnapshot> {
        let path = self.whole(file)?;
        let decoded = std::fs::read(&path).map_err(|error| cannot_read(&error));
        let decoded = decoded.and_then(|page| NodeSnapshot::decode(&page).map_err(|damaged| damaged.to_string()));
        match decoded {
            Ok(snapshot) => {
                if snapshot.node != *node {
                    self.note(&path, format!("it is the page of `{}`, where that of `{node}` belongs", snapshot.node));
                }
                snapshot.files().for_each(|file| drop(self.whole(&file)));
                Some(snapshot)
            }
            Err(why) => {
                self.note(&path, why);
                None
            }
        }
    }

    /// Where a file lies, if it has the content of its name.
    pub(super) fn whole(&mut self, file: &FileRef) -> Option<PathBuf> {
        let path = self.files.as_ref()?.join(file.to_string());
        let is_whole = match self.seen.get(file) {
            Some(is_whole) => *is_whole,
            None => {
                let wrong = wrong_with(&path, Some(file.bytes), file.hash);
                self.seen.insert(*file, wrong.is_none());
                wrong.map(|why| self.note(&path, why)).is_none()
            }
        };
        is_whole.then_some(path)
    }
}

/// What is wrong with a file that should have this content.
pub(super) fn wrong_with(path: &Path, bytes: Option<u64>, hash: FileHash) -> Option<String> {
    let mut hasher = blake3::Hasher::new();
    match File::open(path).and_then(|file| hasher.update_reader(file).map(drop)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Some("it is missing".to_owned()),
        Err(error) => Some(cannot_read(&error)),
        Ok(()) => match bytes.filter(|bytes| *bytes != hasher.count()) {
            Some(bytes) => Some(format!("it has {} bytes where {bytes} belong; it was cut off", hasher.count())),
            None if FileHash(*hasher.finalize().as_bytes()) != hash => {
                Some("its content is not that of its name; a bit has flipped or it was edited".to_owned())
            }
            None => None,
        },
    }
}

fn cannot_read(error: &std::io::Error) -> String {
    format!("it cannot be read: {error}")
}
