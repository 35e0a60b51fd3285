//! What a shadow costs the operator that it runs beside: a keyed count at a steady rate, by turns with and without a shadow of
//! the same logic. Measured is what the operator's own threads have worked, by their own clocks.
//!
//! The threads of the source are measured too: what slows them as well is not peculiar to the operator. They are no clean
//! measure of the machine, since they make the batches that a shadow keeps alive.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{anyhow, bail};
use gristmill_ports::{Call, Operator, OperatorContext, OperatorFactory, Parts, StateBackend};
use gristmill_runtime::{JobHandle, JobSpec, ShadowPolicy, ShadowReport, ShadowStage, start};
use gristmill_types::{CallFailure, Descriptor, EventBatch, InputIndex, NodeId, Outcome};
use serde_json::{Value, json};

use crate::checkpoints::{Counting, wait};
use crate::load::Load;
use crate::parts::host_parts;

/// `times`: turns without and with a shadow, each.
const LOAD: Load = Load { keys: 1_000_000, rate: 200_000, times: 20 };
/// Seconds of a turn, by what the source gives.
const TURN_S: u64 = 3;
/// Seconds in front of each turn: what a shadow needs to catch up, and leaves when it goes, is not what it costs.
const SETTLES_S: u64 = 1;

/// An operator with a shadow and without.
pub(crate) fn run() -> anyhow::Result<Value> {
    let load = LOAD.or_as_said("TURNS")?;
    let (data, clock_data) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let old = Counting::new()?;
    let new = old.in_other_bytes();
    let from = load.source();
    let operator: NodeId = "op".parse()?;
    let meters = Meters { clock: Arc::new(host_parts(clock_data.path())?), all: Arc::default() };
    let mut spec = old.spec(&from, "never")?;
    let parts = spec.operators.get_mut(&operator).ok_or_else(|| anyhow!("the job lost its operator"))?;
    let factory = Arc::clone(&parts.prepared.factory);
    parts.prepared.factory = Arc::new(Metered { factory, meters: meters.clone() });
    let shadow = new.spec(&from, "never")?;

    let handle = start(spec, Arc::new(host_parts(data.path())?))?;
    wait("the state was filled", || (meters.read().1 >= load.fill()).then_some(()))?;
    let (mut without, mut with, mut last) = (vec![meters.turn(load)?], Vec::new(), None);
    for _ in 0..load.times {
        follow(&handle, &operator, &shadow, load)?;
        with.push(meters.turn(load)?);
        let report = handle.discard_shadow(&operator, "the turn is over");
        last = Some(report.ok_or_else(|| anyhow!("the shadow could not follow: {:?}", handle.newest_shadow()))?);
        without.push(meters.turn(load)?);
    }
    handle.stop()?;
    wait("the job had stopped", || handle.status().state.is_final().then_some(()))?;
    let Some(ShadowReport { counts, .. }) = last else { bail!("there was no turn") };
    let primary = overheads(&without, &with, |turn| turn.primary_ns);
    let bystander = overheads(&without, &with, |turn| turn.bystander_ns);
    let work = overheads(&without, &with, |turn| turn.primary_ns / turn.bystander_ns);
    let primary_ns = |turns: &[Turn]| median(turns.iter().map(|turn| turn.primary_ns).collect());
    Ok(json!({
        "bench": "shadow",
        "keys": load.keys,
        "rate": load.rate,
        "turns": load.times,
        "primary_ns_per_event_without": primary_ns(&without),
        "primary_ns_per_event_with": primary_ns(&with),
        "primary_cpu_overhead_percent": median(primary.clone()),
        "bystander_cpu_overhead_percent": median(bystander),
        "primary_work_overhead_percent": median(work),
        "overheads_percent": primary,
        "shadow_ns_per_event": counts.shadow_ns as f64 / counts.events.max(1) as f64,
        "shadow_events": counts.events,
        "differing": counts.differing,
        "missing": counts.missing,
        "extra": counts.extra,
        "failed_calls": counts.failed_calls,
        "primary_hash": old.hash().to_string(),
        "shadow_hash": new.hash().to_string(),
        "other_operators_restarted": handle.checkpoints().restarts,
    }))
}

/// Begins a shadow, and waits until it has caught up.
fn follow(handle: &JobHandle, operator: &NodeId, spec: &JobSpec, load: Load) -> anyhow::Result<()> {
    handle.shadow(operator, spec, ShadowPolicy { room_bytes: 1 << 30, ..ShadowPolicy::default() })?;
    let caught_up = wait("the shadow had caught up", || {
        let report = handle.newest_shadow()?;
        let is_near = report.counts.events > load.rate && report.waiting_calls < 50;
        (is_near || report.stage == ShadowStage::Over).then_some(report)
    })?;
    match caught_up.stage {
        ShadowStage::Over => bail!("the shadow is over: {}", caught_up.cause.unwrap_or_default()),
        ShadowStage::Waiting | ShadowStage::Following => Ok(()),
    }
}

/// What a turn came to, in nanoseconds for each event.
#[derive(Debug, Clone, Copy)]
struct Turn {
    primary_ns: f64,
    bystander_ns: f64,
}

/// What each turn with a shadow cost more than the two without one around it, in percent: whatever else the machine does changes
/// more slowly than that.
fn overheads(without: &[Turn], with: &[Turn], what: impl Fn(&Turn) -> f64) -> Vec<f64> {
    let around = without.windows(2).map(|around| around.iter().map(&what).sum::<f64>() / 2.0);
    around.zip(with).map(|(without, with)| (what(with) / without - 1.0) * 100.0).collect()
}

/// Nanoseconds that the threads of the source have worked.
///
/// # Errors
/// If the kernel does not say.
fn bystanders_ns() -> anyhow::Result<u64> {
    let mut all = 0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        if std::fs::read_to_string(thread.join("comm"))?.starts_with("events-") {
            let told = std::fs::read_to_string(thread.join("schedstat"))?;
            let worked = told.split(' ').next().ok_or_else(|| anyhow!("an empty schedstat"))?;
            all += worked.parse::<u64>()?;
        }
    }
    Ok(all)
}

fn median(mut turns: Vec<f64>) -> f64 {
    turns.sort_by(f64::total_cmp);
    turns[turns.len() / 2]
}

/// What the threads of an operator have worked, and on how many events.
#[derive(Clone)]
struct Meters {
    clock: Arc<dyn Parts>,
    all: Arc<Mutex<Vec<Arc<Meter>>>>,
}

#[derive(Default)]
struct Meter {
    worked_ns: AtomicU64,
    events: AtomicU64,
}

impl Meters {
    fn read(&self) -> (u64, u64) {
        let all = self.all.lock().expect("nobody panics with it");
        let sum = |count: fn(&Meter) -> &AtomicU64| all.iter().map(|meter| count(meter).load(Ordering::Relaxed)).sum();
        (sum(|meter| &meter.worked_ns), sum(|meter| &meter.events))
    }

    /// What an event costs in the next turn.
    fn turn(&self, load: Load) -> anyhow::Result<Turn> {
        self.events(SETTLES_S * load.rate)?;
        let ((worked_ns, events), bystanders) = (self.read(), bystanders_ns()?);
        self.events(TURN_S * load.rate)?;
        let ((worked_now, events_now), bystanders_now) = (self.read(), bystanders_ns()?);
        let by_event = |ns: u64| ns as f64 / (events_now - events) as f64;
        Ok(Turn { primary_ns: by_event(worked_now - worked_ns), bystander_ns: by_event(bystanders_now - bystanders) })
    }

    /// Waits for so many more.
    fn events(&self, more: u64) -> anyhow::Result<()> {
        let all = self.read().1 + more;
        wait("the events had come", || (self.read().1 >= all).then_some(()))
    }
}

/// A factory whose instances note what their thread has worked, all of it: calls, exchanges, what follows in the chain.
struct Metered {
    factory: Arc<dyn OperatorFactory>,
    meters: Meters,
}

impl OperatorFactory for Metered {
    fn descriptor(&self) -> &Descriptor {
        self.factory.descriptor()
    }

    fn open(&self, context: OperatorContext) -> Result<Box<dyn Operator>, CallFailure> {
        let (operator, meter) = (self.factory.open(context)?, Arc::<Meter>::default());
        self.meters.all.lock().expect("nobody panics with it").push(Arc::clone(&meter));
        Ok(Box::new(MeteredInstance { operator, meter, clock: Arc::clone(&self.meters.clock) }))
    }
}

struct MeteredInstance {
    operator: Box<dyn Operator>,
    meter: Arc<Meter>,
    clock: Arc<dyn Parts>,
}

impl Operator for MeteredInstance {
    fn process(
        &mut self,
        call: &Call,
        input: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        let outcome = self.operator.process(call, input, events, state)?;
        let worked = self.clock.worked().unwrap_or_default();
        self.meter.worked_ns.store(u64::try_from(worked.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.meter.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        Ok(outcome)
    }
}
