//! What an attempt finds in the chain of its run, and how it claims the run: the I/O around `recovery::decide`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gristmill_checkpoint::chain::read_back;
use gristmill_checkpoint::recovery::{Decision, Fact, Facts, claim_holds, decide};
use gristmill_checkpoint::retention::Retained;
use gristmill_checkpoint::{
    ChainEntry, Claim, CommitPermit, FileRef, Manifest, NodeSnapshot, RunFolder, Slot, SplitPosition,
};
use gristmill_ports::checkpoint_store::StoredFile;
use gristmill_ports::{CheckpointStore, ErrorKind, FileStore, PortError};
use gristmill_types::{AttemptId, CheckpointId, JobId, NodeId, RunId};

use crate::checkpoint::storer::{SlotOwner, put_into_slot};

/// So often the chain may have gone on while it was read, before it is given up for now.
const MOST_CLAIMS: u32 = 8;

/// So many slots are read behind the checkpoints that are kept: claims, and what a longer retention has left.
const READ_BEHIND: usize = 64;

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
    /// Paths of files that nothing names: a crash has left them behind. Nobody wrote them behind the claim.
    pub(crate) left_behind: Vec<String>,
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
    /// An attempt has claimed the run before.
    pub(crate) goes_on: bool,
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
        let mut refused_before = false;
        for _ in 0..MOST_CLAIMS {
            let mut found = self.read(&folder)?;
            // Claims are never deleted, so this is another storage, or one that is not mounted.
            if self.goes_on && found.facts.slots.is_empty() && self.accepted.is_none() {
                return Err(PortError::fatal(format!(
                    "nothing of this job is in {}, where its checkpoints were: is it the right storage, and is it mounted? \
                     Then: gristmill job restart {job}. To begin anew, in place of all that it has committed: \
                     gristmill job restart {job} --accept 0",
                    self.store.describe(),
                    job = self.job,
                )));
            }
            let (restored, claim, numbers_above) = loop {
                match decide(&found.facts) {
                    Decision::Begin { claim, numbers_above } => break (None, claim, numbers_above),
                    Decision::Refuse(refusal) if refused_before => return Err(PortError::fatal(refusal.to_string())),
                    Decision::Refuse(_) => {
                        // A predecessor that still runs may have retired what was just read.
                        refused_before = true;
                        found = self.read(&folder)?;
                    }
                    Decision::Restore { slot, manifest, claim, numbers_above } => match self.whole(&found, &manifest) {
                        Ok(whole) => break (Some((slot, whole)), claim, numbers_above),
                        Err(error) if error.kind == ErrorKind::Retry => return Err(error),
                        Err(error) => found.mark_incomplete(slot, manifest, error.message),
                    },
                }
            };
            // Before the claim: what is listed later may be a successor's.
            let files = self.store.list(&folder.files())?;
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
            // Another attempt was quicker, or the chain went on and has free slots by now: all is looked at anew.
            let SlotOwner::Ours = put_into_slot(self.store, &folder.slot(claim), &entry.encode())? else { continue };
            fail::fail_point!("claim-stored");
            if !claim_holds(claim, restored.as_ref().map(|(slot, _)| *slot), &self.slots(&folder)?) {
                continue;
            }
            let kept = self.retained(&found, restored.as_ref())?;
            let left_behind = if found.is_whole && kept.is_whole { kept.unnamed(&folder, files) } else { Vec::new() };
            return Ok(Claimed {
                next_slot: claim.next(),
                numbers_above,
                restored: restored.map(|(_, whole)| whole),
                earlier: found.attempts(),
                left_behind,
                retained: kept.checkpoints,
            });
        }
        Err(PortError::retry(format!("other hosts claim `{}` again and again", folder.prefix())))
    }

    /// All filled slots, ascending.
    fn slots(&self, folder: &RunFolder) -> Result<Vec<Slot>, PortError> {
        let stored = self.store.list(&folder.chain())?;
        let mut slots: Vec<Slot> = stored.iter().filter_map(|stored| RunFolder::slot_of(&stored.path)).collect();
        slots.sort_unstable();
        Ok(slots)
    }

    /// Reads the chain from its end back until enough checkpoints were seen.
    fn read(&self, folder: &RunFolder) -> Result<Found, PortError> {
        let slots = self.slots(folder)?;
        let mut found = Found { is_whole: true, ..Found::default() };
        let (mut checkpoints, mut behind) = (0, 0);
        // Where the newest claim went on from, until it is seen; what stands between was given up.
        let (mut wanted, mut claim_seen) = (None, false);
        for slot in slots.into_iter().rev() {
            if checkpoints >= self.keep.max(1) && self.accepted.is_none() && wanted.is_none() {
                behind += 1;
                if behind > READ_BEHIND {
                    found.is_whole = false;
                    break;
                }
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
                Err(damaged) => {
                    found.is_whole = false;
                    Fact::Damaged(damaged)
                }
            };
            found.facts.slots.push((slot, fact));
        }
        found.facts.slots.reverse();
        found.facts.accepted = self.accepted;
        Ok(found)
    }

    /// A checkpoint with all that it names: what is damaged is found before anything is claimed, and told with a way out.
    fn whole(&self, found: &Found, manifest: &Manifest) -> Result<WholeCheckpoint, PortError> {
        let checkpoint = self.pages(found, manifest)?;
        for (node, page) in &checkpoint.pages {
            for file in page.files() {
                self.files.open(&file).map_err(|error| PortError {
                    kind: error.kind,
                    message: format!("of the state of `{node}`, {}", error.message),
                })?;
            }
        }
        Ok(checkpoint)
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
    fn retained(&self, found: &Found, restored: Option<&(Slot, WholeCheckpoint)>) -> Result<Kept, PortError> {
        let mut kept = Kept { checkpoints: VecDeque::new(), is_whole: true };
        for (slot, fact) in &found.facts.slots {
            let manifest = match fact {
                Fact::Claim(_) => continue,
                Fact::Damaged(_) | Fact::Incomplete(..) => {
                    kept.is_whole = false;
                    continue;
                }
                Fact::Checkpoint(manifest) => manifest,
            };
            if restored.is_none_or(|(newest, _)| slot > newest) {
                // Given up by a person, who may yet want it.
                kept.is_whole = false;
                continue;
            }
            let whole = match self.pages(found, manifest) {
                Ok(whole) => whole,
                Err(error) if error.kind == ErrorKind::Retry => return Err(error),
                Err(error) => {
                    tracing::warn!(checkpoint = %manifest.checkpoint, %error, "an old checkpoint cannot be used");
                    kept.is_whole = false;
                    continue;
                }
            };
            let retained = Retained { slot: *slot, checkpoint: manifest.checkpoint, files: whole.files() };
            kept.checkpoints.push_back((retained, whole.splits()));
        }
        Ok(kept)
    }
}

/// The checkpoints that an attempt keeps.
struct Kept {
    checkpoints: VecDeque<(Retained, BTreeMap<NodeId, Vec<SplitPosition>>)>,
    /// All that the chain has could be read: what these do not name is nobody's.
    is_whole: bool,
}

impl Kept {
    /// Those of these files that no checkpoint names; see `retention::left_behind`.
    fn unnamed(&self, folder: &RunFolder, files: Vec<StoredFile>) -> Vec<String> {
        let named = self.checkpoints.iter().flat_map(|(retained, _)| &retained.files);
        let named: BTreeSet<String> = named.map(|file| folder.file(file)).collect();
        files.into_iter().map(|stored| stored.path).filter(|path| !named.contains(path)).collect()
    }
}

#[derive(Default)]
struct Found {
    facts: Facts,
    permits: BTreeMap<CheckpointId, CommitPermit>,
    /// Every slot was read, and could be.
    is_whole: bool,
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
