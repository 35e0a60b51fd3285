//! What an attempt finds in the chain of its run, and how it claims the run: the I/O around `recovery::decide`.

use std::collections::BTreeMap;

use gristmill_checkpoint::chain::read_back;
use gristmill_checkpoint::framed::Damaged;
use gristmill_checkpoint::lineage::{Lineage, Scan, earlier};
use gristmill_checkpoint::recovery::{Decided, Decision, Fact, Facts, Refusal, claim_holds, decide};
use gristmill_checkpoint::retention::{Retained, left_behind};
use gristmill_checkpoint::{ChainEntry, Claim, CommitPermit, Manifest, NodeSnapshot, RunFolder, Slot};
use gristmill_ports::catalog::Accepted;
use gristmill_ports::{CheckpointStore, ErrorKind, FileStore, PortError};
use gristmill_types::{AttemptId, CheckpointId, JobId, NodeId, RunId};

use crate::checkpoint::storer::{SlotOwner, put_into_slot};

/// So often the chain may have gone on while it was read, before it is given up for now.
const MOST_CLAIMS: u32 = 8;

/// A checkpoint that was read whole.
#[derive(Debug, Clone)]
pub(crate) struct WholeCheckpoint {
    pub(crate) manifest: Manifest,
    pub(crate) permit: CommitPermit,
    pub(crate) pages: BTreeMap<NodeId, NodeSnapshot>,
}

impl WholeCheckpoint {
    /// Whether all input was read to its end: there is nothing to go on with. One that was stopped goes on.
    pub(crate) fn is_complete<'a>(&self, mut sources: impl Iterator<Item = &'a NodeId>) -> bool {
        let ended = |source| self.pages.get(source).is_some_and(|page| page.subtasks.iter().all(|part| part.ended));
        self.manifest.is_final && sources.all(ended)
    }

    /// It as one that is kept in this slot, with all that it names.
    fn retained(&self, slot: Slot) -> Retained {
        let mut files = self.manifest.files();
        files.extend(self.pages.values().flat_map(NodeSnapshot::files));
        let stand = |page: &NodeSnapshot| page.subtasks.iter().flat_map(|part| part.splits.iter().cloned()).collect();
        let splits = self.pages.iter().map(|(node, page)| (node.clone(), stand(page)));
        let splits = splits.filter(|(_, stand): &(NodeId, Vec<_>)| !stand.is_empty()).collect();
        Retained { slot, checkpoint: self.manifest.checkpoint, files, splits }
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
    /// Paths of slots and files that nobody needs: a crash has left them behind. Nobody wrote them behind the claim.
    pub(crate) left_behind: Vec<String>,
    /// The decided checkpoints that are kept, oldest first, `restored` among them.
    pub(crate) retained: Vec<Retained>,
    /// Checkpoints that a person has given up, until another one is decided.
    pub(crate) given_up: Vec<Retained>,
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
    pub(crate) accepted: Option<Accepted>,
    /// The newest checkpoint that is known to be decided.
    pub(crate) newest: Option<Decided>,
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
        // Where the chain ended when it was refused.
        let mut refused_at = None;
        for _ in 0..MOST_CLAIMS {
            let mut found = self.read(&folder)?;
            let end = found.facts.slots.last().map(|(slot, _)| *slot);
            if self.goes_on && end.is_none() && self.accepted.is_none() {
                return Err(self.nothing_is_there());
            }
            let Standing { restored, claim, numbers_above } = match self.stand(&mut found)? {
                Ok(standing) => standing,
                Err(refusal) if refused_at == Some(end) => return Err(self.refused(&refusal, &folder)),
                Err(_) => {
                    // A predecessor that still runs may have retired what was just read. Then the chain has gone on.
                    refused_at = Some(end);
                    continue;
                }
            };
            let kept = self.sort_out(&mut found, restored.as_ref().map(|(slot, _)| *slot));
            // Before the claim: what is listed later may be a successor's.
            let files = self.store.list(&folder.files())?.into_iter().map(|stored| stored.path);
            let entry = ChainEntry::Claim(Claim {
                job: self.job.clone(),
                run: self.run,
                attempt: self.attempt,
                host: self.host.clone(),
                at_ms: self.now_ms,
                restored: restored.as_ref().map(|(_, whole)| whole.manifest.checkpoint),
                numbers_above,
                before: Some(kept.lineage.before(&found.facts)),
            });
            fail::fail_point!("claim-begins");
            // Another attempt was quicker, or the chain went on and has free slots by now: all is looked at anew.
            let SlotOwner::Ours = put_into_slot(self.store, &folder.slot(claim), &entry.encode())? else { continue };
            fail::fail_point!("claim-stored");
            if !claim_holds(claim, restored.as_ref().map(|(slot, _)| *slot), &self.slots(&folder)?) {
                continue;
            }
            return Ok(Claimed {
                next_slot: claim.next(),
                numbers_above,
                restored: restored.map(|(_, whole)| whole),
                earlier: earlier(&found.facts),
                left_behind: kept.left_behind(&folder, files),
                retained: kept.retained,
                given_up: kept.given_up,
            });
        }
        Err(PortError::retry(format!("other hosts claim `{}` again and again", folder.prefix())))
    }

    /// Claims are never deleted, so this is another storage, or one that is not mounted now, and may be in a minute.
    fn nothing_is_there(&self) -> PortError {
        PortError::retry(format!(
            "nothing of this job is in {}, where its checkpoints were: is it the right storage, and is it mounted? \
             Once it is there, the job goes on as its `restart` says, or by gristmill job restart {job}. To begin anew, \
             in place of all that it has committed: gristmill job cancel {job}, gristmill job restart {job} --accept 0",
            self.store.describe(),
            job = self.job,
        ))
    }

    fn refused(&self, refusal: &Refusal, folder: &RunFolder) -> PortError {
        let path = |slot| format!("{}/{}", self.store.describe(), folder.slot(slot));
        PortError::fatal(refusal.told(self.job, path))
    }

    /// What is to be gone on from, read whole. What is offered in its place is whole too.
    fn stand(&self, found: &mut Found) -> Result<Result<Standing, Refusal>, PortError> {
        let mut is_offer_whole = false;
        loop {
            match decide(&found.facts) {
                Decision::Begin { claim, numbers_above } => {
                    return Ok(Ok(Standing { restored: None, claim, numbers_above }));
                }
                Decision::Refuse(Refusal::Unusable { fallback: Some(offer), .. }) if !is_offer_whole => {
                    let (slot, manifest) = found.checkpoint(offer);
                    match self.whole(found, &manifest) {
                        Ok(_) => is_offer_whole = true,
                        Err(error) if error.kind == ErrorKind::Retry => return Err(error),
                        Err(error) => found.mark_incomplete(slot, manifest, error.message),
                    }
                }
                Decision::Refuse(refusal) => return Ok(Err(refusal)),
                Decision::Restore { slot, manifest, claim, numbers_above } => match self.whole(found, &manifest) {
                    Ok(whole) => return Ok(Ok(Standing { restored: Some((slot, whole)), claim, numbers_above })),
                    Err(error) if error.kind == ErrorKind::Retry => return Err(error),
                    Err(error) => found.mark_incomplete(slot, manifest, error.message),
                },
            }
        }
    }

    /// All filled slots, ascending.
    fn slots(&self, folder: &RunFolder) -> Result<Vec<Slot>, PortError> {
        let stored = self.store.list(&folder.chain())?;
        let mut slots: Vec<Slot> = stored.iter().filter_map(|stored| RunFolder::slot_of(&stored.path)).collect();
        slots.sort_unstable();
        Ok(slots)
    }

    /// Reads the chain from its end back, as far as it bears on anything.
    fn read(&self, folder: &RunFolder) -> Result<Found, PortError> {
        let mut found = Found::default();
        let mut scan = Scan::of(self.slots(folder)?);
        while let Some(slot) = scan.next() {
            let Some(record) = self.store.get(&folder.slot(slot))? else { continue };
            let fact = match read_back(&record) {
                Ok(gristmill_checkpoint::chain::Found { entry: ChainEntry::Claim(claim), .. }) => Fact::Claim(claim),
                Ok(gristmill_checkpoint::chain::Found { entry: ChainEntry::Checkpoint(manifest), permit }) => {
                    found.permits.extend(permit.map(|permit| (manifest.checkpoint, permit)));
                    Fact::Checkpoint(Box::new(manifest))
                }
                Err(damaged) => Fact::Damaged(damaged),
            };
            let fact = self.ours(fact);
            scan.found(&fact);
            found.facts.slots.push((slot, fact));
        }
        found.facts.slots.reverse();
        let accepted = self.accepted.filter(|accepted| !is_kept(*accepted, self.attempt, &found.facts));
        found.facts.accepted = accepted.map(|accepted| accepted.checkpoint);
        found.facts.newest = self.newest;
        Ok(found)
    }

    /// What was put here from another run says nothing about this one.
    fn ours(&self, fact: Fact) -> Fact {
        let (job, run) = match &fact {
            Fact::Claim(claim) => (&claim.job, claim.run),
            Fact::Checkpoint(manifest) | Fact::Incomplete(manifest, _) => (&manifest.job, manifest.run),
            Fact::Damaged(_) => return fact,
        };
        if job == self.job && run == self.run {
            return fact;
        }
        Fact::Damaged(Damaged::Elsewhere(format!("it is of run {run} of job `{job}`")))
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

    /// Tells the checkpoints apart and reads what they name.
    fn sort_out(&self, found: &mut Found, restored: Option<Slot>) -> Kept {
        let whole = |found: &mut Found, slots: Vec<Slot>| {
            let mut retained = Vec::new();
            for slot in slots {
                let manifest = found.manifest(slot);
                match self.pages(found, &manifest) {
                    Ok(whole) => retained.push(whole.retained(slot)),
                    // Whatever it is: what the attempt does not go on from must not keep it from going on.
                    Err(error) => {
                        tracing::warn!(checkpoint = %manifest.checkpoint, %error, "an old checkpoint cannot be used");
                        found.mark_incomplete(slot, manifest, error.message);
                    }
                }
            }
            retained
        };
        let Lineage { kept, given_up, .. } = Lineage::of(&found.facts, restored, self.keep);
        let (retained, given_up) = (whole(found, kept), whole(found, given_up));
        // Once more: what is not whole is unclear.
        Kept { lineage: Lineage::of(&found.facts, restored, self.keep), retained, given_up }
    }
}

/// Whether an attempt has gone on from what was accepted already: its host died before it could write that down.
fn is_kept(accepted: Accepted, by: AttemptId, facts: &Facts) -> bool {
    facts.slots.iter().any(|(_, fact)| match fact {
        // One of this attempt did not hold. Of claims of the same millisecond, one that goes on from it is the later.
        Fact::Claim(claim) => {
            let goes_on_from_it = claim.restored.unwrap_or(CheckpointId(0)) == accepted.checkpoint;
            let is_behind = claim.at_ms > accepted.at_ms || (claim.at_ms == accepted.at_ms && goes_on_from_it);
            claim.attempt != by && is_behind
        }
        Fact::Checkpoint(_) | Fact::Incomplete(..) | Fact::Damaged(_) => false,
    })
}

/// What an attempt goes on from, and how.
struct Standing {
    restored: Option<(Slot, WholeCheckpoint)>,
    claim: Slot,
    numbers_above: CheckpointId,
}

/// The checkpoints of a chain, with all that those name which somebody may yet go on from.
struct Kept {
    lineage: Lineage,
    retained: Vec<Retained>,
    given_up: Vec<Retained>,
}

impl Kept {
    /// What nobody needs, slots before files. While it is not known what all of the checkpoints name, no file.
    fn left_behind(&self, folder: &RunFolder, files: impl Iterator<Item = String>) -> Vec<String> {
        let mut paths: Vec<String> = self.lineage.settled.iter().map(|slot| folder.slot(*slot)).collect();
        if self.lineage.unclear.is_empty() {
            paths.extend(left_behind(folder, files, self.retained.iter().chain(&self.given_up)));
        }
        paths
    }
}

#[derive(Default)]
struct Found {
    facts: Facts,
    permits: BTreeMap<CheckpointId, CommitPermit>,
}

impl Found {
    /// The manifest that stands in this slot.
    fn manifest(&self, slot: Slot) -> Box<Manifest> {
        let manifest = self.facts.slots.iter().find_map(|(at, fact)| match fact {
            Fact::Checkpoint(manifest) if *at == slot => Some(manifest.clone()),
            Fact::Claim(_) | Fact::Checkpoint(_) | Fact::Incomplete(..) | Fact::Damaged(_) => None,
        });
        manifest.expect("what is kept or given up is a checkpoint")
    }

    /// The oldest that has this number and could be gone on from, as far as its record says.
    fn checkpoint(&self, number: CheckpointId) -> (Slot, Box<Manifest>) {
        let found = self.facts.slots.iter().find_map(|(slot, fact)| match fact {
            Fact::Checkpoint(manifest) if manifest.checkpoint == number => Some((*slot, manifest.clone())),
            Fact::Claim(_) | Fact::Checkpoint(_) | Fact::Incomplete(..) | Fact::Damaged(_) => None,
        });
        found.expect("what is offered was found")
    }

    fn mark_incomplete(&mut self, slot: Slot, manifest: Box<Manifest>, why: String) {
        if let Some((_, fact)) = self.facts.slots.iter_mut().find(|(at, _)| *at == slot) {
            *fact = Fact::Incomplete(manifest, why);
        }
    }
}
