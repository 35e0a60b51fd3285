//! What the driver of an attempt is told.

use std::sync::mpsc;

use gristmill_checkpoint::coordinator::{Ack, Participant};
use gristmill_checkpoint::{CommittableId, Savepoint, Slot, StateFile};
use gristmill_types::{AttemptId, CheckpointId, CheckpointKind, NodeId, SubtaskIndex};
use tokio::sync::oneshot;

use crate::ending::TaskEnd;
use crate::shadow::ShadowTold;
use crate::state_access::OpenEdit;
use crate::swap::{PageRewritten, SwapTold};

/// A message to the driver of an attempt.
pub(crate) enum Told {
    /// A subtask's part of a checkpoint is durable.
    Acked(Box<Ack>),
    /// A subtask could not take part.
    Declined { checkpoint: CheckpointId, by: Participant, why: String },
    /// A subtask has come to the end of its input.
    Ended(Participant),
    /// A subtask's thread is about to end.
    Left(Result<(), TaskEnd>),
    /// A manifest stands in its slot.
    Stored(CheckpointId),
    /// Somebody else's entry stands there.
    Stranger { slot: Slot, attempt: AttemptId },
    /// What storing suffers from, while it is tried again; nothing once it goes on.
    Storing { trouble: Option<String> },
    /// Output is visible.
    Committed(Vec<CommittableId>),
    /// Neighbours in a list of state files were merged, or not: then nothing is replaced.
    Merged { node: NodeId, subtask: SubtaskIndex, replaced: Vec<StateFile>, by: Option<StateFile> },
    /// Something that checkpoints need cannot be done.
    Failed(TaskEnd),
    /// Somebody wants a checkpoint.
    Requested(CheckpointKind),
    /// Somebody wants a savepoint.
    SavepointWanted(Wanted),
    /// Somebody wants the last checkpoint to become a savepoint.
    DrainWanted(Wanted),
    /// The files of a checkpoint are in a savepoint's folder, or cannot be brought there.
    Carried { checkpoint: CheckpointId, carried: Result<Box<Carried>, String> },
    /// A savepoint has its record, or cannot have it.
    Sealed { checkpoint: CheckpointId, sealed: Result<Savepoint, String> },
    /// A word about a swap.
    Swap(SwapTold),
    /// A word about state that is being rewritten.
    Rewrite { node: NodeId, work: u64, told: RewriteTold },
    /// Somebody wants to know which files the states of an operator are in, by subtask.
    FilesWanted { node: NodeId, tell: mpsc::Sender<Vec<Vec<StateFile>>> },
    /// Somebody's edit of state took effect, and lasts once a checkpoint behind it is decided.
    StateEdited(NodeId, OpenEdit),
    /// A word about a shadow.
    Shadow(ShadowTold),
    /// The host goes down.
    Suspend,
    /// Somebody wants the attempt to begin anew.
    Restart,
}

/// What is told of state that is being rewritten.
#[derive(Debug)]
pub(crate) enum RewriteTold {
    /// So many keys more.
    Page(PageRewritten),
    /// All keys were looked through. An error: they could not be read, and it is to be tried again later.
    Over(Result<(), String>),
}

/// A savepoint that somebody waits for.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) tell: oneshot::Sender<Result<Savepoint, String>>,
}

impl Wanted {
    /// It cannot be taken.
    pub(crate) fn refuse(self, why: String) {
        // Nobody has to wait for it.
        let _ = self.tell.send(Err(why));
    }
}

/// A savepoint that lacks nothing but its record.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    pub(crate) name: String,
    pub(crate) savepoint: Savepoint,
}
