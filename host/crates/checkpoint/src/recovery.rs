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
    /// Every filled slot, ascending.
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
    #[error("checkpoint {0} is not in the chain or cannot be used; `gristmill job checkpoints JOB` lists those that can")]
    NoSuchCheckpoint(CheckpointId),
}

/// Decides. Pure; ask again with [`Fact::Incomplete`] if what was chosen turns out not to be whole.
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
    for (slot, fact) in &facts.slots {
        if let Fact::Damaged(why @ Damaged::Newer { .. }) = fact {
            return Decision::Refuse(Refusal::Newer { slot: *slot, why: why.clone() });
        }
    }
    if let Some(accepted) = facts.accepted {
        return match usable(facts).find(|(_, manifest)| manifest.checkpoint == accepted) {
            Some((slot, manifest)) => restore(slot, manifest),
            None if accepted == CheckpointId(0) => Decision::Begin { claim, numbers_above },
            None => Decision::Refuse(Refusal::NoSuchCheckpoint(accepted)),
        };
    }
    // The newest claim says where its attempt went on from: what stands between was given up.
    let mut given_up_above = None;
    for (slot, fact) in facts.slots.iter().rev() {
        let number = match fact {
            Fact::Claim(Claim { restored: None, .. }) if given_up_above.is_none() => break,
            Fact::Claim(claim) => {
                given_up_above = given_up_above.or(claim.restored);
                continue;
            }
            Fact::Checkpoint(manifest) | Fact::Incomplete(manifest, _) => Some(manifest.checkpoint),
            Fact::Damaged(_) => None,
        };
        if given_up_above.is_some() && number != given_up_above {
            continue;
        }
        let (name, why) = match fact {
            Fact::Claim(_) => unreachable!("claims were told apart above"),
            Fact::Checkpoint(manifest) => return restore(*slot, manifest),
            Fact::Incomplete(manifest, why) => (manifest.checkpoint.to_string(), why.clone()),
            Fact::Damaged(why) => (format!("in slot {slot}"), why.to_string()),
        };
        return refuse(facts, name, why);
    }
    match given_up_above {
        Some(missing) => refuse(facts, missing.to_string(), "it is not in the chain any more".to_owned()),
        None => Decision::Begin { claim, numbers_above },
    }
}

fn refuse(facts: &Facts, name: String, why: String) -> Decision {
    let fallback = usable(facts).map(|(_, manifest)| manifest.checkpoint).next();
    Decision::Refuse(Refusal::Unusable { name, why, fallback })
}

/// Checkpoints that can be restored, newest first.
fn usable(facts: &Facts) -> impl Iterator<Item = (Slot, &Manifest)> {
    facts.slots.iter().rev().filter_map(|(slot, fact)| match fact {
        Fact::Checkpoint(manifest) => Some((*slot, &**manifest)),
        Fact::Claim(_) | Fact::Incomplete(..) | Fact::Damaged(_) => None,
    })
}

fn numbers_above(facts: &Facts) -> CheckpointId {
    let numbers = facts.slots.iter().map(|(_, fact)| match fact {
        Fact::Claim(claim) => claim.numbers_above,
        Fact::Checkpoint(manifest) | Fact::Incomplete(manifest, _) => manifest.checkpoint,
        Fact::Damaged(_) => CheckpointId(0),
    });
    numbers.max().unwrap_or(CheckpointId(0))
}
