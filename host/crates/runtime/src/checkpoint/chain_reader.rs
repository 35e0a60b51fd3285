//! What an attempt finds in the chain of its run, and how it claims the run: the I/O around `recovery::decide`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gristmill_checkpoint::chain::read_back;
use gristmill_checkpoint::framed::Damaged;
use gristmill_checkpoint::recovery::{Decision, Fact, Facts, decide};
use gristmill_checkpoint::retention::Retained;
use gristmill_checkpoint::{
    ChainEntry, Claim, CommitPermit, FileRef, Manifest, NodeSnapshot, RunFolder, Slot, SplitPosition,
};
use gristmill_ports::{CheckpointStore, ErrorKind, FileStore, PortError};
use gristmill_types::{AttemptId, CheckpointId, JobId, NodeId, RunId};

use crate::checkpoint::storer::{SlotOwner, put_into_slot};

/// So often a claim may meet another claim before it is given up for now.
const MOST_CLAIMS: u32 = 8;

/// A checkpoint that was read whole.
#[derive(Debug, Clone)]
pub(crate) struct WholeCheckpoint {
    pub(crate) manifest: Manifest,
    pub(crate) permit: CommitPermit,
    pub(crate) pages: BTreeMap<NodeId, NodeSnapshot>,
}

impl WholeCheckpoint {
    /// Everything that it names.
    fn files(&self) -> BTreeSet<FileRef> {
        let mut files = self.manifest.files();
        files.extend(self.pages.values().flat_map(NodeSnapshot::files));
        files
    }

    /// Whether all input was read to its end: there is nothing to go on with. One that was stopped goes on.
    pub(crate) fn is_complete<'a>(&self, mut sources: impl Iterator<Item = &'a NodeId>) -> bool {
        let ended = |source| self.pages.get(source).is_some_and(|page| page.subtasks.iter().all(|part| part.ended));
        self.manifest.is_final && sources.all(ended)
    }

    /// Where the splits of each source stand.
    pub(crate) fn splits(&self) -> BTreeMap<NodeId, Vec<SplitPosition>> {
        let of = |page: &NodeSnapshot| page.subtasks.iter().flat_map(|part| part.splits.iter().cloned()).collect();
        self.pages.iter().map(|(node, page)| (node.clone(), of(page))).collect()
    }
}

/// A run that was claimed.
#[derive(Debug, Clone)]
pub(crate) struct Claimed {
    /// Where the next checkpoint belongs.
    pub(crate) next_slot: Slot,
    pub(crate) numbers_above: CheckpointId,
    /// What the attempt goes on from; `None`: it begins.
    pub(crate) restored: Option<WholeCheckpoint>,
    /// Attempts that were there before, as far as they can have left anything staged.
    pub(crate) earlier: Vec<AttemptId>,
    /// The decided checkpoints that are kept, oldest first, `restored` among them.
    pub(crate) retained: VecDeque<(Retained, BTreeMap<NodeId, Vec<SplitPosition>>)>,
}

/// Who claims.
pub(crate) struct Claimant<'a> {
    pub(crate) job: &'a JobId,
    pub(crate) run: RunId,
    pub(crate) attempt: AttemptId,
    pub(crate) host: String,
    pub(crate) now_ms: i64,
    /// A checkpoint that somebody accepted to go on from.
    pub(crate) accepted: Option<CheckpointId>,
    /// So many checkpoints are kept.
    pub(crate) keep: usize,
    pub(crate) store: &'a dyn CheckpointStore,
    pub(crate) files: &'a dyn FileStore,
}

impl Claimant<'_> {
    /// Reads the chain, decides what to go on from, and claims the next slot.
    ///
    /// # Errors
    /// `Retry` if the store cannot be reached; `Fatal` if a person must decide.
    pub(crate) fn claim(&self) -> Result<Claimed, PortError> {
        let folder = RunFolder::new(self.job, self.run);
        for _ in 0..MOST_CLAIMS {
            let mut found = self.read(&folder)?;
            let (restored, claim, numbers_above) = loop {
                match decide(&found.facts) {
                    Decision::Begin { claim, numbers_above } => break (None, claim, numbers_above),
                    Decision::Refuse(refusal) => return Err(PortError::fatal(refusal.to_string())),
                    Decision::Restore { slot, manifest, claim, numbers_above } => match self.pages(&found, &manifest) {
                        Ok(whole) => break (Some((slot, whole)), claim, numbers_above),
                        Err(error) if error.kind == ErrorKind::Retry => return Err(error),
                        Err(error) => found.mark_incomplete(slot, manifest, error.message),
                    },
                }
            };
            let entry = ChainEntry::Claim(Claim {
                job: self.job.clone(),
                run: self.run,
                attempt: self.attempt,
                host: self.host.clone(),
                at_ms: self.now_ms,
                restored: restored.as_ref().map(|(_, whole)| whole.manifest.checkpoint),
                numbers_above,
            });
            fail::fail_point!("claim-begins");
            match put_into_slot(self.store, &folder.slot(claim), &entry.encode())? {
                SlotOwner::Ours => {
                    fail::fail_point!("claim-stored");
                    let retained = self.retained(&found, restored.as_ref())?;
                    let restored = restored.map(|(_, whole)| whole);
                    let earlier = found.attempts();
                    return Ok(Claimed { next_slot: claim.next(), numbers_above, restored, earlier, retained });
                }
                // Another attempt was quicker: what it left is looked at anew.
                SlotOwner::Stranger(_) => {}
            }
        }
        Err(PortError::retry(format!("other hosts claim `{}` again and again", folder.prefix())))
    }

    /// Reads the chain from its end back until enough checkpoints were seen.
    fn read(&self, folder: &RunFolder) -> Result<Found, PortError> {
        let mut slots: Vec<Slot> =
            self.store.list(&folder.chain())?.iter().filter_map(|stored| RunFolder::slot_of(&stored.path)).collect();
        slots.sort_unstable();
        let mut found = Found::default();
        let mut checkpoints = 0;
        // Where the newest claim went on from, until it is seen; what stands between was given up.
        let (mut wanted, mut claim_seen) = (None, false);
        for slot in slots.into_iter().rev() {
            if checkpoints >= self.keep.max(1) && self.accepted.is_none() && wanted.is_none() {
                break;
            }
            let Some(record) = self.store.get(&folder.slot(slot))? else { continue };
            let fact = match read_back(&record) {
                Ok(gristmill_checkpoint::chain::Found { entry: ChainEntry::Claim(claim), .. }) => {
                    if checkpoints == 0 && !std::mem::replace(&mut claim_seen, true) {
                        wanted = claim.restored;
                    }
                    Fact::Claim(claim)
                }
                Ok(gristmill_checkpoint::chain::Found { entry: ChainEntry::Checkpoint(manifest), permit }) => {
                    checkpoints += 1;
                    wanted = wanted.filter(|wanted| *wanted != manifest.checkpoint);
                    found.permits.extend(permit.map(|permit| (manifest.checkpoint, permit)));
                    Fact::Checkpoint(Box::new(manifest))
                }
                Err(damaged @ (Damaged::Length { .. } | Damaged::Magic | Damaged::Checksum | Damaged::Content(_))) => {
                    Fact::Damaged(damaged)
                }
                Err(newer @ Damaged::Newer { .. }) => Fact::Damaged(newer),
            };
            found.facts.slots.push((slot, fact));
        }
        found.facts.slots.reverse();
        found.facts.accepted = self.accepted;
        Ok(found)
    }

    /// The pages of a checkpoint.
    fn pages(&self, found: &Found, manifest: &Manifest) -> Result<WholeCheckpoint, PortError> {
        let mut pages = BTreeMap::new();
        for page in &manifest.pages {
            let path = self.files.open(&page.file)?;
            let bytes = std::fs::read(&path)
                .map_err(|error| PortError::retry(format!("`{}` cannot be read: {error}", path.display())))?;
            let snapshot = NodeSnapshot::decode(&bytes)
                .map_err(|why| PortError::fatal(format!("the page of `{}`: {why}", page.node)))?;
            pages.insert(page.node.clone(), snapshot);
        }
        let permit = found.permits[&manifest.checkpoint].clone();
        Ok(WholeCheckpoint { manifest: manifest.clone(), permit, pages })
    }

    /// The checkpoints that are kept: the one gone on from, and older ones that can be read. Younger ones were given up.
    fn retained(
        &self,
        found: &Found,
        restored: Option<&(Slot, WholeCheckpoint)>,
    ) -> Result<VecDeque<(Retained, BTreeMap<NodeId, Vec<SplitPosition>>)>, PortError> {
        let mut kept = VecDeque::new();
        for (slot, fact) in &found.facts.slots {
            let Fact::Checkpoint(manifest) = fact else { continue };
            if restored.is_none_or(|(newest, _)| slot > newest) {
                continue;
            }
            let whole = match self.pages(found, manifest) {
                Ok(whole) => whole,
                Err(error) if error.kind == ErrorKind::Retry => return Err(error),
                Err(error) => {
                    tracing::warn!(checkpoint = %manifest.checkpoint, %error, "an old checkpoint cannot be used");
                    continue;
                }
            };
            let retained = Retained { slot: *slot, checkpoint: manifest.checkpoint, files: whole.files() };
            kept.push_back((retained, whole.splits()));
        }
        Ok(kept)
    }
}

#[derive(Default)]
struct Found {
    facts: Facts,
    permits: BTreeMap<CheckpointId, CommitPermit>,
}

impl Found {
    fn attempts(&self) -> Vec<AttemptId> {
        let attempt = |fact: &Fact| match fact {
            Fact::Claim(claim) => Some(claim.attempt),
            Fact::Checkpoint(manifest) | Fact::Incomplete(manifest, _) => Some(manifest.attempt),
            Fact::Damaged(_) => None,
        };
        let attempts: BTreeSet<_> = self.facts.slots.iter().filter_map(|(_, fact)| attempt(fact)).collect();
        attempts.into_iter().collect()
    }

    fn mark_incomplete(&mut self, slot: Slot, manifest: Box<Manifest>, why: String) {
        if let Some((_, fact)) = self.facts.slots.iter_mut().find(|(at, _)| *at == slot) {
            *fact = Fact::Incomplete(manifest, why);
        }
    }
}
