//! How an attempt begins: read the chain, decide, claim, look whether the claim holds, commit what was decided, sweep.
//! Each step by itself, so that anything may happen in between.

use std::collections::{BTreeMap, VecDeque};

use gristmill_checkpoint::chain::{Found, read_back};
use gristmill_checkpoint::lineage::{Lineage, Scan};
use gristmill_checkpoint::recovery::{Decision, Fact, Facts, Refusal, claim_holds, decide};
use gristmill_checkpoint::retention::{Retained, Splits, left_behind};
use gristmill_checkpoint::{ChainEntry, Claim, Committable, Manifest, NodeSnapshot, Slot};
use gristmill_types::{AttemptId, CheckpointId, RunId};

use crate::obvious::Obvious;
use crate::world::{Met, World};

/// What an attempt has taken over.
#[derive(Debug, Clone, Default)]
pub(crate) struct TakenOver {
    pub(crate) restored: Option<(Slot, Manifest)>,
    pub(crate) pages: Vec<NodeSnapshot>,
    pub(crate) retained: VecDeque<Retained>,
    pub(crate) given_up: Vec<Retained>,
    pub(crate) next_slot: u64,
    pub(crate) numbers_above: u64,
    /// Paths of what earlier attempts left behind, if all that names files could be read.
    pub(crate) left_behind: Option<Vec<String>>,
}

/// How far a takeover has come.
pub(crate) enum Takeover {
    /// Nothing is known yet.
    Reading,
    Claiming(Box<TakenOver>, Claim),
    /// The claim stands in its slot.
    Verifying(Box<TakenOver>),
    /// What the restored checkpoint lists is made visible, oldest first.
    Committing(Box<TakenOver>, VecDeque<Committable>),
    Done(Box<TakenOver>),
    /// A person must decide, or storage made no sense.
    Refused,
}

impl Takeover {
    /// Goes on by one step.
    pub(crate) fn step(self, me: AttemptId, world: &mut World) -> Self {
        match self {
            Self::Reading => read(me, world),
            Self::Claiming(taken, claim) => put_claim(taken, claim, world),
            Self::Verifying(taken) => {
                let claim = Slot(taken.next_slot - 1);
                let restored = taken.restored.as_ref().map(|(slot, _)| *slot);
                if !world.plays(Obvious::TrustsItsClaim) && !claim_holds(claim, restored, &world.slots()) {
                    world.meet(Met::ClaimDidNotHold);
                    return Self::Reading;
                }
                let decided = taken.restored.as_ref().map(|(_, manifest)| manifest.committables.clone());
                let forgotten = world.plays(Obvious::ForgetsWhatWasNotCommitted);
                Self::Committing(taken, if forgotten { VecDeque::new() } else { decided.unwrap_or_default().into() })
            }
            Self::Committing(mut taken, mut open) => match open.front() {
                Some(committable) => {
                    if world.commit(committable).is_ok() {
                        open.pop_front();
                    }
                    Self::Committing(taken, open)
                }
                None => {
                    if world.plays(Obvious::SweepsWhatItFindsLater) && taken.left_behind.is_some() {
                        let own = format!("{}/{me}/", world.folder.files());
                        let listed = world.list(&world.folder.files());
                        let mut found = left_behind(&world.folder, listed, &taken.retained);
                        found.retain(|path| !path.starts_with(&own));
                        taken.left_behind = Some(found);
                    }
                    Self::Done(taken)
                }
            },
            done @ (Self::Done(_) | Self::Refused) => done,
        }
    }
}

fn read(me: AttemptId, world: &mut World) -> Takeover {
    let (mut facts, mut pages_of) = (Facts::default(), BTreeMap::new());
    let mut scan = Scan::of(world.slots());
    while let Some(slot) = scan.next() {
        let path = world.folder.slot(slot);
        let Some(record) = world.get(&path) else { continue };
        let fact = match read_back(&record) {
            Ok(Found { entry: ChainEntry::Claim(claim), .. }) => Fact::Claim(claim),
            Ok(Found { entry: ChainEntry::Checkpoint(manifest), .. }) => match read_pages(&manifest, world) {
                Some(pages) => {
                    pages_of.insert(slot, pages);
                    Fact::Checkpoint(Box::new(manifest))
                }
                None => Fact::Incomplete(Box::new(manifest), "a page is missing or torn".to_owned()),
            },
            Err(damaged) => Fact::Damaged(damaged),
        };
        scan.found(&fact);
        facts.slots.insert(0, (slot, fact));
    }
    let mut decision = decide(&facts);
    if let Decision::Refuse(Refusal::Unusable { fallback, .. }) = &decision
        && world.plays(Obvious::SkipsWhatItCannotRead)
    {
        facts.accepted = Some(fallback.unwrap_or(CheckpointId(0)));
        decision = decide(&facts);
    }
    let (restored, claim_slot, numbers_above) = match decision {
        Decision::Begin { claim, numbers_above } => (None, claim, numbers_above),
        Decision::Restore { slot, manifest, claim, numbers_above } => (Some((slot, *manifest)), claim, numbers_above),
        Decision::Refuse(_) => return Takeover::Refused,
    };
    let lineage = Lineage::of(&facts, restored.as_ref().map(|(slot, _)| *slot), world.keep);
    let claim = Claim {
        job: "orders".parse().unwrap(),
        run: RunId(1),
        attempt: me,
        host: "here".to_owned(),
        at_ms: 0,
        restored: restored.as_ref().map(|(_, manifest)| manifest.checkpoint),
        numbers_above,
        before: Some(lineage.before(&facts)),
    };
    let pages = restored.as_ref().map(|(slot, _)| pages_of[slot].clone()).unwrap_or_default();
    let named = |slots: &[Slot]| slots.iter().map(|slot| named(*slot, &facts, &pages_of)).collect::<Vec<_>>();
    let (retained, given_up) = (named(&lineage.kept), named(&lineage.given_up));
    // What cannot be read now may be readable later, and what it names is not known: nothing is swept.
    let left_behind = lineage.unclear.is_empty().then(|| {
        let slots = lineage.settled.iter().map(|slot| world.folder.slot(*slot));
        let files = world.list(&world.folder.files());
        slots.chain(left_behind(&world.folder, files, retained.iter().chain(&given_up))).collect()
    });
    let taken = TakenOver {
        restored,
        pages,
        retained: retained.into(),
        given_up,
        next_slot: claim_slot.0 + 1,
        numbers_above: numbers_above.0,
        left_behind,
    };
    Takeover::Claiming(Box::new(taken), claim)
}

fn put_claim(mut taken: Box<TakenOver>, claim: Claim, world: &mut World) -> Takeover {
    let slot = Slot(taken.next_slot - 1);
    if world.plays(Obvious::ClaimsNothing) {
        taken.next_slot = slot.0;
        return Takeover::Committing(
            taken.clone(),
            taken.restored.map(|(_, one)| one.committables.into()).unwrap_or_default(),
        );
    }
    let entry = ChainEntry::Claim(claim.clone());
    match world.put_into_slot(slot, &entry) {
        Ok(true) => Takeover::Verifying(taken),
        Ok(false) => {
            let path = world.folder.slot(slot);
            if world.get(&path) == Some(entry.encode()) { Takeover::Verifying(taken) } else { Takeover::Reading }
        }
        Err(_) => Takeover::Claiming(taken, claim),
    }
}

fn read_pages(manifest: &Manifest, world: &mut World) -> Option<Vec<NodeSnapshot>> {
    let paths = manifest.pages.iter().map(|page| world.folder.file(&page.file)).collect::<Vec<_>>();
    paths.iter().map(|path| NodeSnapshot::decode(&world.get(path)?).ok()).collect()
}

/// A checkpoint that is whole, with all that it names.
fn named(slot: Slot, facts: &Facts, pages_of: &BTreeMap<Slot, Vec<NodeSnapshot>>) -> Retained {
    let (_, fact) = facts.slots.iter().find(|(at, _)| *at == slot).expect("the lineage is made of these facts");
    let Fact::Checkpoint(manifest) = fact else { unreachable!("only what is whole is kept") };
    let mut files = manifest.files();
    files.extend(pages_of[&slot].iter().flat_map(NodeSnapshot::files));
    Retained { slot, checkpoint: manifest.checkpoint, files, splits: Splits::new() }
}
