//! Canaries: a second module serves some key groups for real. Each event once and in order per key, whatever step is taken
//! and whatever crashes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use gristmill_checkpoint::Share;
use gristmill_checkpoint::swap::{ProbationBounds, SwapPolicy, SwapStage};
use gristmill_ports::catalog::JobState;
use gristmill_runtime::{CanaryReport, JobEventKind, OpenSwap, SwapRefused, SwapReport};
use gristmill_types::{MaxParallelism, ModuleHash, Outcome, key_hash};
use proptest::prelude::*;
use tokio::sync::watch;

use crate::counting::{COUNT, Outside, checkpoint, count, counted};
use crate::fakes::native::Process;
use crate::fakes::{Book, MemoryStore, Native, Running, Tape};
use crate::swapping::{AT_ONCE, NEW, OLD, ON_PROBATION, node, over, trap, until, with};

/// So many keys that each share has some.
const KEYS: usize = 60;
const LENGTH: usize = 3_000;

/// The keys that a version was called with.
type Keys = Arc<Mutex<BTreeSet<String>>>;

fn outside() -> Outside {
    Outside { tape: Tape::new(LENGTH, KEYS), book: Book::default(), store: MemoryStore::default() }
}

fn share(percent: u32) -> Share {
    percent.try_into().unwrap()
}

/// The keys of a share, of those that there are.
fn keys_of(share: Share) -> BTreeSet<String> {
    let (max, groups) = (MaxParallelism::DEFAULT, share.groups(MaxParallelism::DEFAULT));
    let keys = (0..KEYS).map(|key| format!("k{key}"));
    keys.filter(|key| groups.contains(max.group_of(key_hash(key.as_bytes())))).collect()
}

/// As `count`; notes the keys that it got.
fn noting(keys: &Keys) -> Native {
    let keys = Arc::clone(keys);
    native(move || -> Process {
        let keys = Arc::clone(&keys);
        Box::new(move |_, batch, state| {
            let names = batch.keys().iter().map(|key| String::from_utf8_lossy(key.unwrap()).into_owned());
            keys.lock().unwrap().extend(names);
            Ok(counted(batch, state))
        })
    })
}

fn native(process: impl Fn() -> Process + Send + Sync + 'static) -> Native {
    let mut native = Native::new(&["in"], &["out"], move |_| Ok(process()));
    native.descriptor = count().descriptor;
    native
}

fn begin(job: &Running, native: Native, percent: u32, policy: SwapPolicy) -> watch::Receiver<SwapReport> {
    let mut report = job.handle.canary(&node(), &with(native, NEW), share(percent), policy).unwrap();
    serves(&mut report, percent);
    report
}

fn serves(report: &mut watch::Receiver<SwapReport>, percent: u32) {
    until(report, |report| report.stage == SwapStage::Canary && report.share == Some(share(percent)));
}

fn told(job: &Running) -> CanaryReport {
    job.handle.newest_canary().unwrap()
}

/// Plays on, and waits until all of it has come out.
fn plays(outside: &Outside, job: &Running, until: usize) {
    outside.tape.play(until);
    while outside.book.committed().len() < until {
        checkpoint(job);
    }
}

/// A job that has read a hundred events.
fn under_way() -> (Outside, Running) {
    let outside = outside();
    outside.tape.play(100);
    let job = outside.start();
    (outside, job)
}

fn ends_right(outside: &Outside, job: &Running) {
    outside.tape.play(LENGTH);
    job.ends(JobState::Finished);
    all_is_right(outside);
}

/// All came out once, and the counts of each key in their order.
fn all_is_right(outside: &Outside) {
    assert_eq!(outside.book.sorted(), outside.tape.counted());
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for line in outside.book.committed() {
        let (key, count) = line.split_once('=').unwrap();
        let before = counts.entry(key.to_owned()).or_default();
        *before += 1;
        assert_eq!(count, before.to_string(), "the counts of {key} come in order");
    }
}

#[test]
fn a_share_of_the_keys_is_served_and_widened_until_the_module_takes_over() {
    let (outside, job) = under_way();
    let new = Keys::default();
    let mut report = begin(&job, noting(&new), 5, AT_ONCE);
    for (percent, until) in [(5, 900), (25, 1_700)] {
        if percent > 5 {
            job.handle.widen_canary(&node(), share(percent)).unwrap();
            serves(&mut report, percent);
        }
        plays(&outside, &job, until);
        assert_eq!(*new.lock().unwrap(), keys_of(share(percent)), "these and no others, at {percent} %");
        assert_eq!(job.handle.modules()[&node()], OLD);
    }
    let CanaryReport { key_groups, max_parallelism, old, new: served, .. } = told(&job);
    assert_eq!((key_groups, max_parallelism), (32, 128));
    assert!(old.events > 0 && served.events > 0 && served.calls > 0 && served.failed_calls == 0, "{old:?} {served:?}");
    job.handle.widen_canary(&node(), Share::WHOLE).unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    assert_eq!(job.handle.modules()[&node()], NEW);
    outside.tape.play(LENGTH);
    job.ends(JobState::Finished);
    assert_eq!(new.lock().unwrap().len(), KEYS);
    assert_eq!(told(&job).share, Share::WHOLE);
    all_is_right(&outside);
}

#[test]
fn a_canary_that_takes_over_may_be_taken_back_like_any_swap() {
    let (outside, job) = under_way();
    let mut report = begin(&job, noting(&Keys::default()), 50, ON_PROBATION);
    outside.tape.play(1_000);
    job.handle.promote_swap().unwrap();
    until(&mut report, |report| report.stage == SwapStage::Probation);
    outside.tape.play(2_000);
    job.handle.withdraw_swap("somebody asked for it").unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Undone);
    assert_eq!(job.handle.modules()[&node()], OLD);
    ends_right(&outside, &job);
}

#[test]
fn a_canary_is_withdrawn_by_hand() {
    let (outside, job) = under_way();
    let new = Keys::default();
    let mut report = begin(&job, noting(&new), 25, ON_PROBATION);
    plays(&outside, &job, 1_000);
    job.handle.withdraw_swap("somebody asked for it").unwrap();
    let report = over(&mut report);
    assert_eq!((report.stage, report.cause.as_deref()), (SwapStage::Undone, Some("somebody asked for it")));
    let served = told(&job).new;
    new.lock().unwrap().clear();
    outside.tape.play(LENGTH);
    job.ends(JobState::Finished);
    assert!(new.lock().unwrap().is_empty(), "it has no event any more");
    assert_eq!(told(&job).new, served);
    all_is_right(&outside);
}

#[test]
fn at_the_first_fault_the_old_module_takes_the_same_events_and_all_others() {
    let (outside, job) = under_way();
    // Writes state, then traps.
    let trapping = native(|| {
        Box::new(|_, batch, state| {
            counted(batch, state);
            Err(trap())
        })
    });
    let mut report = begin(&job, trapping, 5, ON_PROBATION);
    outside.tape.play(LENGTH);
    let report = over(&mut report);
    assert_eq!(report.stage, SwapStage::Undone);
    let cause = report.cause.unwrap();
    assert!(cause.contains("failed in subtask") && cause.contains("unreachable"), "{cause}");
    job.ends(JobState::Finished);
    assert_eq!(job.letters.all().len(), 0, "no event is lost by it");
    let CanaryReport { new, .. } = told(&job);
    assert!((1..=2).contains(&new.failed_calls) && new.events == 0, "one of each subtask at most: {new:?}");
    let is_said = |kind: &JobEventKind| matches!(kind, JobEventKind::Swap { stage: SwapStage::Undone, message } if message.contains("unreachable"));
    job.hears(is_said);
    all_is_right(&outside);
}

#[test]
fn a_canary_that_rejects_too_much_is_withdrawn_with_the_cause() {
    let outside = outside();
    let job = outside.start();
    let rejecting = native(|| {
        Box::new(|_, batch, _| {
            let rejection = |row| gristmill_types::Rejection { row, reason: "no such field".to_owned() };
            let rejections = (0..batch.len() as u32).map(rejection).collect();
            Ok(Outcome { rejections, ..Outcome::default() })
        })
    });
    let bounds = ProbationBounds { failures_per_million: Some(500_000), ..ProbationBounds::NONE };
    let mut report = begin(&job, rejecting, 50, SwapPolicy { bounds, ..ON_PROBATION });
    outside.tape.play(1_500);
    let report = over(&mut report);
    assert!(
        report.cause.as_deref().unwrap().contains("events failed, which is more than the bound of 0.5"),
        "{report:?}"
    );
    assert!(told(&job).new.failed >= 100);
    outside.tape.play(LENGTH);
    job.ends(JobState::Finished);
}

#[test]
fn a_job_that_starts_again_goes_on_with_the_canary() {
    let (outside, job) = under_way();
    let new = Keys::default();
    let mut report = begin(&job, noting(&new), 25, ON_PROBATION);
    plays(&outside, &job, 1_000);
    job.handle.restart().unwrap();
    job.hears(|kind| matches!(kind, JobEventKind::State { state: JobState::Restarting, .. }));
    new.lock().unwrap().clear();
    plays(&outside, &job, 2_000);
    serves(&mut report, 25);
    assert_eq!(*new.lock().unwrap(), keys_of(share(25)));
    job.handle.widen_canary(&node(), share(50)).unwrap();
    serves(&mut report, 50);
    outside.tape.play(LENGTH);
    job.end();
    all_is_right(&outside);
}

/// A host that is back: the manifest says that the canary goes on, and with how much.
#[test]
fn after_a_crash_the_manifest_says_how_much_the_canary_serves() {
    let (outside, job) = under_way();
    let mut report = begin(&job, noting(&Keys::default()), 5, AT_ONCE);
    job.handle.widen_canary(&node(), share(25)).unwrap();
    serves(&mut report, 25);
    plays(&outside, &job, 1_000);
    // A step that no manifest has decided never happened.
    outside.store.out_of_reach(true);
    job.handle.widen_canary(&node(), share(75)).unwrap();
    until(&mut report, |report| report.stage != SwapStage::Canary);
    outside.tape.play(1_500);
    outside.tape.wait_reached(1_500);
    job.handle.abandon();
    job.is_gone();
    outside.store.out_of_reach(false);

    let new = Keys::default();
    let open =
        OpenSwap { operator: node(), new: with(noting(&new), NEW).operators.remove(&node()).unwrap(), policy: AT_ONCE };
    let job = outside.world().operator("count", count()).resume_open(COUNT, Some(open));
    let mut report = job.handle.newest_swap().unwrap();
    serves(&mut report, 25);
    plays(&outside, &job, 2_000);
    assert_eq!(*new.lock().unwrap(), keys_of(share(25)));
    job.handle.promote_swap().unwrap();
    assert_eq!(over(&mut report).stage, SwapStage::Done);
    outside.tape.play(LENGTH);
    job.ends(JobState::Finished);
    assert_eq!(job.handle.modules()[&node()], NEW);
    all_is_right(&outside);
}

#[test]
fn a_canary_that_cannot_be_opened_again_is_withdrawn_and_the_job_goes_on() {
    let (outside, job) = under_way();
    begin(&job, noting(&Keys::default()), 25, AT_ONCE);
    job.handle.abandon();
    job.is_gone();
    let mut stubborn =
        Native::new(&["in"], &["out"], |_| Err(gristmill_types::CallFailure::Fatal("no such table".into())));
    stubborn.descriptor = count().descriptor;
    let open =
        OpenSwap { operator: node(), new: with(stubborn, NEW).operators.remove(&node()).unwrap(), policy: AT_ONCE };
    let job = outside.world().operator("count", count()).resume_open(COUNT, Some(open));
    let report = over(&mut job.handle.newest_swap().unwrap());
    assert!(report.cause.as_deref().unwrap().contains("no such table"), "{report:?}");
    ends_right(&outside, &job);
}

#[test]
fn of_canaries_swaps_and_shadows_there_is_one_at_a_time() {
    let outside = outside();
    let job = outside.start();
    begin(&job, noting(&Keys::default()), 5, ON_PROBATION);
    let third = || with(count(), ModuleHash([3; 32]));
    let busy = SwapRefused::Canary { module: NEW, operator: node(), stage: SwapStage::Canary };
    assert_eq!(job.handle.swap(&node(), &third(), AT_ONCE).unwrap_err(), busy);
    assert_eq!(job.handle.canary(&node(), &third(), share(9), AT_ONCE).unwrap_err(), busy);
    assert_eq!(job.handle.shadow(&node(), &third(), gristmill_runtime::ShadowPolicy::default()).unwrap_err(), busy);
    let narrower = job.handle.widen_canary(&node(), share(5)).unwrap_err().to_string();
    assert!(narrower.contains("serves 5 % already"), "{narrower}");
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

#[test]
fn what_cannot_be_a_canary_is_refused_with_what_to_do() {
    let outside = outside();
    let job = outside.start();
    let refused = |percent, change: &dyn Fn(&mut Native)| {
        let mut native = noting(&Keys::default());
        change(&mut native);
        job.handle.canary(&node(), &with(native, NEW), share(percent), AT_ONCE).unwrap_err().to_string()
    };
    for (percent, change, says) in [
        (100, (|_| {}) as fn(&mut Native), "swap the module in instead"),
        (5, |native| native.descriptor.states[0].version = 2, "of schema version 2; declare the same states"),
        (5, |native| native.descriptor.states.clear(), "where the new module has none"),
        (5, |native| native.descriptor.states[0].ttl_ms = Some(1), "declare the same states"),
    ] {
        let said = refused(percent, &change);
        assert!(said.contains(says), "{said}");
    }
    let none = job.handle.widen_canary(&node(), share(50)).unwrap_err().to_string();
    assert!(none.contains("no canary serves"), "{none}");
    ends_right(&outside, &job);
}

#[test]
fn an_operator_without_a_keyed_input_has_no_canary() {
    let outside = outside();
    let unkeyed = COUNT.replace(", key_by: $.k", "");
    let job = outside.world().operator("count", Native::map(|_, value| value.to_owned())).start(&unkeyed);
    let spec = with(count(), NEW);
    let said = job.handle.canary(&node(), &spec, share(5), AT_ONCE).unwrap_err().to_string();
    assert!(said.contains("input `in` of `count` has no `key_by`") && said.contains("shadow"), "{said}");
    job.handle.cancel().unwrap();
    job.ends(JobState::Cancelled);
}

/// What is done to a job with a canary, in any order.
#[derive(Debug, Clone, Copy)]
enum Step {
    Play,
    Checkpoint,
    Begin(u32),
    Widen(u32),
    Promote,
    Withdraw,
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Play),
        1 => Just(Step::Checkpoint),
        2 => (1u32..60).prop_map(Step::Begin),
        2 => (10u32..=100).prop_map(Step::Widen),
        1 => Just(Step::Promote),
        1 => Just(Step::Withdraw),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 4..14)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_steps_and_restarts_leaves_each_event_once_and_in_order(steps in steps()) {
        let outside = outside();
        let job = outside.start();
        let (mut played, mut hash) = (0, 10);
        for step in steps {
            // What is refused, or comes between two attempts, changes nothing.
            match step {
                Step::Play => {
                    played = (played + 211).min(LENGTH - 1);
                    outside.tape.play(played);
                }
                Step::Checkpoint => _ = checkpoint(&job),
                Step::Begin(percent) => {
                    hash += 1;
                    let spec = with(noting(&Keys::default()), ModuleHash([hash; 32]));
                    _ = job.handle.canary(&node(), &spec, share(percent), AT_ONCE);
                }
                Step::Widen(percent) => _ = job.handle.widen_canary(&node(), share(percent)),
                Step::Promote => _ = job.handle.promote_swap(),
                Step::Withdraw => _ = job.handle.withdraw_swap("somebody asked for it"),
                Step::Restart => _ = job.handle.restart(),
            }
        }
        outside.tape.play(LENGTH);
        prop_assert_eq!(job.end().state, JobState::Finished);
        all_is_right(&outside);
    }
}
