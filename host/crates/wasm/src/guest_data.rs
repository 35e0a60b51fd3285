//! What a store holds beside the guest: its limits, its ways out, and the call under way.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gristmill_ports::clock::Clock;
use gristmill_ports::telemetry::GuestLog;
use gristmill_ports::{Signal, StateBackend, Stateless};
use gristmill_types::outcome::MetricUpdate;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

use crate::deadline::{Deadline, Halt};
use crate::engine::GuestEngine;
use crate::fault::Stop;
use crate::guest_time::GuestTime;
use crate::limits::{Footprint, Limits};
use crate::log_gate::LogGate;
use crate::ticker::Ticker;

/// WASI resources (streams, pollables) that a guest may hold at once; a small host object stands behind each.
const WASI_RESOURCES: usize = 4096;

/// What the guest is doing at the moment, as far as its imports care.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// `describe`, `open`, or nothing at all: no event is at hand.
    Outside,
    /// It processes a batch.
    Batch,
    /// It handles one event of a batch.
    Event {
        /// The event's row.
        row: u32,
    },
}

/// What an instance is given for its life.
pub(crate) struct Provisions {
    pub(crate) limits: Limits,
    pub(crate) log: Arc<dyn GuestLog>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Seed of its random numbers.
    pub(crate) seed: u64,
    /// How many metrics its descriptor declares.
    pub(crate) metrics: usize,
    /// Ends its calls when the job is over.
    pub(crate) interrupt: Signal,
}

/// The data of a store.
pub(crate) struct GuestData {
    pub(crate) limits: Limits,
    pub(crate) footprint: Footprint,
    pub(crate) phase: Phase,
    /// The operator's state, moved in for the length of a call.
    pub(crate) state: Box<dyn StateBackend>,
    /// What the guest has measured in this call.
    pub(crate) measured: Vec<MetricUpdate>,
    pub(crate) metrics: usize,
    pub(crate) time: GuestTime,
    log: Arc<Mutex<LogGate>>,
    engine: Arc<GuestEngine>,
    budget: usize,
    deadline: Deadline,
    interrupt: Signal,
    wasi: WasiCtx,
    resources: ResourceTable,
}

impl GuestData {
    /// The data of a new store. `wasi` makes the empty world of WASI from the log and the clocks.
    pub(crate) fn new(
        engine: Arc<GuestEngine>,
        provisions: Provisions,
        wasi: impl FnOnce(&Arc<Mutex<LogGate>>, &GuestTime, u64) -> WasiCtx,
    ) -> Self {
        let Provisions { limits, log, clock, seed, metrics, interrupt } = provisions;
        let log = Arc::new(Mutex::new(LogGate::new(log, clock, limits.log_bytes)));
        let time = GuestTime::default();
        let wasi = wasi(&log, &time, seed);
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(WASI_RESOURCES);
        Self {
            limits,
            footprint: Footprint::new(limits.memory_bytes),
            phase: Phase::Outside,
            state: Box::new(Stateless),
            measured: Vec::new(),
            metrics,
            time,
            log,
            engine,
            budget: limits.output_bytes,
            deadline: Deadline::default(),
            interrupt,
            wasi,
            resources,
        }
    }

    /// Sets everything but the deadline to the beginning of a call.
    pub(crate) fn begin_call(&mut self, phase: Phase, processing_time_ms: i64) {
        self.phase = phase;
        self.budget = self.limits.output_bytes;
        self.measured.clear();
        self.footprint.begin_call();
        self.time.begin_call(processing_time_ms);
        self.log().settle();
    }

    /// The way to the operator's log.
    pub(crate) fn log(&self) -> MutexGuard<'_, LogGate> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts bytes that the guest hands over against the output limit of the call.
    ///
    /// # Errors
    /// [`Stop::Output`] if there are more than the limit allows.
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), Stop> {
        self.budget = self.budget.checked_sub(bytes).ok_or(Stop::Output)?;
        Ok(())
    }

    /// Bytes that the call may still hand over.
    pub(crate) fn budget(&self) -> usize {
        self.budget
    }

    /// Bytes that the call has handed over to imports.
    pub(crate) fn spent(&self) -> usize {
        self.limits.output_bytes - self.budget
    }

    /// Lets the deadline of a call begin.
    pub(crate) fn start_deadline(&mut self) {
        self.deadline = Deadline::starting(self.engine.ticker.ticks(), Ticker::ticks_for(self.limits.call));
    }

    /// How many ticks the guest may run before it is looked at again.
    ///
    /// # Errors
    /// Why it may not run on.
    pub(crate) fn next_slice(&self) -> Result<u64, Halt> {
        if self.interrupt.is_raised() {
            return Err(Halt::JobOver);
        }
        self.deadline.slice(self.engine.ticker.ticks()).ok_or(Halt::Late)
    }

    /// Does work of the host within a guest's call, and credits the time it takes to the guest's deadline.
    pub(crate) fn on_the_house<R>(&mut self, work: impl FnOnce(&mut Self) -> R) -> R {
        let begun = self.engine.ticker.ticks();
        let result = work(self);
        self.deadline.credit(self.engine.ticker.ticks() - begun);
        result
    }
}

impl WasiView for GuestData {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}
