//! What a checkpoint holds of each node.

use gristmill_types::descriptor::StateSpec;
use gristmill_types::{KeyGroupRange, ModuleHash, NodeId, SubtaskIndex, Watermark};
use serde::{Deserialize, Serialize};

use crate::file::{FileHash, FileRef};
use crate::framed::{self, Damaged, Magic};
use crate::readable;

const MAGIC: Magic = *b"GMPG";
const VERSION: u16 = 1;

/// How far one split of a source was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SplitPosition {
    /// Names the split within its source, whichever subtask reads it.
    pub split: String,
    /// The connector's own words; they begin with a version of its own.
    #[serde(serialize_with = "readable::bytes")]
    pub position: Vec<u8>,
}

/// A sorted file of changes of one subtask's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateFile {
    /// Where it is.
    pub file: FileRef,
    /// Entries, deletions included.
    pub entries: u64,
    /// Key groups for which it counts in its list. Others may occur in it, which went elsewhere.
    pub groups: KeyGroupRange,
}

/// One subtask's part of a node's snapshot. Sources use `splits`, operators `files`, sinks `sink`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubtaskSnapshot {
    /// Which.
    pub subtask: SubtaskIndex,
    /// Where the splits of a source stand.
    pub splits: Vec<SplitPosition>,
    /// The input has come to its end; nothing is to be read again.
    pub ended: bool,
    /// The key groups that the subtask owned.
    pub groups: KeyGroupRange,
    /// How far event time had come for all of these key groups.
    pub watermark: Watermark,
    /// Its state: each file changes what the files before it say.
    pub files: Vec<StateFile>,
    /// What the sink's writer must know to go on.
    #[serde(serialize_with = "readable::bytes")]
    pub sink: Vec<u8>,
    /// Counters by name, so that they do not jump back further than the events do.
    pub counters: Vec<(String, u64)>,
}

/// One node's part of a checkpoint: a page of the manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSnapshot {
    /// Which node.
    pub node: NodeId,
    /// The module that runs in it, if it is an operator.
    pub module: Option<ModuleHash>,
    /// Its states; entries name theirs by the place in this list.
    pub states: Vec<StateSpec>,
    /// Its subtasks, in order.
    pub subtasks: Vec<SubtaskSnapshot>,
}

impl NodeSnapshot {
    /// The page as it is stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        framed::encode(MAGIC, VERSION, self)
    }

    /// Reads a page.
    ///
    /// # Errors
    /// If it is damaged, or written by a newer host.
    pub fn decode(page: &[u8]) -> Result<Self, Damaged> {
        framed::decode(MAGIC, VERSION, page)
    }

    /// All files that the page names.
    pub fn files(&self) -> impl Iterator<Item = FileRef> + '_ {
        self.subtasks.iter().flat_map(|subtask| &subtask.files).map(|file| file.file)
    }

    /// The hash under which the page is stored.
    #[must_use]
    pub fn hash_of(page: &[u8]) -> FileHash {
        FileHash::of(page)
    }
}
