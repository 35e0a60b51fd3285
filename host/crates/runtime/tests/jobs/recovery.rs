//! Crashes, and what follows them: committed output is as if nothing had happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gristmill_ports::catalog::JobState;
use gristmill_runtime::{CheckpointOutcome, JobEventKind};
use gristmill_types::{CheckpointId, CheckpointKind, EventBatch, Outcome, Rejection, Rows};

use crate::counting::{COUNT, Outside, checkpoint, count, counted};
use crate::fakes::native::emitted;
use crate::fakes::{Native, Running};

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
