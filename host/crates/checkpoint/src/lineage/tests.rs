//! Chains as a word for each slot, and what becomes of their checkpoints.

use gristmill_types::{CheckpointKind, MaxParallelism, RunId};

use super::*;
use crate::framed::Damaged;

fn cp(checkpoint: u64, parent: u64) -> Fact {
    Fact::Checkpoint(Box::new(Manifest {
        job: "orders".parse().unwrap(),
        run: RunId(1),
        attempt: AttemptId(1),
        checkpoint: CheckpointId(checkpoint),
        parent: (parent > 0).then_some(CheckpointId(parent)),
        kind: CheckpointKind::Checkpoint,
        is_final: false,
        started_ms: 0,
        completed_ms: 0,
        max_parallelism: MaxParallelism::DEFAULT,
        pages: Vec::new(),
        committables: Vec::new(),
        canaries: Vec::new(),
    }))
}

fn holed(checkpoint: u64, parent: u64) -> Fact {
    let Fact::Checkpoint(manifest) = cp(checkpoint, parent) else { unreachable!("it was just made") };
    Fact::Incomplete(manifest, "a page is missing".to_owned())
}

const TORN: Fact = Fact::Damaged(Damaged::Checksum);

/// A claim by attempt `n`, in a chain that has checkpoints in these slots.
fn claim(attempt: u64, restored: u64, before: Option<(&[u64], &[u64])>) -> Fact {
    Fact::Claim(Claim {
        job: "orders".parse().unwrap(),
        run: RunId(1),
        attempt: AttemptId(attempt),
        host: "here".to_owned(),
        at_ms: 0,
        restored: (restored > 0).then_some(CheckpointId(restored)),
        numbers_above: CheckpointId(restored),
        before: before.map(|(checkpoints, attempts)| Before {
            checkpoints: checkpoints.iter().copied().map(Slot).collect(),
            attempts: attempts.iter().copied().map(AttemptId).collect(),
        }),
    })
}

fn new(restored: u64) -> Fact {
    claim(1, restored, None)
}

fn facts(slots: Vec<Fact>) -> Facts {
    Facts { slots: (0..).map(Slot).zip(slots).collect(), accepted: None, newest: None }
}

/// `kept; given up; settled; unclear`, as slots.
fn in_words(restored: Option<u64>, keep: usize, slots: Vec<Fact>) -> String {
    let Lineage { kept, given_up, settled, unclear } = Lineage::of(&facts(slots), restored.map(Slot), keep);
    let words = |slots: Vec<Slot>| slots.iter().map(|slot| slot.0.to_string()).collect::<Vec<_>>().join(" ");
    [kept, given_up, settled, unclear].map(words).join(";")
}

#[test]
fn ancestors_are_kept_and_nothing_that_a_person_gave_up() {
    let table = [
        ("a run that goes on", Some(3), 3, vec![new(0), cp(1, 0), cp(2, 1), cp(3, 2)], "1 2 3;;;"),
        ("across attempts", Some(3), 3, vec![new(0), cp(1, 0), new(1), cp(2, 1)], "1 3;;;"),
        ("just given up", Some(1), 3, vec![new(0), cp(1, 0), cp(2, 1), cp(3, 2)], "1;2 3;;"),
        ("before the attempt that did so", Some(1), 3, vec![new(0), cp(1, 0), cp(2, 1), new(1)], "1;2;;"),
        ("given up long ago", Some(5), 3, vec![new(0), cp(1, 0), cp(2, 1), cp(3, 2), new(1), cp(4, 1)], "1 5;;3 2;"),
        ("all of them, just now", None, 3, vec![new(0), cp(1, 0), cp(2, 1)], ";1 2;;"),
        ("all of them, long ago", Some(3), 3, vec![new(0), cp(1, 0), new(0), cp(2, 0)], "3;;1;"),
        ("retired, and not deleted", Some(2), 1, vec![new(0), cp(1, 0), cp(3, 2)], "2;;1;"),
        ("wanted back after all", Some(2), 3, vec![new(0), cp(1, 0), cp(2, 1), new(1), cp(3, 1)], "1 2;4;;"),
    ];
    for (chain, restored, keep, slots, words) in table {
        assert_eq!(in_words(restored, keep, slots), words, "{chain}");
    }
}

#[test]
fn what_cannot_be_read_is_unclear_until_it_is_not_wanted_any_more() {
    let table = [
        ("just given up", Some(1), 3, vec![new(0), cp(1, 0), TORN, holed(3, 2)], "1;;;2 3"),
        ("given up long ago", Some(5), 3, vec![new(0), cp(1, 0), TORN, holed(3, 2), new(1), cp(4, 1)], "1 5;;3;"),
        ("a torn parent", Some(3), 3, vec![new(0), cp(1, 0), TORN, cp(3, 2)], "3;;;1 2"),
        ("a torn parent, and no more are kept", Some(3), 1, vec![new(0), cp(1, 0), TORN, cp(3, 2)], "3;;1;"),
        ("an ancestor with holes", Some(3), 3, vec![new(0), cp(1, 0), holed(2, 1), cp(3, 2)], "1 3;;;2"),
        ("one too many, with holes", Some(3), 1, vec![new(0), cp(1, 0), holed(2, 1), cp(3, 2)], "1 3;;2;"),
        ("before all began", Some(2), 3, vec![new(0), TORN, cp(2, 0)], "2;;;"),
    ];
    for (chain, restored, keep, slots, words) in table {
        assert_eq!(in_words(restored, keep, slots), words, "{chain}");
    }
}

/// The slots that a scan reads.
fn read(slots: Vec<Fact>) -> Vec<u64> {
    let chain = facts(slots).slots;
    let mut scan = Scan::of(chain.iter().map(|(slot, _)| *slot).collect());
    let mut read = Vec::new();
    while let Some(slot) = scan.next() {
        let (_, fact) = &chain[slot.0 as usize];
        scan.found(fact);
        read.push(slot.0);
    }
    read
}

#[test]
fn the_chain_is_read_down_to_the_newest_claim_and_what_that_names() {
    let named = |slots: &'static [u64]| claim(2, 1, Some((slots, &[])));
    assert_eq!(read(vec![new(0), cp(1, 0), new(1), named(&[1]), cp(2, 1)]), [4, 3, 1]);
    assert_eq!(read(vec![new(0), cp(1, 0), named(&[1]), named(&[1])]), [3, 1], "however many claims there are");
    assert_eq!(read(vec![new(0), cp(1, 0), TORN]), [2, 1, 0]);
    assert_eq!(read(vec![new(0), cp(1, 0), named(&[1]), TORN]), [3, 2, 1]);
    assert_eq!(read(vec![new(0), cp(1, 0), new(1)]), [2, 1, 0], "claims of version 1 name nothing");
}

#[test]
fn a_claim_names_all_that_may_be_wanted_and_the_attempts_before_it() {
    let chain = facts(vec![claim(7, 0, Some((&[], &[5, 6]))), cp(1, 0), TORN, claim(8, 1, None)]);
    let before = Lineage::of(&chain, Some(Slot(1)), 2).before(&chain);
    assert_eq!(before.checkpoints, [Slot(1), Slot(2)]);
    assert_eq!(before.attempts, [5, 6, 7, 1, 8].map(AttemptId));
    let many = facts((0..100).map(|attempt| claim(attempt, 0, None)).collect());
    let before = Lineage::of(&many, None, 2).before(&many);
    assert_eq!((before.attempts.len(), before.attempts.last()), (MOST_ATTEMPTS, Some(&AttemptId(99))));
}
