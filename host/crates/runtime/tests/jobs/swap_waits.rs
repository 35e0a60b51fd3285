//! Swaps at bad moments: they wait, or end at their deadline with a sentence that says who is in the way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gristmill_checkpoint::swap::{SwapPolicy, SwapStage};
use gristmill_ports::catalog::JobState;
use gristmill_types::CheckpointKind;

use crate::counting::{COUNT, Outside, count, counted};
use crate::fakes::Native;
use crate::fakes::native::Process;
use crate::swapping::{AT_ONCE, NEW, OLD, node, over, with};

const SOON: SwapPolicy = SwapPolicy { deadline_ms: 200, ..AT_ONCE };

/// As `count`; counts its calls.
fn noting(calls: &Arc<AtomicU64>) -> Native {
    let calls = Arc::clone(calls);
    let process = move || -> Process {
        let calls = Arc::clone(&calls);
        Box::new(move |_, batch, state| {
            let outcome = counted(batch, state);
            calls.fetch_add(1, Ordering::SeqCst);
            Ok(outcome)
        })
    };
    let mut native = Native::new(&["in"], &["out"], move |_| Ok(process()));
    native.descriptor = count().descriptor;
    native
}

#[test]
fn a_swap_waits_for_the_checkpoint_that_runs() {
    let outside = Outside::new(300);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    outside.store.out_of_reach(true);
    job.handle.checkpoint(CheckpointKind::Checkpoint).unwrap();
    let mut report = job.handle.swap(&node(), &with(noting(&Arc::default()), NEW), AT_ONCE).unwrap();
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    assert!(!report.borrow().is_over(), "no checkpoint can be decided");
    outside.store.out_of_reach(false);
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_swap_while_state_is_being_filled_ends_at_its_deadline() {
    let outside = Outside::new(300);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    crate::counting::checkpoint(&job);
    job.handle.abandon();
    job.is_gone();
    let job = outside.world().endless_restore().operator("count", count()).resume(COUNT);
    job.hears(|kind| matches!(kind, gristmill_runtime::JobEventKind::State { state: JobState::Running, .. }));
    let mut report = job.handle.swap(&node(), &with(noting(&Arc::default()), NEW), SOON).unwrap();
    let report = over(&mut report);
    assert_eq!((report.stage, job.handle.modules()[&node()]), (SwapStage::Undone, OLD));
    let cause = report.cause.unwrap();
    assert!(cause.contains("subtasks 0, 1") && cause.contains("filling its state"), "{cause}");
    job.handle.abandon();
    job.is_gone();
    let job = outside.start();
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn who_is_held_back_by_a_sink_that_stands_still_is_named_at_the_deadline() {
    let outside = Outside::new(300);
    let calls = Arc::<AtomicU64>::default();
    let mut world = crate::fakes::World::default().time_passes().tape("in", &outside.tape).store(&outside.store);
    let shelf = world.shelf("out");
    shelf.shut();
    let job = world.operator("count", noting(&calls)).start(COUNT);
    outside.tape.play(300);
    while calls.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    let new = Arc::<AtomicU64>::default();
    let mut report = job.handle.swap(&node(), &with(noting(&new), NEW), SOON).unwrap();
    let report = over(&mut report);
    assert_eq!((report.stage, job.handle.modules()[&node()]), (SwapStage::Undone, OLD));
    let cause = report.cause.unwrap();
    assert!(cause.contains("subtask") && cause.contains("`mode: restart`"), "{cause}");
    shelf.open();
    job.ends(JobState::Finished);
    assert_eq!((shelf.look(|shelf| shelf.writes) > 0, new.load(Ordering::SeqCst)), (true, 0));
}
