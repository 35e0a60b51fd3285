//! State looked at and edited from outside, while events flow and while the job crashes.

use std::time::{Duration, Instant};

use gristmill_ports::catalog::JobState;
use gristmill_runtime::{Edited, JobEventKind, StateAddress, StateEdit, StateFound, StateLook, StateRefused};
use gristmill_types::CheckpointId;

use crate::counting::{Outside, checkpoint};
use crate::fakes::{PATIENCE, Running};

const ALL: StateLook = StateLook::Page { after: None, limit: 10 };

fn at(key: &str) -> StateAddress {
    StateAddress { operator: "count".parse().unwrap(), state: "count".to_owned(), key: key.as_bytes().to_vec() }
}

fn number(found: &StateFound) -> Option<u64> {
    let bytes = found.entries.first()?.value.as_slice().try_into().unwrap();
    Some(u64::from_le_bytes(bytes))
}

fn look(job: &Running, key: &str) -> Option<u64> {
    number(&job.handle.look_at_state(&at(key), ALL, PATIENCE).unwrap())
}

/// Looks until a key has been counted so far. What is seen never goes back.
fn counts_to(job: &Running, key: &str, count: u64) {
    let since = Instant::now();
    let mut seen = 0;
    while seen < count {
        let now = look(job, key).unwrap_or(0);
        assert!(now >= seen && now <= count, "{now} behind {seen}, of {count}");
        seen = now;
        assert!(since.elapsed() < PATIENCE, "it stays at {seen}");
    }
}

fn set(job: &Running, key: &str, count: u64) -> Edited {
    let edit = StateEdit::PutValue(count.to_le_bytes().to_vec());
    job.handle.edit_state(&at(key), edit, PATIENCE).unwrap()
}

/// A job that has counted each key ten times, half of what there is.
fn halfway(key: &str) -> (Outside, Running) {
    let outside = Outside::new(100);
    outside.tape.play(50);
    let job = outside.start();
    counts_to(&job, key, 10);
    (outside, job)
}

#[test]
fn a_key_is_looked_at_while_events_flow() {
    let outside = Outside::new(1000);
    outside.tape.play(500);
    let job = outside.start();
    // Keys of both subtasks.
    ["k0", "k1", "k2", "k3", "k4"].iter().for_each(|key| counts_to(&job, key, 100));
    assert_eq!(look(&job, "nobody"), None);
    outside.tape.play(1000);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted(), "who looks changes nothing");
}

#[test]
fn what_is_not_there_is_refused_in_words() {
    let outside = Outside::new(100);
    let job = outside.start();
    let refused = |address: &StateAddress, look| job.handle.look_at_state(address, look, PATIENCE).unwrap_err();
    let no_operator = StateAddress { operator: "counter".parse().unwrap(), ..at("k0") };
    assert_eq!(refused(&no_operator, ALL).to_string(), "job `test` has no operator `counter`");
    let no_state = StateAddress { state: "counts".to_owned(), ..at("k0") };
    assert_eq!(refused(&no_state, ALL).to_string(), "operator `count` has no state `counts`; it has `count`");
    let why = refused(&at("k0"), StateLook::Entry(b"name".to_vec())).to_string();
    assert!(why.ends_with("is of another kind: only entries of a map have a `name`"), "{why}");
    let edit = StateEdit::SetItems(Vec::new());
    let why = job.handle.edit_state(&at("k0"), edit, PATIENCE).unwrap_err().to_string();
    assert!(why.contains("only a list has several `values`"), "{why}");
    outside.tape.play(100);
    job.ends(JobState::Finished);
    let over = job.handle.look_at_state(&at("k0"), ALL, PATIENCE).unwrap_err();
    assert!(matches!(over, StateRefused::NotRunning(_)), "{over}");
}

#[test]
fn an_edit_lasts_once_a_checkpoint_that_has_it_is_decided_and_survives_a_crash() {
    let (outside, job) = halfway("k1");
    let edited = set(&job, "k1", 1000);
    assert_eq!((number(&edited.before), edited.after), (Some(10), CheckpointId(0)));
    assert_eq!(look(&job, "k1"), Some(1000), "it is seen at once");
    // Nobody asked for a checkpoint but the edit.
    let decided = edited.decided.blocking_recv().unwrap().unwrap();
    assert!(decided > edited.after);
    job.handle.abandon();
    job.is_gone();

    let job = outside.start();
    assert_eq!(job.handle.checkpoints().restored, Some(decided));
    assert_eq!(look(&job, "k1"), Some(1000));
    outside.tape.play(100);
    job.ends(JobState::Finished);
    let committed = outside.book.sorted();
    assert!(committed.contains(&"k1=1010".to_owned()) && !committed.contains(&"k1=11".to_owned()), "{committed:?}");
}

#[test]
fn an_edit_that_no_checkpoint_has_at_a_crash_never_happened() {
    let (outside, job) = halfway("k1");
    let before = checkpoint(&job);
    // The next manifest cannot be stored.
    outside.store.out_of_reach(true);
    let edited = set(&job, "k1", 1000);
    assert_eq!(edited.after, before);
    job.handle.abandon();
    job.is_gone();
    let told = edited.decided.blocking_recv().unwrap().unwrap_err();
    assert!(told.contains(&format!("no checkpoint above {before} is known to be decided")), "{told}");
    outside.store.out_of_reach(false);

    let job = outside.start();
    assert_eq!(look(&job, "k1"), Some(10));
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn an_edit_whose_attempt_ends_is_told_what_the_next_one_goes_on_from() {
    let (outside, job) = halfway("k1");
    let before = checkpoint(&job);
    outside.store.out_of_reach(true);
    let edited = set(&job, "k1", 1000);
    job.handle.restart().unwrap();
    job.hears(|kind| matches!(kind, JobEventKind::State { state: JobState::Restarting, .. }));
    outside.store.out_of_reach(false);
    let told = edited.decided.blocking_recv().unwrap().unwrap_err();
    assert_eq!(
        told,
        format!("the job went back to checkpoint {before} before another one was decided: the edit never happened")
    );
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn deleting_a_value_lets_a_key_begin_anew() {
    let (outside, job) = halfway("k2");
    let edited = job.handle.edit_state(&at("k2"), StateEdit::Clear, PATIENCE).unwrap();
    assert_eq!(number(&edited.before), Some(10));
    assert_eq!(look(&job, "k2"), None);
    edited.decided.blocking_recv().unwrap().unwrap();
    outside.tape.play(100);
    job.ends(JobState::Finished);
    let ones = outside.book.sorted().iter().filter(|count| *count == "k2=1").count();
    assert_eq!(ones, 2, "it was counted from one on twice");
}

#[test]
fn who_does_not_answer_in_time_is_named_and_does_nothing_later() {
    let outside = Outside::new(100);
    let job = outside.world().endless_restore().operator("count", crate::counting::count());
    outside.tape.play(50);
    // A checkpoint to restore from.
    let first = outside.start();
    counts_to(&first, "k1", 10);
    checkpoint(&first);
    first.handle.abandon();
    first.is_gone();
    let job = job.start(crate::counting::COUNT);
    let edit = StateEdit::PutValue(1000_u64.to_le_bytes().to_vec());
    let why = job.handle.edit_state(&at("k1"), edit, Duration::from_millis(20)).unwrap_err().to_string();
    assert!(why.contains("of operator `count` did not answer in 0 s") && why.ends_with("nothing was changed"), "{why}");
    job.handle.abandon();
    job.is_gone();
    let job = outside.start();
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}
