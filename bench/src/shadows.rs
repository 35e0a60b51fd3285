//! What a shadow costs the operator that it runs beside: two like jobs, a keyed count at a steady rate each, and by turns a
//! shadow of the same logic beside one of them, then of the other. Measured is what the threads of both operators have worked, by
//! their own clocks.
//!
//! Whatever runs costs its neighbours something, by caches and memory that are shared. What the job without the shadow loses in a
//! turn is that; it has nothing else to do with the shadow. What the other one loses more is what following costs.
//! `NEIGHBOUR=0` measures one job alone.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{anyhow, bail};
use gristmill_ports::{Call, Operator, OperatorContext, OperatorFactory, Parts, StateBackend};
use gristmill_runtime::{JobHandle, JobSpec, ShadowCounts, ShadowPolicy, ShadowStage, start};
use gristmill_types::{CallFailure, CheckpointKind, Descriptor, EventBatch, InputIndex, NodeId, Outcome};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::checkpoints::{Counting, wait};
use crate::load::Load;
use crate::parts::host_parts;

/// `times`: turns with a shadow.
const LOAD: Load = Load { keys: 1_000_000, rate: 200_000, times: 20 };
/// Seconds of a turn, by what the source gives.
const TURN_S: u64 = 3;
/// Seconds in front of each turn: what a shadow needs to catch up, and leaves when it goes, is not what it costs.
const SETTLES_S: u64 = 1;

/// Operators with a shadow and without.
pub(crate) fn run() -> anyhow::Result<Value> {
    let load = LOAD.or_as_said("TURNS")?;
    let is_alone = std::env::var("NEIGHBOUR").is_ok_and(|said| said == "0");
    if load.times == 0 || load.times % 2 == 1 {
        bail!("TURNS is {}: it must be even, so that each of both jobs is followed as often", load.times);
    }
    let (data, other_data) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let old = Counting::new()?;
    let new = old.in_other_bytes();
    let shadow = new.spec(&load.source(), "never")?;
    let folders = if is_alone { vec![data] } else { vec![data, other_data] };
    let start = |folder: &TempDir| Metering::start(&old, load, folder.path());
    let jobs = folders.iter().map(start).collect::<anyhow::Result<Vec<_>>>()?;

    let mut costs = Costs::default();
    let (mut reports, mut before) = (Vec::new(), turn(&jobs, load)?);
    for with_shadow in (0..jobs.len()).cycle().take(load.times as usize) {
        jobs[with_shadow].follow(&shadow, load)?;
        let beside = turn(&jobs, load)?;
        reports.push(jobs[with_shadow].discard()?);
        let after = turn(&jobs, load)?;
        let without: Vec<f64> =
            before.iter().zip(&after).map(|(before, after)| f64::midpoint(*before, *after)).collect();
        let rise = |at: usize| (beside[at] / without[at] - 1.0) * 100.0;
        costs.note(rise(with_shadow), (!is_alone).then(|| rise(1 - with_shadow)));
        costs.without_ns.push(without[with_shadow]);
        costs.with_ns.push(beside[with_shadow]);
        before = after;
    }
    let all = |count: fn(&ShadowCounts) -> u64| reports.iter().map(count).sum::<u64>();
    let restarts = jobs.into_iter().map(Metering::stop).sum::<anyhow::Result<u64>>()?;
    Ok(json!({
        "bench": "shadow",
        "keys": load.keys,
        "rate": load.rate,
        "turns": load.times,
        "jobs": folders.len(),
        "primary_ns_per_event_without": median(&costs.without_ns),
        "primary_ns_per_event_with": median(&costs.with_ns),
        "primary_cpu_overhead_percent": median(&costs.primary),
        "primary_quartiles_percent": quartiles(&costs.primary),
        "neighbour_cpu_overhead_percent": median(&costs.neighbour),
        "following_cpu_overhead_percent": median(&costs.following),
        "following_quartiles_percent": quartiles(&costs.following),
        "primary_percents": costs.primary,
        "neighbour_percents": costs.neighbour,
        "shadow_ns_per_event": all(|counts| counts.shadow_ns) as f64 / all(|counts| counts.events) as f64,
        "shadow_events": all(|counts| counts.events),
        "differing": all(|counts| counts.differing),
        "missing": all(|counts| counts.missing),
        "extra": all(|counts| counts.extra),
        "failed_calls": all(|counts| counts.failed_calls),
        "primary_hash": old.hash().to_string(),
        "shadow_hash": new.hash().to_string(),
        "other_operators_restarted": restarts,
    }))
}

/// What the turns with a shadow cost more than the two without one around them, in percent: whatever else the machine does
/// changes more slowly than that.
#[derive(Default)]
struct Costs {
    without_ns: Vec<f64>,
    with_ns: Vec<f64>,
    /// The operator that has the shadow.
    primary: Vec<f64>,
    /// The one that has none.
    neighbour: Vec<f64>,
    /// What the first lost more than the second, in the same turn.
    following: Vec<f64>,
}

impl Costs {
    fn note(&mut self, primary: f64, neighbour: Option<f64>) {
        self.primary.push(primary);
        self.neighbour.extend(neighbour);
        self.following.extend(neighbour.map(|neighbour| primary - neighbour));
    }
}

/// What an event costs each of them in the next turn, in nanoseconds.
///
/// A shadow begins with a checkpoint, and a key costs more when it changes for the first time behind one: each turn has one as
/// far in front of it, as in every job.
fn turn(jobs: &[Metering], load: Load) -> anyhow::Result<Vec<f64>> {
    jobs.iter().try_for_each(Metering::checkpoint)?;
    jobs[0].events(SETTLES_S * load.rate)?;
    let before: Vec<(u64, u64)> = jobs.iter().map(Metering::read).collect();
    jobs[0].events(TURN_S * load.rate)?;
    let after = jobs.iter().map(Metering::read);
    let each = before.into_iter().zip(after);
    Ok(each.map(|(before, after)| (after.0 - before.0) as f64 / (after.1 - before.1) as f64).collect())
}

/// The lower quartile, the median and the upper one; `None` of nothing.
fn quartiles(turns: &[f64]) -> Option<[f64; 3]> {
    let mut turns = turns.to_vec();
    turns.sort_by(f64::total_cmp);
    let last = turns.len().checked_sub(1)?;
    Some([1, 2, 3].map(|quarter| {
        let place = last as f64 * f64::from(quarter) / 4.0;
        f64::midpoint(turns[place.floor() as usize], turns[place.ceil() as usize])
    }))
}

fn median(turns: &[f64]) -> Option<f64> {
    quartiles(turns).map(|[_, median, _]| median)
}

/// A job whose operator is metered.
struct Metering {
    handle: JobHandle,
    operator: NodeId,
    meters: Meters,
}

impl Metering {
    /// Starts one, and waits until its state is filled.
    fn start(counting: &Counting, load: Load, data: &Path) -> anyhow::Result<Self> {
        let parts = Arc::new(host_parts(data)?);
        let meters = Meters { clock: Arc::clone(&parts) as Arc<dyn Parts>, all: Arc::default() };
        let operator: NodeId = "op".parse()?;
        let mut spec = counting.spec(&load.source(), "never")?;
        let op = spec.operators.get_mut(&operator).ok_or_else(|| anyhow!("the job lost its operator"))?;
        let factory = Arc::clone(&op.prepared.factory);
        op.prepared.factory = Arc::new(Metered { factory, meters: meters.clone() });
        let metering = Self { handle: start(spec, parts)?, operator, meters };
        wait("the state was filled", || (metering.read().1 >= load.fill()).then_some(()))?;
        Ok(metering)
    }

    fn read(&self) -> (u64, u64) {
        self.meters.read()
    }

    /// Waits for so many more.
    fn events(&self, more: u64) -> anyhow::Result<()> {
        let all = self.read().1 + more;
        wait("the events had come", || (self.read().1 >= all).then_some(()))
    }

    /// Takes a checkpoint.
    fn checkpoint(&self) -> anyhow::Result<()> {
        let before = self.handle.checkpoints().completed;
        self.handle.checkpoint(CheckpointKind::Checkpoint)?;
        wait("the checkpoint was decided", || (self.handle.checkpoints().completed > before).then_some(()))
    }

    /// Begins a shadow, and waits until it has caught up.
    fn follow(&self, spec: &JobSpec, load: Load) -> anyhow::Result<()> {
        self.handle.shadow(&self.operator, spec, ShadowPolicy { room_bytes: 1 << 30, ..ShadowPolicy::default() })?;
        let caught_up = wait("the shadow had caught up", || {
            let report = self.handle.newest_shadow()?;
            let is_near = report.counts.events > load.rate && report.waiting_calls < 50;
            (is_near || report.stage == ShadowStage::Over).then_some(report)
        })?;
        match caught_up.stage {
            ShadowStage::Over => bail!("the shadow is over: {}", caught_up.cause.unwrap_or_default()),
            ShadowStage::Waiting | ShadowStage::Following => Ok(()),
        }
    }

    fn discard(&self) -> anyhow::Result<ShadowCounts> {
        let report = self.handle.discard_shadow(&self.operator, "the turn is over");
        let said = || anyhow!("the shadow could not follow: {:?}", self.handle.newest_shadow());
        Ok(report.ok_or_else(said)?.counts)
    }

    /// Ends it; gives how often it was restarted.
    fn stop(self) -> anyhow::Result<u64> {
        self.handle.stop()?;
        wait("the job had stopped", || self.handle.status().state.is_final().then_some(()))?;
        Ok(self.handle.checkpoints().restarts)
    }
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
