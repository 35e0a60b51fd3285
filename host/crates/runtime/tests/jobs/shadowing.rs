//! Shadows: what a version would do is told, and neither the stream nor a checkpoint hears of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use gristmill_checkpoint::swap::SwapStage;
use gristmill_ports::catalog::JobState;
use gristmill_runtime::{JobEventKind, ShadowPolicy, ShadowReport, ShadowStage, SwapRefused};
use gristmill_types::{CallFailure, Column, ModuleHash, Outcome, Rows};

use crate::counting::{Outside, checkpoint, count, counted};
use crate::fakes::native::{Process, emitted};
use crate::fakes::{Native, PATIENCE, Running};
use crate::swapping::{AT_ONCE, ON_PROBATION, node, trapping, with};

const SHADOW: ModuleHash = ModuleHash([9; 32]);

/// What a version does with what comes of an event.
#[derive(Clone, Copy)]
enum Change {
    OtherValue,
    LeaveOut,
    Twice,
}

/// As `count`, but what comes of so many events is changed.
fn changed(first: u64, change: Change) -> Native {
    let left = Arc::new(AtomicU64::new(first));
    let process = move || -> Process {
        let left = Arc::clone(&left);
        Box::new(move |_, batch, state| {
            let outcome = counted(batch, state);
            let taken = left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| Some(left.saturating_sub(batch.len() as u64)));
            let planted = taken.unwrap().min(batch.len() as u64) as u32;
            Ok(plant(planted, change, &outcome, batch.len() as u32))
        })
    };
    let mut native = Native::new(&["in"], &["out"], move |_| Ok(process()));
    native.descriptor = count().descriptor;
    native
}

/// Changes what comes of the first rows.
fn plant(planted: u32, change: Change, outcome: &Outcome, length: u32) -> Outcome {
    let Rows::Mapped { values, .. } = &outcome.emissions[0].rows else { panic!("it maps: {outcome:?}") };
    let rows: Vec<u32> = match change {
        Change::OtherValue => (0..length).collect(),
        Change::LeaveOut => (planted..length).collect(),
        Change::Twice => (0..planted).chain(0..length).collect(),
    };
    let is_changed = |row: u32| matches!(change, Change::OtherValue) && row < planted;
    let value = |row: &u32| if is_changed(*row) { Some(&b"other"[..]) } else { values.get(*row as usize) };
    let values: Column = rows.iter().map(value).collect();
    emitted(0, Rows::Mapped { rows, values })
}

/// A version that makes no call before it is told to end.
fn asleep(entered: &Arc<AtomicBool>) -> Native {
    let entered = Arc::clone(entered);
    let mut native = Native::new(&["in"], &["out"], move |context| {
        let (entered, interrupt) = (Arc::clone(&entered), context.interrupt.clone());
        Ok(Box::new(move |_, _, _| {
            entered.store(true, Ordering::SeqCst);
            while !interrupt.is_raised() {
                std::thread::yield_now();
            }
            Err(CallFailure::Transient("woken".into()))
        }))
    });
    native.descriptor = count().descriptor;
    native
}

fn begin(job: &Running, native: Native) -> ShadowReport {
    job.handle.shadow(&node(), &with(native, SHADOW), ShadowPolicy::default()).unwrap()
}

/// Waits until a shadow has come somewhere.
fn until(job: &Running, reached: impl Fn(&ShadowReport) -> bool) -> ShadowReport {
    let since = Instant::now();
    loop {
        let report = job.handle.newest_shadow().unwrap();
        if reached(&report) {
            return report;
        }
        assert!(since.elapsed() < PATIENCE, "it stays so: {report:#?}");
        std::thread::yield_now();
    }
}

fn follows(job: &Running) -> ShadowReport {
    until(job, |report| report.stage == ShadowStage::Following)
}

/// A job that has counted the first events, with a shadow that follows it from there.
fn shadowed(outside: &Outside, native: Native) -> Running {
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    begin(&job, native);
    follows(&job);
    job
}

fn ends_exactly(outside: &Outside, job: &Running, length: usize) {
    outside.tape.play(length);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(job.letters.all().len(), 0);
}

#[test]
fn a_thousand_planted_differences_are_counted_and_the_first_are_shown() {
    let outside = Outside::new(4_000);
    let job = shadowed(&outside, changed(1_000, Change::OtherValue));
    outside.tape.play(3_040);
    let report = until(&job, |report| report.counts.events == 3_000);
    let counts = report.counts;
    assert_eq!((counts.differing, counts.missing, counts.extra), (1_000, 0, 0), "{report:#?}");
    assert_eq!((counts.compared, counts.failed_calls), (3_000, 0));
    assert_eq!((report.samples.len(), report.shadow), (ShadowPolicy::default().samples, SHADOW));
    for sample in &report.samples {
        let (input, primary) = (sample.input.as_ref().unwrap(), sample.primary.as_ref().unwrap());
        assert_eq!((&input.key, input.timestamp), (&primary.key, primary.timestamp), "the event that led to it");
        assert_eq!(sample.shadow.as_ref().unwrap().value.as_deref(), Some(&b"other"[..]));
        assert!(primary.value.as_ref().unwrap().contains(&b'='), "{sample:?}");
    }
    job.hears(|kind| matches!(kind, JobEventKind::Shadow { stage: ShadowStage::Following, .. }));
    ends_exactly(&outside, &job, 4_000);
}

#[test]
fn the_same_logic_on_the_state_of_the_checkpoint_differs_in_nothing() {
    let outside = Outside::new(1_000);
    let job = shadowed(&outside, count());
    for reached in [200, 400] {
        outside.tape.play(reached);
        outside.tape.wait_reached(reached);
        checkpoint(&job);
    }
    let report = until(&job, |report| report.counts.events == 360);
    let counts = report.counts;
    assert_eq!((counts.differing, counts.missing, counts.extra, counts.failed_calls), (0, 0, 0, 0), "{report:#?}");
    assert!(counts.state_bytes > 0 && report.samples.is_empty(), "{report:#?}");
    ends_exactly(&outside, &job, 1_000);
    let report = job.handle.newest_shadow().unwrap();
    assert_eq!(report.stage, ShadowStage::Over);
    assert!(report.cause.unwrap().contains("has ended"));
}

#[test]
fn events_that_a_version_leaves_out_or_adds_are_told_apart() {
    let outside = Outside::new(300);
    let job = shadowed(&outside, changed(50, Change::LeaveOut));
    outside.tape.play(240);
    let counts = until(&job, |report| report.counts.events == 200).counts;
    assert_eq!((counts.differing, counts.missing, counts.extra), (0, 50, 0));
    job.handle.discard_shadow(&node(), "seen enough").unwrap();

    begin(&job, changed(20, Change::Twice));
    follows(&job);
    outside.tape.play(290);
    let counts = until(&job, |report| report.counts.events == 50).counts;
    assert_eq!((counts.differing, counts.missing, counts.extra), (0, 0, 20));
    ends_exactly(&outside, &job, 300);
}

#[test]
fn a_version_that_traps_is_told_of_and_harms_nothing() {
    let outside = Outside::new(300);
    let job = shadowed(&outside, trapping());
    outside.tape.play(140);
    let report = until(&job, |report| report.counts.failed_events == 100);
    assert_eq!((report.counts.calls, report.failures.len()), (0, 1), "{report:#?}");
    let failure = &report.failures[0];
    assert_eq!((failure.kind.as_str(), failure.calls), ("trap", report.counts.failed_calls));
    assert!(failure.message.contains("unreachable"), "{failure:?}");
    ends_exactly(&outside, &job, 300);
    assert!(job.handle.report().nodes.iter().all(|node| node.total.failed_calls == 0));
}

#[test]
fn a_version_that_is_too_slow_is_over_and_nothing_is_kept_from_the_stream() {
    let outside = Outside::new(300);
    outside.tape.play(40);
    let job = outside.start();
    let policy = ShadowPolicy { room_calls: 1, ..ShadowPolicy::default() };
    job.handle.shadow(&node(), &with(asleep(&Arc::default()), SHADOW), policy).unwrap();
    follows(&job);
    // A checkpoint ends the batch: one call is under way, one waits, and there is no room for others.
    for reached in (60..=200).step_by(20) {
        outside.tape.play(reached);
        outside.tape.wait_reached(reached);
        checkpoint(&job);
    }
    let report = until(&job, |report| report.stage == ShadowStage::Over);
    let cause = report.cause.unwrap();
    assert!(cause.contains("could not follow") && cause.contains("nothing was kept from the stream"), "{cause}");
    ends_exactly(&outside, &job, 300);
}

#[test]
fn a_checkpoint_does_not_wait_for_a_shadow_that_sleeps_for_ever() {
    let outside = Outside::new(300);
    let entered = Arc::new(AtomicBool::new(false));
    let job = shadowed(&outside, asleep(&entered));
    outside.tape.play(100);
    while !entered.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    let first = checkpoint(&job);
    outside.tape.play(200);
    outside.tape.wait_reached(200);
    assert!(checkpoint(&job) > first);
    assert_eq!(job.handle.newest_shadow().unwrap().stage, ShadowStage::Following);
    ends_exactly(&outside, &job, 300);
}

#[test]
fn a_shadow_waits_for_its_checkpoint_and_begins_with_it_however_late_it_is_decided() {
    let outside = Outside::new(300);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    outside.store.out_of_reach(true);
    begin(&job, count());
    until(&job, |report| report.waiting_calls == 0 && report.stage == ShadowStage::Waiting);
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    outside.store.out_of_reach(false);
    follows(&job);
    outside.tape.play(200);
    // Those behind its beginning at least; the cut was before them.
    let report = until(&job, |report| report.counts.events >= 100 || report.stage == ShadowStage::Over);
    assert_eq!((report.counts.differing, report.stage), (0, ShadowStage::Following), "{report:#?}");
    ends_exactly(&outside, &job, 300);
}

#[test]
fn a_shadow_ends_with_the_attempt_and_its_report_stays() {
    let outside = Outside::new(300);
    let job = shadowed(&outside, changed(10, Change::OtherValue));
    outside.tape.play(60);
    until(&job, |report| report.counts.events == 20);
    job.handle.restart().unwrap();
    let report = until(&job, |report| report.stage == ShadowStage::Over);
    assert_eq!((report.counts.differing, report.counts.events), (10, 20));
    assert!(report.cause.unwrap().contains("attempt"));
    ends_exactly(&outside, &job, 300);
}

#[test]
fn a_shadow_is_promoted_by_a_swap_to_its_module() {
    let outside = Outside::new(300);
    let job = shadowed(&outside, count());
    assert!(job.handle.discard_shadow(&"other".parse().unwrap(), "no").is_none(), "of another operator there is none");
    let mut swap = job.handle.swap(&node(), &with(count(), SHADOW), AT_ONCE).unwrap();
    let report = job.handle.newest_shadow().unwrap();
    assert_eq!(report.stage, ShadowStage::Over);
    assert!(report.cause.unwrap().contains("takes the operator over"));
    let swapped = crate::swapping::over(&mut swap);
    assert_eq!((swapped.stage, job.handle.modules()[&node()]), (SwapStage::Done, SHADOW));
    ends_exactly(&outside, &job, 300);
}

#[test]
fn of_shadows_and_swaps_there_is_one_at_a_time() {
    let outside = Outside::new(300);
    let job = shadowed(&outside, count());
    let shadowed = SwapRefused::Shadowed { module: SHADOW, operator: node() };
    let other = ModuleHash([3; 32]);
    assert_eq!(job.handle.swap(&node(), &with(count(), other), AT_ONCE).unwrap_err(), shadowed);
    let second = job.handle.shadow(&node(), &with(count(), other), ShadowPolicy::default());
    assert_eq!(second.unwrap_err(), shadowed);
    assert_eq!(job.handle.newest_shadow().unwrap().stage, ShadowStage::Following);
    job.handle.discard_shadow(&node(), "makes room").unwrap();
    let mut swap = job.handle.swap(&node(), &with(count(), other), ON_PROBATION).unwrap();
    let busy = job.handle.shadow(&node(), &with(count(), SHADOW), ShadowPolicy::default()).unwrap_err();
    assert!(matches!(busy, SwapRefused::Busy { .. }), "{busy}");
    crate::swapping::until(&mut swap, |report| report.stage == SwapStage::Probation);
    job.handle.promote_swap().unwrap();
    ends_exactly(&outside, &job, 300);
}

#[test]
fn what_cannot_run_beside_the_operator_is_refused_and_leaves_the_last_report() {
    let outside = Outside::new(300);
    let job = shadowed(&outside, count());
    job.handle.discard_shadow(&node(), "seen enough").unwrap();
    let refused = |change: &dyn Fn(&mut Native)| {
        let mut native = count();
        change(&mut native);
        job.handle.shadow(&node(), &with(native, SHADOW), ShadowPolicy::default()).unwrap_err().to_string()
    };
    let said = refused(&|native| native.descriptor.states[0].version = 2);
    assert!(said.contains("schema version 1, and 2") && said.contains("fork"), "{said}");
    let mut stubborn = Native::new(&["in"], &["out"], |_| Err(CallFailure::Fatal("no such table".into())));
    stubborn.descriptor = count().descriptor;
    let said = job.handle.shadow(&node(), &with(stubborn, SHADOW), ShadowPolicy::default()).unwrap_err().to_string();
    assert!(said.contains("cannot be opened in subtask 0") && said.contains("no such table"), "{said}");
    assert_eq!(job.handle.newest_shadow().unwrap().cause.as_deref(), Some("seen enough"));
    ends_exactly(&outside, &job, 300);
}
