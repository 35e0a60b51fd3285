//! What the files of a run promise, over a folder and over storage that is elsewhere.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_checkpoint::{FileRef, RunFolder};
use gristmill_checkpoint_store::faulty::{Faulty, Odds};
use gristmill_checkpoint_store::{LocalDir, RunFiles};
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::{CheckpointStore, ErrorKind, FileStore};
use gristmill_types::{AttemptId, JobId, RunId};
use tempfile::TempDir;

use crate::s3_server::S3Server;
use crate::s3_store::store_at;

const RUN: RunId = RunId(7);

fn job() -> JobId {
    "bees".parse().unwrap()
}

struct World {
    dir: TempDir,
    store: Arc<dyn CheckpointStore>,
}

impl World {
    fn local() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(LocalDir::open(&dir.path().join("store")).unwrap());
        Self { dir, store }
    }

    /// A store that hands out no local path, as object storage does.
    fn remote(odds: Odds) -> Self {
        let Self { dir, store } = Self::local();
        Self { dir, store: Arc::new(Faulty::new(store, 1, odds)) }
    }

    fn attempt(&self, attempt: u64) -> Arc<dyn FileStore> {
        let scratch = self.dir.path().join("work/scratch");
        RunFiles::open(Arc::clone(&self.store), &job(), RUN, AttemptId(attempt), &scratch).unwrap()
    }

    fn path_of(&self, file: &FileRef) -> String {
        RunFolder::new(&job(), RUN).file(file)
    }

    /// Where the store really keeps it.
    fn stored(&self, file: &FileRef) -> PathBuf {
        self.dir.path().join("store").join(self.path_of(file))
    }

    fn forget_copies(&self) {
        fs::remove_dir_all(self.dir.path().join("work/copies")).unwrap();
    }
}

/// Replaces a file, so that whoever has another name for it keeps what was.
fn replace(path: &Path, content: &str) {
    fs::remove_file(path).unwrap();
    fs::write(path, content).unwrap();
}

fn read(files: &dyn FileStore, file: &FileRef) -> String {
    fs::read_to_string(files.open(file).unwrap()).unwrap()
}

fn put_file(files: &dyn FileStore, content: &str) -> FileRef {
    let from = files.scratch().join("being-written");
    fs::write(&from, content).unwrap();
    let file = files.put(Content::File(&from)).unwrap();
    assert!(!from.exists(), "it is the store's");
    file
}

fn what_was_put_is_opened_by_this_attempt_and_the_next(world: &World) {
    let files = world.attempt(1);
    let (one, other) = (put_file(&*files, "one"), files.put(Content::Bytes(b"other")).unwrap());
    assert_eq!((read(&*files, &one), read(&*files, &other)), ("one".to_owned(), "other".to_owned()));
    let next = world.attempt(2);
    assert_eq!((read(&*next, &one), read(&*next, &other)), ("one".to_owned(), "other".to_owned()));
    assert_eq!(world.store.list(&format!("jobs/bees/{RUN}/files/{}", AttemptId(1))).unwrap().len(), 2);
}

#[test]
fn what_was_put_is_opened_over_a_folder() {
    what_was_put_is_opened_by_this_attempt_and_the_next(&World::local());
}

#[test]
fn what_was_put_is_opened_over_object_storage() {
    let server = S3Server::start();
    let store = Arc::new(store_at(server.port, "s3://run", "secret"));
    let world = World { dir: tempfile::tempdir().unwrap(), store };
    what_was_put_is_opened_by_this_attempt_and_the_next(&world);
    world.forget_copies();
    let files = world.attempt(3);
    let large = "0123456789abcdef".repeat(1 << 21);
    let file = put_file(&*files, &large);
    world.forget_copies();
    assert!(read(&*world.attempt(4), &file) == large);
}

#[test]
fn the_same_content_twice_has_two_names() {
    let world = World::local();
    let files = world.attempt(1);
    let (first, second) = (files.put(Content::Bytes(b"same")).unwrap(), put_file(&*files, "same"));
    assert_eq!(first.hash, second.hash);
    world.store.delete(&world.path_of(&first)).unwrap();
    assert_eq!(read(&*files, &second), "same");
}

#[test]
fn the_scratch_is_empty_when_an_attempt_begins() {
    let world = World::local();
    fs::write(world.attempt(1).scratch().join("left"), "x").unwrap();
    assert!(!world.attempt(2).scratch().join("left").exists());
}

#[test]
fn a_missing_and_a_damaged_file_are_named() {
    for world in [World::local(), World::remote(Odds::default())] {
        let file = put_file(&*world.attempt(1), "content");
        world.forget_copies();
        let refused = || {
            let error = world.attempt(2).open(&file).unwrap_err();
            assert_eq!(error.kind, ErrorKind::Fatal);
            assert!(error.message.starts_with("a file of job `bees`, `jobs/bees/"), "{error}");
            assert!(error.message.contains("put it back from a backup"), "{error}");
            error.message
        };
        replace(&world.stored(&file), "Content");
        assert!(refused().contains("is damaged: its content is not that of its name"));
        replace(&world.stored(&file), "conte");
        assert!(refused().contains("is damaged: it has 5 bytes where 7 belong"));
        world.store.delete(&world.path_of(&file)).unwrap();
        assert!(refused().contains("is missing"));
    }
}

#[test]
fn what_the_store_has_lost_is_put_back_from_a_good_copy() {
    let world = World::remote(Odds::default());
    let (gone, cut) = {
        let files = world.attempt(1);
        (put_file(&*files, "gone"), put_file(&*files, "cut off"))
    };
    world.store.delete(&world.path_of(&gone)).unwrap();
    replace(&world.stored(&cut), "cut");
    let files = world.attempt(2);
    assert_eq!((read(&*files, &gone), read(&*files, &cut)), ("gone".to_owned(), "cut off".to_owned()));
    for (file, content) in [(gone, "gone"), (cut, "cut off")] {
        assert_eq!(fs::read_to_string(world.stored(&file)).unwrap(), content);
    }
}

#[test]
fn a_copy_that_is_damaged_is_fetched_anew() {
    let world = World::remote(Odds::default());
    let file = put_file(&*world.attempt(1), "content");
    let copy = world.attempt(2).open(&file).unwrap();
    replace(&copy, "Content");
    assert_eq!(read(&*world.attempt(3), &file), "content");
}

#[test]
fn what_arrives_damaged_is_never_handed_out() {
    let world = World::remote(Odds { torn: 0.2, flipped: 0.2, ..Odds::default() });
    let file = put_file(&*world.attempt(1), "content that is long enough to be torn");
    let (mut good, mut refused) = (0, 0);
    for attempt in 2..60 {
        world.forget_copies();
        match world.attempt(attempt).open(&file) {
            Ok(path) => {
                assert_eq!(fs::read_to_string(path).unwrap(), "content that is long enough to be torn");
                good += 1;
            }
            Err(error) => {
                assert!(error.message.contains("is damaged"), "{error}");
                refused += 1;
            }
        }
    }
    assert!(good > refused && refused > 0, "{good} were good, {refused} refused: most are fetched once more");
}

#[test]
fn a_put_that_failed_can_be_made_again_with_the_same_file() {
    let world = World::remote(Odds { before: 0.3, after: 0.3, ..Odds::default() });
    let files = world.attempt(1);
    for number in 0..50 {
        let (from, content) = (files.scratch().join("x"), format!("content {number}"));
        fs::write(&from, &content).unwrap();
        let file = loop {
            match files.put(Content::File(&from)) {
                Ok(file) => break file,
                Err(error) => assert_eq!(error.kind, ErrorKind::Retry, "{error}"),
            }
        };
        assert_eq!(fs::read_to_string(world.stored(&file)).unwrap(), content);
    }
    assert_eq!(fs::read_dir(files.scratch().join(".passing")).unwrap().count(), 0);
}
