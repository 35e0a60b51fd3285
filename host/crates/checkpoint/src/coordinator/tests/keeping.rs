//! What is kept and what goes: merges, garbage.

use std::collections::VecDeque;

use gristmill_types::{AttemptId, KeyGroupRange, SubtaskIndex, Watermark};

use super::super::*;
use super::fixture::*;
use crate::Slot;
use crate::file::FileRef;
use crate::snapshot::StateFile;

fn merged(replaced: &[u64], by: Option<u64>) -> Event {
    Event::Merged {
        node: node("count"),
        subtask: SubtaskIndex(0),
        replaced: replaced.iter().copied().map(state_file).collect(),
        by: by.map(state_file),
    }
}

/// Numbers below 100: files of state and output. Pages are left out.
fn small(files: &[FileRef]) -> Vec<u64> {
    files.iter().filter(|file| file.bytes == 10).map(|file| file.number).collect()
}

fn begin(desk: &mut Desk, checkpoint: u64, state: &[u64], output: &[u64]) -> ToStore {
    desk.after(1_000);
    desk.ack(checkpoint, 0, state, output);
    to_store(&desk.ack(checkpoint, 1, &[], &[])).unwrap()
}

#[test]
fn a_merged_file_takes_the_place_of_its_neighbours() {
    let table: [(&[u64], Option<u64>, &[u64]); 6] = [
        (&[1, 2], Some(9), &[9, 3]),
        (&[2, 3], Some(9), &[1, 9]),
        (&[2], None, &[1, 3]),
        (&[1, 2, 3], None, &[]),
        (&[1, 3], Some(9), &[1, 2, 3]), // no neighbours
        (&[], None, &[1, 2, 3]),
    ];
    for (replaced, by, after) in table {
        let mut desk = Desk::new(POLICY);
        begin(&mut desk, 1, &[1, 2, 3], &[]);
        desk.stored(1);
        desk.tell(merged(replaced, by));
        desk.after(1_000);
        desk.ack(2, 0, &[4], &[]);
        let stored = to_store(&desk.ack(2, 1, &[], &[])).unwrap();
        let mut expected = after.to_vec();
        expected.push(4);
        assert_eq!(state_of(&stored, 0), expected, "{replaced:?} by {by:?}");
    }
}

/// A subtask that took over two halves of a state has the files of both in its list, and they may be the same files.
#[test]
fn of_a_file_that_stands_twice_in_a_list_what_was_merged_is_replaced() {
    let half = |number, start, end| StateFile { groups: KeyGroupRange { start, end }, ..state_file(number) };
    let list = vec![half(1, 0, 64), half(2, 0, 64), half(1, 64, 128), half(2, 64, 128)];
    let mut desk = Desk::restored(POLICY, VecDeque::new(), list.clone());
    let (node, subtask, by) = (node("count"), SubtaskIndex(0), Some(half(9, 64, 128)));
    desk.tell(Event::Merged { node, subtask, replaced: list[2..].to_vec(), by });
    desk.after(1_000);
    let stored = desk.ack_all(1);
    assert_eq!(state_of(&stored, 0), [1, 2, 9]);
    assert!(!stored.named.is_disjoint(&[file(1), file(2)].into()), "the other halves are still needed");
    assert_eq!(small(&garbage(&desk.stored(1)).files), [] as [u64; 0]);
}

/// Without this the files of a state with a time to live by event time keep every key that ever was.
#[test]
fn merges_know_how_far_event_time_had_come_at_the_newest_checkpoint() {
    let mut desk = Desk::new(POLICY);
    let merged_by = |desk: &Desk| desk.coordinator.watermark(&node("count"), SubtaskIndex(0));
    assert_eq!(merged_by(&desk), Watermark::START);
    desk.watermark = Watermark(5000);
    begin(&mut desk, 1, &[1], &[]);
    desk.stored(1);
    assert_eq!(merged_by(&desk), Watermark(5000));
}

#[test]
fn what_was_merged_away_goes_when_no_kept_checkpoint_names_it() {
    let mut desk = Desk::new(Policy { keep: 2, ..POLICY });
    begin(&mut desk, 1, &[1, 2], &[]);
    desk.stored(1);
    desk.tell(merged(&[1, 2], Some(3)));
    assert_eq!(small(&garbage(&desk.decide_next()).files), [] as [u64; 0], "1 names them");
    assert_eq!(small(&garbage(&desk.decide_next()).files), [1, 2]);
}

#[test]
fn a_merge_while_the_manifest_is_on_its_way_takes_nothing_from_it() {
    let mut desk = Desk::new(POLICY);
    begin(&mut desk, 1, &[1, 2], &[]);
    desk.tell(merged(&[1, 2], Some(3)));
    assert_eq!(small(&garbage(&desk.stored(1)).files), [] as [u64; 0]);
    assert_eq!(small(&garbage(&desk.decide_next()).files), [1, 2]);
}

#[test]
fn files_that_no_manifest_ever_named_go_too() {
    let mut desk = Desk::new(POLICY);
    desk.after(1_000);
    desk.ack(1, 0, &[1, 2], &[]);
    desk.after(500);
    desk.tell(merged(&[1, 2], Some(3)));
    // A merge of what is merged already: nobody needs what came of it.
    desk.tell(merged(&[1, 2], Some(4)));
    assert_eq!(small(&garbage(&desk.decide_next()).files), [1, 2, 4]);
}

#[test]
fn output_is_kept_until_its_commit_is_known() {
    let mut desk = Desk::new(POLICY);
    begin(&mut desk, 1, &[], &[1]);
    desk.stored(1);
    begin(&mut desk, 2, &[], &[]);
    desk.committed(&[0]);
    assert_eq!(
        small(&garbage(&desk.stored(2)).files),
        [] as [u64; 0],
        "2 was made before that was known, and names it"
    );
    assert_eq!(small(&garbage(&desk.decide_next()).files), [1]);
}

#[test]
fn with_one_kept_the_one_before_goes_when_the_next_is_decided_and_not_before() {
    let mut desk = Desk::new(POLICY);
    begin(&mut desk, 1, &[1], &[]);
    assert!(garbage(&desk.stored(1)).is_empty());
    begin(&mut desk, 2, &[2], &[]);
    let gone = garbage(&desk.stored(2));
    assert_eq!(gone.slots.iter().map(|slot| slot.0).collect::<Vec<_>>(), [1]);
    assert_eq!(small(&gone.files), [] as [u64; 0], "state of 1 is state of 2");
    assert_eq!(gone.files.len(), 1, "the page that changed");
}

#[test]
fn failed_checkpoints_neither_count_nor_delete() {
    let mut desk = Desk::new(Policy { tolerated_failures: 9, ..POLICY });
    begin(&mut desk, 1, &[1], &[]);
    desk.stored(1);
    for _ in 0..5 {
        desk.after(1_000);
        assert!(garbage(&desk.after(500)).is_empty());
    }
}

#[test]
fn files_of_an_earlier_attempt_are_kept_while_a_list_has_them() {
    let old = |number| FileRef { attempt: AttemptId(3), ..file(number) };
    let in_list = StateFile { file: old(1), ..state_file(1) };
    let retained = retained(0, 5, [old(1), old(2)].into());
    let mut desk = Desk::restored(POLICY, [retained].into(), vec![in_list]);
    let gone = garbage(&desk.decide_next());
    assert_eq!((gone.slots, gone.files), (vec![Slot(0)], vec![old(2)]));
}

#[test]
fn sources_keep_all_from_the_oldest_kept_checkpoint_on() {
    let kept = [retained(0, 5, [].into()), retained(3, 6, [].into())];
    let mut desk = Desk::restored(Policy { keep: 2, ..POLICY }, kept.into(), Vec::new());
    assert_eq!(forgotten(&desk.decide_next()), Some(splits(6)), "5 is not kept any more, and 6 is");
    assert_eq!(forgotten(&desk.decide_next()), Some([].into()), "the checkpoints of this test have no source");
}

#[test]
fn what_a_person_gave_up_goes_with_the_next_decided_checkpoint() {
    let mut desk = Desk::having_given_up(Policy { keep: 3, ..POLICY }, vec![retained(1, 8, [file(1)].into())]);
    desk.after(1_000);
    desk.after(500);
    let gone = garbage(&desk.decide_next());
    assert_eq!((gone.slots, small(&gone.files)), (vec![Slot(1)], vec![1]));
    assert!(garbage(&desk.decide_next()).slots.is_empty(), "once");
}
