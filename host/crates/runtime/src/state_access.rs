//! The words of looking at state from outside and mending it: what a subtask is asked, and what it answers.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use gristmill_ports::state::StateError;
use gristmill_types::descriptor::StateKind;
use gristmill_types::{CheckpointId, ModuleHash, NodeId, StateIndex};
use tokio::sync::oneshot;

/// Whose state is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateAddress {
    /// The operator.
    pub operator: NodeId,
    /// The state, by name.
    pub state: String,
    /// The key, as bytes.
    pub key: Vec<u8>,
}

/// What is looked at of a key's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateLook {
    /// All of it: the value, the entries of a map, the items of a list. At most `limit` entries, from behind `after` on,
    /// which is what the page before gave as `next`; fewer if they are large.
    Page {
        /// Where the page before ended.
        after: Option<Vec<u8>>,
        /// Entries at most.
        limit: usize,
    },
    /// One entry of a map.
    Entry(Vec<u8>),
}

/// What a key has in a state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateFound {
    /// Its entries, in order.
    pub entries: Vec<FoundEntry>,
    /// Where to go on, if there is more.
    pub next: Option<Vec<u8>>,
}

/// One entry of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundEntry {
    /// Of a map: its name.
    pub name: Option<Vec<u8>>,
    /// Its value.
    pub value: Vec<u8>,
}

/// A change of a key's state that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateEdit {
    /// The value becomes this.
    PutValue(Vec<u8>),
    /// The map has this entry.
    PutEntry {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// The map has no entry of this name.
    DeleteEntry(Vec<u8>),
    /// The list has these items, and no others.
    SetItems(Vec<Vec<u8>>),
    /// The key has nothing.
    Clear,
}

impl StateEdit {
    /// What it can be done to, in words, if not to a state of this kind.
    pub(crate) fn misfit(&self, kind: StateKind) -> Option<&'static str> {
        match (self, kind) {
            (Self::Clear, _)
            | (Self::PutValue(_), StateKind::Value | StateKind::Accumulator)
            | (Self::PutEntry { .. } | Self::DeleteEntry(_), StateKind::OrderedMap)
            | (Self::SetItems(_), StateKind::AppendList) => None,
            (Self::PutValue(_), StateKind::OrderedMap) => Some("an entry of a map is put under a `name`"),
            (Self::PutValue(_), StateKind::AppendList) => Some("a list is given all of its items, as `values`"),
            (
                Self::PutEntry { .. } | Self::DeleteEntry(_),
                StateKind::Value | StateKind::Accumulator | StateKind::AppendList,
            ) => Some("only entries of a map have a `name`"),
            (Self::SetItems(_), StateKind::Value | StateKind::Accumulator | StateKind::OrderedMap) => {
                Some("only a list has several `values`")
            }
        }
    }
}

/// An edit that took effect in its subtask. It lasts once a checkpoint with it is decided; if the attempt ends before,
/// it never happened.
#[derive(Debug)]
pub struct Edited {
    /// What was there: the value or the entry, or the beginning of all that the key had.
    pub before: StateFound,
    /// The checkpoint whose barrier the subtask had passed. Those of the same attempt above it have the edit.
    pub after: CheckpointId,
    /// Told of the first decided checkpoint that has it; or why there is none. Silent if the job left the host before.
    pub decided: oneshot::Receiver<Result<CheckpointId, String>>,
}

/// The key's state, as a subtask finds it.
#[derive(Debug, Clone)]
pub(crate) struct StateKey {
    /// The module that declares the state so.
    pub(crate) module: ModuleHash,
    pub(crate) state: StateIndex,
    pub(crate) kind: StateKind,
    pub(crate) key: Vec<u8>,
}

/// What a subtask is asked, of a node of its chain.
#[derive(Debug)]
pub(crate) struct StateControl {
    pub(crate) node: usize,
    pub(crate) of: StateKey,
    pub(crate) deed: Arc<Deed>,
}

/// What a subtask answers.
pub(crate) type Answer<T> = mpsc::Sender<Result<T, StateError>>;

/// What is to be done, until somebody takes it: the subtask, to do it, or whoever asked, who waits no longer. So nothing
/// is done that was given up.
pub(crate) struct Deed(Mutex<Option<Act>>);

pub(crate) enum Act {
    Look { look: StateLook, answer: Answer<StateFound> },
    Edit { edit: StateEdit, answer: Answer<(StateFound, CheckpointId)>, decided: EditTold },
}

impl Act {
    /// Whether it leaves nothing of what the key has.
    pub(crate) fn replaces_all(&self) -> bool {
        match self {
            Self::Edit { edit: StateEdit::PutValue(_) | StateEdit::SetItems(_) | StateEdit::Clear, .. } => true,
            Self::Edit { edit: StateEdit::PutEntry { .. } | StateEdit::DeleteEntry(_), .. } | Self::Look { .. } => {
                false
            }
        }
    }

    /// It cannot be done, for this reason.
    pub(crate) fn refuse(self, error: StateError) {
        // Whoever asked may have left.
        match self {
            Self::Look { answer, .. } => drop(answer.send(Err(error))),
            Self::Edit { answer, .. } => drop(answer.send(Err(error))),
        }
    }
}

/// Who hears what becomes of an edit.
pub(crate) type EditTold = oneshot::Sender<Result<CheckpointId, String>>;

impl Deed {
    pub(crate) fn new(act: Act) -> Self {
        Self(Mutex::new(Some(act)))
    }

    /// The right to do it, or to let it be; `None` if somebody has it.
    pub(crate) fn take(&self) -> Option<Act> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Deed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a deed")
    }
}

/// An edit that is done and that no decided checkpoint has yet.
#[derive(Debug)]
pub(crate) struct OpenEdit {
    pub(crate) after: CheckpointId,
    pub(crate) tell: EditTold,
}

impl OpenEdit {
    /// Says what became of it. Nobody has to wait for that.
    pub(crate) fn say(self, told: Result<CheckpointId, String>) {
        let _ = self.tell.send(told);
    }
}
