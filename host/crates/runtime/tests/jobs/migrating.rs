//! Swaps to a module that has its state in another schema: rewritten at the first touch and in the background, and back; each
//! event counts once, wherever a crash falls.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use gristmill_checkpoint::swap::SwapStage;
use gristmill_ports::StateBackend;
use gristmill_ports::catalog::JobState;
use gristmill_ports::migration::{Entries, Migration};
use gristmill_runtime::{JobEventKind, OpenSwap, StateAddress, StateEdit, StateLook, SwapTerms, WayBack};
use gristmill_types::{CallFailure, Column, EventBatch, ModuleHash, Outcome, Rows, StateIndex};

use crate::counting::{COUNT, Outside, checkpoint, count};
use crate::fakes::native::emitted;
use crate::fakes::{Native, PATIENCE, Running};
use crate::swapping::{AT_ONCE, NEW, OLD, ON_PROBATION, node, over, trap, until, with};

/// What the second version puts before each count.
const MARK: &[u8] = b"v2:";

/// The version after `count`: keeps counts as text behind a mark, and rewrites those of either version into the other's.
pub(crate) fn count_v2() -> Native {
    let process = |_: &_| -> Result<crate::fakes::native::Process, CallFailure> {
        Ok(Box::new(|_, batch, state| Ok(counted_v2(batch, state))))
    };
    second(Native::new(&["in"], &["out"], process))
}

pub(crate) fn second(mut native: Native) -> Native {
    native.descriptor = count().descriptor;
    native.descriptor.states[0].version = 2;
    native.rewrite = Some(Arc::new(rewritten));
    native
}

pub(crate) fn counted_v2(events: &EventBatch, state: &mut Box<dyn StateBackend>) -> Outcome {
    let mut results = Column::default();
    for row in 0..events.len() as u32 {
        let read = state.get(StateIndex(0), &[row]).unwrap();
        let before = read.values.get(0).map_or(0, |value| {
            let text = value.strip_prefix(MARK).expect("the second version sees only what is of its schema");
            std::str::from_utf8(text).unwrap().parse::<u64>().unwrap()
        });
        let now: Column = [Some(text(before + 1).as_slice())].into_iter().collect();
        state.put(StateIndex(0), &[row], &now).unwrap();
        let key = String::from_utf8_lossy(events.keys().bytes_of(row as usize)).into_owned();
        results.push(Some(format!("{key}={}", before + 1).as_bytes()));
    }
    emitted(0, Rows::Mapped { rows: (0..events.len() as u32).collect(), values: results })
}

fn text(count: u64) -> Vec<u8> {
    [MARK, count.to_string().as_bytes()].concat()
}

pub(crate) fn rewritten(migration: Migration<'_>, page: &Entries) -> Result<Entries, CallFailure> {
    let rewrite = |value: Option<&[u8]>| match (migration.from_version, migration.to_version) {
        (1, 2) => text(u64::from_le_bytes(value.unwrap().try_into().expect("of the first version"))),
        (2, 1) => {
            let count = value.unwrap().strip_prefix(MARK).expect("of the second version");
            std::str::from_utf8(count).unwrap().parse::<u64>().unwrap().to_le_bytes().to_vec()
        }
        (from, to) => panic!("from {from} to {to}"),
    };
    let mut values = Column::default();
    page.values.iter().for_each(|value| values.push(Some(&rewrite(value))));
    Ok(Entries { values, ..page.clone() })
}

pub(crate) fn has_rewritten(job: &Running, keys: u64) {
    job.hears(|kind| matches!(kind, JobEventKind::StateRewritten { keys: all, failed: 0, .. } if *all == keys));
}

/// Goes on with the old module alone, from its newest checkpoint.
fn begins_anew(outside: &Outside, job: Running) -> Running {
    checkpoint(&job);
    job.handle.abandon();
    job.is_gone();
    drop(job);
    outside.start()
}

fn ends_right(outside: &Outside, job: &Running, events: usize) {
    outside.tape.play(events);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

/// A job of so many events that has read fifty of them, ten of each key.
fn under_way(events: usize) -> (Outside, Running) {
    let outside = Outside::new(events);
    outside.tape.play(50);
    let job = outside.start();
    outside.tape.wait_reached(50);
    (outside, job)
}

#[test]
fn counts_go_on_in_another_schema_while_events_flow() {
    let (outside, job) = under_way(300);
    checkpoint(&job);
    let mut report = job.handle.swap(&node(), &with(count_v2(), NEW), AT_ONCE).unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    outside.tape.play(120);
    has_rewritten(&job, 5);
    let rewritten = report.borrow().rewriting.clone().unwrap();
    assert_eq!((rewritten.keys, rewritten.failed, rewritten.is_over), (5, 0, true));
    ends_right(&outside, &job, 300);
    assert_eq!(job.letters.all().len(), 0);
}

#[test]
fn a_job_that_ends_in_the_middle_goes_on_with_both_schemas() {
    let (outside, job) = under_way(300);
    checkpoint(&job);
    let mut report = job.handle.swap(&node(), &with(count_v2(), NEW), AT_ONCE).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Done);
    job.handle.abandon();
    job.is_gone();
    let job = outside.world().operator_of("count", NEW, count_v2()).resume(COUNT);
    has_rewritten(&job, 5);
    checkpoint(&job);
    job.handle.abandon();
    job.is_gone();
    let job = outside.world().operator_of("count", NEW, count_v2()).resume(COUNT);
    ends_right(&outside, &job, 300);
}

#[test]
fn a_version_that_fails_on_probation_leaves_the_old_schema_behind() {
    let (outside, job) = under_way(400);
    let fails = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&fails);
    let native = second(Native::new(&["in"], &["out"], move |_| {
        let fails = Arc::clone(&told);
        Ok(Box::new(move |_, batch, state| {
            let outcome = counted_v2(batch, state);
            if fails.load(Ordering::SeqCst) { Err(trap()) } else { Ok(outcome) }
        }))
    }));
    let mut report = job.handle.swap(&node(), &with(native, NEW), ON_PROBATION).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    checkpoint(&job);
    fails.store(true, Ordering::SeqCst);
    outside.tape.play(200);
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone, "{report:?}");
    assert_eq!(job.handle.modules()[&node()], OLD);
    // Nothing of the second version is left: the old module alone can go on from here.
    let job = begins_anew(&outside, job);
    ends_right(&outside, &job, 400);
    assert_eq!(job.letters.all().len(), 0);
}

/// The checkpoint that switches has the state from before the new version's first call.
#[test]
fn a_version_that_fails_before_its_switch_is_decided_takes_no_key_with_it() {
    let outside = Outside::new(400);
    outside.tape.play(50);
    let job = outside.start();
    outside.tape.wait_reached(50);
    let fails = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&fails);
    let native = second(Native::new(&["in"], &["out"], move |_| {
        let fails = Arc::clone(&told);
        Ok(Box::new(move |_, batch, state| {
            let outcome = counted_v2(batch, state);
            if fails.load(Ordering::SeqCst) { Err(trap()) } else { Ok(outcome) }
        }))
    }));
    outside.store.out_of_reach(true);
    let mut report = job.handle.swap(&node(), &with(native, NEW), ON_PROBATION).unwrap();
    until(&mut report, |report| report.pauses.len() == 2);
    outside.tape.play(100);
    until(&mut report, |report| report.pauses.iter().all(|pause| pause.pause_us.is_some()));
    fails.store(true, Ordering::SeqCst);
    outside.tape.play(200);
    until(&mut report, |report| report.stage == SwapStage::Undoing);
    outside.store.out_of_reach(false);
    assert_eq!(over(&mut report).stage, SwapStage::Undone);
    outside.tape.play(300);
    outside.tape.wait_reached(300);
    let job = begins_anew(&outside, job);
    ends_right(&outside, &job, 400);
}

#[test]
fn a_swap_that_is_withdrawn_before_its_barrier_leaves_no_state_behind() {
    let outside = Outside::new(300);
    outside.tape.play(50);
    let busy = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&busy);
    let mut slow = Native::new(&["in"], &["out"], move |_| {
        let busy = Arc::clone(&told);
        Ok(Box::new(move |_, batch, state| {
            while busy.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
            Ok(crate::counting::counted(batch, state))
        }))
    });
    slow.descriptor = count().descriptor;
    let job = outside.world().operator("count", slow).start(COUNT);
    outside.tape.wait_reached(50);
    checkpoint(&job);
    busy.store(true, Ordering::SeqCst);
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    let mut report = job.handle.swap(&node(), &with(count_v2(), NEW), AT_ONCE).unwrap();
    job.handle.withdraw_swap("somebody asked for it").unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Undone);
    busy.store(false, Ordering::SeqCst);
    let job = begins_anew(&outside, job);
    ends_right(&outside, &job, 300);
}

#[test]
fn a_host_that_ends_while_state_is_rewritten_back_goes_on_with_that() {
    let (outside, job) = under_way(300);
    let mut report = job.handle.swap(&node(), &with(count_v2(), NEW), ON_PROBATION).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    checkpoint(&job);
    job.handle.withdraw_swap("somebody asked for it").unwrap();
    until(&mut report, |report| report.stage == SwapStage::Undoing || report.is_over());
    job.hears(|kind| matches!(kind, JobEventKind::Checkpoint { checkpoint, .. } if checkpoint.0 >= 3));
    job.handle.abandon();
    job.is_gone();
    let new = with(count_v2(), NEW).operators.remove(&node()).unwrap();
    let job = outside
        .world()
        .operator("count", count())
        .resume_open(COUNT, Some(OpenSwap { operator: node(), new, policy: AT_ONCE }));
    let report = over(&mut job.handle.newest_swap().unwrap());
    assert_eq!((report.stage, job.handle.modules()[&node()]), (SwapStage::Undone, OLD));
    ends_right(&outside, &job, 300);
}

#[test]
fn what_cannot_be_rewritten_is_found_before_anything_is_touched() {
    let (outside, job) = under_way(300);
    checkpoint(&job);
    let refused = |rewrite: fn(Migration<'_>, &Entries) -> Result<Entries, CallFailure>, terms: SwapTerms| {
        let mut native = count_v2();
        native.rewrite = Some(Arc::new(rewrite));
        job.handle.swap(&node(), &with(native, NEW), terms).map(drop).unwrap_err().to_string()
    };
    let third = |migration: Migration<'_>, page: &Entries| match page.keys.iter().any(|key| key == Some(b"k3")) {
        true => Err(trap()),
        false => rewritten(migration, page),
    };
    let said = refused(third, AT_ONCE.into());
    assert!(said.contains("key `k3`") && said.contains("unreachable"), "{said}");
    let one_way = |migration: Migration<'_>, page: &Entries| match migration.to_version {
        1 => Err(CallFailure::Fatal("there is no way back".into())),
        _ => rewritten(migration, page),
    };
    let said = refused(one_way, ON_PROBATION.into());
    assert!(said.contains("there is no way back") && said.contains("way_back: none"), "{said}");
    assert_eq!(job.handle.modules()[&node()], OLD);
    let mut native = count_v2();
    native.rewrite = Some(Arc::new(one_way));
    let terms = SwapTerms { way_back: WayBack::None, ..ON_PROBATION.into() };
    let tried = job.handle.check_swap(&node(), &with(count_v2(), NEW), &terms).unwrap().unwrap();
    assert_eq!((tried.keys, tried.entries, tried.no_way_back), (5, 5, None));
    let mut report = job.handle.swap(&node(), &with(native, NEW), terms).unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Done, "at once, without a probation");
    ends_right(&outside, &job, 300);
}

/// Were it taken back, what the version before it has rewritten would go back too, to where nobody looks.
#[test]
fn no_version_takes_over_while_another_is_still_rewriting() {
    let outside = Outside::new(300);
    outside.tape.play(50);
    let job = outside.start();
    outside.tape.wait_reached(50);
    checkpoint(&job);
    let (calls, tries) = (Arc::<AtomicU64>::default(), Arc::new(AtomicU64::new(u64::MAX)));
    // Fails for a key, but not when it is tried.
    let failing = || {
        let (counted, most) = (Arc::clone(&calls), Arc::clone(&tries));
        let mut native = count_v2();
        native.rewrite = Some(Arc::new(move |migration, page| {
            let is_tried = counted.fetch_add(1, Ordering::SeqCst) < most.load(Ordering::SeqCst);
            let is_bad = page.keys.iter().any(|key| key == Some(b"k3"));
            if is_bad && !is_tried { Err(trap()) } else { rewritten(migration, page) }
        }));
        with(native, NEW)
    };
    job.handle.check_swap(&node(), &failing(), &AT_ONCE.into()).unwrap();
    tries.store(2 * calls.load(Ordering::SeqCst), Ordering::SeqCst);
    let mut report = job.handle.swap(&node(), &failing(), AT_ONCE).unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    job.hears(|kind| matches!(kind, JobEventKind::StateRewritten { failed: 1, .. }));
    let again = with(count_v2(), ModuleHash([3; 32]));
    let said = job.handle.swap(&node(), &again, ON_PROBATION).map(drop).unwrap_err().to_string();
    assert!(said.contains("state `count` of `count` is still being rewritten"), "{said}");
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

/// What an event after the try left behind can be bytes that no version understands: the way out is to say what is there.
#[test]
fn a_key_that_cannot_be_rewritten_back_holds_a_swap_up_until_somebody_sets_it() {
    let (outside, job) = under_way(300);
    let fails = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&fails);
    let mut native = count_v2();
    native.rewrite = Some(Arc::new(move |migration, page| {
        let is_torn = |key: Option<&[u8]>| key == Some(b"k1") || key == Some(b"k3");
        let is_bad = migration.to_version == 1 && page.keys.iter().any(is_torn);
        match is_bad && told.load(Ordering::SeqCst) {
            true => Err(CallFailure::BadRecord("it is torn".into())),
            false => rewritten(migration, page),
        }
    }));
    let mut report = job.handle.swap(&node(), &with(native, NEW), ON_PROBATION).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    checkpoint(&job);
    fails.store(true, Ordering::SeqCst);
    job.handle.withdraw_swap("somebody asked for it").unwrap();
    job.hears(|kind| {
        matches!(kind, JobEventKind::StateRewritten { keys: 3, failed: 2, first_failure: Some(why) }
            if why.contains("key `k") && why.contains("it is torn"))
    });
    assert_eq!(report.borrow().stage, SwapStage::Undoing);
    let of = |key: &str| StateAddress { operator: node(), state: "count".to_owned(), key: key.as_bytes().to_vec() };
    let all = StateLook::Page { after: None, limit: 10 };
    let said = job.handle.look_at_state(&of("k3"), all, PATIENCE).unwrap_err().to_string();
    assert!(said.contains("it is torn") && said.contains("clear it"), "{said}");
    // One behind the other: the second may come while the keys are gone through for the first.
    for key in ["k3", "k1"] {
        let edit = StateEdit::PutValue(20_u64.to_le_bytes().to_vec());
        let edited = job.handle.edit_state(&of(key), edit, PATIENCE).unwrap();
        assert_eq!(edited.before.entries[0].value, text(20), "as it was, for whoever keeps books");
        edited.decided.blocking_recv().unwrap().unwrap();
    }
    assert_eq!(over(&mut report).stage, SwapStage::Undone);
    ends_right(&outside, &job, 300);
    assert_eq!(job.letters.all().len(), 0);
}

#[test]
fn new_and_dropped_states_are_seen_by_whom_declares_them() {
    let (outside, job) = under_way(300);
    // Declares a state of its own before the one that it shares.
    let total = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&total);
    let mut native = Native::new(&["in"], &["out"], move |_| {
        let seen = Arc::clone(&seen);
        Ok(Box::new(move |_, batch, state| {
            let rows: Vec<u32> = (0..batch.len() as u32).collect();
            let found = state.get(StateIndex(0), &rows).unwrap();
            seen.fetch_add(found.values.iter().flatten().count() as u64, Ordering::SeqCst);
            state.put(StateIndex(0), &rows, &rows.iter().map(|_| Some(&b"seen"[..])).collect()).unwrap();
            Ok(shifted(batch, state))
        }))
    });
    native.descriptor = count().descriptor;
    let mut own = native.descriptor.states[0].clone();
    own.name = "seen".into();
    native.descriptor.states.insert(0, own);
    let mut report = job.handle.swap(&node(), &with(native, NEW), AT_ONCE).unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    for until in [100, 150] {
        outside.tape.play(until);
        outside.tape.wait_reached(until);
        checkpoint(&job);
    }
    let said = job.handle.swap(&node(), &with(count(), OLD), AT_ONCE).unwrap_err().to_string();
    assert!(said.contains("does not declare state `seen`"), "{said}");
    let terms = SwapTerms { dropped: ["count.seen".to_owned()].into(), ..AT_ONCE.into() };
    let mut report = job.handle.swap(&node(), &with(count(), ModuleHash([3; 32])), terms).unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    ends_right(&outside, &job, 300);
    assert!(total.load(Ordering::SeqCst) > 0, "what the new state holds is read again");
}

/// As `count`, with its state in the second place.
fn shifted(events: &EventBatch, state: &mut Box<dyn StateBackend>) -> Outcome {
    let mut results = Column::default();
    for row in 0..events.len() as u32 {
        let read = state.get(StateIndex(1), &[row]).unwrap();
        let before = read.values.get(0).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().unwrap()));
        let now: Column = [Some(&(before + 1).to_le_bytes()[..])].into_iter().collect();
        state.put(StateIndex(1), &[row], &now).unwrap();
        let key = String::from_utf8_lossy(events.keys().bytes_of(row as usize)).into_owned();
        results.push(Some(format!("{key}={}", before + 1).as_bytes()));
    }
    emitted(0, Rows::Mapped { rows: (0..events.len() as u32).collect(), values: results })
}
