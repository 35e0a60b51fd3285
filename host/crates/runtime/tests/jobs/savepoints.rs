//! Savepoints: taken beside the stream, whole or not there at all; and runs that begin from one.

use gristmill_checkpoint::{Savepoint, SavepointFolder};
use gristmill_ports::CheckpointStore;
use gristmill_ports::catalog::JobState;
use gristmill_types::Watermark;

use crate::counting::{COUNT, Outside, checkpoint, count};
use crate::fakes::{Book, MemoryStore, Native, Running, World};

/// What a wish for a savepoint came to; nothing if the attempt ended before.
fn take(job: &Running, name: &str) -> Option<Result<Savepoint, String>> {
    job.handle.savepoint(name).expect("the job runs").blocking_recv().ok()
}

fn folder(name: &str) -> SavepointFolder {
    SavepointFolder::new(&"test".parse().unwrap(), name)
}

fn has(store: &MemoryStore, path: &str) -> bool {
    store.paths().iter().any(|stored| stored == path)
}

#[test]
fn a_savepoint_is_taken_beside_the_stream_and_stands_on_its_own() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    let taken = job.handle.savepoint("before").unwrap();
    // The stream does not wait for it.
    outside.tape.play(80);
    outside.tape.wait_reached(80);
    let savepoint = taken.blocking_recv().unwrap().unwrap();

    let folder = folder("before");
    let mut expected: Vec<String> = savepoint.files().map(|(_, file)| folder.file(&file)).collect();
    expected.push(folder.record());
    expected.sort_unstable();
    let inside = |path: &String| path.starts_with(folder.prefix());
    assert_eq!(outside.store.paths().into_iter().filter(inside).collect::<Vec<_>>(), expected);
    outside.store.damage(&folder.record(), |bytes| assert_eq!(Savepoint::decode(bytes).unwrap(), savepoint));
    let count = savepoint.node(&"count".parse().unwrap()).unwrap();
    assert!(count.subtasks.iter().all(|part| part.files.len() == 1), "a list is merged into one file: {count:?}");
    assert!(outside.book.committed().len() >= 40, "what was cut before it is visible once it is there");

    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_name_is_given_once() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    take(&job, "before").unwrap().unwrap();
    let stored = |outside: &Outside| -> Vec<_> {
        outside.store.paths().into_iter().filter(|path| path.starts_with("savepoints/")).collect()
    };
    let first = stored(&outside);
    let refused = take(&job, "before").unwrap().unwrap_err();
    assert!(refused.contains("there is a savepoint `before` of job `test`"), "{refused}");
    assert_eq!(stored(&outside), first, "nothing is put into the folder of another");
    take(&job, "after").unwrap().unwrap();
    outside.tape.play(100);
    job.ends(JobState::Finished);
}

/// Where event time stands in a savepoint, behind the source.
fn event_time(savepoint: &Savepoint) -> Vec<Watermark> {
    let count = savepoint.node(&"count".parse().unwrap()).unwrap();
    count.subtasks.iter().map(|part| part.watermark).collect()
}

#[test]
fn a_job_that_drains_completes_event_time_and_all_its_output_is_committed_before_its_savepoint() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    let taken = job.handle.drain("end").unwrap().expect("it runs");
    let savepoint = taken.blocking_recv().unwrap().unwrap();
    assert!(event_time(&savepoint).iter().all(|watermark| *watermark == Watermark::END), "{savepoint:?}");
    assert_eq!(outside.book.committed().len(), 40);
    job.ends(JobState::Stopped);
    // What was not read is read by whoever begins from it.
    let book = Book::default();
    outside.tape.play(100);
    fork_of(&outside, &book, "end").start(COUNT).ends(JobState::Finished);
    assert_eq!(both(&outside.book, &book), outside.tape.counted());
}

#[test]
fn a_job_that_stops_where_its_savepoint_was_taken_leaves_event_time_open() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    job.handle.hold().unwrap();
    let savepoint = take(&job, "here").unwrap().unwrap();
    assert!(event_time(&savepoint).iter().all(|watermark| *watermark < Watermark::END), "{savepoint:?}");
    outside.tape.play(100);
    job.handle.stop_here().unwrap();
    job.ends(JobState::Stopped);
    let book = Book::default();
    fork_of(&outside, &book, "here").start(COUNT).ends(JobState::Finished);
    assert_eq!(both(&outside.book, &book), outside.tape.counted(), "nothing is lost, nothing twice");
}

#[test]
fn a_job_that_was_held_in_vain_goes_on() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    job.handle.hold().unwrap();
    job.handle.let_go(true).unwrap();
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_job_that_drains_does_so_however_often_it_begins_anew() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    outside.store.out_of_reach(true);
    let lost = job.handle.drain("end").unwrap().expect("it runs");
    job.handle.restart().unwrap();
    assert!(lost.blocking_recv().is_err(), "its attempt is over");
    outside.store.out_of_reach(false);
    job.ends(JobState::Stopped);
    let mut record = None;
    outside.store.damage(&folder("end").record(), |bytes| record = Some(Savepoint::decode(bytes).unwrap()));
    assert!(event_time(&record.unwrap()).iter().all(|watermark| *watermark == Watermark::END));
}

#[test]
fn a_savepoint_for_which_storage_is_away_comes_later() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    outside.store.out_of_reach(true);
    let taken = job.handle.savepoint("late").unwrap();
    outside.tape.play(80);
    outside.tape.wait_reached(80);
    assert!(!has(&outside.store, &folder("late").record()));
    outside.store.out_of_reach(false);
    taken.blocking_recv().unwrap().unwrap();
    assert!(has(&outside.store, &folder("late").record()));
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_crash_while_one_is_taken_leaves_none() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    // Nobody hears that output is committed, so the savepoint lacks nothing but that.
    outside.book.fails_every(1);
    let taken = job.handle.savepoint("torn").unwrap();
    let carried = || outside.store.paths().iter().any(|path| path.starts_with(&folder("torn").files()));
    while !carried() {
        std::thread::yield_now();
    }
    job.handle.abandon();
    job.is_gone();
    assert!(taken.blocking_recv().is_err(), "nobody says that there is one");
    assert!(!has(&outside.store, &folder("torn").record()));

    outside.book.fails_every(u64::MAX);
    let job = outside.start();
    take(&job, "torn").unwrap().unwrap();
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

/// The world with a job that counts by key and begins from the savepoint `start`; its output goes to `book`.
fn fork(outside: &Outside, book: &Book, run: u64) -> World {
    outside.world().book("out", book).begins_from(run, "start", &[]).operator("count", count())
}

/// The same, from another savepoint.
fn fork_of(outside: &Outside, book: &Book, name: &str) -> World {
    outside.world().book("out", book).begins_from(1, name, &[]).operator("count", count())
}

/// A job that has read 60 events, with a savepoint `start`, and runs no more.
fn forked() -> Outside {
    let outside = Outside::new(100);
    outside.tape.play(60);
    let job = outside.start();
    outside.tape.wait_reached(60);
    take(&job, "start").unwrap().unwrap();
    job.handle.abandon();
    job.is_gone();
    outside
}

/// What both books have, sorted.
fn both(one: &Book, other: &Book) -> Vec<String> {
    let mut all = [one.committed(), other.committed()].concat();
    all.sort_unstable();
    all
}

#[test]
fn a_job_begins_from_a_savepoint_and_commits_nothing_of_what_came_before() {
    let outside = forked();
    let book = Book::default();
    outside.tape.play(100);
    let job = fork(&outside, &book, 1).start(COUNT);
    job.ends(JobState::Finished);
    assert_eq!(book.committed().len(), 40);
    assert_eq!(both(&outside.book, &book), outside.tape.counted());
}

#[test]
fn a_run_that_dies_before_its_first_checkpoint_begins_from_its_savepoint_again() {
    let outside = forked();
    let book = Book::default();
    outside.tape.play(80);
    for _ in 0..2 {
        let job = fork(&outside, &book, 1).start(COUNT);
        outside.tape.wait_reached(80);
        job.handle.abandon();
        job.is_gone();
    }
    assert_eq!(book.committed().len(), 0);
    outside.tape.play(100);
    fork(&outside, &book, 1).start(COUNT).ends(JobState::Finished);
    assert_eq!(both(&outside.book, &book), outside.tape.counted());
}

#[test]
fn from_its_first_checkpoint_on_a_run_needs_its_savepoint_no_more() {
    let outside = forked();
    let book = Book::default();
    outside.tape.play(80);
    let job = fork(&outside, &book, 1).start(COUNT);
    outside.tape.wait_reached(80);
    checkpoint(&job);
    job.handle.abandon();
    job.is_gone();
    let inside = |path: &String| path.starts_with("savepoints/");
    for path in outside.store.paths().into_iter().filter(inside) {
        outside.store.delete(&path).unwrap();
    }
    outside.tape.play(100);
    let world = outside.world().book("out", &book).goes_on(1).operator("count", count());
    world.start(COUNT).ends(JobState::Finished);
    assert_eq!(both(&outside.book, &book), outside.tape.counted());
}

#[test]
fn a_savepoint_that_does_not_fit_is_refused_in_a_sentence() {
    let outside = forked();
    let start = |native: Native, dropped: &[&str]| {
        let world = outside.world().book("out", &Book::default()).begins_from(1, "start", dropped);
        world.operator("count", native).try_start(COUNT).err().map(|error| error.to_string())
    };
    let mut other = count();
    other.descriptor.states[0].name = "sum".into();
    let refused = start(other, &[]).unwrap();
    assert!(refused.contains("`count` does not declare state `count` any more"), "{refused}");
    let mut newer = count();
    newer.descriptor.states[0].version = 2;
    let refused = start(newer, &[]).unwrap();
    assert!(refused.contains("exports no `migration`") && refused.contains("`count.count`"), "{refused}");
    let refused = start(count(), &["cuont"]).unwrap();
    assert!(refused.contains("`cuont` is to be dropped, but there is no such node or state"), "{refused}");
}

#[test]
fn a_savepoint_that_is_gone_or_damaged_is_refused_in_a_sentence() {
    let outside = forked();
    let refused = |outside: &Outside| fork(outside, &Book::default(), 1).try_start(COUNT).err().unwrap().to_string();
    let folder = folder("start");
    let state = outside.store.paths().into_iter().find(|path| path.starts_with(&folder.files())).unwrap();
    outside.store.damage(&state, |bytes| bytes.push(0));
    assert!(refused(&outside).contains("is damaged"));
    outside.store.damage(&folder.record(), |bytes| bytes[9] ^= 1);
    assert!(refused(&outside).contains("the record of the savepoint"));
    outside.store.delete(&folder.record()).unwrap();
    assert!(refused(&outside).contains("savepoint `start` of job `test`, to begin from: it is gone"));
}
