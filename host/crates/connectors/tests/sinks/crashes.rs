//! The host dies at every step of staging, committing and aborting, and what is visible at the end is as if it had not.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use gristmill_checkpoint::Committable;
use gristmill_types::{AttemptId, CheckpointId};

use super::kinds::Kind;
use super::server::Server;
use super::world::{Checkpoint, World};

const EVENTS: u64 = 8;
const EACH: u64 = 2;

/// What is in checkpoint storage.
#[derive(Default)]
struct Storage {
    decided: Option<Checkpoint>,
    /// Events before it.
    taken: u64,
    uncommitted: Vec<Committable>,
    attempts: Vec<AttemptId>,
}

/// Runs to the end of the input, with a new attempt after each crash. Says whether there was one.
fn run(world: &World, kind: &Kind) -> bool {
    let mut storage = Storage::default();
    let mut crashed = false;
    for number in 1..20 {
        let ended = catch_unwind(AssertUnwindSafe(|| attempt(world, kind, number, &mut storage)));
        storage.attempts.push(AttemptId(number));
        let visible = kind.visible(world);
        assert!((1..=EVENTS).collect::<Vec<_>>().starts_with(&visible), "{visible:?}");
        match ended {
            Ok(true) => return crashed,
            // Undecided output is left behind by this one, whatever the fail points do.
            Ok(false) => {}
            Err(_) => crashed = true,
        }
    }
    panic!("it never came to the end");
}

/// One attempt. The first one ends before its second checkpoint is decided.
fn attempt(world: &World, kind: &Kind, number: u64, storage: &mut Storage) -> bool {
    let spec = kind.spec();
    let mut committer = world.committer(&spec, number);
    committer.abort_all_but(&storage.uncommitted, &storage.attempts).unwrap();
    let checkpoint = storage.decided.as_ref().map_or(0, |decided| decided.number);
    world.commit(&mut *committer, checkpoint, &storage.uncommitted).unwrap();
    storage.uncommitted.clear();
    let mut attempt = world.attempt(&spec, number, storage.decided.as_ref());
    while storage.taken < EVENTS {
        let until = storage.taken + EACH;
        attempt.write(storage.taken + 1..=until);
        let checkpoint = until / EACH;
        let cut = attempt.sink.pre_commit(CheckpointId(checkpoint)).unwrap();
        let position = attempt.sink.position();
        // Whoever is killed clears nothing up.
        let mut cut = std::mem::ManuallyDrop::new(cut.expect("there were events"));
        let staged = attempt.seal(&mut **cut, checkpoint);
        if number == 1 && checkpoint == 2 {
            return false;
        }
        storage.uncommitted.extend(staged.iter().cloned());
        storage.decided = Some(Checkpoint { number: checkpoint, position, committables: staged });
        storage.taken = until;
        world.commit(&mut *committer, checkpoint, &storage.uncommitted).unwrap();
        storage.uncommitted.clear();
    }
    true
}

fn dies_at(kind: impl Fn() -> Kind, points: &[&str]) {
    for point in points {
        let mut crashes = 0;
        for before in 0..3 {
            let (world, kind) = (World::alone(), kind());
            let action = if before == 0 { "1*panic".to_owned() } else { format!("{before}*off->1*panic") };
            fail::cfg(*point, &action).unwrap();
            crashes += u32::from(run(&world, &kind));
            fail::remove(*point);
            assert_eq!(kind.visible(&world), (1..=EVENTS).collect::<Vec<_>>(), "{} {point}", kind.name());
            assert_eq!(kind.traces(&world), Vec::<String>::new(), "{} {point}", kind.name());
        }
        assert!(crashes > 0, "{point} was never reached");
    }
}

const STAGING: [&str; 4] =
    ["file-sink-staged-created", "file-sink-staged-written", "file-sink-staged-sealed", "file-sink-staged-aborted"];
const RENAMING: [&str; 2] = ["file-sink-before-rename", "file-sink-renamed"];
const APPENDING: [&str; 4] =
    ["file-sink-before-append", "file-sink-chunk-appended", "file-sink-appended", "file-sink-append-synced"];
const LOADING: [&str; 5] = [
    "postgres-sink-rows-staged",
    "postgres-sink-begun",
    "postgres-sink-recorded",
    "postgres-sink-rows-loaded",
    "postgres-sink-committed",
];

#[test]
fn one_file_is_whole_wherever_the_host_dies() {
    dies_at(|| Kind::OneFile, &[&STAGING[..], &RENAMING, &APPENDING].concat());
}

#[test]
fn many_files_are_whole_wherever_the_host_dies() {
    dies_at(|| Kind::ManyFiles, &[&STAGING[..], &RENAMING].concat());
    dies_at(|| Kind::Parquet, &[&STAGING[..], &RENAMING].concat());
}

#[test]
fn a_table_is_whole_wherever_the_host_dies() {
    let _one_for_all = Server::running();
    dies_at(Kind::postgres, &LOADING);
}

#[test]
fn no_fail_point_of_the_sinks_is_forgotten_here() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/sink");
    let mut names = BTreeSet::new();
    for folder in ["file", "postgres"] {
        for entry in sources.join(folder).read_dir().unwrap() {
            let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            let found = text.split("fail_point!(\"").skip(1).filter_map(|rest| rest.split('"').next());
            names.extend(found.map(str::to_owned));
        }
    }
    let tested = [&STAGING[..], &RENAMING, &APPENDING, &LOADING].concat();
    assert_eq!(names, tested.into_iter().map(str::to_owned).collect());
}
