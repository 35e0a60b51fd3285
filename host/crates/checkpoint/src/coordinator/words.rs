//! What the coordinator is told, and what it says.

use std::collections::{BTreeSet, VecDeque};

use gristmill_types::descriptor::StateSpec;
use gristmill_types::{
    AttemptId, CheckpointBarrier, CheckpointId, CheckpointKind, JobId, MaxParallelism, ModuleHash, NodeId, RunId,
    SubtaskIndex, SwapId,
};

use crate::chain::Slot;
use crate::committable::{Committable, CommittableId};
use crate::file::FileRef;
use crate::manifest::Manifest;
use crate::permit::CommitPermit;
use crate::retention::{Garbage, Retained, Splits};
use crate::share::Share;
use crate::snapshot::{StateFile, SubtaskSnapshot};

/// A moment, on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// For lengths of time; never goes back.
    pub monotonic_ms: u64,
    /// For people, since the epoch.
    pub wall_ms: i64,
}

/// One subtask of one task: what acknowledges a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Participant {
    /// The task's place in the plan.
    pub task: usize,
    /// Which of its subtasks.
    pub subtask: SubtaskIndex,
}

/// When checkpoints are made, and how many failures are borne.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// From the start of one to the start of the next. `None`: only when asked, and at the end.
    pub every_ms: Option<u64>,
    /// At least this from the end of one to the start of the next, unless somebody waits for that: it was asked for, the
    /// input has ended, the host goes down.
    pub min_pause_ms: u64,
    /// At least this after a failed one.
    pub pause_after_failure_ms: u64,
    /// A checkpoint that is not decided after this has failed. One whose manifest is on its way by then fails once more
    /// each time that this has passed again, and is decided all the same if it gets there.
    pub timeout_ms: u64,
    /// So many may fail in a row; one more, and the attempt is given up.
    pub tolerated_failures: u32,
    /// So many decided ones are kept.
    pub keep: usize,
}

/// What an attempt begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The job.
    pub job: JobId,
    /// Its run.
    pub run: RunId,
    /// This attempt.
    pub attempt: AttemptId,
    /// Key groups of the job.
    pub max_parallelism: MaxParallelism,
    /// When and how often.
    pub policy: Policy,
    /// All subtasks of all tasks.
    pub participants: BTreeSet<Participant>,
    /// All nodes.
    pub nodes: Vec<NodeSetup>,
    /// The slot behind the claim.
    pub next_slot: Slot,
    /// Numbers used so far.
    pub numbers_above: CheckpointId,
    /// The checkpoint that was restored.
    pub parent: Option<CheckpointId>,
    /// Decided checkpoints that are kept, oldest first; the one that was restored is among them.
    pub retained: VecDeque<Retained>,
    /// Checkpoints that a person has given up with this attempt: they go once another one is decided.
    pub given_up: Vec<Retained>,
}

/// A node as it begins.
#[derive(Debug, Clone)]
pub struct NodeSetup {
    /// Its id.
    pub node: NodeId,
    /// The module that runs in it.
    pub module: Option<ModuleHash>,
    /// A second module, and the share of the node that it serves.
    pub canary: Option<(ModuleHash, Share)>,
    /// Its states.
    pub states: Vec<StateSpec>,
    /// For each subtask, the files that were restored into it, oldest first.
    pub files: Vec<Vec<StateFile>>,
}

/// What is told.
#[derive(Debug, Clone)]
pub enum Event {
    /// Time has passed.
    Tick,
    /// Somebody wants a checkpoint now. If it fails, it is begun again.
    Requested(CheckpointKind),
    /// All subtasks have what they need to switch: the next barrier carries the swap, and is sent now. From then on
    /// manifests name the new module, whatever becomes of that checkpoint.
    SwapReady(SwapNotice),
    /// The same of a swap that rewinds: manifests go on naming the old module, and from the barrier that carries it on no
    /// checkpoint begins before [`Event::HoldOver`].
    SwapHolds(SwapNotice),
    /// Manifests from now on name this module, and one is made now.
    HoldOver(SwapNotice),
    /// The swap is taken back: manifests from now on name this module, the old one, and one is made now.
    SwapUndone(SwapNotice),
    /// The states of an operator are these from now on: some have lost their names, since all that was in them was moved.
    /// Checkpoints that begin from now on say so.
    StatesAre {
        /// Which operator.
        node: NodeId,
        /// All its states, in the order in which files name them.
        states: Vec<StateSpec>,
    },
    /// The host goes down: one last checkpoint, which may be the one that is under way, then [`Action::Finish`].
    Suspend,
    /// A subtask has come to the end of its input. It still passes barriers on.
    Ended(Participant),
    /// A subtask's part is durable.
    Acked(Box<Ack>),
    /// A subtask cannot take part now.
    Declined {
        /// In which.
        checkpoint: CheckpointId,
        /// Who.
        by: Participant,
        /// Why.
        why: String,
    },
    /// The manifest stands in its slot.
    Stored(CheckpointId),
    /// Somebody else's entry stands there.
    Stranger {
        /// Where.
        slot: Slot,
        /// Whose it is.
        attempt: AttemptId,
    },
    /// What storing suffers from, while it is tried again; nothing once it goes on.
    Storing {
        /// In words.
        trouble: Option<String>,
    },
    /// These are visible now.
    Committed(Vec<CommittableId>),
    /// Files of a state were merged in the background.
    Merged {
        /// Of which node.
        node: NodeId,
        /// And which subtask.
        subtask: SubtaskIndex,
        /// Neighbours in the list of files, with the key groups for which they count there.
        replaced: Vec<StateFile>,
        /// What stands in their place; nothing if nothing was left.
        by: Option<StateFile>,
    },
    /// The last checkpoint, behind the end of all input, is to become a savepoint.
    SavepointAtEnd,
    /// The files of a checkpoint were carried into a savepoint's folder.
    Carried(CheckpointId),
    /// It is a savepoint now, or will never be one.
    SavepointOver(CheckpointId),
    /// Somebody reads the files of this checkpoint, which is the newest decided one: they stay.
    Held(CheckpointId),
    /// Nobody reads them any more.
    Released(CheckpointId),
}

/// One subtask's part of a checkpoint; all that it names is durable. Those of one participant are told in the order of
/// the barriers, whatever became of the checkpoints.
#[derive(Debug, Clone)]
pub struct Ack {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// Who.
    pub by: Participant,
    /// One for each node of the subtask's chain.
    pub nodes: Vec<NodePart>,
    /// What its sinks staged since the barrier before, in order.
    pub staged: Vec<Staged>,
    /// For reports.
    pub stats: SubtaskStats,
}

/// A node's part of an acknowledgement.
#[derive(Debug, Clone)]
pub struct NodePart {
    /// Which node.
    pub node: NodeId,
    /// Its part. `files` are those that are new since the barrier before.
    pub snapshot: SubtaskSnapshot,
}

/// What a sink staged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Which sink.
    pub sink: NodeId,
    /// See [`Committable::payload`].
    pub payload: Vec<u8>,
    /// See [`Committable::files`].
    pub files: Vec<FileRef>,
}

/// Which module an operator is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwapNotice {
    /// By which swap.
    pub swap: SwapId,
    /// Which operator.
    pub node: NodeId,
    /// The module.
    pub module: ModuleHash,
    /// How much of the operator it serves; if not all, the module that ran before serves the rest.
    pub share: Share,
    /// All states of the operator, whether this module sees them or not.
    pub states: Vec<StateSpec>,
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Action {
    /// Every source sends this barrier, ended ones too.
    Inject(CheckpointBarrier),
    /// Store the pages, then the manifest in its slot unless there is something. Until it is known whether it stands
    /// there: read it back, try again. Then [`Event::Stored`] or [`Event::Stranger`].
    Store(Box<ToStore>),
    /// Make this visible, in this order for each sink; again and again until it is. Then [`Event::Committed`].
    Commit {
        /// The right to.
        permit: CommitPermit,
        /// What.
        committables: Vec<Committable>,
    },
    /// Behind all that was stored so far: delete slots, then files. What is not deleted stays as garbage; nothing depends
    /// on it.
    Delete(Garbage),
    /// Carry the files of this checkpoint, which is decided, into a savepoint's folder; they stay meanwhile. Then
    /// [`Event::Carried`], or [`Event::SavepointOver`] if that cannot be.
    Carry(Box<Manifest>),
    /// All that was cut before this savepoint is committed, and its files are carried: put its record. Then
    /// [`Event::SavepointOver`].
    Seal(CheckpointId),
    /// Sources need not keep what lies before these positions: even the oldest checkpoint that is kept has it behind it.
    Forget(Splits),
    /// For people.
    Report(Report),
    /// Everything is committed; all may leave.
    Finish(End),
    /// The attempt is over.
    GiveUp(GiveUp),
    /// All have ended while a swap holds checkpoints back. No call comes any more that could fail: the hold is of no use.
    EndHold,
}

/// A manifest with what must be stored before it.
#[derive(Debug, Clone)]
pub struct ToStore {
    /// Where it belongs.
    pub slot: Slot,
    /// The manifest.
    pub manifest: Manifest,
    /// Pages that are not stored yet.
    pub pages: Vec<(FileRef, Vec<u8>)>,
    /// All files that the pages name.
    pub named: BTreeSet<FileRef>,
    /// Where the splits of each source stand.
    pub splits: Splits,
    /// When its barriers went out.
    pub started: Now,
    /// For reports.
    pub stats: Stats,
}

/// Why no more is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// All input was read to its end.
    Input,
    /// The host goes down.
    Suspended,
}

/// Why an attempt is given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GiveUp {
    /// Another attempt has taken the run over. Starting again would take it back, and never end.
    #[error(
        "attempt {by} has taken the job over (slot {slot} of its chain): it runs on another host, or twice on this"
    )]
    Fenced {
        /// Where the stranger stands.
        slot: Slot,
        /// Who it is.
        by: AttemptId,
    },
    /// No checkpoint comes about.
    #[error("{in_a_row} checkpoints in a row failed, the last one because {last}")]
    TooManyFailures {
        /// How many.
        in_a_row: u32,
        /// Why the last one did.
        last: Failure,
    },
}

/// Why a checkpoint failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Not all have acknowledged in time.
    #[error(
        "it was not complete after {after_ms} ms; {} subtasks have not acknowledged it{}", waiting.len(), since(trouble)
    )]
    TimedOut {
        /// After so long.
        after_ms: u64,
        /// Who is missing.
        waiting: Vec<Participant>,
        /// What storing suffers from.
        trouble: Option<String>,
    },
    /// All have acknowledged, and its manifest is not known to stand. It is on its way still, and may yet be decided: that
    /// cannot be taken back.
    #[error("it was not stored after {after_ms} ms, and is still tried{}", since(trouble))]
    NotStored {
        /// After so long.
        after_ms: u64,
        /// What storing suffers from.
        trouble: Option<String>,
    },
    /// It was not begun: too much output waits for its commit.
    #[error(
        "{committables} pieces of output are decided and not committed yet; the sinks say what they wait for, and no \
         checkpoint begins before they have caught up"
    )]
    Uncommitted {
        /// So many.
        committables: usize,
    },
    /// A subtask could not take part: it still carries an earlier one away.
    #[error("task {} subtask {} could not take part: {why}", by.task, by.subtask)]
    Declined {
        /// Who.
        by: Participant,
        /// Why.
        why: String,
    },
}

/// The end of a sentence.
fn since(trouble: &Option<String>) -> String {
    trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default()
}

/// What people may want to know.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// One is decided.
    Completed {
        /// Which.
        checkpoint: CheckpointId,
        /// From the barrier to the decision.
        duration_ms: u64,
        /// Of its parts.
        stats: Stats,
    },
    /// One has failed. If it was not stored in time, it may be decided later.
    Failed {
        /// Which.
        checkpoint: CheckpointId,
        /// Why.
        failure: Failure,
    },
}

/// A checkpoint in numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Bytes of everything that it names.
    pub state_bytes: u64,
    /// Bytes that were written for it: files, pages, manifest.
    pub uploaded_bytes: u64,
    /// Each subtask.
    pub subtasks: Vec<(Participant, SubtaskStats)>,
}

/// A subtask's part in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SubtaskStats {
    /// From the first barrier of its channels to the last.
    pub aligned_us: u64,
    /// Work done inline at the barrier.
    pub inline_us: u64,
    /// From the barrier until all was durable.
    pub durable_ms: u64,
    /// Entries of state that were written.
    pub entries: u64,
    /// Bytes that were written.
    pub bytes: u64,
}
