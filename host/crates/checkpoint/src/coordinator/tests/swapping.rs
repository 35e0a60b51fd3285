//! A barrier that switches, and what manifests say from it on.

use gristmill_types::{ModuleHash, SwapId};

use super::super::*;
use super::fixture::*;
use crate::share::{CanaryRef, Share};

const OLD: ModuleHash = ModuleHash([1; 32]);
const NEW: ModuleHash = ModuleHash([2; 32]);

fn notice(module: ModuleHash) -> SwapNotice {
    SwapNotice { swap: SwapId(5), node: node("count"), module, share: Share::WHOLE, states: Vec::new() }
}

/// Number and swap of the barrier that goes out.
fn barrier(actions: &[Action]) -> Option<(u64, Option<SwapId>)> {
    actions.iter().find_map(|action| match action {
        Action::Inject(barrier) => Some((barrier.checkpoint.0, barrier.swap)),
        _ => None,
    })
}

#[test]
fn a_swap_rides_the_next_barrier_and_its_manifest_names_the_new_module() {
    let mut desk = Desk::new(POLICY);
    assert_eq!(barrier(&desk.tell(Event::SwapReady(notice(NEW)))), Some((1, Some(SwapId(5)))));
    assert_eq!(module_of(&desk.ack_all(1)), Some(NEW));
    desk.stored(1);
    assert_eq!(barrier(&desk.after(1_000)), Some((2, None)), "one barrier switches");
}

#[test]
fn a_checkpoint_that_was_under_way_names_the_old_module() {
    let mut desk = Desk::new(POLICY);
    desk.tell(Event::Requested(CheckpointKind::Checkpoint));
    assert_eq!(barrier(&desk.tell(Event::SwapReady(notice(NEW)))), None);
    assert_eq!(module_of(&desk.ack_all(1)), None);
    assert_eq!(barrier(&desk.stored(1)), Some((2, Some(SwapId(5)))));
    assert_eq!(module_of(&desk.ack_all(2)), Some(NEW));
}

#[test]
fn if_the_switching_checkpoint_fails_the_next_names_the_new_module_all_the_same() {
    let mut desk = Desk::new(POLICY);
    desk.tell(Event::SwapReady(notice(NEW)));
    desk.ack(1, 0, &[], &[]);
    desk.tell(Event::Declined { checkpoint: CheckpointId(1), by: participant(1), why: "busy".to_owned() });
    assert_eq!(barrier(&desk.after(1_000)), Some((2, None)));
    assert_eq!(module_of(&desk.ack_all(2)), Some(NEW));
}

#[test]
fn a_swap_that_is_taken_back_before_its_barrier_leaves_no_trace() {
    let mut desk = Desk::new(POLICY);
    desk.tell(Event::Requested(CheckpointKind::Checkpoint));
    desk.tell(Event::SwapReady(notice(NEW)));
    desk.tell(Event::SwapUndone(notice(OLD)));
    desk.ack_all(1);
    assert_eq!(barrier(&desk.stored(1)), None);
}

#[test]
fn one_that_is_taken_back_later_has_the_next_manifest_name_the_old_module_at_once() {
    let mut desk = Desk::new(POLICY);
    desk.tell(Event::SwapReady(notice(NEW)));
    assert_eq!(module_of(&desk.ack_all(1)), Some(NEW));
    desk.tell(Event::SwapUndone(notice(OLD)));
    assert_eq!(barrier(&desk.stored(1)), Some((2, None)));
    assert_eq!(module_of(&desk.ack_all(2)), Some(OLD));
}

#[test]
fn a_swap_that_holds_lets_no_checkpoint_begin_behind_its_barrier_until_the_hold_is_over() {
    let mut desk = Desk::new(POLICY);
    assert_eq!(barrier(&desk.tell(Event::SwapHolds(notice(NEW)))), Some((1, Some(SwapId(5)))));
    assert_eq!(module_of(&desk.ack_all(1)), None, "it is the state from before the switch");
    assert_eq!(barrier(&desk.stored(1)), None);
    assert_eq!(barrier(&desk.after(10_000)), None, "nothing of the new module is decided");
    assert_eq!(barrier(&desk.tell(Event::Requested(CheckpointKind::Savepoint))), None);
    assert_eq!(barrier(&desk.tell(Event::HoldOver(notice(NEW)))), Some((2, None)));
    assert_eq!(module_of(&desk.ack_all(2)), Some(NEW));
}

#[test]
fn a_hold_does_not_begin_again_a_checkpoint_that_failed_with_the_switch() {
    let mut desk = Desk::new(POLICY);
    desk.tell(Event::Requested(CheckpointKind::Checkpoint));
    desk.ack_all(1);
    desk.tell(Event::SwapHolds(notice(NEW)));
    desk.stored(1);
    desk.tell(Event::Declined { checkpoint: CheckpointId(2), by: participant(1), why: "busy".to_owned() });
    assert_eq!(barrier(&desk.after(10_000)), None);
}

#[test]
fn a_host_that_goes_down_during_a_hold_takes_no_last_checkpoint() {
    let mut desk = Desk::new(POLICY);
    desk.tell(Event::SwapHolds(notice(NEW)));
    desk.ack_all(1);
    desk.stored(1);
    let actions = desk.tell(Event::Suspend);
    assert!(matches!(actions[..], [Action::Finish(End::Suspended)]), "{actions:?}");
}

#[test]
fn a_hold_ends_when_the_input_does() {
    let mut desk = Desk::new(POLICY);
    desk.tell(Event::SwapHolds(notice(NEW)));
    desk.ack_all(1);
    desk.stored(1);
    let actions = [0, 1].map(|one| desk.tell(Event::Ended(participant(one))));
    assert!(matches!((&actions[0][..], &actions[1][..]), ([], [Action::EndHold])), "{actions:?}");
    assert_eq!(barrier(&desk.tell(Event::HoldOver(notice(NEW)))), Some((2, None)));
}

fn canaries(stored: &ToStore) -> Vec<CanaryRef> {
    stored.manifest.canaries.clone()
}

fn canary(percent: u32) -> (SwapNotice, Vec<CanaryRef>) {
    let share = percent.try_into().unwrap();
    (SwapNotice { share, ..notice(NEW) }, vec![CanaryRef { node: node("count"), module: NEW, share }])
}

#[test]
fn a_canary_is_named_beside_the_module_that_serves_the_rest_until_it_serves_all() {
    let mut desk = Desk::new(POLICY);
    for (number, percent) in [(1, 5), (2, 25)] {
        let (notice, named) = canary(percent);
        assert_eq!(barrier(&desk.tell(Event::SwapReady(notice))), Some((number, Some(SwapId(5)))));
        assert_eq!(canaries(&desk.ack_all(number)), named);
        desk.stored(number);
    }
    desk.tell(Event::SwapReady(notice(NEW)));
    let stored = desk.ack_all(3);
    assert_eq!((module_of(&stored), canaries(&stored)), (Some(NEW), Vec::new()));
}

#[test]
fn a_canary_that_is_withdrawn_before_it_is_widened_is_named_no_more() {
    let mut desk = Desk::new(POLICY);
    desk.tell(Event::SwapReady(canary(5).0));
    desk.ack_all(1);
    desk.stored(1);
    desk.tell(Event::Requested(CheckpointKind::Checkpoint));
    desk.tell(Event::SwapReady(canary(25).0));
    desk.tell(Event::SwapUndone(notice(OLD)));
    let stored = desk.ack_all(2);
    assert_eq!((module_of(&stored), canaries(&stored)), (Some(OLD), Vec::new()));
    assert_eq!(barrier(&desk.stored(2)), Some((3, None)), "one is made at once, and widens nothing");
    assert_eq!(canaries(&desk.ack_all(3)), []);
}
