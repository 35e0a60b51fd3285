//! A checkpoint becomes a savepoint: its files stay until they are carried, its record comes last.

use gristmill_types::CheckpointKind;

use super::super::*;
use super::fixture::*;

/// A savepoint of these files of state and this output is decided.
fn decide(desk: &mut Desk, state: &[u64], output: &[u64]) -> Vec<Action> {
    let begun = desk.tell(Event::Requested(CheckpointKind::Savepoint));
    let number = injected(&begun).expect("it begins at once");
    desk.ack(number, 0, state, output);
    desk.ack(number, 1, &[], &[]);
    desk.stored(number)
}

fn carried(actions: &[Action]) -> Option<CheckpointId> {
    actions.iter().find_map(|action| match action {
        Action::Carry(manifest) => Some(manifest.checkpoint),
        _ => None,
    })
}

fn sealed(actions: &[Action]) -> Vec<u64> {
    let of = |action: &Action| match action {
        Action::Seal(checkpoint) => Some(checkpoint.0),
        _ => None,
    };
    actions.iter().filter_map(of).collect()
}

/// The state of subtask 0 is one new file; nobody needs the others any more.
fn merge_all(desk: &mut Desk, replaced: &[u64], by: u64) {
    desk.tell(Event::Merged {
        node: node("count"),
        subtask: SubtaskIndex(0),
        replaced: replaced.iter().copied().map(state_file).collect(),
        by: Some(state_file(by)),
    });
}

#[test]
fn the_files_of_a_savepoint_stay_until_they_are_carried() {
    let mut desk = Desk::new(POLICY);
    assert_eq!(carried(&decide(&mut desk, &[1, 2], &[])), Some(CheckpointId(1)));
    merge_all(&mut desk, &[1, 2], 9);
    for _ in 0..2 {
        let gone = garbage(&desk.decide_next()).files;
        assert!(!gone.contains(&file(1)) && !gone.contains(&file(2)), "{gone:?}");
    }
    desk.tell(Event::Carried(CheckpointId(1)));
    let gone = garbage(&desk.decide_next()).files;
    assert!(gone.contains(&file(1)) && gone.contains(&file(2)), "{gone:?}");
}

#[test]
fn the_record_comes_when_all_that_was_cut_before_is_committed_and_the_files_are_there() {
    for committed_first in [true, false] {
        let mut desk = Desk::new(POLICY);
        assert_eq!(to_commit(&decide(&mut desk, &[1], &[10])), [0]);
        let (commit, carry) = (Event::Committed(vec![id(0)]), Event::Carried(CheckpointId(1)));
        let (first, second) = if committed_first { (commit, carry) } else { (carry, commit) };
        assert_eq!(sealed(&desk.tell(first)), []);
        assert_eq!(sealed(&desk.tell(second)), [1]);
        assert_eq!(sealed(&desk.after(1_000)), [], "once");
    }
}

#[test]
fn a_job_whose_input_has_ended_waits_for_its_savepoint_and_a_host_that_goes_down_does_not() {
    for suspends in [false, true] {
        let mut desk = Desk::new(POLICY);
        decide(&mut desk, &[1], &[]);
        if suspends {
            desk.tell(Event::Suspend);
        } else {
            desk.tell(Event::Ended(participant(0)));
            desk.tell(Event::Ended(participant(1)));
        }
        desk.ack_all(2);
        let ended = finished(&desk.stored(2));
        assert_eq!(ended, suspends.then_some(End::Suspended));
        if !suspends {
            assert_eq!(finished(&desk.tell(Event::Carried(CheckpointId(1)))), None);
            assert_eq!(finished(&desk.tell(Event::SavepointOver(CheckpointId(1)))), Some(End::Input));
        }
    }
}

#[test]
fn one_that_cannot_be_carried_holds_nothing_up() {
    let mut desk = Desk::new(POLICY);
    decide(&mut desk, &[1], &[10]);
    merge_all(&mut desk, &[1], 9);
    assert_eq!(sealed(&desk.tell(Event::SavepointOver(CheckpointId(1)))), []);
    assert_eq!(sealed(&desk.committed(&[0])), []);
    assert!(garbage(&desk.decide_next()).files.contains(&file(1)));
}

#[test]
fn the_files_of_a_checkpoint_that_is_held_stay_until_it_is_released() {
    let mut desk = Desk::new(POLICY);
    decide(&mut desk, &[1, 2], &[]);
    desk.tell(Event::SavepointOver(CheckpointId(1)));
    desk.tell(Event::Held(CheckpointId(1)));
    merge_all(&mut desk, &[1, 2], 9);
    for _ in 0..2 {
        let gone = garbage(&desk.decide_next()).files;
        assert!(!gone.contains(&file(1)) && !gone.contains(&file(2)), "{gone:?}");
    }
    desk.tell(Event::Released(CheckpointId(1)));
    let gone = garbage(&desk.decide_next()).files;
    assert!(gone.contains(&file(1)) && gone.contains(&file(2)), "{gone:?}");
}

fn kind_of(stored: &ToStore) -> CheckpointKind {
    stored.manifest.kind
}

#[test]
fn the_last_checkpoint_becomes_the_savepoint_that_was_wanted_of_the_end() {
    for wanted_late in [false, true] {
        let mut desk = Desk::new(POLICY);
        if !wanted_late {
            assert_eq!(injected(&desk.tell(Event::SavepointAtEnd)), None, "not before the end");
        }
        desk.after(1_000);
        assert_eq!(kind_of(&desk.ack_all(1)), CheckpointKind::Checkpoint);
        desk.stored(1);
        desk.tell(Event::Ended(participant(0)));
        assert_eq!(injected(&desk.tell(Event::Ended(participant(1)))), Some(2));
        assert!(desk.coordinator.is_last_under_way());
        let mut number = 2;
        if wanted_late {
            // The last one has begun already: there is another.
            desk.tell(Event::SavepointAtEnd);
            assert_eq!(kind_of(&desk.ack_all(2)), CheckpointKind::Checkpoint);
            assert_eq!(injected(&desk.stored(2)), Some(3));
            number = 3;
        }
        let stored = desk.ack_all(number);
        assert_eq!((kind_of(&stored), stored.manifest.is_final), (CheckpointKind::Savepoint, true));
        assert_eq!(finished(&desk.stored(number)), None, "it is not carried yet");
        assert_eq!(finished(&desk.tell(Event::SavepointOver(CheckpointId(number)))), Some(End::Input));
    }
}

#[test]
fn what_sources_took_in_behind_a_savepoint_is_kept_until_it_is_carried() {
    let mut desk = Desk::new(POLICY);
    desk.position = Some(1);
    let stood = forgotten(&decide(&mut desk, &[1], &[]));
    assert!(stood.as_ref().is_some_and(|stood| !stood.is_empty()), "{stood:?}");
    desk.position = Some(2);
    for _ in 0..3 {
        assert_eq!(forgotten(&desk.decide_next()), stood);
    }
    desk.tell(Event::Carried(CheckpointId(1)));
    assert_ne!(forgotten(&desk.decide_next()), stood);
}
