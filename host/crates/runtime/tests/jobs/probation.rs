//! Bounds of a probation: a new module that fails too often, or takes too long, goes, and the old one runs again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gristmill_checkpoint::swap::{ProbationBounds, SwapPolicy, SwapStage};
use gristmill_ports::catalog::JobState;
use gristmill_runtime::{SwapReport, SwapTerms, WayBack};
use gristmill_types::{CallFailure, Outcome, Rejection};

use crate::counting::{COUNT, Outside, count, counted};
use crate::fakes::native::Process;
use crate::fakes::{Native, Running};
use crate::swapping::{NEW, OLD, ON_PROBATION, node, over, until, with};

/// Events before the swap.
const BEFORE: usize = 40;

/// As `count`, each call through `call`; counts the events that it got.
fn behaving(seen: &Arc<AtomicU64>, call: fn(Outcome, usize) -> Outcome) -> Native {
    let seen = Arc::clone(seen);
    let process = move || -> Process {
        let seen = Arc::clone(&seen);
        Box::new(move |_, batch, state| {
            let outcome = call(counted(batch, state), batch.len());
            seen.fetch_add(batch.len() as u64, Ordering::SeqCst);
            Ok(outcome)
        })
    };
    let mut native = Native::new(&["in"], &["out"], move |_| Ok(process()));
    native.descriptor = count().descriptor;
    native
}

fn rejecting(_: Outcome, events: usize) -> Outcome {
    let reason = || "no such field".to_owned();
    let rejections = (0..events as u32).map(|row| Rejection { row, reason: reason() }).collect();
    Outcome { rejections, ..Outcome::default() }
}

/// A millisecond a call, at least.
fn slow(outcome: Outcome, _: usize) -> Outcome {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1) {
        std::hint::spin_loop();
    }
    outcome
}

/// Says of every call that the world is not ready for it.
fn never_ready() -> Native {
    let process = || -> Process { Box::new(|_, _, _| Err(CallFailure::Transient("not yet".to_owned()))) };
    let mut native = Native::new(&["in"], &["out"], move |_| Ok(process()));
    native.descriptor = count().descriptor;
    native
}

/// A job whose operator tries a batch again so often.
fn trying(outside: &Outside, retry: u32) -> Running {
    let module = "module: count@1,";
    let document = COUNT.replace(module, &format!("{module} on_failure: {{transient: {{retry: {retry}}}}},"));
    outside.tape.play(BEFORE);
    let job = outside.world().operator("count", count()).start(&document);
    outside.tape.wait_reached(BEFORE);
    job
}

/// Swaps to a module and feeds it one event after the other until its probation has ended; gives how.
fn ends(outside: &Outside, call: fn(Outcome, usize) -> Outcome, bounds: ProbationBounds) -> SwapReport {
    outside.tape.play(BEFORE);
    let job = outside.start();
    outside.tape.wait_reached(BEFORE);
    let seen = Arc::new(AtomicU64::new(0));
    let policy = SwapPolicy { bounds, ..ON_PROBATION };
    let mut report = job.handle.swap(&node(), &with(behaving(&seen, call), NEW), policy).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    let passed = seen.load(Ordering::SeqCst);
    for event in 1..1_000 {
        outside.tape.play(BEFORE + event);
        while !report.borrow().is_over() && seen.load(Ordering::SeqCst) < passed + event as u64 {
            std::thread::yield_now();
        }
    }
    let report = over(&mut report);
    assert_eq!(job.handle.modules()[&node()], OLD);
    outside.tape.play(2_000);
    job.ends(JobState::Finished);
    report
}

#[test]
fn a_version_that_fails_too_often_is_taken_back_with_the_cause() {
    let outside = Outside::new(2_000);
    let bounds = ProbationBounds { failures_per_million: Some(500_000), ..ProbationBounds::NONE };
    let report = ends(&outside, rejecting, bounds);
    assert_eq!(report.stage, SwapStage::Undone);
    let cause = report.cause.clone().unwrap();
    assert!(cause.contains("events failed, which is more than the bound of 0.5"), "{cause}");
    assert!(report.failed > 0 && cause.contains("can be replayed to the module that runs now"), "{report:?}");
}

#[test]
fn a_version_that_takes_too_long_is_taken_back_with_the_cause() {
    let outside = Outside::new(2_000);
    let bounds = ProbationBounds { call_p99_us: Some(500), ..ProbationBounds::NONE };
    let report = ends(&outside, slow, bounds);
    assert_eq!(report.stage, SwapStage::Undone);
    assert!(report.cause.as_deref().unwrap().contains("the bound is 500 us"), "{report:?}");
    assert_eq!(outside.book.sorted(), outside.tape.counted(), "each event once, whichever module had it");
}

#[test]
fn a_version_whose_tries_are_used_up_is_taken_back_and_the_old_one_gets_the_same_events() {
    let outside = Outside::new(200);
    let job = trying(&outside, 2);
    let mut report = job.handle.swap(&node(), &with(never_ready(), NEW), ON_PROBATION).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    outside.tape.play(200);
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone, "{report:?}");
    assert!(report.cause.as_deref().unwrap().contains("not yet"), "{report:?}");
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(job.handle.checkpoints().restarts, 0, "nothing was broken off");
}

#[test]
fn a_swap_is_taken_back_while_the_new_version_tries_for_ever() {
    let outside = Outside::new(200);
    let job = trying(&outside, u32::MAX);
    let mut report = job.handle.swap(&node(), &with(never_ready(), NEW), ON_PROBATION).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    outside.tape.play(200);
    let tries = || job.handle.report().nodes.iter().map(|node| node.total.retries).sum::<u64>();
    while tries() < 2 {
        std::thread::yield_now();
    }
    job.handle.withdraw_swap("somebody asked for it").unwrap();
    let report = over(&mut report);
    assert_eq!((report.stage, report.cause.as_deref()), (SwapStage::Undone, Some("somebody asked for it")));
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(job.handle.checkpoints().restarts, 0, "nothing was broken off");
}

#[test]
fn a_probation_that_ends_with_the_input_is_judged_by_what_came() {
    let outside = Outside::new(BEFORE + 20);
    outside.tape.play(BEFORE);
    let job = outside.start();
    outside.tape.wait_reached(BEFORE);
    let bounds = ProbationBounds { failures_per_million: Some(500_000), ..ProbationBounds::NONE };
    let terms = SwapTerms { way_back: WayBack::Rewind, ..SwapPolicy { bounds, ..ON_PROBATION }.into() };
    let rejects = behaving(&Arc::default(), rejecting);
    let mut report = job.handle.swap(&node(), &with(rejects, NEW), terms).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Held);
    outside.tape.play(BEFORE + 20);
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone, "{report:?}");
    assert!(report.cause.as_deref().unwrap().contains("20 of 20 events failed"), "{report:?}");
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}
