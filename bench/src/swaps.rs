//! What a swap costs: a keyed count whose module is swapped back and forth while events come at a steady rate. Behind it the rows
//! are counted: each number of each key once and in order.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{anyhow, bail};
use gristmill_checkpoint::swap::{ProbationBounds, SwapPolicy, SwapStage};
use gristmill_ports::{Call, Operator, OperatorContext, OperatorFactory, StateBackend};
use gristmill_runtime::{JobHandle, JobSpec, start};
use gristmill_types::{CallFailure, Descriptor, EventBatch, InputIndex, NodeId, Outcome};
use serde_json::{Value, json};

use crate::checkpoints::{Counting, wait};
use crate::load::{Load, Pace};
use crate::order::{InOrder, Order};
use crate::parts::{Altered, host_parts};

/// Swaps of a running operator with a million keys; of one with ten times as many.
pub(crate) const MILLION: Load = Load { keys: 1_000_000, rate: 200_000, times: 20 };
pub(crate) const TEN_MILLION: Load = Load { keys: 10_000_000, rate: 200_000, times: 20 };

/// Swaps of a running operator.
pub(crate) fn run(name: &str, load: Load) -> anyhow::Result<Value> {
    let load = load.or_as_said("SWAPS")?;
    let data = tempfile::tempdir()?;
    let old = Counting::new()?;
    let new = old.in_other_bytes();
    let rows = [Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default()];
    let spec = |version: usize| version_of([&old, &new][version], load, &rows[version]);
    let seen = Arc::new(Mutex::new(Order::default()));
    let eye = Arc::clone(&seen);
    let sink = Box::new(move |sink| Box::new(InOrder::new(sink, &eye)) as Box<_>);
    let handle = start(spec(0)?, Arc::new(Altered { host: host_parts(data.path())?, source: None, sink }))?;
    wait("the state was filled", || (handle.report().events_written() >= load.fill()).then_some(()))?;

    let (mut pauses, pace) = (Pauses::default(), Pace::of(&handle));
    for swap in 0..load.times {
        pauses.swap(&handle, &spec(usize::from(swap % 2 == 0))?)?;
    }
    let measured_rate = pace.per_s(&handle);
    handle.stop()?;
    wait("the job had stopped", || handle.status().state.is_final().then_some(()))?;
    let (read, seen) = (handle.report().events_read(), *seen.lock().expect("nobody panics with it"));
    Ok(json!({
        "bench": name,
        "keys": load.keys,
        "rate": load.rate,
        "measured_rate": measured_rate,
        "swaps": load.times,
        "pause_p50_ms": quantile(&mut pauses.pauses_us, 0.5),
        "pause_p99_ms": quantile(&mut pauses.pauses_us, 0.99),
        "pause_max_ms": quantile(&mut pauses.pauses_us, 1.0),
        "gap_p99_ms": quantile(&mut pauses.gaps_us, 0.99),
        "events": read,
        "lost": seen.lost(read),
        "duplicated": seen.duplicated(read),
        "old_hash": old.hash().to_string(),
        "new_hash": new.hash().to_string(),
        "rows_by_old": rows[0].load(Ordering::Relaxed),
        "rows_by_new": rows[1].load(Ordering::Relaxed),
        "other_operators_restarted": handle.checkpoints().restarts,
    }))
}

fn operator() -> NodeId {
    "op".parse().expect("an id")
}

/// The job with this version of its operator, which counts its rows.
fn version_of(counting: &Counting, load: Load, rows: &Arc<AtomicU64>) -> anyhow::Result<JobSpec> {
    let mut spec = counting.spec(&load.source(), "never")?;
    let parts = spec.operators.get_mut(&operator()).ok_or_else(|| anyhow!("the job lost its operator"))?;
    let factory = Arc::clone(&parts.prepared.factory);
    parts.prepared.factory = Arc::new(Counted { factory, rows: Arc::clone(rows) });
    Ok(spec)
}

/// What swaps cost, in microseconds.
#[derive(Default)]
struct Pauses {
    /// Of each subtask: from the last event through the old instance to the first through the new one.
    pauses_us: Vec<u64>,
    /// Without an event through any subtask.
    gaps_us: Vec<u64>,
}

impl Pauses {
    /// Makes one swap, as quickly as it goes.
    fn swap(&mut self, handle: &JobHandle, spec: &JobSpec) -> anyhow::Result<()> {
        let bounds = ProbationBounds::NONE;
        let policy = SwapPolicy { deadline_ms: 30_000, probation_ms: 60_000, probation_events: 0, bounds };
        let report = handle.swap(&operator(), spec, policy)?;
        wait("all subtasks ran the new module", || {
            let report = report.borrow();
            // All have switched by then. A gap alone does not say that events came through each of them since.
            let flows = report.stage == SwapStage::Probation && report.pauses.iter().all(|one| one.pause_us.is_some());
            (flows || report.is_over()).then_some(())
        })?;
        handle.promote_swap()?;
        wait("the swap was over", || report.borrow().is_over().then_some(()))?;
        let report = report.borrow().clone();
        if report.stage != SwapStage::Done {
            bail!("swap {} was not made: {}", report.swap, report.cause.unwrap_or_default());
        }
        self.pauses_us.extend(report.pauses.iter().filter_map(|pause| pause.pause_us));
        self.gaps_us.extend(report.gap_us);
        Ok(())
    }
}

/// In milliseconds, of microseconds; nothing if there are none.
fn quantile(all_us: &mut [u64], share: f64) -> Option<f64> {
    all_us.sort_unstable();
    let place = (all_us.len() as f64 * share).ceil() as usize;
    all_us.get(place.max(1) - 1).map(|us| *us as f64 / 1000.0)
}

/// A factory whose instances count the rows of calls that went well.
struct Counted {
    factory: Arc<dyn OperatorFactory>,
    rows: Arc<AtomicU64>,
}

impl OperatorFactory for Counted {
    fn descriptor(&self) -> &Descriptor {
        self.factory.descriptor()
    }

    fn open(&self, context: OperatorContext) -> Result<Box<dyn Operator>, CallFailure> {
        Ok(Box::new(CountedInstance { operator: self.factory.open(context)?, rows: Arc::clone(&self.rows) }))
    }
}

struct CountedInstance {
    operator: Box<dyn Operator>,
    rows: Arc<AtomicU64>,
}

impl Operator for CountedInstance {
    fn process(
        &mut self,
        call: &Call,
        input: InputIndex,
        events: &EventBatch,
        state: &mut Box<dyn StateBackend>,
    ) -> Result<Outcome, CallFailure> {
        let outcome = self.operator.process(call, input, events, state)?;
        self.rows.fetch_add(events.len() as u64, Ordering::Relaxed);
        Ok(outcome)
    }
}
