//! Runs that begin from a savepoint which was taken midway: while state was being rewritten for another module, or while a
//! canary served. Each event counts once, whatever goes on from it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use gristmill_checkpoint::swap::SwapStage;
use gristmill_checkpoint::{Savepoint, Share};
use gristmill_ports::catalog::JobState;
use gristmill_runtime::JobEventKind;
use gristmill_types::{MaxParallelism, key_hash};

use crate::counting::{COUNT, Outside, count, counted};
use crate::fakes::native::Process;
use crate::fakes::{Book, MemoryStore, Native, Running, Sluice, Tape, World};
use crate::migrating::has_rewritten;
use crate::story::{KEYS, PAGE};
use crate::swapping::{AT_ONCE, NEW, OLD, node, until, with};
use crate::versions::{Complaints, Version};

/// Each key comes three times.
const LENGTH: usize = 3 * KEYS;

const SECOND: Version = Version(2);

/// Where the savepoint of a rewriting is taken: some keys have come to the second version.
const MIDWAY: usize = KEYS + 500;

/// Keys that something was done with, as often as it was.
type Keys = Arc<Mutex<Vec<String>>>;

fn noted(keys: &Keys) -> Vec<String> {
    keys.lock().unwrap().clone()
}

fn outside(length: usize, keys: usize) -> Outside {
    Outside { tape: Tape::new(length, keys), book: Book::default(), store: MemoryStore::default() }
}

/// A job that begins from the savepoint, without its operator; its output goes to `book`.
fn begins(outside: &Outside, book: &Book) -> World {
    outside.world().book("out", book).begins_from(1, "midway", &[])
}

fn dies(job: &Running) {
    job.handle.abandon();
    job.is_gone();
}

fn ends_right(outside: &Outside, book: &Book, job: &Running, length: usize) {
    outside.tape.play(length);
    job.ends(JobState::Finished);
    assert_eq!(job.letters.all().len(), 0);
    let all = [outside.book.committed(), book.committed()].concat();
    let mut sorted = all.clone();
    sorted.sort_unstable();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for line in &all {
        let (key, count) = line.split_once('=').unwrap();
        let before = counts.entry(key).or_default();
        *before += 1;
        assert_eq!(count, before.to_string(), "the counts of {key} come in order");
    }
    // So many are not to be printed.
    assert!(sorted == outside.tape.counted(), "{} counts of {length} events", all.len());
}

/// A savepoint that has keys in both schemas: a page of them was rewritten in the background, others when they came to the
/// second version. Nothing of the job runs any more.
fn saved_midway() -> (Outside, Complaints, Savepoint) {
    let outside = outside(LENGTH, KEYS);
    let (sluice, complaints) = (Sluice::default(), Complaints::default());
    let first = Version::FIRST.native(&complaints, || {});
    let job = outside.world().sluice(&sluice).operator_of("count", OLD, first).start(COUNT);
    outside.checkpoint_at(&job, KEYS);
    // Instances are opened when `migrate` was tried, and before anything is switched.
    let background = sluice.clone();
    let new = SECOND.native(&complaints, move || background.lets(PAGE as u64 + 50));
    let mut report = job.handle.swap(&node(), &with(new, NEW), AT_ONCE).unwrap();
    until(&mut report, |report| report.rewriting.as_ref().is_some_and(|rewritten| rewritten.keys == PAGE as u64));
    outside.tape.play(MIDWAY);
    outside.tape.wait_reached(MIDWAY);
    let before = job.handle.checkpoints().recent[0].checkpoint;
    let taken = job.handle.savepoint("midway").unwrap();
    // What it has is decided by then. Its entries are counted through the sluice, too.
    job.hears(|kind| matches!(kind, JobEventKind::Checkpoint { checkpoint, .. } if *checkpoint > before));
    sluice.open();
    let savepoint = taken.blocking_recv().unwrap().unwrap();
    dies(&job);
    let page = savepoint.node(&node()).unwrap();
    let versions: Vec<u32> = page.states.iter().map(|state| state.version).collect();
    assert_eq!((page.module, &versions[..]), (Some(NEW), &[1, 2][..]));
    assert!((1..(KEYS - PAGE) as u64).contains(&left(&savepoint)), "{:?}", savepoint.entries);
    (outside, complaints, savepoint)
}

/// How many keys the savepoint has in the schema of the first version.
fn left(savepoint: &Savepoint) -> u64 {
    savepoint.entries.as_ref().unwrap()[&node()][0]
}

/// The second version; notes the keys that it rewrites.
fn second(complaints: &Complaints, rewritten: &Keys) -> Native {
    let mut native = SECOND.native(complaints, || {});
    let (rewrite, rewritten) = (native.rewrite.take().unwrap(), Arc::clone(rewritten));
    native.rewrite = Some(Arc::new(move |migration, page| {
        let names = page.keys.iter().map(|key| String::from_utf8_lossy(key.unwrap()).into_owned());
        rewritten.lock().unwrap().extend(names);
        rewrite(migration, page)
    }));
    native
}

fn are_those_left(rewritten: &[String], savepoint: &Savepoint) {
    let once: BTreeSet<&String> = rewritten.iter().collect();
    let counted = (once.len() as u64, rewritten.len() as u64);
    assert_eq!(counted, (left(savepoint), left(savepoint)), "what was left is rewritten, each key once");
}

/// Begins from a savepoint of a rewriting by this document, first without the background.
fn begins_midway(document: &str) {
    let (outside, complaints, savepoint) = saved_midway();
    let (book, sluice, rewritten) = (Book::default(), Sluice::default(), Keys::default());
    sluice.lets(0);
    let world = begins(&outside, &book).sluice(&sluice);
    let job = world.operator_of("count", NEW, second(&complaints, &rewritten)).start(document);
    // Keys of both schemas come.
    outside.checkpoint_at(&job, MIDWAY + 1_000);
    let touched = noted(&rewritten).len() as u64;
    assert!((1..left(&savepoint)).contains(&touched), "{touched} of {} left", left(&savepoint));
    sluice.open();
    has_rewritten(&job, left(&savepoint));
    ends_right(&outside, &book, &job, LENGTH);
    assert_eq!(complaints.all(), [""; 0]);
    assert_eq!(job.handle.modules()[&node()], NEW);
    are_those_left(&noted(&rewritten), &savepoint);
}

#[test]
fn a_job_that_begins_while_state_is_rewritten_rewrites_what_is_left_and_each_key_once() {
    begins_midway(COUNT);
}

#[test]
fn keys_of_both_schemas_go_to_other_subtasks_and_each_is_rewritten_once() {
    begins_midway(&COUNT.replace("parallelism: 2", "parallelism: 3"));
}

#[test]
fn a_job_that_begins_while_state_is_rewritten_may_die_before_its_first_checkpoint_and_behind_it() {
    let (outside, complaints, savepoint) = saved_midway();
    let book = Book::default();
    let begin = |sluice: &Sluice, rewritten: &Keys| {
        let world = begins(&outside, &book).sluice(sluice);
        world.operator_of("count", NEW, second(&complaints, rewritten)).start(COUNT)
    };
    let job = begin(&Sluice::default(), &Keys::default());
    outside.tape.play(MIDWAY + 1_000);
    outside.tape.wait_reached(MIDWAY + 1_000);
    dies(&job);

    // Nothing of that was kept. Now the background comes through all keys of the first subtask, and stays in the second.
    outside.tape.hold(MIDWAY);
    let (sluice, before, after) = (Sluice::default(), Keys::default(), Keys::default());
    let first_subtask = &savepoint.node(&node()).unwrap().subtasks[0];
    sluice.lets(first_subtask.files.iter().map(|file| file.entries).sum::<u64>() + 50);
    let job = begin(&sluice, &before);
    while noted(&before).is_empty() {
        std::thread::yield_now();
    }
    outside.checkpoint_at(&job, MIDWAY + 1_000);
    let before = noted(&before);
    assert!((before.len() as u64) < left(&savepoint), "it dies in the middle");
    job.handle.abandon();
    // The background is to see that it is over.
    sluice.open();
    job.is_gone();

    let world = outside.world().book("out", &book).goes_on(1);
    let job = world.operator_of("count", NEW, second(&complaints, &after)).start(COUNT);
    ends_right(&outside, &book, &job, LENGTH);
    assert_eq!(complaints.all(), [""; 0]);
    are_those_left(&[before, noted(&after)].concat(), &savepoint);
}

/// It would not find the keys that have come to the other.
#[test]
fn a_module_that_knows_one_of_two_schemas_is_refused_in_a_sentence() {
    let (outside, complaints, _) = saved_midway();
    let first = Version::FIRST.native(&complaints, || {});
    let world = begins(&outside, &Book::default()).operator_of("count", OLD, first);
    let refused = world.try_start(COUNT).err().unwrap().to_string();
    assert!(refused.contains("of schema version 2 there") && refused.contains("exports no `migration`"), "{refused}");
}

/// As `count`; notes the keys that it got.
fn noting(keys: &Keys) -> Native {
    let keys = Arc::clone(keys);
    let process = move || -> Process {
        let keys = Arc::clone(&keys);
        Box::new(move |_, batch, state| {
            let names = batch.keys().iter().map(|key| String::from_utf8_lossy(key.unwrap()).into_owned());
            keys.lock().unwrap().extend(names);
            Ok(counted(batch, state))
        })
    };
    let mut native = Native::new(&["in"], &["out"], move |_| Ok(process()));
    native.descriptor = count().descriptor;
    native
}

/// A savepoint has the state that both wrote, and nothing of a canary: that is a thing of the run.
#[test]
fn a_job_that_begins_while_a_canary_served_has_the_module_of_its_document_for_all_keys() {
    const FEW: usize = 60;
    let (quarter, max) = (Share::try_from(25_u32).unwrap(), MaxParallelism::DEFAULT);
    let all: BTreeSet<String> = (0..FEW).map(|key| format!("k{key}")).collect();
    let groups = quarter.groups(max);
    let is_served = |key: &&String| groups.contains(max.group_of(key_hash(key.as_bytes())));
    let share: BTreeSet<String> = all.iter().filter(is_served).cloned().collect();
    for module in [OLD, NEW] {
        let outside = outside(10 * FEW, FEW);
        outside.tape.play(100);
        let job = outside.start();
        let served = Keys::default();
        let canary = with(noting(&served), NEW);
        let mut report = job.handle.canary(&node(), &canary, quarter, AT_ONCE).unwrap();
        until(&mut report, |report| report.stage == SwapStage::Canary);
        outside.tape.play(5 * FEW);
        outside.tape.wait_reached(5 * FEW);
        let savepoint = job.handle.savepoint("midway").unwrap().blocking_recv().unwrap().unwrap();
        dies(&job);
        assert_eq!(noted(&served).into_iter().collect::<BTreeSet<_>>(), share, "the canary has counted");
        assert_eq!(savepoint.node(&node()).unwrap().module, Some(OLD));

        let (book, own) = (Book::default(), Keys::default());
        let job = begins(&outside, &book).operator_of("count", module, noting(&own)).start(COUNT);
        ends_right(&outside, &book, &job, 10 * FEW);
        assert_eq!(job.handle.modules()[&node()], module);
        assert!(job.handle.newest_swap().is_none(), "no canary serves here");
        assert_eq!(noted(&own).into_iter().collect::<BTreeSet<_>>(), all);
    }
}
