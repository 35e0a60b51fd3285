//! What the checkpoints in the chain are to the one that is gone on from: its ancestors are kept, all others go.
//!
//! A person may give checkpoints up; they stand in the chain like those that are kept, and older than what comes after.
//! Only the names of parents tell them apart. What is read, what is kept and what goes is decided here for whoever reads.

use gristmill_types::{AttemptId, CheckpointId};

use crate::chain::{Before, Claim, Slot};
use crate::manifest::Manifest;
use crate::recovery::{Fact, Facts};

/// So many attempts are remembered as ones that may have left something staged. Each of them throws away what those
/// before it left, before it stages anything.
const MOST_ATTEMPTS: usize = 64;

/// The slots that are to be read, the newest first: down to the newest claim, and what that says stands before it.
/// Claims are never deleted; a run that starts again for years does not read all of them.
#[derive(Debug)]
pub struct Scan {
    /// Ascending.
    left: Vec<Slot>,
    is_bounded: bool,
}

impl Scan {
    /// The scan of a chain with these slots.
    #[must_use]
    pub fn of(mut listed: Vec<Slot>) -> Self {
        listed.sort_unstable();
        Self { left: listed, is_bounded: false }
    }

    /// Says what stands in the slot that was given last.
    pub fn found(&mut self, fact: &Fact) {
        if let (Fact::Claim(Claim { before: Some(before), .. }), false) = (fact, self.is_bounded) {
            self.left.retain(|slot| before.checkpoints.contains(slot));
            self.is_bounded = true;
        }
    }
}

impl Iterator for Scan {
    type Item = Slot;

    fn next(&mut self) -> Option<Slot> {
        self.left.pop()
    }
}

/// The checkpoints of a chain, told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lineage {
    /// The one that is gone on from and its ancestors, oldest first.
    pub kept: Vec<Slot>,
    /// Younger than the one that is gone on from, so a person has given them up, and may yet want them: they go once
    /// another checkpoint is decided.
    pub given_up: Vec<Slot>,
    /// Given up, or not kept any more, before a checkpoint that is kept was decided: they go.
    pub settled: Vec<Slot>,
    /// May be an ancestor, or be wanted yet, and cannot be read, or not whole. Nobody knows which files it names.
    pub unclear: Vec<Slot>,
}

impl Lineage {
    /// Tells the checkpoints apart. `restored` is where the one stands that is gone on from; so many are kept.
    #[must_use]
    pub fn of(facts: &Facts, restored: Option<Slot>, keep: usize) -> Self {
        let mut lineage = Self::default();
        let is_younger = |slot: Slot| restored.is_none_or(|restored| slot > restored);
        let (line, above) = facts.slots.split_at(facts.slots.partition_point(|(slot, _)| !is_younger(*slot)));
        for (slot, fact) in above {
            match fact {
                Fact::Claim(_) => {}
                Fact::Checkpoint(_) => lineage.given_up.push(*slot),
                Fact::Incomplete(..) | Fact::Damaged(_) => lineage.unclear.push(*slot),
            }
        }
        lineage.follow(line, keep.max(1));
        lineage.kept.reverse();
        lineage
    }

    /// From the newest of these slots, which is gone on from, to the oldest.
    fn follow(&mut self, line: &[(Slot, Fact)], keep: usize) {
        let Some(mut wanted) = line.last().and_then(|(_, fact)| manifest(fact)).map(|newest| Some(newest.checkpoint))
        else {
            return;
        };
        // Records between two of the line that cannot be read: one of them may be the parent that is looked for.
        let mut unread: Vec<Slot> = Vec::new();
        for (slot, fact) in line.iter().rev() {
            let Some(manifest) = manifest(fact) else {
                if matches!(fact, Fact::Damaged(_)) {
                    unread.push(*slot);
                }
                continue;
            };
            let is_enough = self.kept.len() >= keep;
            if wanted == Some(manifest.checkpoint) {
                unread.clear();
                wanted = manifest.parent;
                match fact {
                    Fact::Incomplete(..) if !is_enough => self.unclear.push(*slot),
                    Fact::Incomplete(..) => self.settled.push(*slot),
                    Fact::Claim(_) | Fact::Checkpoint(_) | Fact::Damaged(_) => self.kept.push(*slot),
                }
            } else if is_older(manifest.checkpoint, wanted) && !unread.is_empty() && !is_enough {
                self.unclear.push(*slot);
            } else {
                self.settled.push(*slot);
            }
        }
        if wanted.is_some() && self.kept.len() < keep {
            self.unclear.extend(unread);
        }
    }

    /// What a claim says of this chain.
    #[must_use]
    pub fn before(&self, facts: &Facts) -> Before {
        let parts = [&self.kept, &self.given_up, &self.settled, &self.unclear];
        let mut checkpoints: Vec<Slot> = parts.into_iter().flatten().copied().collect();
        checkpoints.sort_unstable();
        let mut attempts = earlier(facts);
        attempts.drain(..attempts.len().saturating_sub(MOST_ATTEMPTS));
        Before { checkpoints, attempts }
    }
}

fn is_older(checkpoint: CheckpointId, than: Option<CheckpointId>) -> bool {
    than.is_some_and(|than| checkpoint < than)
}

fn manifest(fact: &Fact) -> Option<&Manifest> {
    match fact {
        Fact::Checkpoint(manifest) | Fact::Incomplete(manifest, _) => Some(manifest),
        Fact::Claim(_) | Fact::Damaged(_) => None,
    }
}

/// Attempts that were there before, oldest first, as far as they can have left anything staged.
#[must_use]
pub fn earlier(facts: &Facts) -> Vec<AttemptId> {
    let mut attempts = Vec::new();
    let mut note = |attempt: AttemptId| {
        if !attempts.contains(&attempt) {
            attempts.push(attempt);
        }
    };
    for (_, fact) in &facts.slots {
        match fact {
            Fact::Claim(claim) => {
                claim.before.iter().flat_map(|before| &before.attempts).copied().for_each(&mut note);
                note(claim.attempt);
            }
            Fact::Checkpoint(manifest) | Fact::Incomplete(manifest, _) => note(manifest.attempt),
            Fact::Damaged(_) => {}
        }
    }
    attempts
}

#[cfg(test)]
mod tests;
