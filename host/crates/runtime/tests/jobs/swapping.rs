//! Swaps of a module while events flow: each event once, all subtasks or none, whatever crashes.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use gristmill_checkpoint::swap::{ProbationBounds, SwapPolicy, SwapStage};
use gristmill_dataflow::JobDocument;
use gristmill_ports::catalog::JobState;
use gristmill_ports::module_registry::{Admission, ModuleRegistry, PrepareOptions, Prepared, Refusal};
use gristmill_runtime::{JobSpec, ModuleBytes, OpenSwap, SwapRefused, SwapReport, prepare};
use gristmill_types::descriptor::StateKind;
use gristmill_types::failure::{FaultKind, GuestFault};
use gristmill_types::{
    CallFailure, CheckpointId, MaxParallelism, ModuleHash, NodeId, Parallelism, SubtaskIndex, key_hash,
};
use tokio::sync::watch;

use crate::counting::{COUNT, Outside, checkpoint, count, counted};
use crate::fakes::native::Process;
use crate::fakes::{Native, PATIENCE, Running};

pub(crate) const OLD: ModuleHash = ModuleHash([1; 32]);
pub(crate) const NEW: ModuleHash = ModuleHash([2; 32]);

pub(crate) const AT_ONCE: SwapPolicy =
    SwapPolicy { deadline_ms: 20_000, probation_ms: 0, probation_events: 0, bounds: ProbationBounds::NONE };
pub(crate) const ON_PROBATION: SwapPolicy = SwapPolicy { probation_ms: 20_000, ..AT_ONCE };

/// A registry with one module.
struct Only(Prepared);

impl ModuleRegistry for Only {
    fn admit(&self, _: &[u8]) -> Result<Admission, Refusal> {
        unimplemented!("the module is at hand")
    }

    fn prepare(&self, _: &[u8], _: &PrepareOptions) -> Result<Prepared, Refusal> {
        Ok(self.0.clone())
    }
}

pub(crate) fn node() -> NodeId {
    "count".parse().unwrap()
}

/// The job with this module in its operator.
pub(crate) fn with(native: Native, hash: ModuleHash) -> JobSpec {
    let document = JobDocument::parse(&format!("version: 1\njob: test\n{COUNT}")).unwrap();
    let modules = HashMap::from([(node(), ModuleBytes { hash, bytes: Arc::new([]) })]);
    prepare(document, &modules, &Only(native.prepared())).unwrap_or_else(|problems| panic!("{problems:?}"))
}

/// As `count`, and counts the events that it got.
fn counting(events: &Arc<AtomicU64>) -> Native {
    let events = Arc::clone(events);
    let process = move || -> Process {
        let events = Arc::clone(&events);
        Box::new(move |_, batch, state| {
            let outcome = counted(batch, state);
            events.fetch_add(batch.len() as u64, Ordering::SeqCst);
            Ok(outcome)
        })
    };
    let mut native = Native::new(&["in"], &["out"], move |_| Ok(process()));
    native.descriptor = count().descriptor;
    native
}

pub(crate) fn trap() -> CallFailure {
    CallFailure::Fault(GuestFault { kind: FaultKind::Trap, message: "unreachable".into(), backtrace: Vec::new() })
}

/// Writes state, then traps.
pub(crate) fn trapping() -> Native {
    let process = || -> Process {
        Box::new(|_, batch, state| {
            counted(batch, state);
            Err(trap())
        })
    };
    let mut native = Native::new(&["in"], &["out"], move |_| Ok(process()));
    native.descriptor = count().descriptor;
    native
}

/// Waits until a swap is somewhere.
pub(crate) fn until(report: &mut watch::Receiver<SwapReport>, reached: impl Fn(&SwapReport) -> bool) -> SwapReport {
    let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let waited = waiting.block_on(async { tokio::time::timeout(PATIENCE, report.wait_for(reached)).await });
    waited.map(|found| found.unwrap().clone()).unwrap_or_else(|_| panic!("it stays so: {:?}", report.borrow()))
}

pub(crate) fn over(report: &mut watch::Receiver<SwapReport>) -> SwapReport {
    until(report, SwapReport::is_over)
}

#[test]
fn a_hundred_swaps_under_load_lose_and_repeat_nothing() {
    let outside = Outside::new(4_000);
    outside.tape.play(10);
    let job = outside.start();
    let (odd, even) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    for round in 1..=100 {
        let (events, hash) = if round % 2 == 1 { (&odd, NEW) } else { (&even, OLD) };
        outside.tape.play(round * 39);
        let mut report = job.handle.swap(&node(), &with(counting(events), hash), AT_ONCE).unwrap();
        let report = over(&mut report);
        assert_eq!((report.stage, report.new, report.pauses.len()), (SwapStage::Done, hash, 2), "{report:?}");
        assert_eq!(job.handle.modules()[&node()], hash);
    }
    outside.tape.play(4_000);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert!(odd.load(Ordering::SeqCst) > 0 && even.load(Ordering::SeqCst) > 0, "both versions had events");
}

#[test]
fn a_module_is_not_blamed_for_a_job_that_starts_again_while_it_is_opened() {
    let outside = Outside::new(20);
    let job = outside.start();
    let (begins, begun) = std::sync::mpsc::channel();
    let mut native = Native::new(&["in"], &["out"], move |context| {
        begins.send(()).unwrap();
        while !context.interrupt.is_raised() {
            std::thread::yield_now();
        }
        Err(trap())
    });
    native.descriptor = count().descriptor;
    let refused = std::thread::scope(|scope| {
        let swap = scope.spawn(|| job.handle.swap(&node(), &with(native, NEW), AT_ONCE).map(drop));
        begun.recv().unwrap();
        job.handle.restart().unwrap();
        swap.join().unwrap()
    });
    assert!(matches!(refused, Err(SwapRefused::NotRunning(_))), "{refused:?}");
    outside.tape.play(20);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

/// The pause of each of both subtasks, as far as it is told.
fn pauses(report: &SwapReport) -> [Option<u64>; 2] {
    [0, 1].map(|subtask| {
        let told = report.pauses.iter().find(|one| one.subtask == SubtaskIndex(subtask));
        told.unwrap_or_else(|| panic!("subtask {subtask} has not switched: {report:?}")).pause_us
    })
}

/// The subtask of both that this key belongs to.
fn owner(key: &str) -> SubtaskIndex {
    let max = MaxParallelism::DEFAULT;
    max.owner_of(max.group_of(key_hash(key.as_bytes())), Parallelism(2_u32.try_into().unwrap()))
}

#[test]
fn the_pause_of_a_subtask_is_told_once_an_event_went_through_its_new_instance_and_not_before() {
    let outside = Outside::new(300);
    let job = outside.start();
    let began = Instant::now();
    outside.checkpoint_at(&job, 100);
    // Both old instances have made their last calls.
    let passed = Instant::now();
    let mut report = job.handle.swap(&node(), &with(counting(&Arc::default()), NEW), ON_PROBATION).unwrap();
    let told = until(&mut report, |report| report.stage == SwapStage::Probation);
    assert_eq!((pauses(&told), told.gap_us), ([None, None], None), "no event came since: {told:?}");

    // The next two events.
    assert_eq!([owner("k0"), owner("k1")], [SubtaskIndex(0), SubtaskIndex(1)]);
    let mut resumed = Vec::new();
    for subtask in [0, 1] {
        resumed.push(Instant::now());
        outside.tape.play(101 + subtask);
        let told = until(&mut report, |report| pauses(report)[subtask].is_some());
        let both = subtask == 1;
        assert_eq!((pauses(&told)[1].is_some(), told.gap_us.is_some()), (both, both), "{told:?}");
    }
    let at_most = began.elapsed();
    job.handle.promote_swap().unwrap();
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Done);
    let [first, second] = pauses(&report);
    // The gap is from whoever stopped first to whoever began last.
    for (told, resumed) in [(first, resumed[0]), (second, resumed[1]), (report.gap_us, resumed[1])] {
        let (pause, at_least) = (u128::from(told.unwrap()), (resumed - passed).as_micros());
        assert!((at_least..=at_most.as_micros()).contains(&pause), "at least {at_least} us: {report:?}");
    }
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

#[test]
fn a_version_that_traps_is_rolled_back_within_the_batch() {
    let outside = Outside::new(300);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    let mut report = job.handle.swap(&node(), &with(trapping(), NEW), ON_PROBATION).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    outside.tape.play(300);
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone);
    let cause = report.cause.unwrap();
    assert!(cause.contains("rolled back") && cause.contains("unreachable"), "{cause}");
    assert_eq!(job.handle.modules()[&node()], OLD);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted(), "what the call had written is undone");
    assert_eq!(job.letters.all().len(), 0);
}

#[test]
fn what_somebody_takes_back_runs_the_old_module_again() {
    let outside = Outside::new(300);
    outside.tape.play(40);
    let job = outside.start();
    let mut report = job.handle.swap(&node(), &with(counting(&Arc::default()), NEW), ON_PROBATION).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    outside.tape.play(100);
    job.handle.withdraw_swap("somebody asked for it").unwrap();
    let report = over(&mut report);
    assert_eq!((report.stage, report.cause.as_deref()), (SwapStage::Undone, Some("somebody asked for it")));
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

/// The job with the module that runs already, and other parameters.
fn with_parameters(native: Native, parameters: &str) -> JobSpec {
    let mut spec = with(native, OLD);
    spec.operators.get_mut(&node()).unwrap().prepared.parameters = parameters.to_owned();
    spec
}

#[test]
fn other_parameters_of_the_same_module_are_switched_at_a_barrier() {
    let outside = Outside::new(400);
    outside.tape.play(50);
    let job = outside.start();
    outside.tape.wait_reached(50);
    let events = Arc::new(AtomicU64::new(0));
    let refused = job.handle.swap(&node(), &with_parameters(counting(&events), "{}"), AT_ONCE).unwrap_err();
    assert!(refused.to_string().contains("with these parameters already"), "{refused}");
    let wanted = with_parameters(counting(&events), "{\"limit\":1}");
    let mut report = job.handle.swap(&node(), &wanted, AT_ONCE).unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    job.handle.restart().unwrap();
    outside.tape.play(400);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert!(events.load(Ordering::SeqCst) >= 350, "the next attempt has them too");
}

#[test]
fn parameters_that_trap_are_taken_back_and_those_of_a_dead_host_too() {
    let outside = Outside::new(400);
    outside.tape.play(50);
    let job = outside.start();
    outside.tape.wait_reached(50);
    let wanted = with_parameters(trapping(), "{\"limit\":0}");
    let mut report = job.handle.swap(&node(), &wanted, ON_PROBATION).unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    outside.tape.play(100);
    assert_eq!(over(&mut report).stage, SwapStage::Undone);
    let events = Arc::new(AtomicU64::new(0));
    let parts = with_parameters(counting(&events), "{\"limit\":1}").operators.remove(&node()).unwrap();
    job.handle.abandon();
    job.is_gone();
    // Nobody was told that it is done: the job goes on as it was, in all subtasks.
    let open = OpenSwap { operator: node(), new: parts, policy: AT_ONCE };
    let job = outside.world().operator_of("count", OLD, count()).resume_open(COUNT, Some(open));
    let mut report = job.handle.newest_swap().unwrap();
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone, "{report:?}");
    assert!(report.cause.unwrap().contains("the new parameters"));
    outside.tape.play(400);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(events.load(Ordering::SeqCst), 0);
}

#[test]
fn a_second_swap_waits_for_the_first() {
    let outside = Outside::new(300);
    outside.tape.play(40);
    let job = outside.start();
    let new = || with(counting(&Arc::default()), NEW);
    let mut first = job.handle.swap(&node(), &new(), ON_PROBATION).unwrap();
    let swap = first.borrow().swap;
    let refused = job.handle.swap(&node(), &with(count(), ModuleHash([3; 32])), AT_ONCE).unwrap_err();
    assert_eq!(refused, SwapRefused::Busy { swap, operator: node() });
    until(&mut first, |report| report.stage == SwapStage::Probation);
    job.handle.promote_swap().unwrap();
    assert_eq!(over(&mut first).stage, SwapStage::Done);
    let refused = job.handle.swap(&node(), &new(), AT_ONCE).unwrap_err();
    assert!(refused.to_string().contains("already"), "{refused}");
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_touched() {
    let outside = Outside::new(300);
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    let refused = |change: &dyn Fn(&mut Native)| {
        let mut native = counting(&Arc::default());
        change(&mut native);
        job.handle.swap(&node(), &with(native, NEW), AT_ONCE).unwrap_err().to_string()
    };
    for (change, says) in [
        ((|native| native.descriptor.states[0].version = 2) as fn(&mut Native), "exports no `migration`"),
        (
            |native| native.descriptor.states[0].kind = StateKind::OrderedMap,
            "state `count` of `count` is a value of schema version 1 there, and an ordered-map of schema version 1",
        ),
        (|native| native.descriptor.states.clear(), "does not declare state `count`"),
        (|native| native.descriptor.states[0].ttl_ms = Some(1), "time to live"),
        (
            |native| native.descriptor.outputs[0].name = "counts".into(),
            "`count` has the output ports out, and the new module counts",
        ),
    ] {
        let said = refused(&change);
        assert!(said.contains(says), "{said}");
    }
    let mut stubborn = Native::new(&["in"], &["out"], |_| Err(CallFailure::Fatal("no such table".into())));
    stubborn.descriptor = count().descriptor;
    let said = job.handle.swap(&node(), &with(stubborn, NEW), AT_ONCE).unwrap_err().to_string();
    assert!(said.contains("cannot be opened in subtask 0") && said.contains("no such table"), "{said}");
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
}

/// Calls wait while it is shut.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn shut(&self, shut: bool) {
        *self.0.0.lock().unwrap() = shut;
        self.0.1.notify_all();
    }

    fn pass(&self) {
        drop(self.0.1.wait_while(self.0.0.lock().unwrap(), |shut| *shut).unwrap());
    }
}

#[test]
fn a_subtask_that_is_stuck_is_named_at_the_deadline_and_the_old_module_stays() {
    let outside = Outside::new(300);
    let gate = Gate::default();
    let (stuck, is_stuck) = (gate.clone(), Arc::new(AtomicBool::new(false)));
    let noted = Arc::clone(&is_stuck);
    let mut native = Native::new(&["in"], &["out"], move |context| {
        let (gate, first, noted) = (stuck.clone(), context.subtask.0 == 0, Arc::clone(&noted));
        Ok(Box::new(move |_, batch, state| {
            if first {
                noted.store(true, Ordering::SeqCst);
                gate.pass();
            }
            Ok(counted(batch, state))
        }))
    });
    native.descriptor = count().descriptor;
    gate.shut(true);
    let job = outside.world().operator("count", native).start(COUNT);
    outside.tape.play(40);
    while !is_stuck.load(Ordering::SeqCst) {
        std::thread::yield_now();
    }
    let policy = SwapPolicy { deadline_ms: 100, ..AT_ONCE };
    let new = Arc::new(AtomicU64::new(0));
    let mut report = job.handle.swap(&node(), &with(counting(&new), NEW), policy).unwrap();
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone);
    assert!(report.cause.as_deref().unwrap().starts_with("subtask 0 did not take"), "{report:?}");
    gate.shut(false);
    outside.tape.play(300);
    job.ends(JobState::Finished);
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    assert_eq!(new.load(Ordering::SeqCst), 0);
}

/// A job that was swapped and then abandoned, as by a crash, with the manifest of the switch decided or not.
fn crashed(outside: &Outside, is_decided: bool) {
    outside.tape.play(40);
    let job = outside.start();
    outside.tape.wait_reached(40);
    checkpoint(&job);
    outside.store.out_of_reach(!is_decided);
    let mut report = job.handle.swap(&node(), &with(counting(&Arc::default()), NEW), ON_PROBATION).unwrap();
    let stage = if is_decided { SwapStage::Probation } else { SwapStage::Switched };
    until(&mut report, |report| report.stage == stage);
    outside.tape.play(100);
    outside.tape.wait_reached(100);
    job.handle.abandon();
    job.is_gone();
    outside.store.out_of_reach(false);
}

fn goes_on(outside: &Outside, open: Option<OpenSwap>) -> Running {
    outside.world().operator("count", count()).resume_open(COUNT, open)
}

#[test]
fn after_a_crash_the_manifest_alone_says_which_module_runs() {
    for is_decided in [true, false] {
        let outside = Outside::new(300);
        crashed(&outside, is_decided);
        let events = Arc::new(AtomicU64::new(0));
        let new = with(counting(&events), NEW).operators.remove(&node()).unwrap();
        let job = goes_on(&outside, Some(OpenSwap { operator: node(), new, policy: AT_ONCE }));
        let report = over(&mut job.handle.newest_swap().unwrap());
        let (stage, runs) = if is_decided { (SwapStage::Done, NEW) } else { (SwapStage::Undone, OLD) };
        assert_eq!((report.stage, job.handle.modules()[&node()]), (stage, runs));
        outside.tape.play(300);
        job.ends(JobState::Finished);
        assert_eq!(job.handle.checkpoints().restored, Some(CheckpointId(if is_decided { 2 } else { 1 })));
        assert_eq!(outside.book.sorted(), outside.tape.counted());
        assert_eq!(events.load(Ordering::SeqCst) > 0, is_decided);
    }
}
