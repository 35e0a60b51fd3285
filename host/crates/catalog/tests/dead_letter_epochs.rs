//! What the catalog promises about dead letters of jobs that go back to a checkpoint.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_catalog::FileCatalog;
use gristmill_ports::clock::ManualClock;
use gristmill_ports::dead_letters::{DeadLetterStore, Epoch};
use gristmill_types::dead_letter::Reason;
use gristmill_types::{CheckpointId, DeadLetter, JobId, RunId};
use proptest::prelude::*;

fn open(dir: &Path) -> FileCatalog {
    FileCatalog::open(dir, Arc::new(ManualClock::default())).unwrap()
}

fn job() -> JobId {
    "a".parse().unwrap()
}

fn epoch(run: u64, after: u64) -> Epoch {
    Epoch { run: RunId(run), after: CheckpointId(after) }
}

/// A letter that is known by its mark.
fn letter(mark: u64) -> DeadLetter {
    DeadLetter {
        operator: "parse".parse().unwrap(),
        input: "in".to_owned(),
        module: None,
        reason: Reason { kind: "trap".to_owned(), message: "why".to_owned() },
        backtrace: Vec::new(),
        origin: String::new(),
        timestamp: mark as i64,
        key: None,
        value: None,
        at_ms: 0,
    }
}

fn letters(marks: std::ops::Range<u64>) -> Vec<DeadLetter> {
    marks.map(letter).collect()
}

/// Number, mark, and whether it is decided, of each letter.
fn seen(store: &FileCatalog) -> Vec<(u64, u64, bool)> {
    let page = store.page(&job(), 0, usize::MAX).unwrap();
    page.into_iter().map(|kept| (kept.number, kept.letter.timestamp as u64, kept.is_decided)).collect()
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = fs::read_dir(dir.join("dead-letters/a")).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

#[test]
fn a_letter_counts_when_a_checkpoint_behind_its_epoch_is_decided() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for after in 0..3 {
        store.append(&job(), epoch(1, after), &[letter(after)]).unwrap();
    }
    store.append(&job(), epoch(2, 0), &[letter(3)]).unwrap();
    let decided = |store: &FileCatalog| seen(store).into_iter().map(|(_, _, decided)| decided).collect::<Vec<_>>();
    assert_eq!(decided(&store), [false; 4]);
    store.decided(&job(), RunId(1), CheckpointId(2)).unwrap();
    store.decided(&job(), RunId(1), CheckpointId(1)).unwrap();
    assert_eq!(decided(&store), [true, true, false, false]);
    drop(store);
    let store = open(dir.path());
    assert_eq!(decided(&store), [true, true, false, false], "decided is decided");
    assert_eq!(store.count(&job()), Ok(4), "a page shows the undecided ones too");
}

#[test]
fn going_back_forgets_letters_and_marks_behind_the_checkpoint_and_their_numbers_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&job(), epoch(1, 0), &letters(0..2)).unwrap();
    store.append(&job(), epoch(1, 1), &letters(2..4)).unwrap();
    store.append(&job(), epoch(1, 0), &letters(4..5)).unwrap();
    store.append(&job(), epoch(1, 2), &letters(5..7)).unwrap();
    store.mark_replayed(&job(), epoch(1, 0), &[0]).unwrap();
    store.mark_replayed(&job(), epoch(1, 1), &[1]).unwrap();
    store.abort_behind(&job(), RunId(1), Some(CheckpointId(1))).unwrap();
    let expected = [(0, 0, true), (1, 1, true), (4, 4, true)];
    let marks = |store: &FileCatalog| [0, 1].map(|number| store.is_replayed(&job(), number).unwrap());
    assert_eq!((seen(&store), store.count(&job()), marks(&store)), (expected.into(), Ok(3), [true, false]));
    drop(store);

    let store = open(dir.path());
    assert_eq!((seen(&store), store.count(&job()), marks(&store)), (expected.into(), Ok(3), [true, false]));
    store.append(&job(), epoch(1, 1), &letters(2..3)).unwrap();
    assert_eq!(seen(&store).last(), Some(&(7, 2, false)), "no number is given twice");
    assert_eq!(store.page(&job(), 2, 1).unwrap()[0].number, 4, "a page begins behind a gap");
    store.mark_replayed(&job(), epoch(1, 1), &[3, 7]).unwrap();
    assert!(!store.is_replayed(&job(), 3).unwrap(), "a forgotten letter has no marks");

    store.abort_behind(&job(), RunId(1), None).unwrap();
    assert_eq!((seen(&store), store.count(&job())), (Vec::new(), Ok(0)));
    store.append(&job(), epoch(1, 0), &letters(0..1)).unwrap();
    assert_eq!(seen(&store), [(8, 0, false)]);
    drop(store);
    assert_eq!(seen(&open(dir.path())), [(8, 0, false)]);
}

#[test]
fn going_back_leaves_other_runs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&job(), epoch(1, 0), &letters(0..1)).unwrap();
    store.append(&job(), epoch(1, 1), &letters(1..2)).unwrap();
    store.decided(&job(), RunId(1), CheckpointId(1)).unwrap();
    store.append(&job(), epoch(2, 0), &letters(2..3)).unwrap();
    store.mark_replayed(&job(), epoch(1, 9), &[0]).unwrap();
    store.abort_behind(&job(), RunId(2), None).unwrap();
    assert_eq!(seen(&store), [(0, 0, true), (1, 1, false)]);
    assert!(store.is_replayed(&job(), 0).unwrap());
}

#[test]
fn an_older_checkpoint_takes_back_what_was_decided_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for after in 0..4 {
        store.append(&job(), epoch(1, after), &[letter(after)]).unwrap();
    }
    store.decided(&job(), RunId(1), CheckpointId(4)).unwrap();
    store.abort_behind(&job(), RunId(1), Some(CheckpointId(2))).unwrap();
    store.append(&job(), epoch(1, 2), &[letter(9)]).unwrap();
    assert_eq!(seen(&store), [(0, 0, true), (1, 1, true), (4, 9, false)]);
}

#[test]
fn a_crash_before_the_room_was_given_back_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&job(), epoch(1, 0), &letters(0..3)).unwrap();
    let kept = files(dir.path());
    store.append(&job(), epoch(1, 5), &letters(3..600)).unwrap();
    let before = files(dir.path());
    store.abort_behind(&job(), RunId(1), Some(CheckpointId(5))).unwrap();
    assert_eq!(files(dir.path()), kept, "the room is given back");
    drop(store);
    before.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());

    let store = open(dir.path());
    store.append(&job(), epoch(1, 5), &letters(3..4)).unwrap();
    assert_eq!(seen(&store), [(0, 0, true), (1, 1, true), (2, 2, true), (600, 3, false)]);
    assert_eq!(files(dir.path()).len(), 2);
    store.abort_behind(&job(), RunId(1), Some(CheckpointId(5))).unwrap();
    store.abort_behind(&job(), RunId(1), Some(CheckpointId(5))).unwrap();
    assert_eq!(files(dir.path()), kept);
    store.delete(&job()).unwrap();
    store.append(&job(), epoch(1, 0), &letters(0..1)).unwrap();
    assert_eq!(seen(&store), [(0, 0, false)], "numbers begin with zero again");
}

#[test]
fn a_job_that_fails_again_and_again_does_not_fill_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.append(&job(), epoch(1, 0), &letters(0..1)).unwrap();
    let size = |dir: &Path| files(dir).values().map(Vec::len).sum::<usize>();
    let before = size(dir.path());
    for _ in 0..20 {
        store.append(&job(), epoch(1, 1), &letters(1..50)).unwrap();
        store.abort_behind(&job(), RunId(1), Some(CheckpointId(1))).unwrap();
    }
    assert_eq!((size(dir.path()), store.count(&job())), (before, Ok(1)));
}

#[test]
fn a_checkpoint_costs_nothing_where_it_decides_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let rows = || fs::read(dir.path().join("catalog.redb")).unwrap();
    let mut told = 0;
    let mut decide = |times: u64| {
        for _ in 0..times {
            told += 1;
            store.decided(&job(), RunId(1), CheckpointId(told)).unwrap();
        }
    };
    let before = rows();
    decide(50);
    assert!(rows() == before, "no letters, no writing");
    store.append(&job(), epoch(1, 50), &letters(0..1)).unwrap();
    decide(1);
    assert!(rows() != before, "what is decided is written down");
    let before = rows();
    decide(50);
    assert!(rows() == before, "no undecided letters, no writing");
    store.append(&job(), epoch(1, 70), &letters(1..2)).unwrap();
    drop(store);
    assert_eq!(seen(&open(dir.path())), [(0, 0, true), (1, 1, true)], "a letter that comes late counts at once");
}

#[test]
fn letters_of_hosts_that_knew_no_checkpoints_are_read_and_count() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let record = b"\x01\x05parse\x02in\0\x04trap\x03why\0\0\x04\0\0\0";
    let frame = [&(record.len() as u32).to_le_bytes(), &crc32c::crc32c(record).to_le_bytes(), &record[..]].concat();
    fs::create_dir_all(dir.path().join("dead-letters/a")).unwrap();
    fs::write(dir.path().join("dead-letters/a/00000000000000000000.log"), frame.repeat(3)).unwrap();
    let store = open(dir.path());
    store.append(&job(), epoch(1, 0), &letters(3..4)).unwrap();
    store.abort_behind(&job(), RunId(1), None).unwrap();
    assert_eq!(seen(&store), [(0, 2, true), (1, 2, true), (2, 2, true)]);
    assert_eq!(store.page(&job(), 0, 1).unwrap()[0].letter, letter(2));
}

const RUNS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    /// Threads append at the same time: a run, how far its epoch is ahead of the decided checkpoint, how many letters.
    Append(Vec<(usize, u64, u64)>),
    /// A run decides a checkpoint so much higher.
    Decide(usize, u64),
    /// A run goes back behind its decided checkpoint by so much, ahead of it by one, or to its beginning.
    GoBack(usize, Option<i64>),
    /// The subtask of a run takes in some letter.
    Mark(usize, u64, prop::sample::Index),
    /// The host ends and starts.
    Reopen,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let append = prop::collection::vec((0..RUNS, 0_u64..3, 1_u64..4), 1..4).prop_map(Step::Append);
    let step = prop_oneof![
        4 => append,
        3 => (0..RUNS, 0_u64..3).prop_map(|(run, ahead)| Step::Decide(run, ahead)),
        2 => (0..RUNS, prop::option::weighted(0.8, -2_i64..2)).prop_map(|(run, by)| Step::GoBack(run, by)),
        2 => (0..RUNS, 0_u64..3, any::<prop::sample::Index>()).prop_map(|(run, ahead, which)| Step::Mark(run, ahead, which)),
        1 => Just(Step::Reopen),
    ];
    prop::collection::vec(step, 1..25)
}

/// A letter as the model knows it.
#[derive(Debug, Clone)]
struct Known {
    number: u64,
    mark: u64,
    epoch: Epoch,
    replayed: Option<Epoch>,
}

/// What ought to be: all letters in a row, those that count looked up.
#[derive(Default)]
struct Model {
    kept: Vec<Known>,
    decided: [u64; RUNS],
    given: u64,
    next_mark: u64,
}

impl Model {
    fn epoch(&self, run: usize, ahead: u64) -> Epoch {
        epoch(run as u64, self.decided[run] + ahead)
    }

    fn go_back(&mut self, run: usize, to: u64) {
        let is_gone = |epoch: Epoch| epoch.run == RunId(run as u64) && epoch.after.0 >= to;
        self.kept.retain(|known| !is_gone(known.epoch));
        self.kept.iter_mut().for_each(|known| known.replayed = known.replayed.filter(|epoch| !is_gone(*epoch)));
        self.decided[run] = to;
    }

    /// Does the same to the store and to the model.
    fn step(&mut self, step: Step, store: &FileCatalog) {
        match step {
            Step::Append(groups) => self.append(&groups, store),
            Step::Decide(run, ahead) => {
                self.decided[run] += ahead;
                store.decided(&job(), RunId(run as u64), CheckpointId(self.decided[run])).unwrap();
            }
            Step::GoBack(run, by) => {
                let to = by.map(|by| self.decided[run].saturating_add_signed(by));
                store.abort_behind(&job(), RunId(run as u64), to.map(CheckpointId)).unwrap();
                self.go_back(run, to.unwrap_or(0));
            }
            Step::Mark(run, ahead, which) => {
                let epoch = self.epoch(run, ahead);
                if !self.kept.is_empty() {
                    let known = which.get_mut(&mut self.kept);
                    known.replayed = Some(epoch);
                    store.mark_replayed(&job(), epoch, &[known.number]).unwrap();
                }
            }
            Step::Reopen => {}
        }
    }

    /// Which thread is first is not foretold: the order is taken from the store, what is in it is not.
    fn append(&mut self, groups: &[(usize, u64, u64)], store: &FileCatalog) {
        let mut groups: Vec<_> = groups
            .iter()
            .map(|&(run, ahead, many)| {
                let first = self.next_mark;
                self.next_mark += many;
                (self.epoch(run, ahead), first..first + many)
            })
            .collect();
        std::thread::scope(|scope| {
            for (epoch, marks) in &groups {
                scope.spawn(|| store.append(&job(), *epoch, &letters(marks.clone())).unwrap());
            }
        });
        let page = store.page(&job(), self.given, usize::MAX).unwrap();
        let marks: Vec<u64> = page.into_iter().map(|kept| kept.letter.timestamp as u64).collect();
        groups.sort_by_key(|(_, group)| marks.iter().position(|mark| *mark == group.start));
        for (epoch, group) in groups {
            for mark in group {
                self.kept.push(Known { number: self.given, mark, epoch, replayed: None });
                self.given += 1;
            }
        }
    }

    fn check(&self, store: &FileCatalog) {
        let decided = |known: &Known| known.epoch.after.0 < self.decided[known.epoch.run.0 as usize];
        let expected: Vec<_> = self.kept.iter().map(|known| (known.number, known.mark, decided(known))).collect();
        assert_eq!(seen(store), expected);
        assert_eq!(store.count(&job()).unwrap(), expected.len() as u64);
        for number in 0..self.given {
            let is_replayed = self.kept.iter().any(|known| known.number == number && known.replayed.is_some());
            assert_eq!(store.is_replayed(&job(), number).unwrap(), is_replayed, "mark of {number}");
            let next = store.page(&job(), number, 1).unwrap().first().map(|kept| kept.number);
            assert_eq!(next, self.kept.iter().map(|known| known.number).find(|known| *known >= number));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn letters_are_as_in_the_naive_model(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let (mut store, mut model) = (open(dir.path()), Model::default());
        for step in steps {
            if matches!(step, Step::Reopen) {
                drop(store);
                store = open(dir.path());
            }
            model.step(step, &store);
            model.check(&store);
        }
    }
}
