//! What an attempt goes on from: the facts found in the chain, and the decision.
//!
//! What stands in the chain is decided, so its output may be visible already. Going back behind it would make that
//! output once more. So a checkpoint that is damaged is never skipped in silence: the job stops and asks. One that was
//! never decided left only files that nothing names.

use gristmill_types::{CheckpointId, JobId};
use serde::{Deserialize, Serialize};

use crate::chain::{Claim, Slot};
use crate::framed::Damaged;
use crate::manifest::Manifest;

/// What a slot was found to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// An attempt began here.
    Claim(Claim),
    /// A checkpoint; whatever it names was not looked at yet, or found whole.
    Checkpoint(Box<Manifest>),
    /// A checkpoint that names something which is missing or damaged; the sentence says what.
    Incomplete(Box<Manifest>, String),
    /// A record that cannot be read.
    Damaged(Damaged),
}

/// A checkpoint that was decided, as somebody beside the chain remembers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Its slot in the chain.
    pub slot: Slot,
    /// Its number.
    pub checkpoint: CheckpointId,
}

/// All that bears on the decision.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Every filled slot, ascending; one that was gone when it was to be read is not filled. Left out is what the newest
    /// claim does not name.
    pub slots: Vec<(Slot, Fact)>,
    /// A checkpoint that somebody accepted to go on from, whatever it repeats.
    pub accepted: Option<CheckpointId>,
    /// The newest checkpoint that is known to have been decided, if anybody remembers one. There may be newer ones.
    pub newest: Option<Decided>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing was ever decided: begin at the beginning.
    Begin {
        /// The slot to claim.
        claim: Slot,
        /// Checkpoints must have higher numbers.
        numbers_above: CheckpointId,
    },
    /// Go on from this one.
    Restore {
        /// Where it stands.
        slot: Slot,
        /// The checkpoint.
        manifest: Box<Manifest>,
        /// The slot to claim.
        claim: Slot,
        /// Checkpoints must have higher numbers.
        numbers_above: CheckpointId,
    },
    /// Do nothing; a person must decide.
    Refuse(Refusal),
}

/// Why nobody but a person can decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The newest checkpoint cannot be used, and its output may be visible.
    Unusable {
        /// The checkpoint's number, or its slot if it cannot be read.
        name: String,
        /// Where its record is, or was, if that is known.
        slot: Option<Slot>,
        /// What is wrong with it.
        why: String,
        /// The newest usable one; accepting `0` begins at the beginning.
        fallback: Option<CheckpointId>,
    },
    /// A newer host was here.
    Newer {
        /// Where.
        slot: Slot,
        /// Which versions.
        why: Damaged,
    },
    /// What was accepted is not there.
    NoSuchCheckpoint(CheckpointId),
}

impl Refusal {
    /// The sentence for people. `path` says where the record of a slot lies.
    #[must_use]
    pub fn told(&self, job: &JobId, path: impl Fn(Slot) -> String) -> String {
        match self {
            Self::Unusable { name, slot, why, fallback } => format!(
                "checkpoint {name}{} cannot be used: {why}. Its output may have been committed already, so going back {} \
                 would repeat what it wrote. Restore the file from a backup, or accept that: \
                 gristmill job restart {job} --accept {}",
                slot.map(|slot| format!(", whose record is `{}`,", path(slot))).unwrap_or_default(),
                fallback.map_or_else(|| "to the beginning".to_owned(), |one| format!("to checkpoint {one}")),
                fallback.map_or(0, |one| one.0),
            ),
            Self::Newer { slot, why } => format!("the record `{}` of a checkpoint: {why}", path(*slot)),
            Self::NoSuchCheckpoint(checkpoint) => format!(
                "checkpoint {checkpoint} is not in storage or cannot be used; `gristmill job checkpoints {job}` lists those \
                 that are there"
            ),
        }
    }
}

/// What cannot be read had a number too. So many are left free for it: at one a second, those of eleven days.
const ROOM_FOR_UNREADABLE: u64 = 1_000_000;

/// Decides. Pure; ask again with [`Fact::Incomplete`] if what was chosen turns out not to be whole.
///
/// The last slot says where the run stands: a checkpoint is what it goes on from, and a claim says what its attempt went
/// on from. What stands before a claim and is younger than that was given up by a person, once and for all.
#[must_use]
pub fn decide(facts: &Facts) -> Decision {
    let end = facts.slots.last().map(|(slot, _)| *slot);
    // Behind what is gone from the chain too: whoever still runs and put it there goes on in the slot behind it.
    let claim = end.max(facts.newest.map(|newest| newest.slot)).map_or(Slot(0), Slot::next);
    let numbers_above = numbers_above(facts);
    let restore = |slot: Slot, manifest: &Manifest| Decision::Restore {
        slot,
        manifest: Box::new(manifest.clone()),
        claim,
        numbers_above,
    };
    if let Some(accepted) = facts.accepted {
        // The oldest: what has the same number and stands behind it is out of its place.
        return match usable(facts).filter(|(_, manifest)| manifest.checkpoint == accepted).last() {
            Some((slot, manifest)) => restore(slot, manifest),
            None if accepted == CheckpointId(0) => Decision::Begin { claim, numbers_above },
            None => Decision::Refuse(Refusal::NoSuchCheckpoint(accepted)),
        };
    }
    if let Some(newest) = facts.newest.filter(|newest| end.is_none_or(|end| end < newest.slot)) {
        let why = format!("its record is gone: slot {} of the chain, which it filled, is not there", newest.slot);
        return refuse(facts, newest.slot, Some(newest.slot), newest.checkpoint.to_string(), why);
    }
    if let Some((slot, why)) = end.and_then(|end| Some((end, out_of_place(facts, end)?))) {
        return refuse(facts, slot, Some(slot), format!("in slot {slot}"), why);
    }
    let standing = match facts.slots.last() {
        None | Some((_, Fact::Claim(Claim { restored: None, .. }))) => return Decision::Begin { claim, numbers_above },
        Some((_, Fact::Claim(Claim { restored: Some(restored), .. }))) => {
            let Some(standing) = checkpoints(facts).filter(|(_, manifest, _)| manifest.checkpoint == *restored).last()
            else {
                let why = "its record is gone from the chain, or cannot be read";
                let slot = facts.newest.filter(|newest| newest.checkpoint == *restored).map(|newest| newest.slot);
                return refuse(facts, claim, slot, restored.to_string(), why.to_owned());
            };
            standing
        }
        Some((slot, Fact::Damaged(why @ Damaged::Newer { .. }))) => {
            return Decision::Refuse(Refusal::Newer { slot: *slot, why: why.clone() });
        }
        Some((slot, Fact::Damaged(why))) => {
            return refuse(facts, *slot, Some(*slot), format!("in slot {slot}"), why.to_string());
        }
        Some((slot, Fact::Checkpoint(manifest))) => (*slot, &**manifest, None),
        Some((slot, Fact::Incomplete(manifest, why))) => (*slot, &**manifest, Some(why.as_str())),
    };
    match standing {
        (slot, manifest, None) => restore(slot, manifest),
        (slot, manifest, Some(why)) => refuse(facts, slot, Some(slot), manifest.checkpoint.to_string(), why.to_owned()),
    }
}

/// Why the checkpoint in this slot cannot be the one that was put there: numbers ascend along a chain.
#[must_use]
pub fn out_of_place(facts: &Facts, slot: Slot) -> Option<String> {
    let numbered =
        |one: Slot| checkpoints(facts).find(|(at, ..)| *at == one).map(|(_, manifest, _)| manifest.checkpoint);
    let number = numbered(slot)?;
    if let Some(newest) = facts.newest.filter(|newest| newest.slot == slot && newest.checkpoint != number) {
        return Some(format!("it is checkpoint {number}, where checkpoint {} was put", newest.checkpoint));
    }
    let (before, manifest, _) =
        checkpoints(facts).find(|(at, manifest, _)| *at < slot && manifest.checkpoint >= number)?;
    Some(format!("it is checkpoint {number}, and stands behind checkpoint {} in slot {before}", manifest.checkpoint))
}

/// Whether a claim that was just put into its slot holds; if not, nothing was claimed, and all is to be read anew.
///
/// Checkpoints that are not kept leave their slots free. Whoever read the chain long ago and goes on only now may put a
/// claim into one of these, and would go on from what others left long behind. `restored` is where the checkpoint stands
/// that the claim goes on from, `listed` every filled slot, listed after the claim was put: a younger slot, or that
/// checkpoint's absence, says that the chain had gone on.
#[must_use]
pub fn claim_holds(claim: Slot, restored: Option<Slot>, listed: &[Slot]) -> bool {
    listed.iter().max() == Some(&claim) && restored.is_none_or(|slot| listed.contains(&slot))
}

/// `fallback` is older than what is refused: what is younger was refused or given up before.
fn refuse(facts: &Facts, refused: Slot, slot: Option<Slot>, name: String, why: String) -> Decision {
    let fallback = usable(facts).find(|(slot, _)| *slot < refused).map(|(_, manifest)| manifest.checkpoint);
    Decision::Refuse(Refusal::Unusable { name, slot, why, fallback })
}

/// Checkpoints whose record can be read, newest first, and why they cannot be used.
fn checkpoints(facts: &Facts) -> impl Iterator<Item = (Slot, &Manifest, Option<&str>)> {
    facts.slots.iter().rev().filter_map(|(slot, fact)| match fact {
        Fact::Checkpoint(manifest) => Some((*slot, &**manifest, None)),
        Fact::Incomplete(manifest, why) => Some((*slot, &**manifest, Some(why.as_str()))),
        Fact::Claim(_) | Fact::Damaged(_) => None,
    })
}

/// Checkpoints that can be restored, newest first.
fn usable(facts: &Facts) -> impl Iterator<Item = (Slot, &Manifest)> {
    checkpoints(facts).filter(|(_, _, why)| why.is_none()).map(|(slot, manifest, _)| (slot, manifest))
}

fn numbers_above(facts: &Facts) -> CheckpointId {
    let known = facts.slots.iter().map(|(_, fact)| match fact {
        Fact::Claim(claim) => Some(claim.numbers_above.0),
        Fact::Checkpoint(manifest) | Fact::Incomplete(manifest, _) => Some(manifest.checkpoint.0),
        Fact::Damaged(_) => None,
    });
    let ends_unreadable = matches!(facts.slots.last(), Some((_, Fact::Damaged(_))));
    let room = if ends_unreadable { ROOM_FOR_UNREADABLE } else { 0 };
    let newest = facts.newest.map(|newest| newest.checkpoint.0);
    CheckpointId(known.flatten().chain(newest).max().unwrap_or(0) + room)
}

#[cfg(test)]
mod tests;
