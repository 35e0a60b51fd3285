//! Checkpoints that fail, and what they leave to the next.

use gristmill_types::CheckpointKind;

use super::super::*;
use super::fixture::*;

fn declined(checkpoint: u64, subtask: u32) -> Event {
    Event::Declined { checkpoint: CheckpointId(checkpoint), by: participant(subtask), why: "busy".to_owned() }
}

fn failure(actions: &[Action]) -> Option<(u64, &Failure)> {
    actions.iter().find_map(|action| match action {
        Action::Report(Report::Failed { checkpoint, failure }) => Some((checkpoint.0, failure)),
        _ => None,
    })
}

#[test]
fn one_that_is_not_complete_in_time_fails_and_says_who_is_missing() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack(1, 0, &[], &[]);
    assert_eq!(failure(&desk.after(499)), None);
    let waiting = vec![participant(1)];
    assert_eq!(failure(&desk.after(1)), Some((1, &Failure::TimedOut { after_ms: 500, waiting, trouble: None })));
    assert_eq!(desk.coordinator.under_way(), None);
}

#[test]
fn files_and_output_of_a_failed_one_join_the_next_in_their_order() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack(1, 0, &[1], &[11]);
    desk.after(500);
    // Late, between the two.
    desk.ack(1, 1, &[2], &[12]);
    assert_eq!(injected(&desk.after(1_000)), Some(2));
    desk.ack(2, 0, &[3], &[13]);
    let stored = to_store(&desk.ack(2, 1, &[], &[])).unwrap();
    assert_eq!((state_of(&stored, 0), state_of(&stored, 1)), (vec![1, 3], vec![2]));
    assert_eq!(numbers(&stored.manifest.committables), [0, 1, 2]);
    assert_eq!(stored.manifest.committables[0].staged_for, CheckpointId(1));
    for number in [1, 2, 3, 11, 12, 13] {
        assert!(stored.named.contains(&file(number)), "{number}");
    }
    assert_eq!(to_commit(&desk.stored(2)), [0, 1, 2]);
}

#[test]
fn a_late_acknowledgement_counts_for_the_books_and_not_for_the_next_checkpoint() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.after(500);
    desk.after(1_000);
    desk.ack(2, 0, &[], &[]);
    assert!(to_store(&desk.ack(1, 1, &[5], &[])).is_none(), "subtask 1 has not acknowledged 2");
    assert_eq!(state_of(&to_store(&desk.ack(2, 1, &[6], &[])).unwrap(), 1), [5, 6]);
}

#[test]
fn an_acknowledgement_that_is_told_twice_counts_once() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack(1, 0, &[1], &[11]);
    desk.ack(1, 0, &[1], &[11]);
    let stored = to_store(&desk.ack(1, 1, &[], &[])).unwrap();
    assert_eq!((state_of(&stored, 0), numbers(&stored.manifest.committables)), (vec![1], vec![0]));
}

#[test]
#[should_panic(expected = "in the order of the barriers")]
fn acknowledgements_of_one_subtask_out_of_order_stop_everything() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.after(500);
    desk.after(1_000);
    desk.ack(2, 0, &[2], &[]);
    desk.ack(1, 0, &[1], &[]);
}

#[test]
fn failures_in_a_row_are_borne_up_to_a_number() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    assert_eq!(given_up(&desk.after(500)), None);
    desk.decide_next();
    desk.after(1_000);
    assert_eq!(given_up(&desk.after(500)), None, "a decided one begins the count anew");
    desk.after(1_000);
    let last = desk.after(500);
    assert!(matches!(given_up(&last), Some(GiveUp::TooManyFailures { in_a_row: 2, .. })), "{last:?}");
}

#[test]
fn one_that_is_skipped_does_not_count_as_a_failure() {
    let mut desk = Desk::new(Policy { timeout_ms: 20_000, tolerated_failures: 0, ..POLICY });
    for number in 1..=10 {
        assert_eq!(injected(&desk.after(1_000)), Some(number));
        assert_eq!(given_up(&desk.tell(declined(number, 0))), None);
    }
}

#[test]
fn to_skip_for_as_long_as_one_may_take_counts_as_a_failure() {
    let mut desk = Desk::new(Policy { timeout_ms: 2_000, ..POLICY });
    let mut skip = |number| {
        assert_eq!(injected(&desk.after(1_000)), Some(number));
        given_up(&desk.tell(declined(number, 0))).cloned()
    };
    for number in 1..=4 {
        assert_eq!(skip(number), None, "two seconds after the first skipped one, one failure is borne");
    }
    assert!(matches!(skip(5), Some(GiveUp::TooManyFailures { in_a_row: 2, .. })), "and after four the second is not");
}

#[test]
fn one_that_is_not_stored_in_time_fails_each_time_anew_and_may_yet_be_decided() {
    let mut desk = Desk::new(Policy { tolerated_failures: 2, ..POLICY });
    desk.after(1_000);
    desk.after(200);
    desk.ack_all(1);
    desk.tell(Event::Storing { trouble: Some("the mount is gone".to_owned()) });
    assert_eq!(desk.coordinator.next_tick_ms(), Some(1_500), "its time began with its barrier");
    let trouble = Some("the mount is gone".to_owned());
    assert_eq!(failure(&desk.after(300)), Some((1, &Failure::NotStored { after_ms: 500, trouble: trouble.clone() })));
    let again = desk.after(500);
    assert_eq!(failure(&again), Some((1, &Failure::NotStored { after_ms: 1_000, trouble })));
    let (_, told) = failure(&again).unwrap();
    assert_eq!(told.to_string(), "it was not stored after 1000 ms, and is still tried: the mount is gone");
    assert_eq!(injected(&again), None, "it cannot be taken back");
    let decided = desk.stored(1);
    assert!(decided.iter().any(|action| matches!(action, Action::Report(Report::Completed { .. }))));
    assert_eq!(injected(&decided), Some(2));
}

#[test]
fn one_that_is_never_stored_ends_the_attempt() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack_all(1);
    assert_eq!(given_up(&desk.after(500)), None);
    let last = desk.after(500);
    assert!(matches!(given_up(&last), Some(GiveUp::TooManyFailures { in_a_row: 2, .. })), "{last:?}");
    assert!(desk.stored(1).is_empty(), "what became of it, the next attempt finds out");
}

#[test]
fn what_somebody_asked_for_is_begun_again_after_it_failed() {
    for kind in [CheckpointKind::Checkpoint, CheckpointKind::Savepoint] {
        for times_out in [false, true] {
            let mut desk = Desk::new(Policy { every_ms: None, ..POLICY });
            desk.tell(Event::Requested(kind));
            if times_out {
                desk.after(500);
            } else {
                desk.tell(declined(1, 1));
            }
            assert_eq!(desk.coordinator.under_way(), None);
            assert_eq!(injected(&desk.after(99)), None);
            let again = desk.after(1);
            assert!(matches!(again[..], [Action::Inject(barrier)] if barrier.kind == kind), "{again:?}");
        }
    }
}

#[test]
fn what_the_clock_began_is_not_begun_again_before_its_time() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.tell(declined(1, 1));
    assert_eq!(desk.coordinator.next_tick_ms(), Some(2_000));
}

#[test]
fn a_decline_that_comes_too_late_changes_nothing() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack_all(1);
    assert_eq!(failure(&desk.tell(declined(1, 0))), None, "the manifest is on its way: it may have been stored");
    assert_eq!(desk.coordinator.under_way(), Some(CheckpointId(1)));
    assert_eq!(injected(&desk.after(1_000)), None);
    assert_eq!(injected(&desk.stored(1)), Some(2));
    assert_eq!(failure(&desk.tell(declined(1, 0))), None, "and 2 is not meant");
}

#[test]
fn output_that_only_the_next_checkpoint_can_decide_does_not_stop_it() {
    let mut desk = Desk::new(Policy { tolerated_failures: 9, ..POLICY });
    let output: Vec<_> = (0..=MOST_UNCOMMITTED as u64).collect();
    desk.after(1_000);
    desk.ack(1, 0, &[], &output);
    desk.after(500);
    assert_eq!(injected(&desk.after(1_000)), Some(2));
}

#[test]
fn lengths_of_time_beyond_the_clock_mean_never() {
    let policy = Policy { every_ms: Some(u64::MAX), min_pause_ms: u64::MAX, timeout_ms: u64::MAX, ..POLICY };
    let mut desk = Desk::new(policy);
    assert_eq!(injected(&desk.after(1_000_000)), None);
    let begun = desk.tell(Event::Requested(CheckpointKind::Checkpoint));
    assert_eq!(injected(&begun), Some(1));
    assert_eq!(desk.coordinator.next_tick_ms(), Some(u64::MAX));
    desk.ack_all(1);
    assert_eq!(injected(&desk.stored(1)), None);
    desk.tell(Event::Requested(CheckpointKind::Checkpoint));
    assert!(failure(&desk.tell(declined(2, 0))).is_some());
    assert_eq!(desk.coordinator.next_tick_ms(), Some(u64::MAX));
}
