//! A host of one operator: a registry with a directory of its own, a log that can be read, a state, a clock.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gristmill_ports::Signal;
use gristmill_ports::clock::ManualClock;
use gristmill_ports::module_registry::{Admission, ModuleRegistry, PrepareOptions, Refusal};
use gristmill_ports::operator::{Call, Operator, OperatorContext};
use gristmill_ports::state::{StateBackend, StateTime};
use gristmill_ports::telemetry::{GuestLog, LogLevel};
use gristmill_state::MemoryBackend;
use gristmill_types::failure::{FaultKind, GuestFault};
use gristmill_types::*;
use gristmill_wasm::{WasmModules, WasmOptions};

/// Generous where a test does not care, short where it does.
pub(crate) fn options() -> PrepareOptions {
    PrepareOptions {
        parameters: None,
        memory_bytes: 16 << 20,
        call: Duration::from_secs(10),
        output_bytes: 1 << 20,
        log_bytes: 1 << 20,
    }
}

/// Three keyed events.
pub(crate) fn three() -> EventBatch {
    let mut batch = EventBatch::default();
    batch.push(1, Some(b"a"), Some(b"one"));
    batch.push(2, Some(b"b"), None);
    batch.push(3, Some(b"a"), Some(b""));
    batch.hashed()
}

pub(crate) struct Registry {
    pub(crate) modules: WasmModules,
    pub(crate) directory: tempfile::TempDir,
}

impl Registry {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let modules = open(directory.path());
        Self { modules, directory }
    }

    pub(crate) fn admit(&self, bytes: &[u8]) -> Result<Admission, Refusal> {
        self.modules.admit(bytes)
    }
}

/// A registry on a directory, as a host starting there would have it.
pub(crate) fn open(directory: &std::path::Path) -> WasmModules {
    WasmModules::new(&WasmOptions { cache_dir: directory.to_owned() }).expect("a registry")
}

/// Lines that an operator wrote, and how many were dropped.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) lines: Mutex<Vec<(LogLevel, Option<u32>, String)>>,
    pub(crate) dropped: Mutex<u64>,
}

impl Heard {
    pub(crate) fn texts(&self) -> Vec<String> {
        self.lines.lock().expect("no panic").iter().map(|(_, _, text)| text.clone()).collect()
    }
}

impl GuestLog for Heard {
    fn line(&self, level: LogLevel, row: Option<u32>, message: &str) {
        self.lines.lock().expect("no panic").push((level, row, message.to_owned()));
    }
    fn dropped(&self, lines: u64) {
        *self.dropped.lock().expect("no panic") += lines;
    }
}

/// What time it is to states; none of those here has an end to its life.
pub(crate) const NOW: StateTime = StateTime { processing_ms: 1_000, event_ms: 5 };

/// A running operator.
pub(crate) struct Running {
    pub(crate) operator: Box<dyn Operator>,
    pub(crate) state: Box<dyn StateBackend>,
    pub(crate) heard: Arc<Heard>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) interrupt: Signal,
    _registry: Registry,
}

/// Starts a guest as subtask 0 of 2.
pub(crate) fn start(bytes: &[u8], options: &PrepareOptions) -> Result<Running, CallFailure> {
    let registry = Registry::new();
    let prepared = registry.modules.prepare(bytes, options).expect("the module is admitted");
    let (heard, clock, interrupt) = (Arc::new(Heard::default()), Arc::new(ManualClock::default()), Signal::default());
    let context = context(&prepared.parameters, &heard, &clock, &interrupt);
    let groups = context.key_groups;
    let state = Box::new(MemoryBackend::new(prepared.factory.descriptor(), groups, context.max_parallelism));
    let operator = prepared.factory.open(context)?;
    Ok(Running { operator, state, heard, clock, interrupt, _registry: registry })
}

/// What subtask 0 of 2 is told.
pub(crate) fn context(
    parameters: &str,
    heard: &Arc<Heard>,
    clock: &Arc<ManualClock>,
    interrupt: &Signal,
) -> OperatorContext {
    let parallelism = Parallelism(NonZeroU32::new(2).expect("not zero"));
    let max_parallelism = MaxParallelism::DEFAULT;
    OperatorContext {
        job: "orders".parse().expect("an id"),
        operator: "guest".parse().expect("an id"),
        subtask: SubtaskIndex(0),
        parallelism,
        max_parallelism,
        key_groups: max_parallelism.owned_by(SubtaskIndex(0), parallelism),
        keys_in_place: true,
        parameters: parameters.to_owned(),
        written_parameters: None,
        log: heard.clone(),
        clock: clock.clone(),
        seed: 7,
        interrupt: interrupt.clone(),
    }
}

impl Running {
    /// One call as the runtime makes it: its writes take effect only if it succeeds.
    pub(crate) fn call(&mut self, events: &EventBatch) -> Result<Outcome, CallFailure> {
        self.call_as(
            &Call { watermark: Watermark(5), processing_time_ms: 1_000, state_generation: 1 },
            InputIndex(0),
            events,
        )
    }

    /// The same, with facts of its own.
    pub(crate) fn call_as(
        &mut self,
        call: &Call,
        input: InputIndex,
        events: &EventBatch,
    ) -> Result<Outcome, CallFailure> {
        self.state.begin(events, NOW);
        let result = self.operator.process(call, input, events, &mut self.state);
        match &result {
            Ok(_) => self.state.commit().expect("memory commits"),
            Err(_) => self.state.roll_back(),
        }
        result
    }

    /// What is kept in the first state, a value, for the key of row 0.
    pub(crate) fn kept_for_row_0(&mut self, events: &EventBatch) -> Option<Vec<u8>> {
        self.state.begin(events, NOW);
        let read = self.state.get(StateIndex(0), &[0]).expect("memory answers");
        self.state.roll_back();
        read.values.get(0).map(<[u8]>::to_vec)
    }
}

/// The outcome of one call of a guest on three events.
pub(crate) fn outcome_of(bytes: &[u8]) -> Result<Outcome, CallFailure> {
    start(bytes, &options())?.call(&three())
}

/// The fault in a result.
pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T, CallFailure>) -> GuestFault {
    match result {
        Err(CallFailure::Fault(fault)) => fault,
        other => panic!("not a fault: {other:?}"),
    }
}

/// Checks that a result is a fault of this kind, and that its sentence says this.
pub(crate) fn assert_fault<T: std::fmt::Debug>(result: Result<T, CallFailure>, kind: FaultKind, says: &str) {
    let fault = fault(result);
    assert_eq!(fault.kind, kind, "{fault}");
    assert!(fault.message.contains(says), "{fault}");
}
