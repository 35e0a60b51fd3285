//! Swaps that are taken back by going on from before the switch: what the new module does on probation is committed once that
//! is over, or never happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use gristmill_checkpoint::swap::{SwapPolicy, SwapStage};
use gristmill_ports::catalog::JobState;
use gristmill_runtime::{JobEventKind, StateAddress, StateLook, SwapReport, SwapTerms, WayBack};
use gristmill_types::{CallFailure, CheckpointKind};
use tokio::sync::watch;

use crate::counting::{COUNT, Outside, checkpoint, count};
use crate::fakes::{Native, PATIENCE, Running};
use crate::migrating::{count_v2, counted_v2, has_rewritten, rewritten, second};
use crate::swapping::{NEW, OLD, ON_PROBATION, node, over, trap, until, with};

/// The second version of the counter, which knows no way back, and traps once it is told to.
fn one_way(traps: &Arc<AtomicBool>, opened: impl Fn() + Send + Sync + 'static) -> Native {
    let traps = Arc::clone(traps);
    let mut native = second(Native::new(&["in"], &["out"], move |_| {
        opened();
        let traps = Arc::clone(&traps);
        Ok(Box::new(move |_, batch, state| {
            let outcome = counted_v2(batch, state);
            if traps.load(Ordering::SeqCst) { Err(trap()) } else { Ok(outcome) }
        }))
    }));
    native.rewrite = Some(Arc::new(|migration, page| match migration.to_version {
        1 => Err(CallFailure::Fatal("there is no way back".into())),
        _ => rewritten(migration, page),
    }));
    native
}

fn rewinding(policy: SwapPolicy) -> SwapTerms {
    SwapTerms { way_back: WayBack::Rewind, ..policy.into() }
}

/// A job with 50 events behind it and `native` on probation, whose calls have had the events up to the hundredth.
fn held(outside: &Outside, native: Native) -> (Running, watch::Receiver<SwapReport>) {
    outside.tape.play(50);
    let job = outside.start();
    outside.tape.wait_reached(50);
    let mut report = job.handle.swap(&node(), &with(native, NEW), rewinding(ON_PROBATION)).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Held);
    // What was before the switch is committed with its checkpoint.
    job.hears(|kind| matches!(kind, JobEventKind::Checkpoint { .. }));
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    until(&mut report, |report| report.pauses.iter().all(|pause| pause.pause_us.is_some()));
    (job, report)
}

#[test]
fn a_module_without_a_way_back_that_fails_on_probation_never_ran() {
    let outside = Outside::new(300);
    let traps = Arc::new(AtomicBool::new(false));
    let (job, mut report) = held(&outside, one_way(&traps, || {}));
    // Nobody gets a checkpoint now.
    job.handle.checkpoint(CheckpointKind::Checkpoint).unwrap();
    traps.store(true, Ordering::SeqCst);
    outside.tape.play(200);
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone, "{report:?}");
    assert!(report.cause.as_ref().unwrap().contains("unreachable"), "{report:?}");
    checkpoint(&job);
    assert_eq!(job.handle.modules()[&node()], OLD);
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(job.letters.all().len(), 0);
}

#[test]
fn nothing_is_committed_before_the_probation_is_over_and_all_of_it_then() {
    let outside = Outside::new(300);
    let (job, mut report) = held(&outside, one_way(&Arc::default(), || {}));
    let before = outside.book.committed().len();
    assert!(before <= 50, "{before} results are out, and 50 events came before the switch");
    job.handle.promote_swap().unwrap();
    let report = over(&mut report);
    assert_eq!((report.stage, job.handle.modules()[&node()]), (SwapStage::Done, NEW), "{report:?}");
    // Every key was touched during the hold.
    has_rewritten(&job, 0);
    // It is in the manifest: a host that comes back needs the new module alone.
    job.handle.abandon();
    job.is_gone();
    let job = outside.world().operator_of("count", NEW, count_v2()).resume(COUNT);
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_host_that_ends_while_output_is_held_back_goes_on_as_if_there_had_been_no_swap() {
    let outside = Outside::new(300);
    let (job, _) = held(&outside, one_way(&Arc::default(), || {}));
    job.handle.abandon();
    job.is_gone();
    let job = outside.world().operator("count", count()).resume(COUNT);
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn an_attempt_that_fails_elsewhere_takes_the_swap_back_and_says_so() {
    let outside = Outside::new(300);
    let (job, mut report) = held(&outside, one_way(&Arc::default(), || {}));
    job.handle.restart().unwrap();
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone, "{report:?}");
    assert!(report.cause.unwrap().contains("does not name the new module"));
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(job.handle.modules()[&node()], OLD);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_probation_is_over_with_the_input() {
    let outside = Outside::new(300);
    let (job, mut report) = held(&outside, one_way(&Arc::default(), || {}));
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_module_without_any_way_back_that_fails_before_it_is_decided_never_ran() {
    let outside = Outside::new(300);
    outside.tape.play(50);
    let job = outside.start();
    outside.tape.wait_reached(50);
    checkpoint(&job);
    // From when its instances are opened on, nothing is decided.
    let store = outside.store.clone();
    let native = one_way(&Arc::new(AtomicBool::new(true)), move || store.out_of_reach(true));
    let terms = SwapTerms { way_back: WayBack::None, ..ON_PROBATION.into() };
    let mut report = job.handle.swap(&node(), &with(native, NEW), terms).unwrap();
    until(&mut report, |report| report.pauses.len() == 2);
    outside.tape.play(100);
    until(&mut report, |report| report.cause.is_some());
    outside.store.out_of_reach(false);
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone, "{report:?}");
    assert!(report.cause.as_ref().unwrap().contains("unreachable"), "{report:?}");
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn state_is_looked_at_as_the_module_that_has_the_calls_sees_it() {
    let outside = Outside::new(300);
    let (job, _report) = held(&outside, count_v2());
    let at = StateAddress { operator: node(), state: "count".to_owned(), key: b"k1".to_vec() };
    let look = || job.handle.look_at_state(&at, StateLook::Page { after: None, limit: 1 }, PATIENCE).unwrap();
    // What was read may still be on its way to the operator.
    let since = Instant::now();
    loop {
        let found = look().entries.remove(0).value;
        assert!(found.starts_with(b"v2:"), "{found:?}");
        if found == b"v2:20" {
            break;
        }
        assert!(since.elapsed() < PATIENCE, "it was not counted so far: {found:?}");
    }
}

#[test]
fn nobody_waits_for_a_savepoint_while_output_is_held_back() {
    let outside = Outside::new(300);
    let (job, _report) = held(&outside, count_v2());
    let said = job.handle.savepoint("noon").unwrap().blocking_recv().unwrap().unwrap_err();
    assert!(said.contains("swap 1 of operator `count` is on probation"), "{said}");
}
