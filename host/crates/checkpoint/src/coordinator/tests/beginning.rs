//! When a checkpoint begins.

use gristmill_types::CheckpointKind::{Checkpoint, Savepoint};

use super::super::*;
use super::fixture::*;

fn kind(actions: &[Action]) -> Option<CheckpointKind> {
    actions.iter().find_map(|action| match action {
        Action::Inject(barrier) => Some(barrier.kind),
        _ => None,
    })
}

#[test]
fn one_is_begun_when_it_is_due_and_not_before() {
    let mut desk = Desk::new(POLICY);
    assert_eq!(desk.coordinator.next_tick_ms(), Some(1_000));
    assert_eq!(injected(&desk.after(999)), None);
    assert_eq!(injected(&desk.after(1)), Some(1));
    assert_eq!(desk.coordinator.under_way(), Some(CheckpointId(1)));
    assert_eq!(desk.coordinator.next_tick_ms(), Some(1_500), "the timeout");
}

#[test]
fn one_at_a_time_and_the_next_is_counted_from_the_start_of_the_last() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.after(400);
    desk.ack_all(1);
    assert_eq!(desk.coordinator.next_tick_ms(), Some(1_500), "when it is late");
    assert_eq!(injected(&desk.after(5_000)), None, "the manifest is on its way, whatever the time");
    assert_eq!(injected(&desk.stored(1)), Some(2), "it was due long ago");
}

#[test]
fn the_pause_between_two_is_kept_unless_somebody_waits() {
    let begun = || {
        let mut desk = Desk::new(Policy { min_pause_ms: 5_000, ..POLICY });
        desk.decide_next();
        desk
    };
    let mut desk = begun();
    assert_eq!(injected(&desk.after(4_999)), None);
    assert_eq!(injected(&desk.after(1)), Some(2));
    assert_eq!(injected(&begun().tell(Event::Suspend)), Some(2));
    assert_eq!(injected(&begun().tell(Event::Requested(Checkpoint))), Some(2));
    let mut desk = begun();
    desk.tell(Event::Ended(participant(0)));
    assert_eq!(injected(&desk.tell(Event::Ended(participant(1)))), Some(2));
}

#[test]
fn without_an_interval_only_a_request_begins_one() {
    let mut desk = Desk::new(Policy { every_ms: None, ..POLICY });
    assert_eq!(desk.coordinator.next_tick_ms(), None);
    assert_eq!(injected(&desk.after(1_000_000)), None);
    assert_eq!(injected(&desk.tell(Event::Requested(Checkpoint))), Some(1));
}

#[test]
fn a_request_during_a_checkpoint_is_served_by_one_whose_barrier_comes_after_it() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    assert_eq!(injected(&desk.tell(Event::Requested(Savepoint))), None);
    desk.ack_all(1);
    let begun = desk.stored(1);
    assert_eq!((injected(&begun), kind(&begun)), (Some(2), Some(Savepoint)));
}

#[test]
fn of_two_requests_the_savepoint_is_not_forgotten() {
    for kinds in [[Savepoint, Checkpoint], [Checkpoint, Savepoint]] {
        let mut desk = Desk::new(POLICY);
        desk.after(1_000);
        for kind in kinds {
            desk.tell(Event::Requested(kind));
        }
        desk.ack_all(1);
        assert_eq!(kind(&desk.stored(1)), Some(Savepoint), "{kinds:?}");
    }
}

#[test]
fn a_sink_that_cannot_commit_stops_new_checkpoints_without_a_busy_clock() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    let output: Vec<_> = (0..=MOST_UNCOMMITTED as u64).collect();
    desk.ack(1, 0, &[], &output);
    desk.ack(1, 1, &[], &[]);
    desk.stored(1);
    let skipped = desk.after(60_000);
    assert_eq!(injected(&skipped), None);
    let said = skipped.iter().find_map(|action| match action {
        Action::Report(Report::Failed { checkpoint, failure }) => Some((checkpoint.0, failure.to_string())),
        _ => None,
    });
    let (number, said) = said.expect("it is told");
    assert_eq!(number, 2);
    assert!(said.contains("4097 pieces of output are decided and not committed yet"), "{said}");
    assert_eq!(desk.coordinator.next_tick_ms(), Some(desk.now_ms + 1_000));
    // Whoever asks does not wait without a word, and does not keep the clock busy either.
    let asked = desk.tell(Event::Requested(Checkpoint));
    assert!(asked.is_empty() && desk.coordinator.next_tick_ms() == Some(desk.now_ms + 100));
    assert!(desk.after(100).iter().any(|action| matches!(action, Action::Report(Report::Failed { .. }))));
    assert_eq!(desk.coordinator.next_tick_ms(), Some(desk.now_ms + 1_000));
    desk.committed(&[0]);
    assert_eq!(injected(&desk.after(1_000)), Some(4));
}
