//! What the catalog promises about dead letters.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_catalog::FileCatalog;
use gristmill_ports::PortError;
use gristmill_ports::clock::ManualClock;
use gristmill_ports::dead_letters::{DeadLetterStore, Epoch};
use gristmill_types::dead_letter::Reason;
use gristmill_types::{CheckpointId, DeadLetter, JobId, ModuleHash, RunId};

fn open(dir: &Path) -> Result<FileCatalog, PortError> {
    FileCatalog::open(dir, Arc::new(ManualClock::default()))
}

fn job(id: &str) -> JobId {
    id.parse().unwrap()
}

const EPOCH: Epoch = epoch(1, 0);

const fn epoch(run: u64, after: u64) -> Epoch {
    Epoch { run: RunId(run), after: CheckpointId(after) }
}

fn letter(number: usize) -> DeadLetter {
    DeadLetter {
        operator: "parse".parse().unwrap(),
        input: "in".to_owned(),
        module: Some(ModuleHash([3; 32])),
        reason: Reason { kind: "bad-record".to_owned(), message: format!("letter {number}") },
        backtrace: vec!["main".to_owned()],
        origin: format!("flights.jsonl:{number}"),
        timestamp: number as i64,
        key: Some(vec![0, 255]),
        value: None,
        at_ms: 1,
    }
}

fn large(number: usize, bytes: usize) -> DeadLetter {
    DeadLetter { value: Some(vec![0; bytes]), ..letter(number) }
}

fn letters(numbers: std::ops::Range<usize>) -> Vec<DeadLetter> {
    numbers.map(letter).collect()
}

fn all(store: &FileCatalog, job: &JobId) -> Vec<DeadLetter> {
    let page = store.page(job, 0, usize::MAX).unwrap();
    assert!(page.iter().enumerate().all(|(place, kept)| place as u64 == kept.number), "numbers run from zero");
    page.into_iter().map(|kept| kept.letter).collect()
}

fn segments(dir: &Path, job: &JobId) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join("dead-letters").join(job.as_str())).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn letters_keep_their_order_and_numbers_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (job("a"), job("b"));
    let store = open(dir.path()).unwrap();
    store.append(&a, EPOCH, &letters(0..600)).unwrap();
    store.append(&b, EPOCH, &letters(7..8)).unwrap();
    store.append(&a, EPOCH, &[]).unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    store.append(&a, EPOCH, &letters(600..601)).unwrap();
    assert_eq!((store.count(&a).unwrap(), store.count(&b).unwrap(), store.count(&job("c")).unwrap()), (601, 1, 0));
    assert_eq!(all(&store, &a), letters(0..601));
    for (from, limit) in [(0, 3), (255, 3), (256, 1), (511, 300), (600, 5), (601, 5), (9999, 5), (0, 0)] {
        let page = store.page(&a, from, limit).unwrap();
        let page: Vec<_> = page.into_iter().map(|kept| (kept.number, kept.letter)).collect();
        let until = (from as usize).saturating_add(limit).min(601);
        let expected: Vec<_> = (from as usize..until).map(|number| (number as u64, letter(number))).collect();
        assert_eq!(page, expected, "from {from}, at most {limit}");
    }
}

#[test]
fn damage_before_other_letters_is_told_and_nothing_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let a = job("a");
    let store = open(dir.path()).unwrap();
    store.append(&a, EPOCH, &letters(0..2)).unwrap();
    let path = segments(dir.path(), &a).remove(0);
    let damaged = fs::metadata(&path).unwrap().len();
    store.append(&a, EPOCH, &letters(2..3)).unwrap();
    let next = fs::metadata(&path).unwrap().len();
    store.append(&a, EPOCH, &letters(3..9)).unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    for at in damaged..next {
        let mut flipped = whole.clone();
        flipped[at as usize] ^= 4;
        fs::write(&path, &flipped).unwrap();
        let store = open(dir.path()).unwrap();
        let refusals = [store.count(&a).unwrap_err(), store.append(&a, EPOCH, &letters(9..10)).unwrap_err()];
        for refusal in refusals.map(|error| error.message) {
            assert!(refusal.contains(&format!("are damaged at byte {damaged}, and others follow at byte {next}")));
            assert!(refusal.contains("from number 2 on") && refusal.contains(&format!("truncate -s {damaged} ")));
        }
        assert_eq!(fs::read(&path).unwrap(), flipped);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(all(&open(dir.path()).unwrap(), &a), letters(0..9), "put back from a copy");
    OpenOptions::new().write(true).open(&path).unwrap().set_len(damaged).unwrap();
    assert_eq!(all(&open(dir.path()).unwrap(), &a), letters(0..2), "given up");
}

#[test]
fn a_letter_that_takes_the_number_of_one_that_was_cut_off_was_not_replayed() {
    let dir = tempfile::tempdir().unwrap();
    let a = job("a");
    let store = open(dir.path()).unwrap();
    store.append(&a, EPOCH, &letters(0..3)).unwrap();
    store.mark_replayed(&a, EPOCH, &[0, 2]).unwrap();
    drop(store);
    let path = segments(dir.path(), &a).remove(0);
    let length = fs::metadata(&path).unwrap().len();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(length - 1).unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!([0, 1, 2].map(|number| store.is_replayed(&a, number).unwrap()), [true, false, false]);
    store.append(&a, EPOCH, &letters(7..8)).unwrap();
    assert!(!store.is_replayed(&a, 2).unwrap());
    assert!(open_again(store, dir.path()).is_replayed(&a, 0).unwrap());
}

fn open_again(store: FileCatalog, dir: &Path) -> FileCatalog {
    drop(store);
    open(dir).unwrap()
}

#[test]
fn a_torn_tail_is_cut_off_and_what_was_acknowledged_stays() {
    let dir = tempfile::tempdir().unwrap();
    let a = job("a");
    let store = open(dir.path()).unwrap();
    store.append(&a, EPOCH, &letters(0..3)).unwrap();
    let path = segments(dir.path(), &a).remove(0);
    let acknowledged = fs::metadata(&path).unwrap().len();
    store.append(&a, EPOCH, &letters(3..4)).unwrap();
    drop(store);
    let whole = fs::read(&path).unwrap();
    let one_byte_wrong = [&whole[..whole.len() - 1], b"!"].concat();
    let zeros = [&whole[..acknowledged as usize], &[0; 100]].concat();
    let cut = |at: usize| whole[..at].to_vec();
    let torn = (acknowledged as usize + 1..whole.len()).map(cut).chain([one_byte_wrong, zeros]);
    for bytes in torn {
        fs::write(&path, &bytes).unwrap();
        let store = open(dir.path()).unwrap();
        assert_eq!(all(&store, &a), letters(0..3));
        assert_eq!(fs::metadata(&path).unwrap().len(), acknowledged);
        store.append(&a, EPOCH, &letters(3..5)).unwrap();
        assert_eq!(all(&store, &a), letters(0..5));
    }
}

#[test]
fn segments_follow_one_another() {
    let dir = tempfile::tempdir().unwrap();
    let a = job("a");
    let store = open(dir.path()).unwrap();
    for number in 0..7 {
        store.append(&a, EPOCH, &[large(number, 6 << 20)]).unwrap();
    }
    assert_eq!(segments(dir.path(), &a).len(), 3);
    drop(store);
    let store = open(dir.path()).unwrap();
    let page = store.page(&a, 2, 3).unwrap();
    assert_eq!(page.iter().map(|kept| kept.number).collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!(page[1].letter, large(3, 6 << 20));
}

#[test]
fn a_page_of_very_large_letters_ends_early() {
    let dir = tempfile::tempdir().unwrap();
    let a = job("a");
    let store = open(dir.path()).unwrap();
    (0..3).for_each(|number| store.append(&a, EPOCH, &[large(number, 40 << 20)]).unwrap());
    assert_eq!(store.page(&a, 0, 100).unwrap().len(), 2);
    assert_eq!(store.page(&a, 2, 100).unwrap().len(), 1);
}

#[test]
fn damage_to_acknowledged_letters_is_told_and_nothing_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let a = job("a");
    let store = open(dir.path()).unwrap();
    store.append(&a, EPOCH, &[large(0, 17 << 20)]).unwrap();
    store.append(&a, EPOCH, &letters(1..2)).unwrap();
    drop(store);
    let paths = segments(dir.path(), &a);
    OpenOptions::new().write(true).open(&paths[0]).unwrap().set_len(1000).unwrap();
    let refusal = open(dir.path()).unwrap().count(&a).unwrap_err().message;
    assert!(refusal.contains("are damaged at byte 0; put the file back from a copy"), "{refusal}");
    let refuse = || open(dir.path()).unwrap().count(&a).unwrap_err().message;
    let expected = "in the dead letters of job `a`, number 0 should come next and 1 does: a file of `";
    fs::write(&paths[0], b"").unwrap();
    assert!(refuse().starts_with(expected), "{}", refuse());
    fs::remove_file(&paths[0]).unwrap();
    assert!(refuse().starts_with(expected), "{}", refuse());
    let store = open(dir.path()).unwrap();
    store.delete(&a).unwrap();
    assert_eq!(store.count(&a).unwrap(), 0, "deleting always helps");
}

#[test]
fn appends_from_many_threads_stay_whole_and_lose_nothing() {
    const THREADS: usize = 8;
    const GROUPS: usize = 10;
    const GROUP: usize = 5;
    let dir = tempfile::tempdir().unwrap();
    let a = job("a");
    let store = open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, a) = (&store, &a);
            scope.spawn(move || {
                for group in 0..GROUPS {
                    let first = (thread * GROUPS + group) * GROUP;
                    store.append(a, EPOCH, &letters(first..first + GROUP)).unwrap();
                    store.page(a, 0, 3).unwrap();
                }
            });
        }
    });
    let kept = all(&store, &a);
    assert_eq!(kept.len(), THREADS * GROUPS * GROUP);
    let mut firsts: Vec<usize> = kept
        .chunks(GROUP)
        .map(|group| {
            let first = group[0].timestamp as usize;
            assert_eq!(group, letters(first..first + GROUP), "a group stands together");
            first
        })
        .collect();
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), THREADS * GROUPS);
}

#[test]
fn a_letter_is_replayed_once_and_marks_go_with_the_letters() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (job("a"), job("b"));
    let store = open(dir.path()).unwrap();
    store.append(&a, EPOCH, &letters(0..3)).unwrap();
    store.append(&b, EPOCH, &letters(0..3)).unwrap();
    store.mark_replayed(&a, EPOCH, &[0, 2]).unwrap();
    store.mark_replayed(&b, EPOCH, &[1]).unwrap();
    let refusal = store.mark_replayed(&a, EPOCH, &[1, 3]).unwrap_err().message;
    assert_eq!(refusal, "job `a` has no dead letter of number 3; the next will be 3");
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!([0, 1, 2].map(|number| store.is_replayed(&a, number).unwrap()), [true, false, true]);
    store.delete(&a).unwrap();
    store.append(&a, EPOCH, &letters(0..1)).unwrap();
    assert!(!store.is_replayed(&a, 0).unwrap() && store.is_replayed(&b, 1).unwrap());
    assert_eq!((store.count(&a).unwrap(), store.count(&b).unwrap()), (1, 3));
}
