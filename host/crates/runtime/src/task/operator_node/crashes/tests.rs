//! What is written down of which call. Values say how an operator fails: `trap-…` traps, `pair` traps beside another `pair`.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill_checkpoint::swap::Retreat;
use gristmill_dataflow::document::FailurePolicy;
use gristmill_ports::crash::{CrashStore, EntryBefore, KeptCrash, StateBefore};
use gristmill_ports::operator::{InstanceLimits, InstanceRecord};
use gristmill_ports::{Operator, PortError, StateBackend, Veil};
use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::failure::{FaultKind, GuestFault};
use gristmill_types::{
    Column, Descriptor, InputIndex, JobId, MaxParallelism, ModuleHash, Outcome, Parallelism, StateIndex, SubtaskIndex,
    SwapId, Watermark,
};

use super::*;
use crate::counters::NodeCounters;
use crate::exchange::inbox::Inbox;
use crate::right_of_return::RightOfReturn;
use crate::states::{NextStates, States};
use crate::swap::Instance;
use crate::task::fixture::{Letters, NaiveState, surroundings};
use crate::task::operator_node::{Beside, Teeing};

/// Counts the calls of its instance, as a seat does, and the events of each key.
#[derive(Default)]
struct Moody {
    calls: u64,
    had_fault: bool,
}

impl Operator for Moody {
    fn process(
        &mut self,
        _: &Call,
        _: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        self.calls = if self.had_fault { 0 } else { self.calls + 1 };
        let values: Vec<_> = events.values().iter().map(|value| String::from_utf8_lossy(value.unwrap())).collect();
        for row in 0..events.len() as u32 {
            let before = state.get(StateIndex(0), &[row]).unwrap().values.bytes_of(0).len();
            state.put(StateIndex(0), &[row], &Column::from_iter([Some(&vec![b'+'; before + 1][..])])).unwrap();
        }
        let pairs = values.iter().filter(|value| *value == "pair").count();
        let trap = values.iter().find(|value| value.starts_with("trap"));
        let message = trap.map(ToString::to_string).or((pairs > 1).then(|| "a pair".to_owned()));
        self.had_fault = message.is_some();
        match message {
            Some(message) => {
                Err(CallFailure::Fault(GuestFault { kind: FaultKind::Trap, message, backtrace: Vec::new() }))
            }
            None => Ok(Outcome::default()),
        }
    }

    fn record(&self) -> Option<InstanceRecord> {
        let state = StateSpec {
            name: "count".to_owned(),
            kind: StateKind::Value,
            scope: StateScope::Keyed,
            version: 3,
            ttl_ms: None,
            ttl_clock: ClockKind::EventTime,
        };
        Some(InstanceRecord {
            subtask: SubtaskIndex(0),
            parallelism: Parallelism(NonZeroU32::MIN),
            max_parallelism: MaxParallelism::DEFAULT,
            keys_in_place: true,
            parameters: "{}".to_owned(),
            seed: 7,
            opened_ms: 0,
            calls: self.calls,
            limits: InstanceLimits { memory_bytes: 1, call: Duration::ZERO, output_bytes: 1, log_bytes: 1 },
            descriptor: Descriptor { states: vec![state], ..Descriptor::default() },
        })
    }
}

/// Keeps bundles in memory, all that come.
struct Shelf {
    room: usize,
    kept: Mutex<Vec<CrashBundle>>,
}

impl CrashStore for Shelf {
    fn room(&self, job: &JobId, name: &CrashName, _: i64) -> Option<usize> {
        (!self.has(job, name)).then_some(self.room)
    }
    fn keep(&self, bundle: CrashBundle) -> bool {
        self.kept.lock().unwrap().push(bundle);
        true
    }
    fn list(&self, _: &JobId) -> Result<Vec<KeptCrash>, PortError> {
        unimplemented!("nobody lists")
    }
    fn get(&self, _: &JobId, _: &CrashName) -> Result<Option<Vec<u8>>, PortError> {
        unimplemented!("nobody fetches")
    }
    fn delete(&self, _: &JobId, _: &CrashName) -> Result<bool, PortError> {
        unimplemented!("nobody deletes")
    }
    fn has(&self, _: &JobId, name: &CrashName) -> bool {
        self.kept.lock().unwrap().iter().any(|bundle| bundle.name() == *name)
    }
    fn forget(&self, _: &JobId) -> Result<(), PortError> {
        unimplemented!("nobody forgets")
    }
}

struct Bench {
    node: OperatorNode,
    around: Surroundings,
    shelf: Arc<Shelf>,
    letters: Arc<Letters>,
}

impl Bench {
    fn with_room(room: usize) -> Self {
        let node = OperatorNode {
            id: "count".parse().unwrap(),
            module: ModuleHash([7; 32]),
            inputs: vec!["in".into()],
            operator: Box::new(Moody::default()),
            beside: Beside::default(),
            teeing: Teeing::default(),
            states: States::plain(Box::new(NaiveState::default())),
            cannot_rewrite: false,
            restore: None,
            policy: FailurePolicy::default(),
            max_call_bytes: usize::MAX,
            counters: Arc::new(NodeCounters::new(1, &[])),
            tap: Arc::default(),
            watermark: Watermark(5),
            state_generation: 0,
            faulty_run: 0,
            crashes: CrashNotes::default(),
        };
        let (mut around, letters) = surroundings(&Inbox::new());
        let shelf = Arc::new(Shelf { room, kept: Mutex::default() });
        around.crashes = Arc::<Shelf>::clone(&shelf);
        Self { node, around, shelf, letters }
    }

    fn new() -> Self {
        Self::with_room(1 << 20)
    }

    fn handle(&mut self, events: &[(&str, &str)]) {
        let mut batch = EventBatch::default();
        for (time, (key, value)) in events.iter().enumerate() {
            batch.push(time as i64, Some(key.as_bytes()), Some(value.as_bytes()));
        }
        let mut handling = self.node.accept(InputIndex(0), Arc::new(batch.hashed()));
        while self.node.advance(&mut handling, &mut self.around).unwrap().is_some() {}
    }

    fn kept(&self) -> Vec<CrashBundle> {
        self.shelf.kept.lock().unwrap().clone()
    }
}

fn values(bundle: &CrashBundle) -> Vec<String> {
    bundle.events.values().iter().map(|value| String::from_utf8_lossy(value.unwrap()).into_owned()).collect()
}

fn entry(key: &str, value: &str) -> EntryBefore {
    EntryBefore { key: key.into(), map_key: None, value: value.into() }
}

#[test]
fn the_event_that_fails_is_kept_with_the_state_before_its_call() {
    let mut bench = Bench::new();
    bench.handle(&[("k", "a"), ("j", "b")]);
    bench.handle(&[("k", "c"), ("k", "trap-1"), ("k", "d"), ("j", "e")]);
    let [bundle] = bench.kept().try_into().unwrap();
    assert_eq!(values(&bundle), ["trap-1"]);
    assert_eq!((bundle.instance.calls, bundle.fault.message.as_str()), (0, "trap-1"));
    let count =
        StateBefore { state: "count".to_owned(), kind: StateKind::Value, version: 3, entries: vec![entry("k", "++")] };
    assert_eq!(
        (bundle.states, bundle.left_out),
        (vec![count], vec![]),
        "`a` and `c` came before, nothing of the call did"
    );
    assert_eq!(bundle.call.watermark_ms, 5);
    let said = bench.around.events.listen().0;
    assert!(
        said.iter()
            .any(|event| matches!(&event.kind, JobEventKind::Crash { message, .. } if message == "trap: trap-1"))
    );
}

#[test]
fn each_fault_is_kept_once() {
    let mut bench = Bench::new();
    bench.handle(&[("k", "trap-1"), ("k", "trap-2"), ("k", "trap-1")]);
    bench.handle(&[("k", "trap-2"), ("k", "trap-3")]);
    assert_eq!(bench.kept().iter().map(values).collect::<Vec<_>>(), [["trap-1"], ["trap-2"], ["trap-3"]]);
}

#[test]
fn events_that_fail_only_together_are_kept_together_though_none_is_given_up() {
    let mut bench = Bench::new();
    bench.handle(&[("a", "x"), ("b", "pair"), ("c", "pair"), ("d", "y")]);
    let [bundle] = bench.kept().try_into().unwrap();
    assert_eq!(values(&bundle), ["x", "pair", "pair", "y"], "its halves pass");
    assert_eq!(bench.node.counters.dead_letters.get(), 0);
}

/// Knows one secret.
struct Hunter;

impl Veil for Hunter {
    fn hide(&self, text: &str) -> String {
        text.replace("hunter2", "${env:TOKEN}")
    }
}

#[test]
fn a_secret_that_a_fault_says_is_kept_as_the_placeholder_that_stands_for_it() {
    let mut bench = Bench::new();
    bench.around.veil = Arc::new(Hunter);
    bench.handle(&[("k", "trap-hunter2")]);
    assert_eq!(bench.kept()[0].fault.message, "trap-${env:TOKEN}");
    assert_eq!(bench.letters.all()[0].reason.message, "trap-${env:TOKEN}");
}

#[test]
fn what_does_not_fit_is_left_out_and_told_or_the_call_is_not_kept() {
    let mut bench = Bench::with_room(BESIDES + 200);
    bench.handle(&[("k", &"+".repeat(10)), ("k", "a"), ("k", "trap-1")]);
    assert_eq!(bench.kept()[0].states[0].entries, [entry("k", "++")]);
    bench.handle(&[("k", &format!("trap-{}", "x".repeat(300)))]);
    assert_eq!(bench.kept().len(), 1, "the event alone is too large");

    let mut bench = Bench::with_room(BESIDES + 100);
    (0..80).for_each(|_| bench.handle(&[("k", "a")]));
    bench.handle(&[("k", "trap-1")]);
    let [bundle] = bench.kept().try_into().unwrap();
    assert!(bundle.states[0].entries.is_empty());
    assert_eq!(bundle.left_out, ["what follows in state `count`: it did not fit into the bundle"]);
}

/// There is no second try of the new module: the old one has the events.
#[test]
fn the_fault_that_ends_a_probation_is_kept_as_it_was() {
    let mut bench = Bench::new();
    let instance = Instance {
        swap: SwapId(1),
        module: ModuleHash([8; 32]),
        operator: Box::new(Moody::default()),
        states: NextStates { seats: None, layer: None, rewriting: None },
        right: Arc::new(RightOfReturn::new(Retreat::Seats)),
        canary: None,
    };
    bench.node.take_instance(instance, &bench.around);
    bench.node.switch(SwapId(1), std::time::Instant::now(), &bench.around.desk);
    bench.handle(&[("k", "a")]);
    bench.handle(&[("k", "b"), ("k", "trap-1")]);
    let kept = bench.kept();
    assert_eq!((kept[0].module, kept[0].instance.calls), (ModuleHash([8; 32]), 2));
    assert_eq!(values(&kept[0]), ["b", "trap-1"]);
    assert_eq!(
        (kept[1].module, values(&kept[1])),
        (ModuleHash([7; 32]), vec!["trap-1".to_owned()]),
        "the old one's own"
    );
}
