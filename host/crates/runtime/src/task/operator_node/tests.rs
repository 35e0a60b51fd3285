//! The operator node against operators that fail to order. Values say how: `bad-…` is a bad record, `trap-…` a fault.

use std::sync::Mutex;

use gristmill_dataflow::document::operator::{EventVerdict, TransientPolicy};
use gristmill_ports::StateBackend;
use gristmill_types::failure::{FaultKind, GuestFault};
use gristmill_types::{Column, MetricUpdate, StateIndex};
use proptest::prelude::*;

use super::*;
use crate::exchange::inbox::Inbox;
use crate::report::Counts;
use crate::task::fixture::{Letters, NaiveState, surroundings};

const MODULE: ModuleHash = ModuleHash([7; 32]);

/// What one call saw, and what it does if it does not fail: counts the events of each key, and says so in its output.
struct Seen<'a> {
    call: Call,
    values: Vec<&'a str>,
}

/// Counts per key in state 0, after which the judge may still fail the call.
struct Counting<J>(J);

impl<J: FnMut(&Seen<'_>) -> Option<CallFailure> + Send> Operator for Counting<J> {
    fn process(
        &mut self,
        call: &Call,
        _: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        let mut counted = Column::default();
        let values: Vec<&str> =
            events.values().iter().map(|value| std::str::from_utf8(value.unwrap()).unwrap()).collect();
        for (row, value) in values.iter().enumerate() {
            let row = row as u32;
            let before = state.get(StateIndex(0), &[row]).unwrap().values.bytes_of(0).len();
            let after = vec![b'+'; before + 1];
            state.put(StateIndex(0), &[row], &Column::from_iter([Some(&after[..])])).unwrap();
            counted.push(Some(format!("{value}#{}", before + 1).as_bytes()));
        }
        if let Some(failure) = (self.0)(&Seen { call: *call, values }) {
            return Err(failure);
        }
        let rows = Rows::Mapped { rows: (0..events.len() as u32).collect(), values: counted };
        let metrics = vec![MetricUpdate::Add { metric: 0, delta: events.len() as i64 }];
        Ok(Outcome { emissions: vec![Emission { port: PortIndex(0), rows }], rejections: Vec::new(), metrics })
    }
}

fn bad() -> CallFailure {
    CallFailure::BadRecord("no such field".into())
}

fn trap() -> CallFailure {
    let backtrace = vec!["guest::parse".to_owned(), "guest::process".to_owned()];
    CallFailure::Fault(GuestFault { kind: FaultKind::Trap, message: "unreachable".into(), backtrace })
}

fn transient() -> CallFailure {
    CallFailure::Transient("not yet".into())
}

/// Fails as the first value that asks for it says.
fn as_values_say(seen: &Seen<'_>) -> Option<CallFailure> {
    seen.values.iter().find_map(|value| match value.split('-').next() {
        Some("bad") => Some(bad()),
        Some("trap") => Some(trap()),
        _ => None,
    })
}

struct Bench {
    node: OperatorNode,
    around: Surroundings,
    letters: Arc<Letters>,
}

impl Bench {
    fn new(judge: impl FnMut(&Seen<'_>) -> Option<CallFailure> + Send + 'static) -> Self {
        Self::of(Box::new(Counting(judge)))
    }

    fn of(operator: Box<dyn Operator>) -> Self {
        let node = OperatorNode {
            id: "count".parse().unwrap(),
            module: MODULE,
            inputs: vec!["in".into()],
            operator,
            beside: Beside::default(),
            teeing: Teeing::default(),
            states: States::plain(Box::new(NaiveState::default())),
            restore: None,
            policy: FailurePolicy::default(),
            max_call_bytes: usize::MAX,
            counters: Arc::new(NodeCounters::new(1, &["events".to_owned()])),
            tap: Arc::default(),
            watermark: Watermark::START,
            state_generation: 0,
            cannot_rewrite: false,
            faulty_run: 0,
            crashes: CrashNotes::default(),
        };
        let (around, letters) = surroundings(&Inbox::new());
        Self { node, around, letters }
    }

    /// All that leaves.
    fn handle(&mut self, events: &[(&str, &str)]) -> Result<Vec<String>, TaskEnd> {
        let mut handling = self.node.accept(InputIndex(0), batch(events));
        let mut out = Vec::new();
        while let Some(output) = self.node.advance(&mut handling, &mut self.around)? {
            out.extend(output.iter().flat_map(|(_, events)| texts(events)));
        }
        Ok(out)
    }

    fn counts(&self) -> Counts {
        self.node.counters.counts()
    }

    fn why_it_failed(&mut self, events: &[(&str, &str)]) -> String {
        match self.handle(events) {
            Err(TaskEnd::Failed(failure)) => failure.cause,
            other => panic!("the job should have failed: {other:?}"),
        }
    }
}

/// Keys and values; event `i` has time `i`.
fn batch(events: &[(&str, &str)]) -> Arc<EventBatch> {
    let mut batch = EventBatch::default();
    for (time, (key, value)) in events.iter().enumerate() {
        batch.push(time as i64, Some(key.as_bytes()), Some(value.as_bytes()));
    }
    Arc::new(batch.hashed())
}

fn texts(events: &EventBatch) -> Vec<String> {
    events.values().iter().map(|value| String::from_utf8(value.unwrap().to_vec()).unwrap()).collect()
}

fn briefly(kind: &str, value: &str) -> (String, String) {
    (kind.to_owned(), value.to_owned())
}

// Rule 17.
#[test]
fn a_failed_call_leaves_nothing_behind() {
    let mut bench = Bench::new(as_values_say);
    let out = bench.handle(&[("k", "a"), ("k", "bad-1"), ("k", "b"), ("j", "c")]).unwrap();
    assert_eq!(out, ["a#1", "b#2", "c#1"], "the poison event was not counted, though its call had written");
    assert_eq!(bench.letters.briefly(), [briefly("bad-record", "bad-1")]);
    let counts = bench.counts();
    assert_eq!(counts.metrics[0].total, 3, "metrics count only with the call");
    assert_eq!((counts.events_in, counts.events_out, counts.dead_letters), (4, vec![3], 1));
    assert_eq!(counts.state_keys, 2);
}

proptest! {
    // Rule 17.
    #[test]
    fn bisecting_finds_exactly_the_poison_events(events in prop::collection::vec((0u8..3, 0u8..6), 1..80), cut in 0usize..2000) {
        let mut bench = Bench::new(as_values_say);
        bench.node.policy.broken_after = u32::MAX;
        bench.node.max_call_bytes = if cut < 1000 { cut } else { usize::MAX };
        let events: Vec<(String, String)> = events.iter().enumerate().map(|(place, (key, fate))| {
            let fate = ["bad", "trap"].get(*fate as usize).unwrap_or(&"good");
            (format!("key{key}"), format!("{fate}-{place}"))
        }).collect();
        let given: Vec<_> = events.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let out = bench.handle(&given).unwrap();

        let (mut expected, mut letters, mut counts) = (Vec::new(), Vec::new(), [0; 3]);
        for (key, value) in given {
            match value.split('-').next() {
                Some("bad") => letters.push(briefly("bad-record", value)),
                Some("trap") => letters.push(briefly("trap", value)),
                _ => {
                    let count = &mut counts[usize::from(key.as_bytes()[3] - b'0')];
                    *count += 1;
                    expected.push(format!("{value}#{count}"));
                }
            }
        }
        prop_assert_eq!(out, expected);
        prop_assert_eq!(bench.letters.briefly(), letters);
    }
}

/// Rejects values that begin with `no`, passes the others.
struct Rejecting;

impl Operator for Rejecting {
    fn process(
        &mut self,
        _: &Call,
        _: InputIndex,
        events: &EventBatch,
        _: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        let refused = |row: &u32| events.values().bytes_of(*row as usize).starts_with(b"no");
        let (refused, passed): (Vec<u32>, Vec<u32>) = (0..events.len() as u32).partition(refused);
        let rejections = refused.into_iter().map(|row| Rejection { row, reason: "unreadable".into() }).collect();
        let emission = Emission { port: PortIndex(0), rows: Rows::Selected(passed) };
        Ok(Outcome { emissions: vec![emission], rejections, metrics: Vec::new() })
    }
}

// Rule 17.
#[test]
fn a_rejection_sets_one_row_aside_and_keeps_the_rest() {
    let mut bench = Bench::of(Box::new(Rejecting));
    let events = [("k", "a"), ("k", "no-1"), ("k", "b")];
    assert_eq!(bench.handle(&events).unwrap(), ["a", "b"]);
    assert_eq!(bench.letters.briefly(), [briefly("bad-record", "no-1")]);
    assert_eq!((bench.counts().calls, bench.counts().failed_calls), (1, 0));

    bench.node.policy.bad_record = EventVerdict::Skip;
    assert_eq!(bench.handle(&events).unwrap(), ["a", "b"]);
    assert_eq!((bench.counts().skipped, bench.counts().dead_letters), (1, 1));

    bench.node.policy.bad_record = EventVerdict::FailJob;
    let why = bench.why_it_failed(&events);
    assert_eq!(why, format!("operator `count` (module {MODULE}): bad record: unreadable"));
}

// Rule 17.
#[test]
fn a_fault_that_passes_costs_no_event() {
    let mut calls = 0;
    let mut bench = Bench::new(move |_| {
        calls += 1;
        (calls == 1).then(trap)
    });
    assert_eq!(bench.handle(&[("k", "a"), ("k", "b")]).unwrap(), ["a#1", "b#2"]);
    let counts = bench.counts();
    assert_eq!((counts.calls, counts.failed_calls, counts.faults, counts.dead_letters), (2, 1, 1, 0));
}

// Rule 17.
#[test]
fn a_run_of_faulty_events_fails_the_job_and_says_so() {
    for verdict in [EventVerdict::DeadLetter, EventVerdict::Skip] {
        let mut bench = Bench::new(as_values_say);
        bench.node.policy.fault = verdict;
        let why = bench.why_it_failed(&[("k", "trap"); 50]);
        assert_eq!(
            why,
            format!(
                "operator `count` (module {MODULE}): 20 events in a row ended in a fault: \
                 the operator is broken, not the data; the last: trap: unreachable"
            )
        );
        assert_eq!(bench.counts().dead_letters + bench.counts().skipped, 20);
    }
}

// Rule 17.
#[test]
fn faulty_events_among_good_ones_do_not_mean_that_the_operator_is_broken() {
    let mut bench = Bench::new(as_values_say);
    let events: Vec<_> = (0..120).map(|place| if place % 2 == 0 { ("k", "trap") } else { ("k", "good") }).collect();
    assert_eq!(bench.handle(&events).unwrap().len(), 60);
    assert_eq!(bench.counts().dead_letters, 60);
}

// Rule 17.
#[test]
fn a_transient_failure_is_tried_again_and_order_is_kept() {
    let mut calls = 0;
    let mut bench = Bench::new(move |_| {
        calls += 1;
        (calls < 3).then(transient)
    });
    assert_eq!(bench.handle(&[("k", "a"), ("k", "b")]).unwrap(), ["a#1", "b#2"]);
    assert_eq!(bench.handle(&[("k", "c")]).unwrap(), ["c#3"]);
    assert_eq!((bench.counts().retries, bench.counts().dead_letters), (2, 0));
}

// Rule 17.
#[test]
fn a_transient_failure_that_stays_goes_by_the_policy() {
    let mut bench = Bench::new(|seen| seen.values.contains(&"a").then(transient));
    bench.node.policy.transient = TransientPolicy { retry: 1, then: EventVerdict::DeadLetter };
    let out = bench.handle(&[("k", "a"), ("k", "b")]).unwrap();
    assert!(out.is_empty(), "all events of the call are set aside, it is never bisected");
    assert_eq!(bench.letters.briefly(), [briefly("transient", "a"), briefly("transient", "b")]);
    assert_eq!(bench.handle(&[("k", "c")]).unwrap(), ["c#1"]);

    bench.node.policy.transient = TransientPolicy { retry: 0, then: EventVerdict::FailJob };
    assert!(bench.why_it_failed(&[("k", "a")]).ends_with("not yet (after 1 tries)"));
}

#[test]
fn an_operator_that_fails_in_two_ways_by_turns_comes_to_an_end() {
    let mut calls = 0;
    let mut bench = Bench::new(move |_| {
        calls += 1;
        Some(if calls % 2 == 1 { trap() } else { transient() })
    });
    bench.node.policy.transient = TransientPolicy { retry: 1, then: EventVerdict::DeadLetter };
    assert!(bench.handle(&[("k", "a")]).unwrap().is_empty());
    assert_eq!(
        bench.letters.briefly(),
        [briefly("trap", "a")],
        "trap, transient, trap: its one retry alone is used up"
    );
}

#[test]
fn the_end_of_the_job_ends_the_wait_for_a_retry() {
    let mut bench = Bench::new(|_| Some(transient()));
    bench.around.inbox.close();
    assert_eq!(bench.handle(&[("k", "a")]), Err(TaskEnd::Closed));
}

// Rule 17.
#[test]
fn a_fatal_failure_is_never_bisected() {
    let mut bench = Bench::new(|_| Some(CallFailure::Fatal("the licence has run out".into())));
    let why = bench.why_it_failed(&[("k", "a"), ("k", "b")]);
    assert!(why.ends_with("the operator says that it cannot go on: the licence has run out"), "{why}");
    assert_eq!((bench.counts().calls, bench.counts().dead_letters), (1, 0));
}

#[test]
fn a_state_that_cannot_be_written_fails_the_job() {
    let mut bench = Bench::new(|_| None);
    bench.node.states = States::plain(Box::new(NaiveState::that_breaks()));
    assert!(bench.why_it_failed(&[("k", "a")]).ends_with("the state backend failed: the disk is gone"));
}

/// As when the local database cannot be read: the state is lost to this attempt, not to the job.
#[test]
fn a_state_that_cannot_be_read_fails_the_attempt_alone() {
    let mut bench = Bench::new(|_| Some(CallFailure::Host("the disk is gone".into())));
    match bench.handle(&[("k", "a"), ("k", "b")]) {
        Err(TaskEnd::Failed(failure)) => {
            assert!(failure.cause.ends_with("the host could not do its part: the disk is gone"), "{}", failure.cause);
            assert!(!failure.lasts, "it may go well the next time");
        }
        other => panic!("the attempt should have failed: {other:?}"),
    }
    assert_eq!((bench.counts().calls, bench.counts().dead_letters), (1, 0));
}

// Rule 11.
#[test]
fn a_batch_that_is_too_large_is_cut() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let seen_sizes = Arc::clone(&sizes);
    let mut bench = Bench::new(move |seen| {
        seen_sizes.lock().unwrap().push(seen.values.len());
        None
    });
    bench.node.max_call_bytes = 100;
    let large = "x".repeat(500);
    let out = bench.handle(&[("k", "a"), ("k", "b"), ("k", "c"), ("k", &large), ("k", "d")]).unwrap();
    assert_eq!(out, ["a#1", "b#2", "c#3", &format!("{large}#4"), "d#5"]);
    assert_eq!(*sizes.lock().unwrap(), [2, 1, 1, 1], "34 bytes an event; one that is larger than all goes alone");
}

// Rule 16.
#[test]
fn cached_reads_are_void_after_each_failed_call_and_only_then() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let generations = Arc::clone(&seen);
    let mut bench = Bench::new(move |seen| {
        generations.lock().unwrap().push(seen.call.state_generation);
        as_values_say(seen)
    });
    bench.handle(&[("k", "a")]).unwrap();
    bench.handle(&[("k", "b"), ("k", "bad")]).unwrap();
    bench.handle(&[("k", "c")]).unwrap();
    assert_eq!(*seen.lock().unwrap(), [0, 0, 1, 1, 2], "a · b+bad fails · b · bad fails · c");
}

#[test]
fn a_dead_letter_says_all_that_is_known() {
    let mut bench = Bench::new(as_values_say);
    bench.handle(&[("k", "a"), ("j", "trap-1")]).unwrap();
    let [letter] = bench.letters.all().try_into().unwrap();
    assert_eq!(
        letter,
        gristmill_types::DeadLetter {
            operator: "count".parse().unwrap(),
            input: "in".into(),
            module: Some(MODULE),
            reason: Reason { kind: "trap".into(), message: "unreachable".into() },
            backtrace: vec!["guest::parse".into(), "guest::process".into()],
            origin: String::new(),
            timestamp: 1,
            key: Some(b"j".to_vec()),
            value: Some(b"trap-1".to_vec()),
            at_ms: 0,
        }
    );
}

#[test]
fn letters_that_cannot_be_kept_fail_the_job() {
    let mut bench = Bench::new(as_values_say);
    bench.around.dead_letters = Arc::new(Letters::full("the disk is full"));
    assert_eq!(bench.why_it_failed(&[("k", "bad")]), "1 dead letters of `count` cannot be kept: the disk is full");
}

#[test]
fn output_leaves_call_by_call_so_that_a_bisected_batch_never_piles_up() {
    let mut bench = Bench::new(as_values_say);
    let mut handling = bench.node.accept(InputIndex(0), batch(&[("k", "a"), ("k", "b"), ("k", "bad"), ("k", "c")]));
    let mut left = Vec::new();
    while let Some(output) = bench.node.advance(&mut handling, &mut bench.around).unwrap() {
        left.push(output.iter().flat_map(|(_, events)| texts(events)).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(left, ["a#1 b#2", "c#3"]);
}
