//! What an attempt goes on from: the facts found in the chain, and the decision.
//!
//! What stands in the chain is decided, so its output may be visible already. Going back behind it would make that
//! output once more. So a checkpoint that is damaged is never skipped in silence: the job stops and asks. One that was
//! never decided left only files that nothing names.

use gristmill_types::CheckpointId;

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

/// All that bears on the decision.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Every filled slot, ascending; one that was gone when it was to be read is not filled. The oldest may be left out.
    pub slots: Vec<(Slot, Fact)>,
    /// A checkpoint that somebody accepted to go on from, whatever it repeats.
    pub accepted: Option<CheckpointId>,
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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The newest checkpoint cannot be used, and its output may be visible.
    #[error(
        "checkpoint {name} cannot be used: {why}. Its output may have been committed already, so going back {} \
         would repeat what it wrote. Restore the file from a backup, or accept that: \
         gristmill job restart JOB --accept {}",
        fallback.map_or_else(|| "to the beginning".to_owned(), |checkpoint| format!("to checkpoint {checkpoint}")),
        fallback.map_or(0, |checkpoint| checkpoint.0)
    )]
    Unusable {
        /// The checkpoint's number, or its slot if it cannot be read.
        name: String,
        /// What is wrong with it.
        why: String,
        /// The newest usable one; accepting `0` begins at the beginning.
        fallback: Option<CheckpointId>,
    },
    /// A newer host was here.
    #[error("slot {slot} of the chain: {why}")]
    Newer {
        /// Where.
        slot: Slot,
        /// Which versions.
        why: Damaged,
    },
    /// What was accepted is not there.
    #[error(
        "checkpoint {0} is not in the chain or cannot be used; `gristmill job checkpoints JOB` lists those that can"
    )]
    NoSuchCheckpoint(CheckpointId),
}

/// What cannot be read had a number too. So many are left free for it: at one a second, those of eleven days.
const ROOM_FOR_UNREADABLE: u64 = 1_000_000;

/// Decides. Pure; ask again with [`Fact::Incomplete`] if what was chosen turns out not to be whole.
///
/// The last slot says where the run stands: a checkpoint is what it goes on from, and a claim says what its attempt went
/// on from. What stands before a claim and is younger than that was given up by a person, once and for all.
#[must_use]
pub fn decide(facts: &Facts) -> Decision {
    let claim = facts.slots.last().map_or(Slot(0), |(slot, _)| slot.next());
    let numbers_above = numbers_above(facts);
    let restore = |slot: Slot, manifest: &Manifest| Decision::Restore {
        slot,
        manifest: Box::new(manifest.clone()),
        claim,
        numbers_above,
    };
    if let Some(accepted) = facts.accepted {
        return match usable(facts).find(|(_, manifest)| manifest.checkpoint == accepted) {
            Some((slot, manifest)) => restore(slot, manifest),
            None if accepted == CheckpointId(0) => Decision::Begin { claim, numbers_above },
            None => Decision::Refuse(Refusal::NoSuchCheckpoint(accepted)),
        };
    }
    let standing = match facts.slots.last() {
        None | Some((_, Fact::Claim(Claim { restored: None, .. }))) => return Decision::Begin { claim, numbers_above },
        Some((_, Fact::Claim(Claim { restored: Some(restored), .. }))) => {
            let Some(standing) = checkpoints(facts).find(|(_, manifest, _)| manifest.checkpoint == *restored) else {
                let why = "its record is gone from the chain, or cannot be read";
                return refuse(facts, claim, restored.to_string(), why.to_owned());
            };
            standing
        }
        Some((slot, Fact::Damaged(why @ Damaged::Newer { .. }))) => {
            return Decision::Refuse(Refusal::Newer { slot: *slot, why: why.clone() });
        }
        Some((slot, Fact::Damaged(why))) => return refuse(facts, *slot, format!("in slot {slot}"), why.to_string()),
        Some((slot, Fact::Checkpoint(manifest))) => (*slot, &**manifest, None),
        Some((slot, Fact::Incomplete(manifest, why))) => (*slot, &**manifest, Some(why.as_str())),
    };
    match standing {
        (slot, manifest, None) => restore(slot, manifest),
        (slot, manifest, Some(why)) => refuse(facts, slot, manifest.checkpoint.to_string(), why.to_owned()),
    }
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
fn refuse(facts: &Facts, refused: Slot, name: String, why: String) -> Decision {
    let fallback = usable(facts).find(|(slot, _)| *slot < refused).map(|(_, manifest)| manifest.checkpoint);
    Decision::Refuse(Refusal::Unusable { name, why, fallback })
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
    CheckpointId(known.flatten().max().unwrap_or(0) + room)
}

#[cfg(test)]
mod tests;
