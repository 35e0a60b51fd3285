//! What outlives every attempt: checkpoint storage that fails, the place where output becomes visible, and an onlooker
//! that sees everything and names the first thing that must not be.

use std::collections::{BTreeMap, BTreeSet};

use gristmill_checkpoint::{ChainEntry, Committable, CommittableId, FileRef, Manifest, NodeSnapshot, RunFolder, Slot};
use gristmill_types::{AttemptId, CheckpointId, RunId};

use crate::dice::Dice;
use crate::obvious::Obvious;

/// A key and how often it was counted so far.
pub(crate) type Counted = (u8, u64);

/// Storage gave an error: nobody knows whether anything happened.
pub(crate) struct Unsure;

/// What a run may meet. A simulation that meets nothing proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Met {
    Decided,
    Declined,
    TimedOut,
    TooManyFailures,
    LateAcknowledgement,
    OvertakenBarrier,
    MergedWhileStoring,
    /// A manifest found something in its slot and looked what.
    ReadBack,
    Fenced,
    ClaimDidNotHold,
    Refused,
    Suspended,
    /// A swap held checkpoints back until the input was over.
    HoldEnded,
    /// By another attempt, or after an error.
    CommittedAgain,
}

impl Met {
    pub(crate) const ALL: [Self; 14] = [
        Self::Decided,
        Self::Declined,
        Self::TimedOut,
        Self::TooManyFailures,
        Self::LateAcknowledgement,
        Self::OvertakenBarrier,
        Self::MergedWhileStoring,
        Self::ReadBack,
        Self::Fenced,
        Self::ClaimDidNotHold,
        Self::Refused,
        Self::Suspended,
        Self::HoldEnded,
        Self::CommittedAgain,
    ];
}

/// What the operator, the sink and the store share.
pub(crate) struct World {
    pub(crate) dice: Dice,
    /// Faults, crashes and stops still happen.
    pub(crate) chaos: bool,
    /// Nothing can be written for a while.
    pub(crate) outage: bool,
    pub(crate) now_ms: u64,
    pub(crate) keep: usize,
    pub(crate) obvious: Option<Obvious>,
    pub(crate) folder: RunFolder,
    /// The first thing that went wrong.
    pub(crate) wrong: Option<String>,
    pub(crate) finished: bool,
    pub(crate) met: BTreeMap<Met, u64>,
    objects: BTreeMap<String, Vec<u8>>,
    /// The last count that is visible, for each key.
    visible: BTreeMap<u8, u64>,
    committed: BTreeSet<CommittableId>,
    /// Every slot that was ever filled as the youngest.
    history: BTreeMap<Slot, ChainEntry>,
    /// Slots that a host, stopped for long, has filled once more.
    filled_again: BTreeSet<Slot>,
}

impl World {
    pub(crate) fn new(seed: u64, obvious: Option<Obvious>) -> Self {
        let mut dice = Dice::of(seed);
        Self {
            keep: 1 + dice.below(3),
            dice,
            chaos: true,
            outage: false,
            now_ms: 0,
            obvious,
            folder: RunFolder::new(&"orders".parse().unwrap(), RunId(1)),
            wrong: None,
            finished: false,
            met: BTreeMap::new(),
            objects: BTreeMap::new(),
            visible: BTreeMap::new(),
            committed: BTreeSet::new(),
            history: BTreeMap::new(),
            filled_again: BTreeSet::new(),
        }
    }

    pub(crate) fn plays(&self, obvious: Obvious) -> bool {
        self.obvious == Some(obvious)
    }

    pub(crate) fn is_wrong(&mut self, why: String) {
        self.wrong.get_or_insert(why);
    }

    pub(crate) fn meet(&mut self, met: Met) {
        *self.met.entry(met).or_default() += 1;
    }

    fn fault(&mut self) -> bool {
        self.chaos && (self.outage || self.dice.per_mille(40))
    }

    /// Puts bytes, whatever stands there.
    pub(crate) fn put(&mut self, path: String, bytes: &[u8]) -> Result<(), Unsure> {
        if self.fault() {
            return Err(Unsure);
        }
        self.objects.insert(path, bytes.to_vec());
        if self.fault() { Err(Unsure) } else { Ok(()) }
    }

    /// Fills a slot if it is free. `true`: it was.
    pub(crate) fn put_into_slot(&mut self, slot: Slot, entry: &ChainEntry) -> Result<bool, Unsure> {
        let path = self.folder.slot(slot);
        if self.fault() {
            return Err(Unsure);
        }
        if self.objects.contains_key(&path) && !self.plays(Obvious::PutsWhateverStandsThere) {
            return if self.fault() { Err(Unsure) } else { Ok(false) };
        }
        self.objects.insert(path, entry.encode());
        self.look_at_chain(slot, entry);
        if self.fault() { Err(Unsure) } else { Ok(true) }
    }

    /// What stands there; perhaps torn.
    pub(crate) fn get(&mut self, path: &str) -> Option<Vec<u8>> {
        let mut bytes = self.objects.get(path)?.clone();
        if self.chaos && self.dice.per_mille(5) {
            bytes.truncate(self.dice.below(bytes.len()));
        }
        Some(bytes)
    }

    pub(crate) fn list(&self, folder: &str) -> Vec<String> {
        self.objects.keys().filter(|path| path.starts_with(folder)).cloned().collect()
    }

    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.list(&self.folder.chain()).iter().filter_map(|path| RunFolder::slot_of(path)).collect()
    }

    pub(crate) fn delete(&mut self, path: &str) {
        if self.fault() {
            return;
        }
        self.objects.remove(path);
        self.look_for_holes(&format!("after {path} was deleted"));
    }

    /// Makes output visible, unless it is. A sink that reads a staged file and notes the committable in one transaction.
    pub(crate) fn commit(&mut self, committable: &Committable) -> Result<(), Unsure> {
        if self.fault() {
            return Err(Unsure);
        }
        if self.committed.insert(committable.id) {
            for file in &committable.files {
                match self.objects.get(&self.folder.file(file)).map(|bytes| decode(bytes)) {
                    Some(counted) => counted.into_iter().for_each(|one| self.see(committable.id, one)),
                    None => self.is_wrong(format!("what {} staged is gone", committable.id)),
                }
            }
        } else {
            self.meet(Met::CommittedAgain);
        }
        if self.fault() { Err(Unsure) } else { Ok(()) }
    }

    fn see(&mut self, id: CommittableId, (key, count): Counted) {
        let before = self.visible.insert(key, count).unwrap_or(0);
        if count != before + 1 {
            self.is_wrong(format!("{id} shows key {key} as {count} behind {before}"));
        }
    }

    /// The output of an undisturbed run: every key counted up to its last event, without a gap.
    pub(crate) fn compare(&mut self, input: &[Vec<u8>]) {
        let mut expected: BTreeMap<u8, u64> = BTreeMap::new();
        input.iter().flatten().for_each(|key| *expected.entry(*key).or_default() += 1);
        if self.visible != expected {
            self.is_wrong(format!("{:?} is visible, {expected:?} was to be", self.visible));
        }
    }

    /// One attempt at a time continues the chain, each from where it stands, with ascending numbers.
    fn look_at_chain(&mut self, slot: Slot, entry: &ChainEntry) {
        if self.history.last_key_value().is_some_and(|(youngest, _)| slot <= *youngest) {
            self.filled_again.insert(slot);
            let anew = matches!(entry, ChainEntry::Checkpoint(_)) && self.history.get(&slot) != Some(entry);
            if anew && self.obvious.is_none() {
                self.is_wrong(format!("{} decides something in slot {slot}, which is past", entry.attempt()));
            }
            return;
        }
        let stands_at = self.history.values().next_back().and_then(stands_at);
        let goes_on_from = match entry {
            ChainEntry::Claim(claim) => claim.restored,
            ChainEntry::Checkpoint(manifest) => manifest.parent,
        };
        // Where the obvious version is played, only the harm that it does counts.
        if goes_on_from != stands_at && self.obvious.is_none() {
            self.is_wrong(format!("slot {slot} goes on from {goes_on_from:?}, but the run stands at {stands_at:?}"));
        }
        if let (ChainEntry::Checkpoint(manifest), None) = (entry, self.obvious) {
            self.look_at_manifest(slot, manifest);
        }
        self.history.insert(slot, entry.clone());
        self.look_for_holes("when it was decided");
    }

    fn look_at_manifest(&mut self, slot: Slot, manifest: &Manifest) {
        if self.owner() != Some(manifest.attempt) {
            self.is_wrong(format!("slot {slot} is filled by {}, which is fenced", manifest.attempt));
        }
        if self.history.values().filter_map(number).any(|before| before >= manifest.checkpoint) {
            self.is_wrong(format!("checkpoint {} does not ascend", manifest.checkpoint));
        }
    }

    fn owner(&self) -> Option<AttemptId> {
        self.history.values().rev().find_map(|entry| match entry {
            ChainEntry::Claim(claim) => Some(claim.attempt),
            ChainEntry::Checkpoint(_) => None,
        })
    }

    /// The checkpoints that are to be kept have everything that they name.
    fn look_for_holes(&mut self, when: &str) {
        let kept = self.slots().into_iter().rev().filter(|slot| !self.filled_again.contains(slot));
        let kept = kept.filter_map(|slot| match self.history.get(&slot) {
            Some(ChainEntry::Checkpoint(manifest)) => Some(manifest),
            Some(ChainEntry::Claim(_)) | None => None,
        });
        let hole = kept.take(self.keep).find_map(|manifest| Some((manifest.checkpoint, self.hole(manifest)?)));
        if let Some((checkpoint, file)) = hole {
            self.is_wrong(format!("checkpoint {checkpoint} lacks {file} {when}"));
        }
    }

    fn hole(&self, manifest: &Manifest) -> Option<FileRef> {
        let open = manifest.committables.iter().filter(|one| !self.committed.contains(&one.id));
        let mut named: Vec<_> = open.flat_map(|one| one.files.iter().copied()).collect();
        for page in &manifest.pages {
            match self.objects.get(&self.folder.file(&page.file)) {
                Some(bytes) => named.extend(NodeSnapshot::decode(bytes).unwrap().files()),
                None => return Some(page.file),
            }
        }
        named.into_iter().find(|file| !self.objects.contains_key(&self.folder.file(file)))
    }
}

fn stands_at(entry: &ChainEntry) -> Option<CheckpointId> {
    match entry {
        ChainEntry::Claim(claim) => claim.restored,
        ChainEntry::Checkpoint(manifest) => Some(manifest.checkpoint),
    }
}

fn number(entry: &ChainEntry) -> Option<CheckpointId> {
    match entry {
        ChainEntry::Claim(_) => None,
        ChainEntry::Checkpoint(manifest) => Some(manifest.checkpoint),
    }
}

/// Counts as bytes: the files of the model, state and output alike.
pub(crate) fn encode(counted: impl IntoIterator<Item = Counted>) -> Vec<u8> {
    counted.into_iter().flat_map(|(key, count)| [&[key][..], &count.to_le_bytes()].concat()).collect()
}

/// The opposite of [`encode`].
pub(crate) fn decode(bytes: &[u8]) -> Vec<Counted> {
    bytes.chunks_exact(9).map(|one| (one[0], u64::from_le_bytes(one[1..].try_into().unwrap()))).collect()
}
