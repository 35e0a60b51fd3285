//! Savepoints: taken beside the stream, whole or not there at all.

use gristmill_checkpoint::{Savepoint, SavepointFolder};
use gristmill_ports::catalog::JobState;

use crate::fakes::{MemoryStore, Running};
use crate::recovery::Outside;

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
