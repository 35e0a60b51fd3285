//! Crashes, and what follows them: committed output is as if nothing had happened.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gristmill_ports::catalog::JobState;
use gristmill_ports::state::StateBackend;
use gristmill_runtime::{CheckpointOutcome, JobEventKind};
use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::{CheckpointId, CheckpointKind, Column, EventBatch, Outcome, Rejection, Rows, StateIndex};
use proptest::prelude::*;

use crate::fakes::native::emitted;
use crate::fakes::{Book, MemoryStore, Native, Running, Tape, World};

/// Two subtasks count by key what one source gives; a book keeps the counts.
pub(crate) const COUNT: &str = "
sources: {in: {from: generator, parallelism: 1}}
operators: {count: {module: count@1, parallelism: 2, inputs: {in: {from: in, key_by: $.k}}}}
sinks: {out: {inputs: [count], to: blackhole, parallelism: 2}}
checkpoint: {every: never}
restart: {fixed: {delay: 1ms, attempts: 1000}}
";

/// Emits `key=count` for each event.
pub(crate) fn count() -> Native {
    let mut native = Native::new(&["in"], &["out"], |_| Ok(Box::new(|_, events, state| Ok(counted(events, state)))));
    native.descriptor.inputs[0].keyed = true;
    native.descriptor.states = vec![StateSpec {
        name: "count".into(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        version: 1,
        ttl_ms: None,
        ttl_clock: ClockKind::ProcessingTime,
    }];
    native
}

pub(crate) fn counted(events: &EventBatch, state: &mut Box<dyn StateBackend>) -> Outcome {
    let mut results = Column::default();
    for row in 0..events.len() as u32 {
        let read = state.get(StateIndex(0), &[row]).unwrap();
        let before = read.values.get(0).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let now: Column = [Some(&(before + 1).to_le_bytes()[..])].into_iter().collect();
        state.put(StateIndex(0), &[row], &now).unwrap();
        let key = String::from_utf8_lossy(events.keys().bytes_of(row as usize)).into_owned();
        results.push(Some(format!("{key}={}", before + 1).as_bytes()));
    }
    emitted(0, Rows::Mapped { rows: (0..events.len() as u32).collect(), values: results })
}

/// What outlives a crash.
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) tape: Tape,
    pub(crate) book: Book,
    pub(crate) store: MemoryStore,
}

impl Outside {
    pub(crate) fn new(length: usize) -> Self {
        Self { tape: Tape::new(length, 5), book: Book::default(), store: MemoryStore::default() }
    }

    pub(crate) fn world(&self) -> World {
        World::default().time_passes().tape("in", &self.tape).book("out", &self.book).store(&self.store)
    }

    pub(crate) fn start(&self) -> Running {
        self.world().operator("count", count()).start(COUNT)
    }
}

/// Makes a checkpoint and waits for it; gives its number. Asks again if the job starts anew meanwhile.
pub(crate) fn checkpoint(job: &Running) -> CheckpointId {
    let completed = job.handle.checkpoints().completed;
    loop {
        // Between two attempts there is nobody to ask.
        let _ = job.handle.checkpoint(CheckpointKind::Checkpoint);
        if let Some(number) = job.hears_checkpoint(completed + 1) {
            return number;
        }
        let status = job.handle.status();
        assert!(!status.state.is_final(), "no checkpoint any more: {status:?}");
    }
}

#[test]
fn a_bounded_job_commits_all_its_output_with_its_last_checkpoint() {
    let outside = Outside::new(100);
    outside.tape.play(100);
    let job = outside.start();
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(outside.book.staged(), 0);
}

#[test]
fn nothing_is_visible_before_its_checkpoint_is_decided() {
    let outside = Outside::new(100);
    outside.tape.play(50);
    let job = outside.start();
    outside.tape.wait_reached(50);
    assert_eq!(outside.book.committed().len(), 0);
    outside.store.out_of_reach(true);
    job.handle.checkpoint(CheckpointKind::Checkpoint).unwrap();
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    assert_eq!(outside.book.committed().len(), 0, "the manifest is not stored");
    outside.store.out_of_reach(false);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn after_a_crash_the_output_is_as_if_nothing_had_happened() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    checkpoint(&job);
    outside.tape.play(70);
    outside.tape.wait_reached(70);
    job.handle.abandon();
    job.is_gone();
    outside.tape.play(100);
    let job = outside.start();
    assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(1)));
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(outside.book.staged(), 0, "what the crashed attempt staged behind its checkpoint was thrown away");
}

#[test]
fn what_is_set_aside_after_a_crash_stands_behind_the_checkpoint_gone_on_from() {
    let outside = Outside::new(60);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    let checkpoint = checkpoint(&job);
    job.handle.abandon();
    job.is_gone();
    outside.tape.play(60);
    let refuse = |row| Rejection { row, reason: "not this one".into() };
    let refused = move |events: &EventBatch| Outcome {
        rejections: (0..events.len() as u32).map(refuse).collect(),
        ..emitted(0, Rows::Selected(Vec::new()))
    };
    let mut native = Native::new(&["in"], &["out"], move |_| Ok(Box::new(move |_, events, _| Ok(refused(events)))));
    native.descriptor = count().descriptor;
    let job = outside.world().operator("count", native).start(COUNT);
    job.ends(JobState::Finished);
    assert_eq!(job.letters.after(), [checkpoint; 20], "or they would stay when the job goes back to it once more");
}

#[test]
fn a_job_that_fails_starts_again_by_itself() {
    let outside = Outside::new(60);
    let panicked = Arc::new(AtomicBool::new(false));
    let once = Arc::clone(&panicked);
    let mut native = Native::new(&["in"], &["out"], move |_| {
        let once = Arc::clone(&once);
        Ok(Box::new(move |_, events, state| {
            let is_late = events.timestamps().iter().any(|time| *time >= 30);
            assert!(!is_late || once.swap(true, Ordering::SeqCst), "an own goal");
            Ok(counted(events, state))
        }))
    });
    native.descriptor = count().descriptor;
    outside.tape.play(60);
    let job = outside.world().operator("count", native).start(COUNT);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    let report = job.handle.checkpoints();
    assert_eq!(report.restarts, 1);
    assert!(report.last_restart.unwrap().cause.contains("an own goal"));
}

#[test]
fn a_suspended_job_makes_a_last_checkpoint_and_keeps_its_state() {
    let outside = Outside::new(100);
    outside.tape.play(60);
    let job = outside.start();
    outside.tape.wait_reached(60);
    job.handle.suspend();
    job.is_gone();
    assert_eq!(job.handle.status().state, JobState::Running);
    assert_eq!(outside.book.staged(), 0, "what the last checkpoint has is committed");
    outside.tape.play(100);
    let job = outside.start();
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_job_that_was_finished_is_finished_still() {
    let outside = Outside::new(30);
    outside.tape.play(30);
    outside.start().ends(JobState::Finished);
    outside.start().ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn the_second_host_on_one_storage_fences_the_first() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let first = outside.start();
    outside.tape.wait_reached(40);
    let second = outside.start();
    first.handle.checkpoint(CheckpointKind::Checkpoint).unwrap();
    let cause = first.fails();
    assert!(cause.contains("has taken the job over"), "{cause}");
    outside.tape.play(100);
    second.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_damaged_checkpoint_is_named_and_only_a_person_goes_back_behind_it() {
    let outside = Outside::new(100);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    checkpoint(&job);
    outside.tape.play(70);
    outside.tape.wait_reached(70);
    checkpoint(&job);
    job.handle.abandon();
    job.is_gone();
    let newest = outside.store.paths().into_iter().rfind(|path| path.contains("/chain/")).unwrap();
    outside.store.damage(&newest, |bytes| bytes[40] ^= 1);
    let refused = outside.world().operator("count", count()).try_start(COUNT).err().expect("somebody must decide");
    let refused = refused.to_string();
    assert!(refused.contains("checksum") && refused.contains("back to checkpoint 1"), "{refused}");
    let world = outside.world().operator("count", count());
    let job = world.try_start_from(COUNT, Some(CheckpointId(1))).expect("it was accepted");
    outside.tape.play(100);
    job.ends(JobState::Finished);
    let mut distinct = outside.book.sorted();
    distinct.dedup();
    assert_eq!(distinct, outside.tape.counted(), "nothing is lost; what was behind the accepted one is repeated");
}

#[test]
fn a_checkpoint_tells_of_each_subtask() {
    let outside = Outside::new(100);
    outside.tape.play(50);
    let job = outside.start();
    outside.tape.wait_reached(50);
    checkpoint(&job);
    let report = job.handle.checkpoints();
    let CheckpointOutcome::Completed { ref subtasks, .. } = report.recent[0].outcome else { panic!("{report:?}") };
    assert_eq!(subtasks.len(), 3, "one source, two subtasks that count and write");
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn storage_that_is_away_for_long_is_told_of_and_costs_the_job_nothing_but_time() {
    let outside = Outside::new(100);
    let document = COUNT
        .replace("{every: never}", "{every: 10ms, timeout: 50ms, tolerate: 1}")
        .replace("delay: 1ms", "delay: 20ms");
    let job = outside.world().operator("count", count()).start(&document);
    outside.tape.play(50);
    outside.tape.wait_reached(50);
    checkpoint(&job);
    outside.store.out_of_reach(true);
    let trouble = loop {
        match job.handle.checkpoints().storing {
            Some(trouble) => break trouble,
            None => std::thread::yield_now(),
        }
    };
    assert_eq!(trouble.reason, "the store is out of reach");
    let gave_up =
        |why: &str| why.starts_with("2 checkpoints in a row failed") && why.ends_with("the store is out of reach");
    job.hears(|kind| match kind {
        JobEventKind::State { state: JobState::Restarting, cause: Some(why) } => gave_up(why),
        _ => false,
    });
    assert!(job.handle.checkpoints().failed >= 2);
    outside.tape.play(100);
    outside.store.out_of_reach(false);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

impl Outside {
    /// Plays to here and makes a checkpoint there.
    fn checkpoint_at(&self, job: &Running, until: usize) -> CheckpointId {
        self.tape.play(until);
        self.tape.wait_reached(until);
        checkpoint(job)
    }

    /// The host is gone without a word, and back.
    fn crash(&self, job: &Running) -> Running {
        job.handle.abandon();
        job.is_gone();
        self.start()
    }

    fn slots(&self) -> Vec<u64> {
        let slots = self.store.paths().into_iter().filter(|path| path.contains("/chain/"));
        slots.map(|path| path.rsplit('/').next().unwrap().parse().unwrap()).collect()
    }

    /// Three checkpoints, of which a person gives the last two up: #4 stands before them in the input.
    fn gives_up(&self) -> Running {
        let job = self.start();
        (1..=3).for_each(|number| _ = self.checkpoint_at(&job, 20 * number));
        job.handle.abandon();
        job.is_gone();
        self.tape.hold(30);
        let world = self.world().operator("count", count());
        world.try_start_from(COUNT, Some(CheckpointId(1))).expect("it was accepted")
    }
}

#[test]
fn a_source_keeps_what_the_oldest_kept_checkpoint_has_before_it_and_forgets_the_rest() {
    let outside = Outside::new(100);
    let job = outside.start();
    (1..=5).for_each(|number| _ = outside.checkpoint_at(&job, 10 * number));
    outside.tape.wait_forgotten(30);
    job.handle.abandon();
    job.is_gone();
    assert_eq!(outside.tape.forgotten(), 30, "the last three are kept");
    let world = outside.world().operator("count", count());
    let job = world.try_start_from(COUNT, Some(CheckpointId(3))).expect("it is kept, and so is what follows it");
    outside.tape.play(100);
    job.ends(JobState::Finished);
}

#[test]
fn checkpoints_that_were_given_up_do_not_count_as_kept() {
    let outside = Outside::new(100);
    let job = outside.gives_up();
    outside.tape.wait_reached(30);
    let job = outside.crash(&job);
    assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(1)));
    outside.checkpoint_at(&job, 30);
    // A source hears of what is kept before it hears of the next checkpoint.
    outside.checkpoint_at(&job, 31);
    assert!(outside.tape.forgotten() <= 20, "1, 4 and 5 are kept");
    let job = outside.crash(&job);
    assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(5)), "the tape still has what comes behind it");
    outside.tape.play(100);
    job.ends(JobState::Finished);
}

#[test]
fn what_a_person_gave_up_need_not_be_readable() {
    let outside = Outside::new(100);
    let job = outside.start();
    outside.checkpoint_at(&job, 10);
    let before: BTreeSet<String> = outside.store.paths().into_iter().collect();
    outside.checkpoint_at(&job, 20);
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
    outside
        .store
        .paths()
        .iter()
        .filter(|path| !before.contains(*path))
        .filter(|path| path.contains("/files/"))
        .for_each(|page| outside.store.unreadable(page));
    outside.tape.play(100);
    let job = outside.world().operator("count", count()).resume_from(COUNT, Some(CheckpointId(1)));
    job.ends(JobState::Finished);
    assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(1)));
}

#[test]
fn checkpoints_that_were_given_up_go_once_another_one_is_decided() {
    let outside = Outside::new(100);
    let job = outside.gives_up();
    assert_eq!(outside.slots(), [0, 1, 2, 3, 4], "a claim, three checkpoints, a claim: nothing is decided yet");
    outside.checkpoint_at(&job, 30);
    // What was to be deleted is, before another one is stored.
    outside.checkpoint_at(&job, 31);
    assert_eq!(outside.slots(), [0, 1, 4, 5, 6]);
    outside.tape.play(100);
    job.ends(JobState::Finished);
}

#[test]
fn what_a_crash_left_behind_is_swept_however_often_the_job_has_started() {
    let outside = Outside::new(100);
    let mut job = outside.start();
    outside.checkpoint_at(&job, 20);
    outside.checkpoint_at(&job, 40);
    // Something that nobody can read is in the way of the sweep until it is given up for good.
    let newest = outside.store.paths().into_iter().rfind(|path| path.contains("/chain/")).unwrap();
    outside.store.damage(&newest, |bytes| bytes[40] ^= 1);
    job.handle.abandon();
    job.is_gone();
    let world = outside.world().operator("count", count());
    job = world.try_start_from(COUNT, Some(CheckpointId(1))).expect("it was accepted");
    outside.checkpoint_at(&job, 60);
    let reads_of_a_start = |job: &Running| {
        let before = outside.store.reads();
        (outside.crash(job), outside.store.reads() - before)
    };
    let (next, few) = reads_of_a_start(&job);
    job = next;
    for _ in 0..70 {
        job = outside.crash(&job);
    }
    let orphan = outside.store.paths().into_iter().find(|path| path.contains("/files/")).unwrap() + "-orphan";
    outside.store.leave(&orphan);
    let (job, reads) = reads_of_a_start(&job);
    assert!(reads <= few + 2, "{reads} reads at the start, {few} when there were few claims");
    outside.checkpoint_at(&job, 80);
    assert!(!outside.store.paths().contains(&orphan), "it was swept before the checkpoint was stored");
    outside.tape.play(100);
    job.ends(JobState::Finished);
}

#[test]
fn a_checkpoint_that_times_out_loses_no_output() {
    let outside = Outside::new(100);
    outside.tape.play(50);
    let document = COUNT.replace("every: never", "every: never, timeout: 50ms, tolerate: 100000");
    let job = outside.world().operator("count", count()).start(&document);
    outside.tape.wait_reached(50);
    outside.store.out_of_reach(true);
    job.handle.checkpoint(CheckpointKind::Checkpoint).unwrap();
    outside.tape.play(80);
    outside.tape.wait_reached(80);
    // The parts that are on their way are more than may be: the next ones are declined.
    job.hears(|kind| matches!(kind, JobEventKind::CheckpointFailed { cause, .. } if cause.contains("not complete")));
    job.hears(|kind| matches!(kind, JobEventKind::CheckpointFailed { cause, .. } if cause.contains("carries away")));
    assert!(job.handle.checkpoints().failed >= 2);
    assert_eq!(outside.book.committed().len(), 0);
    outside.store.out_of_reach(false);
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(job.handle.checkpoints().restarts, 0);
}

#[test]
fn what_was_accepted_stays_accepted_until_an_attempt_goes_on_from_it() {
    let outside = Outside::new(100);
    let job = outside.start();
    outside.checkpoint_at(&job, 20);
    outside.checkpoint_at(&job, 40);
    job.handle.abandon();
    job.is_gone();
    let newest = outside.store.paths().into_iter().rfind(|path| path.contains("/chain/")).unwrap();
    outside.store.damage(&newest, |bytes| bytes[40] ^= 1);
    outside.store.out_of_reach(true);
    let job = outside.world().operator("count", count()).resume_from(COUNT, Some(CheckpointId(1)));
    job.hears(|kind| matches!(kind, JobEventKind::State { state: JobState::Restarting, cause: Some(_) }));
    outside.store.out_of_reach(false);
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(1)));
}

#[test]
fn a_restore_is_told_of_and_ends_when_the_job_does() {
    let outside = Outside::new(100);
    let job = outside.start();
    outside.checkpoint_at(&job, 20);
    job.handle.abandon();
    job.is_gone();
    let start = || outside.world().operator("count", count()).endless_restore().start(COUNT);
    let restoring = |job: &Running| {
        let report = job.handle.report();
        report.nodes.iter().map(|node| node.total.restoring).sum::<u64>()
    };
    let until_restoring = |job: &Running| {
        while restoring(job) < 2 {
            std::thread::yield_now();
        }
    };
    let job = start();
    until_restoring(&job);
    job.handle.restart().expect("an attempt is there");
    job.hears(|kind| matches!(kind, JobEventKind::State { state: JobState::Restarting, .. }));
    until_restoring(&job);
    job.handle.suspend();
    job.is_gone();
    let job = start();
    until_restoring(&job);
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
    let job = outside.start();
    outside.tape.play(100);
    job.ends(JobState::Finished);
    assert_eq!((outside.book.sorted(), restoring(&job)), (outside.tape.counted(), 0));
}

/// What happens to a job, from outside.
#[derive(Debug, Clone)]
enum Blow {
    Play(usize),
    Checkpoint,
    /// A checkpoint is asked for and nobody waits for it.
    CheckpointUnderWay,
    Crash,
    Restart,
    Suspend,
    OutOfReach,
}

fn blows() -> impl Strategy<Value = Vec<Blow>> {
    let blow = prop_oneof![
        4 => (1usize..60).prop_map(Blow::Play),
        3 => Just(Blow::Checkpoint),
        3 => Just(Blow::CheckpointUnderWay),
        3 => Just(Blow::Crash),
        1 => Just(Blow::Restart),
        1 => Just(Blow::Suspend),
        1 => Just(Blow::OutOfReach),
    ];
    prop::collection::vec(blow, 0..25)
}

/// Plays all blows to a job, and then lets it come to its end.
fn survive(outside: &Outside, start: impl Fn() -> Running, blows: Vec<Blow>) {
    let mut job = start();
    let mut until = 0;
    for blow in blows {
        match blow {
            Blow::Play(more) => {
                until = (until + more).min(399);
                outside.tape.play(until);
                outside.tape.wait_reached(until);
            }
            Blow::Checkpoint => drop(checkpoint(&job)),
            Blow::CheckpointUnderWay => drop(job.handle.checkpoint(CheckpointKind::Checkpoint)),
            Blow::Crash => {
                job.handle.abandon();
                job.is_gone();
                job = start();
            }
            Blow::Restart => drop(job.handle.restart()),
            Blow::Suspend => {
                job.handle.suspend();
                job.is_gone();
                job = start();
            }
            Blow::OutOfReach => {
                outside.store.out_of_reach(true);
                drop(job.handle.checkpoint(CheckpointKind::Checkpoint));
                outside.store.out_of_reach(false);
            }
        }
    }
    outside.tape.play(400);
    job.ends(JobState::Finished);
}

/// Operators between the source and the one that counts: how many subtasks each has, and whether it is keyed.
type Between = Vec<(u32, bool)>;

fn graph(between: &Between, counting: u32) -> String {
    let mut operators = String::new();
    let mut from = "in".to_owned();
    for (place, (parallelism, keyed)) in between.iter().enumerate() {
        let key_by = if *keyed { ", key_by: $.k" } else { "" };
        operators.push_str(&format!(
            "  p{place}: {{module: p@1, parallelism: {parallelism}, inputs: {{in: {{from: {from}{key_by}}}}}}}\n"
        ));
        from = format!("p{place}");
    }
    format!(
        "
sources: {{in: {{from: generator, parallelism: 1}}}}
operators:
{operators}  count: {{module: count@1, parallelism: {counting}, inputs: {{in: {{from: {from}, key_by: $.k}}}}}}
sinks: {{out: {{inputs: [count], to: blackhole, parallelism: 1}}}}
checkpoint: {{every: never}}
restart: {{fixed: {{delay: 1ms, attempts: 1000}}}}
"
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 50, ..ProptestConfig::default() })]
    #[test]
    fn whatever_the_graph_its_committed_output_is_as_if_nothing_had_happened(
        blows in blows(),
        between in prop::collection::vec((1u32..4, any::<bool>()), 0..4),
        counting in 1u32..4,
    ) {
        let outside = Outside::new(400);
        let document = graph(&between, counting);
        let start = || {
            let world = outside.world().operator("count", count());
            let pass = |place| (format!("p{place}"), Native::map(|_, value| value.to_owned()));
            let world = (0..between.len()).map(pass).fold(world, |world, (id, pass)| world.operator(&id, pass));
            world.start(&document)
        };
        survive(&outside, start, blows);
        prop_assert_eq!(outside.book.sorted(), outside.tape.counted());
        prop_assert_eq!(outside.book.staged(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 50, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_committed_output_is_as_if_nothing_had(blows in blows(), fails in prop::option::of(2u64..4)) {
        let outside = Outside::new(400);
        fails.into_iter().for_each(|every| outside.book.fails_every(every));
        survive(&outside, || outside.start(), blows);
        prop_assert_eq!(outside.book.sorted(), outside.tape.counted());
        let committed = outside.book.committed();
        for key in 0..5 {
            let of_key = committed.iter().filter_map(|one| one.strip_prefix(&format!("k{key}=")));
            let counts: Vec<u64> = of_key.map(|count| count.parse().unwrap()).collect();
            prop_assert!(counts.is_sorted(), "out of order for key {}: {:?}", key, counts);
        }
        prop_assert_eq!(outside.book.staged(), 0);
    }
}
