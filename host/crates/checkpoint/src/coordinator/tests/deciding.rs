//! Stored, then decided, then committed.

use super::super::*;
use super::fixture::*;

#[test]
fn nothing_is_committed_before_the_manifest_stands_in_its_slot() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack(1, 0, &[], &[1]);
    let stored = desk.ack(1, 1, &[], &[2]);
    assert_eq!(to_commit(&stored), []);
    assert_eq!(to_commit(&desk.after(10_000)), []);
    let decided = desk.stored(1);
    assert_eq!(to_commit(&decided), [0, 1]);
    let permits = decided.iter().filter_map(|action| match action {
        Action::Commit { permit, .. } => Some(permit.checkpoint()),
        _ => None,
    });
    assert_eq!(permits.collect::<Vec<_>>(), [CheckpointId(1)]);
}

#[test]
fn an_answer_about_another_checkpoint_decides_nothing() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    assert!(desk.stored(1).is_empty(), "its barriers are out");
    desk.ack_all(1);
    assert!(desk.stored(0).is_empty());
    assert_eq!(desk.coordinator.under_way(), Some(CheckpointId(1)));
    desk.stored(1);
    assert!(desk.stored(1).is_empty(), "it was decided before");
}

#[test]
fn output_is_carried_on_until_its_commit_is_known_and_handed_over_once() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack(1, 0, &[], &[1, 2]);
    desk.ack(1, 1, &[], &[]);
    assert_eq!(to_commit(&desk.stored(1)), [0, 1]);
    desk.committed(&[0]);
    desk.after(1_000);
    desk.ack(2, 0, &[], &[3]);
    let stored = to_store(&desk.ack(2, 1, &[], &[])).unwrap();
    assert_eq!(numbers(&stored.manifest.committables), [1, 2]);
    assert_eq!(to_commit(&desk.stored(2)), [2], "1 is with the committer already");
}

#[test]
fn what_was_committed_while_the_manifest_was_on_its_way_is_not_committed_again() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack(1, 0, &[], &[1]);
    desk.ack(1, 1, &[], &[]);
    desk.stored(1);
    desk.after(1_000);
    assert_eq!(numbers(&desk.ack_all(2).manifest.committables), [0]);
    desk.committed(&[0]);
    assert_eq!(to_commit(&desk.stored(2)), []);
    desk.after(1_000);
    assert_eq!(numbers(&desk.ack_all(3).manifest.committables), []);
}

#[test]
fn slots_follow_each_other_and_numbers_may_have_gaps() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.after(500);
    desk.after(1_000);
    let first = desk.ack_all(2);
    desk.stored(2);
    desk.after(1_000);
    let second = desk.ack_all(3);
    assert_eq!((first.slot.0, second.slot.0), (1, 2));
    assert_eq!((first.manifest.parent, second.manifest.parent), (None, Some(CheckpointId(2))));
    assert_eq!((first.manifest.attempt, first.manifest.started_ms), (ME, 2_500));
}

#[test]
fn an_idle_checkpoint_writes_no_page_again() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    let first = desk.ack_all(1);
    desk.stored(1);
    desk.after(1_000);
    let second = desk.ack_all(2);
    assert_eq!((first.pages.len(), second.pages.len()), (2, 0));
    assert_eq!(first.manifest.pages, second.manifest.pages);
    assert!(second.stats.uploaded_bytes < 500, "{}", second.stats.uploaded_bytes);
}
