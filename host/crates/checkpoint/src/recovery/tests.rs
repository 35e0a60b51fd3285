//! What is gone on from, fact by fact. A chain is written as a word for each slot.

use gristmill_types::{AttemptId, CheckpointKind, MaxParallelism, RunId};

use super::*;

const TORN: Damaged = Damaged::Checksum;
const NEWER: Damaged = Damaged::Newer { found: 2, known: 1 };

fn claim(restored: Option<u64>, numbers_above: u64) -> Fact {
    Fact::Claim(Claim {
        job: "orders".parse().unwrap(),
        run: RunId(1),
        attempt: AttemptId(1),
        host: "here".to_owned(),
        at_ms: 0,
        restored: restored.map(CheckpointId),
        numbers_above: CheckpointId(numbers_above),
        before: None,
    })
}

fn manifest(checkpoint: u64) -> Box<Manifest> {
    Box::new(Manifest {
        job: "orders".parse().unwrap(),
        run: RunId(1),
        attempt: AttemptId(1),
        checkpoint: CheckpointId(checkpoint),
        parent: None,
        kind: CheckpointKind::Checkpoint,
        is_final: false,
        started_ms: 0,
        completed_ms: 0,
        max_parallelism: MaxParallelism::DEFAULT,
        pages: Vec::new(),
        committables: Vec::new(),
        canaries: Vec::new(),
    })
}

fn whole(checkpoint: u64) -> Fact {
    Fact::Checkpoint(manifest(checkpoint))
}

fn holed(checkpoint: u64) -> Fact {
    Fact::Incomplete(manifest(checkpoint), "file x is missing".to_owned())
}

fn facts(slots: Vec<Fact>) -> Facts {
    Facts { slots: (0..).map(Slot).zip(slots).collect(), accepted: None, newest: None }
}

fn accepting(checkpoint: u64, slots: Vec<Fact>) -> Facts {
    Facts { accepted: Some(CheckpointId(checkpoint)), ..facts(slots) }
}

/// The decision in a few words.
fn in_words(facts: &Facts) -> String {
    match decide(facts) {
        Decision::Begin { claim, numbers_above } => format!("begin, claim {}, above {numbers_above}", claim.0),
        Decision::Restore { slot, manifest, claim, numbers_above } => {
            format!("restore {} of slot {}, claim {}, above {numbers_above}", manifest.checkpoint, slot.0, claim.0)
        }
        Decision::Refuse(Refusal::Unusable { name, fallback, .. }) => {
            format!("refuse {name}, or accept {}", fallback.map_or(0, |fallback| fallback.0))
        }
        Decision::Refuse(Refusal::Newer { slot, .. }) => format!("newer in slot {}", slot.0),
        Decision::Refuse(Refusal::NoSuchCheckpoint(checkpoint)) => format!("no {checkpoint}"),
    }
}

#[test]
fn an_attempt_goes_on_from_where_the_run_stands() {
    let table = [
        ("an empty chain", facts(vec![]), "begin, claim 0, above 0"),
        ("claims only", facts(vec![claim(None, 0), claim(None, 0)]), "begin, claim 2, above 0"),
        ("a checkpoint", facts(vec![claim(None, 0), whole(3)]), "restore 3 of slot 1, claim 2, above 3"),
        ("the newest of several", facts(vec![whole(3), whole(5)]), "restore 5 of slot 1, claim 2, above 5"),
        (
            "a claim that made nothing",
            facts(vec![whole(3), claim(Some(3), 3), claim(Some(3), 3)]),
            "restore 3 of slot 0, claim 3, above 3",
        ),
    ];
    for (chain, facts, decision) in table {
        assert_eq!(in_words(&facts), decision, "{chain}");
    }
}

#[test]
fn a_decided_checkpoint_is_never_skipped_in_silence() {
    let table = [
        (
            "corrupt newest",
            facts(vec![whole(3), whole(5), Fact::Damaged(TORN)]),
            format!("refuse in slot {}, or accept 5", Slot(2)),
        ),
        ("newest with missing files", facts(vec![whole(3), holed(5)]), "refuse 5, or accept 3".to_owned()),
        ("nothing usable", facts(vec![holed(3), holed(5)]), "refuse 5, or accept 0".to_owned()),
        (
            "corrupt older",
            facts(vec![Fact::Damaged(TORN), holed(3), whole(5)]),
            "restore 5 of slot 2, claim 3, above 5".to_owned(),
        ),
        ("the one gone on from is gone", facts(vec![claim(Some(5), 5)]), "refuse 5, or accept 0".to_owned()),
        ("it is damaged since", facts(vec![whole(3), holed(5), claim(Some(5), 5)]), "refuse 5, or accept 3".to_owned()),
        (
            "its record is damaged since",
            facts(vec![whole(3), Fact::Damaged(TORN), claim(Some(5), 5)]),
            "refuse 5, or accept 3".to_owned(),
        ),
    ];
    for (chain, facts, decision) in table {
        assert_eq!(in_words(&facts), decision, "{chain}");
    }
}

fn remembering(slot: u64, checkpoint: u64, facts: Facts) -> Facts {
    Facts { newest: Some(Decided { slot: Slot(slot), checkpoint: CheckpointId(checkpoint) }), ..facts }
}

#[test]
fn a_checkpoint_that_somebody_remembers_is_missed_in_the_chain() {
    let copied = || vec![whole(3), whole(4), whole(4)];
    let table = [
        ("it is there", remembering(1, 5, facts(vec![whole(3), whole(5)])), "restore 5 of slot 1, claim 2, above 5"),
        (
            "and a newer one",
            remembering(0, 3, facts(vec![whole(3), whole(5)])),
            "restore 5 of slot 1, claim 2, above 5",
        ),
        ("it is gone", remembering(2, 7, facts(vec![whole(3), whole(5)])), "refuse 7, or accept 5"),
        ("with all others", remembering(2, 7, facts(Vec::new())), "refuse 7, or accept 0"),
        (
            "and that is accepted, behind where it was",
            remembering(2, 7, accepting(5, vec![whole(3), whole(5)])),
            "restore 5 of slot 1, claim 3, above 7",
        ),
        (
            "an older one was copied over it",
            remembering(2, 5, facts(copied())),
            "refuse in slot 00000000000000000002, or accept 4",
        ),
        ("and nobody remembers it", facts(copied()), "refuse in slot 00000000000000000002, or accept 4"),
        ("the one that was copied is accepted", accepting(4, copied()), "restore 4 of slot 1, claim 3, above 4"),
    ];
    for (chain, facts, decision) in table {
        assert_eq!(in_words(&facts), decision, "{chain}");
    }
}

#[test]
fn what_a_newer_host_wrote_stops_an_older_one_unless_it_was_left_behind() {
    let newer = || Fact::Damaged(NEWER);
    assert_eq!(in_words(&facts(vec![whole(3), newer()])), "newer in slot 1");
    assert_eq!(in_words(&accepting(3, vec![whole(3), newer()])), "restore 3 of slot 0, claim 2, above 1000003");
    assert_eq!(in_words(&facts(vec![whole(3), newer(), claim(Some(3), 9)])), "restore 3 of slot 0, claim 3, above 9");
    assert_eq!(in_words(&facts(vec![newer(), whole(10)])), "restore 10 of slot 1, claim 2, above 10");
}

#[test]
fn what_was_accepted_is_gone_on_from_and_stays_accepted() {
    let table = [
        ("an older one", accepting(3, vec![whole(3), holed(5)]), "restore 3 of slot 0, claim 2, above 5"),
        ("the beginning", accepting(0, vec![holed(5)]), "begin, claim 1, above 5"),
        ("one that is not whole", accepting(5, vec![whole(3), holed(5)]), "no 5"),
        ("one that never was", accepting(4, vec![whole(3)]), "no 4"),
        ("once accepted", facts(vec![whole(3), holed(5), claim(Some(3), 5)]), "restore 3 of slot 0, claim 3, above 5"),
        (
            "and the attempt after that",
            facts(vec![whole(3), holed(5), claim(Some(3), 5), claim(Some(3), 5)]),
            "restore 3 of slot 0, claim 4, above 5",
        ),
        ("the beginning, accepted before", facts(vec![holed(5), claim(None, 5)]), "begin, claim 2, above 5"),
        (
            "repaired, and accepted after all",
            accepting(5, vec![whole(3), whole(5), claim(Some(3), 5)]),
            "restore 5 of slot 1, claim 3, above 5",
        ),
    ];
    for (chain, facts, decision) in table {
        assert_eq!(in_words(&facts), decision, "{chain}");
    }
}

#[test]
fn numbers_ascend_behind_a_record_that_cannot_be_read() {
    let unread = || Fact::Damaged(TORN);
    assert_eq!(numbers_above(&facts(vec![whole(3), unread()])), CheckpointId(1_000_003));
    // Whoever came behind it left room already.
    assert_eq!(
        numbers_above(&facts(vec![unread(), claim(None, 1_000_000), whole(1_000_001)])),
        CheckpointId(1_000_001)
    );
}

#[test]
fn a_claim_in_a_slot_that_was_left_free_does_not_hold() {
    let holds = |claim, restored: Option<u64>, listed: &[u64]| {
        claim_holds(Slot(claim), restored.map(Slot), &listed.iter().copied().map(Slot).collect::<Vec<_>>())
    };
    assert!(holds(0, None, &[0]), "the first of all");
    assert!(holds(4, Some(3), &[0, 3, 4]), "behind what it goes on from");
    assert!(!holds(4, Some(3), &[0, 4, 6]), "the owner has gone on, and kept one");
    assert!(!holds(4, Some(3), &[0, 4]), "the same, listed while it was at it");
    assert!(!holds(1, None, &[0, 1, 3]), "the owner has begun since");
}

#[test]
fn a_refusal_says_what_would_be_repeated_and_how_to_accept_it() {
    let sentence = |facts| match decide(&facts) {
        Decision::Refuse(refusal) => refusal.told(&"orders".parse().unwrap(), |slot| format!("/srv/chain/{}", slot.0)),
        Decision::Begin { .. } | Decision::Restore { .. } => panic!("it was not refused"),
    };
    let refused = sentence(facts(vec![whole(3), holed(5)]));
    for part in
        ["checkpoint 5", "file x is missing", "back to checkpoint 3", "job restart orders --accept 3", "`/srv/chain/1`"]
    {
        assert!(refused.contains(part), "{refused:?} does not say {part:?}");
    }
    assert!(sentence(facts(vec![holed(5)])).contains("to the beginning would repeat"));
}
