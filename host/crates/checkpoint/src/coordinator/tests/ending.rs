//! How an attempt ends.

use gristmill_types::AttemptId;

use super::super::*;
use super::fixture::*;
use crate::Slot;

fn end_all(desk: &mut Desk) -> Vec<Action> {
    desk.tell(Event::Ended(participant(0)));
    desk.tell(Event::Ended(participant(1)))
}

#[test]
fn the_end_of_all_inputs_is_a_final_checkpoint_and_its_commits() {
    let mut desk = Desk::new(POLICY);
    assert_eq!(injected(&end_all(&mut desk)), Some(1));
    desk.ack(1, 0, &[], &[1]);
    let stored = to_store(&desk.ack(1, 1, &[], &[])).unwrap();
    assert!(stored.manifest.is_final);
    let decided = desk.stored(1);
    assert_eq!((to_commit(&decided), finished(&decided)), (vec![0], None));
    assert_eq!(desk.coordinator.next_tick_ms(), None);
    assert_eq!(finished(&desk.committed(&[0])), Some(End::Input));
    assert!(desk.tell(Event::Tick).is_empty(), "it is over");
}

#[test]
fn subtasks_that_end_during_a_checkpoint_take_part_in_it_and_in_the_final_one() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    end_all(&mut desk);
    assert!(!desk.ack_all(1).manifest.is_final, "output may stand behind its barrier");
    let decided = desk.stored(1);
    assert_eq!((injected(&decided), finished(&decided)), (Some(2), None));
    assert!(desk.ack_all(2).manifest.is_final);
    assert_eq!(finished(&desk.stored(2)), Some(End::Input));
}

#[test]
fn a_final_checkpoint_that_fails_is_made_again() {
    let mut desk = Desk::new(POLICY);
    end_all(&mut desk);
    desk.after(500);
    assert_eq!(desk.coordinator.next_tick_ms(), Some(600), "after the pause");
    assert_eq!(injected(&desk.after(100)), Some(2));
}

#[test]
fn suspended_the_checkpoint_under_way_is_the_last() {
    for suspended_while_storing in [false, true] {
        let mut desk = Desk::new(POLICY);
        desk.after(1_000);
        if !suspended_while_storing {
            desk.tell(Event::Suspend);
        }
        desk.ack_all(1);
        if suspended_while_storing {
            desk.tell(Event::Suspend);
        }
        let decided = desk.stored(1);
        assert_eq!((injected(&decided), finished(&decided)), (None, Some(End::Suspended)));
    }
}

#[test]
fn suspended_while_the_inputs_end_it_is_not_finished() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.tell(Event::Suspend);
    end_all(&mut desk);
    desk.ack_all(1);
    // What came behind the barrier is not decided. Finished, it would never be made again.
    assert_eq!(finished(&desk.stored(1)), Some(End::Suspended));
}

#[test]
fn a_stranger_in_the_slot_ends_it_and_nothing_is_committed() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack(1, 0, &[], &[1]);
    desk.ack(1, 1, &[], &[]);
    let actions = desk.tell(Event::Stranger { slot: Slot(1), attempt: AttemptId(9) });
    assert_eq!(given_up(&actions), Some(&GiveUp::Fenced { slot: Slot(1), by: AttemptId(9) }));
    assert!(desk.stored(1).is_empty(), "no late answer makes it decided");
}
