//! What the next manifest must name: files of state in their order, staged output in its order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gristmill_types::descriptor::StateSpec;
use gristmill_types::{
    AttemptId, CheckpointId, CheckpointKind, JobId, MaxParallelism, ModuleHash, NodeId, RunId, SubtaskIndex, Watermark,
};

use super::savepoints::Savepoints;
use super::words::{Ack, NodeSetup, Now, Participant, Setup, Staged, Stats, ToStore};
use crate::chain::{ChainEntry, Slot};
use crate::committable::{Committable, CommittableId};
use crate::file::FileRef;
use crate::manifest::{Manifest, PageRef};
use crate::permit::CommitPermit;
use crate::retention::{Garbage, Retained, Splits, retire};
use crate::share::{CanaryRef, Share};
use crate::snapshot::{NodeSnapshot, StateFile, SubtaskSnapshot};

/// The books of one attempt.
#[derive(Debug)]
pub(super) struct Ledger {
    job: JobId,
    run: RunId,
    attempt: AttemptId,
    max_parallelism: MaxParallelism,
    nodes: Vec<NodeSetup>,
    next_slot: Slot,
    parent: Option<CheckpointId>,
    retained: VecDeque<Retained>,
    /// Go once another checkpoint is decided.
    given_up: Vec<Retained>,
    /// Not known to be committed, oldest first.
    uncommitted: Vec<Committable>,
    /// Those of them that were handed to the committer.
    handed_over: BTreeSet<CommittableId>,
    next_committable: u64,
    /// Pages of the newest decided checkpoint of this attempt: they need not be stored again.
    stored_pages: Vec<PageRef>,
    /// How far event time had come at the newest checkpoint that all have acknowledged, by subtask.
    watermarks: BTreeMap<(NodeId, SubtaskIndex), Watermark>,
    /// Files that no list has any more, perhaps without a manifest ever having named them.
    dropped: BTreeSet<FileRef>,
    savepoints: Savepoints,
    /// Files of checkpoints that somebody reads.
    held: BTreeMap<CheckpointId, BTreeSet<FileRef>>,
}

impl Ledger {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            job: setup.job,
            run: setup.run,
            attempt: setup.attempt,
            max_parallelism: setup.max_parallelism,
            nodes: setup.nodes,
            next_slot: setup.next_slot,
            parent: setup.parent,
            retained: setup.retained,
            given_up: setup.given_up,
            uncommitted: Vec::new(),
            handed_over: BTreeSet::new(),
            next_committable: 0,
            stored_pages: Vec::new(),
            watermarks: BTreeMap::new(),
            dropped: BTreeSet::new(),
            savepoints: Savepoints::default(),
            held: BTreeMap::new(),
        }
    }

    /// Manifests that are made from now on name this module for so much of the operator, and these states.
    pub(super) fn name_module(&mut self, node: &NodeId, module: ModuleHash, share: Share, states: Vec<StateSpec>) {
        for one in self.nodes.iter_mut().filter(|one| one.node == *node) {
            one.canary = (!share.is_whole()).then_some((module, share));
            if share.is_whole() {
                one.module = Some(module);
            }
        }
        self.name_states(node, states);
    }

    /// Whether manifests name a second module for a part of the operator.
    pub(super) fn names_canary(&self, node: &NodeId) -> bool {
        self.nodes.iter().any(|one| one.node == *node && one.canary.is_some())
    }

    fn canaries(&self) -> Vec<CanaryRef> {
        let of =
            |one: &NodeSetup| one.canary.map(|(module, share)| CanaryRef { node: one.node.clone(), module, share });
        self.nodes.iter().filter_map(of).collect()
    }

    /// Manifests that are made from now on name these states.
    pub(super) fn name_states(&mut self, node: &NodeId, states: Vec<StateSpec>) {
        if let Some(setup) = self.nodes.iter_mut().find(|one| one.node == *node) {
            setup.states = states;
        }
    }

    /// How many are not known to be committed.
    pub(super) fn uncommitted(&self) -> usize {
        self.uncommitted.len()
    }

    /// How many of them the committer has.
    pub(super) fn handed_over(&self) -> usize {
        self.handed_over.len()
    }

    /// The files of every state, oldest first.
    pub(super) fn state_files(&self) -> impl Iterator<Item = (&NodeSetup, SubtaskIndex, &[StateFile])> {
        self.nodes.iter().flat_map(|node| {
            (0..).map(SubtaskIndex).zip(&node.files).map(move |(subtask, files)| (node, subtask, files.as_slice()))
        })
    }

    /// How far event time has come by all checkpoints from now on: a list that is merged by it stands in none before.
    pub(super) fn watermark(&self, node: &NodeId, subtask: SubtaskIndex) -> Watermark {
        self.watermarks.get(&(node.clone(), subtask)).copied().unwrap_or(Watermark::START)
    }

    /// Takes over what an acknowledgement adds to the books: new files, staged output.
    pub(super) fn take_in(&mut self, ack: &mut Ack) {
        for part in &mut ack.nodes {
            let new = std::mem::take(&mut part.snapshot.files);
            if !new.is_empty() {
                self.files_mut(&part.node, part.snapshot.subtask).extend(new);
            }
        }
        for Staged { sink, payload, files } in ack.staged.drain(..) {
            let id = CommittableId { attempt: self.attempt, number: self.next_committable };
            self.next_committable += 1;
            self.uncommitted.push(Committable { id, sink, staged_for: ack.checkpoint, payload, files });
        }
    }

    fn files_mut(&mut self, node: &NodeId, subtask: SubtaskIndex) -> &mut Vec<StateFile> {
        let setup = self.nodes.iter_mut().find(|one| one.node == *node).expect("only nodes of the plan acknowledge");
        if setup.files.len() <= subtask.at() {
            setup.files.resize(subtask.at() + 1, Vec::new());
        }
        &mut setup.files[subtask.at()]
    }

    /// Puts one file in the place of neighbours. If they are no neighbours any more, the file is of no use. A file may stand
    /// in a list more than once, each time for other key groups: the list was put together from those of several subtasks.
    pub(super) fn merged(
        &mut self,
        node: &NodeId,
        subtask: SubtaskIndex,
        replaced: &[StateFile],
        by: Option<StateFile>,
    ) {
        let files = self.files_mut(node, subtask);
        match files.windows(replaced.len().max(1)).position(|run| run == replaced) {
            Some(first) => {
                files.splice(first..first + replaced.len(), by);
                self.dropped.extend(replaced.iter().map(|one| one.file));
            }
            None => self.dropped.extend(by.map(|file| file.file)),
        }
    }

    pub(super) fn committed(&mut self, ids: &[CommittableId]) {
        self.uncommitted.retain(|one| !ids.contains(&one.id));
        self.handed_over.retain(|id| !ids.contains(id));
        self.savepoints.committed(ids);
    }

    /// A savepoint's files are carried away.
    pub(super) fn carried(&mut self, checkpoint: CheckpointId) {
        let free = self.savepoints.carried(checkpoint);
        self.dropped.extend(free);
    }

    /// A savepoint is one, or will never be.
    pub(super) fn savepoint_over(&mut self, checkpoint: CheckpointId) {
        let free = self.savepoints.over(checkpoint);
        self.dropped.extend(free);
    }

    /// Somebody reads the files of a checkpoint; one that is not kept any more has none.
    pub(super) fn hold(&mut self, checkpoint: CheckpointId) {
        if let Some(kept) = self.retained.iter().find(|kept| kept.checkpoint == checkpoint) {
            self.held.insert(checkpoint, kept.files.clone());
        }
    }

    /// Nobody reads them any more.
    pub(super) fn release(&mut self, checkpoint: CheckpointId) {
        let free = self.held.remove(&checkpoint);
        self.dropped.extend(free.into_iter().flatten());
    }

    /// Savepoints that from now on lack nothing but their record.
    pub(super) fn savepoints_to_seal(&mut self) -> Vec<CheckpointId> {
        self.savepoints.seal_ready()
    }

    /// Whether no savepoint is in the making.
    pub(super) fn has_no_savepoint_under_way(&self) -> bool {
        self.savepoints.is_idle()
    }

    /// The manifest of a checkpoint that all have acknowledged.
    pub(super) fn manifest(
        &mut self,
        checkpoint: CheckpointId,
        kind: CheckpointKind,
        is_final: bool,
        (started, completed): (Now, Now),
        acks: BTreeMap<Participant, Ack>,
    ) -> ToStore {
        let mut parts: BTreeMap<NodeId, Vec<SubtaskSnapshot>> = BTreeMap::new();
        let mut stats = Stats::default();
        for (by, ack) in acks {
            stats.uploaded_bytes += ack.stats.bytes;
            stats.subtasks.push((by, ack.stats));
            ack.nodes.into_iter().for_each(|part| parts.entry(part.node).or_default().push(part.snapshot));
        }
        let (mut pages, mut refs, mut named) = (Vec::new(), Vec::new(), BTreeSet::new());
        let mut splits = Splits::new();
        for (node, mut subtasks) in parts {
            subtasks.sort_by_key(|part| part.subtask);
            let setup = self.nodes.iter().find(|one| one.node == node).expect("only nodes of the plan acknowledge");
            for part in &mut subtasks {
                part.files = setup.files.get(part.subtask.at()).cloned().unwrap_or_default();
                self.watermarks.insert((node.clone(), part.subtask), part.watermark);
            }
            let page =
                NodeSnapshot { node: node.clone(), module: setup.module, states: setup.states.clone(), subtasks };
            named.extend(page.files());
            let stand: Vec<_> = page.subtasks.iter().flat_map(|part| &part.splits).cloned().collect();
            if !stand.is_empty() {
                splits.insert(page.node.clone(), stand);
            }
            let bytes = page.encode();
            let hash = NodeSnapshot::hash_of(&bytes);
            if let Some(stored) =
                self.stored_pages.iter().find(|stored| stored.node == node && stored.file.hash == hash)
            {
                refs.push(stored.clone());
                continue;
            }
            let file = FileRef { attempt: self.attempt, number: checkpoint.0, hash, bytes: bytes.len() as u64 };
            stats.uploaded_bytes += file.bytes;
            pages.push((file, bytes));
            refs.push(PageRef { node, file });
        }
        let manifest = Manifest {
            job: self.job.clone(),
            run: self.run,
            attempt: self.attempt,
            checkpoint,
            parent: self.parent,
            kind,
            is_final,
            started_ms: started.wall_ms,
            completed_ms: completed.wall_ms,
            max_parallelism: self.max_parallelism,
            pages: refs,
            committables: self.uncommitted.clone(),
            canaries: self.canaries(),
        };
        named.extend(manifest.files());
        stats.state_bytes = named.iter().map(|file| file.bytes).sum();
        stats.uploaded_bytes += ChainEntry::Checkpoint(manifest.clone()).encode().len() as u64;
        ToStore { slot: self.next_slot, manifest, pages, named, splits, started, stats }
    }

    /// The manifest stands in its slot: what is to be committed now, and the right to.
    pub(super) fn decided(&mut self, stored: &ToStore) -> (CommitPermit, Vec<Committable>) {
        let manifest = &stored.manifest;
        self.next_slot = stored.slot.next();
        self.parent = Some(manifest.checkpoint);
        self.stored_pages.clone_from(&manifest.pages);
        self.retained.push_back(Retained {
            slot: stored.slot,
            checkpoint: manifest.checkpoint,
            files: stored.named.clone(),
            splits: stored.splits.clone(),
        });
        // Not those of which it was heard, while the manifest was on its way, that an earlier permit has committed them.
        let open: BTreeSet<_> = self.uncommitted.iter().map(|one| one.id).collect();
        if manifest.kind == CheckpointKind::Savepoint {
            let open = manifest.committables.iter().map(|one| one.id).filter(|id| open.contains(id)).collect();
            self.savepoints.begin(stored, open);
        }
        let is_new = |one: &&Committable| open.contains(&one.id) && self.handed_over.insert(one.id);
        let new: Vec<_> = manifest.committables.iter().filter(is_new).cloned().collect();
        (CommitPermit::of_decided(manifest), new)
    }

    /// Where the sources stood at the oldest checkpoint that is kept, or that is being carried into a savepoint.
    pub(super) fn oldest_splits(&self) -> Splits {
        let kept = self.retained.front().map(|oldest| (oldest.checkpoint, &oldest.splits));
        let oldest = kept.into_iter().chain(self.savepoints.oldest()).min_by_key(|(checkpoint, _)| *checkpoint);
        oldest.map(|(_, splits)| splits.clone()).unwrap_or_default()
    }

    /// What need not be kept any more, now that another checkpoint is decided.
    pub(super) fn retire(&mut self, keep: usize) -> Garbage {
        // The newest checkpoint names all of these. They are looked at once more, for what is deleted is gone.
        let in_lists = self.nodes.iter().flat_map(|node| node.files.iter().flatten()).map(|file| file.file);
        let to_commit = self.uncommitted.iter().flat_map(|one| one.files.iter().copied());
        let pages = self.stored_pages.iter().map(|page| page.file);
        let savepoints = self.savepoints.pinned();
        let held = self.held.values().flatten().copied();
        let pinned: BTreeSet<_> = in_lists.chain(to_commit).chain(pages).chain(savepoints).chain(held).collect();
        let mut garbage = retire(&mut self.retained, keep, &pinned);
        let given_up = std::mem::take(&mut self.given_up);
        garbage.slots.extend(given_up.iter().map(|one| one.slot));
        // What a retained checkpoint still names goes with it.
        let is_named = |file: &FileRef| self.retained.iter().any(|kept| kept.files.contains(file));
        let orphans =
            std::mem::take(&mut self.dropped).into_iter().chain(given_up.into_iter().flat_map(|one| one.files));
        garbage.files.extend(orphans.filter(|file| !is_named(file) && !pinned.contains(file)));
        garbage.files.sort_unstable();
        garbage.files.dedup();
        garbage
    }
}
