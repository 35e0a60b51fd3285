//! Bounds of a probation: a new module that fails too often, or takes too long, goes, and the old one runs again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gristmill_checkpoint::swap::{ProbationBounds, SwapPolicy, SwapStage};
use gristmill_ports::catalog::JobState;
use gristmill_runtime::SwapReport;
use gristmill_types::{Outcome, Rejection};

use crate::fakes::Native;
use crate::fakes::native::Process;
use crate::recovery::{Outside, count, counted};
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
