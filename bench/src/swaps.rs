//! What a swap costs: a keyed count whose module is swapped back and forth while events come at a steady rate. Its sinks see
//! each count of each key once and in order, or say how many they missed or saw again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use anyhow::{anyhow, bail};
use gristmill_checkpoint::swap::{ProbationBounds, SwapPolicy, SwapStage};
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::{Call, Operator, OperatorContext, OperatorFactory, PortError, Sink, StateBackend};
use gristmill_runtime::{JobSpec, start};
use gristmill_types::{CallFailure, Descriptor, EventBatch, InputIndex, NodeId, Outcome};
use serde_json::{Value, json};

use crate::checkpoints::{Counting, wait};
use crate::parts::{Altered, host_parts};

const KEYS: u64 = 1_000_000;
const RATE: u64 = 200_000;
const SWAPS: usize = 20;
/// Events before the first swap: by then nearly every key has state.
const WARM_UP: u64 = 3 * KEYS;

/// Swaps of a running operator.
pub(crate) fn run() -> anyhow::Result<Value> {
    let data = tempfile::tempdir()?;
    let old = Counting::new()?;
    let new = old.in_other_bytes();
    let from = format!("{{generator: {{seed: 7, bytes: 110, keys: {KEYS}, rate: {RATE}}}}}");
    let operator: NodeId = "op".parse()?;
    let rows = [Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default()];
    let spec = |version: usize| -> anyhow::Result<JobSpec> {
        let mut spec = [&old, &new][version].spec(&from, "never")?;
        let parts = spec.operators.get_mut(&operator).ok_or_else(|| anyhow!("the job lost its operator"))?;
        let (factory, rows) = (Arc::clone(&parts.prepared.factory), Arc::clone(&rows[version]));
        parts.prepared.factory = Arc::new(Counted { factory, rows });
        Ok(spec)
    };
    let order = Arc::new(Mutex::new(Order::default()));
    let eye = Arc::clone(&order);
    let watch =
        move |sink| Box::new(InOrder { sink, counts: HashMap::new(), order: Arc::clone(&eye) }) as Box<dyn Sink>;
    let parts = Altered { host: host_parts(data.path())?, source: None, sink: Box::new(watch) };
    let handle = start(spec(0)?, Arc::new(parts))?;
    wait("the state was filled", || (handle.report().events_written() >= WARM_UP).then_some(()))?;
    let bounds = ProbationBounds::NONE;
    let policy = SwapPolicy { deadline_ms: 30_000, probation_ms: 60_000, probation_events: 0, bounds };
    let (mut pauses, mut gaps) = (Vec::new(), Vec::new());
    for swap in 0..SWAPS {
        let report = handle.swap(&operator, &spec((swap + 1) % 2)?, policy)?;
        wait("all subtasks ran the new module", || {
            let report = report.borrow();
            let flows = report.gap_us.is_some() && report.stage == SwapStage::Probation;
            (flows || report.is_over()).then_some(())
        })?;
        handle.promote_swap()?;
        wait("the swap was over", || report.borrow().is_over().then_some(()))?;
        let report = report.borrow().clone();
        if report.stage != SwapStage::Done {
            bail!("swap {} was not made: {}", report.swap, report.cause.unwrap_or_default());
        }
        pauses.extend(report.pauses.iter().filter_map(|pause| pause.pause_us));
        gaps.extend(report.gap_us);
    }
    handle.stop()?;
    wait("the job had stopped", || handle.status().state.is_final().then_some(()))?;
    pauses.sort_unstable();
    gaps.sort_unstable();
    let at = |sorted: &[u64], share: f64| {
        let place = (sorted.len() as f64 * share).ceil() as usize;
        sorted.get(place.max(1) - 1).map(|us| *us as f64 / 1000.0)
    };
    let order = order.lock().expect("nobody panics with it");
    Ok(json!({
        "bench": "swap",
        "keys": KEYS,
        "rate": RATE,
        "swaps": SWAPS,
        "pause_p50_ms": at(&pauses, 0.5),
        "pause_p99_ms": at(&pauses, 0.99),
        "pause_max_ms": at(&pauses, 1.0),
        "gap_p99_ms": at(&gaps, 0.99),
        "lost": order.lost,
        "duplicated": order.duplicated,
        "old_hash": old.hash().to_string(),
        "new_hash": new.hash().to_string(),
        "rows_by_old": rows[0].load(Ordering::Relaxed),
        "rows_by_new": rows[1].load(Ordering::Relaxed),
        "other_operators_restarted": handle.checkpoints().restarts,
    }))
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

/// What was wrong with the counts.
#[derive(Default)]
struct Order {
    lost: u64,
    duplicated: u64,
}

/// A sink that expects the counts of each key to ascend by one.
struct InOrder {
    sink: Box<dyn Sink>,
    counts: HashMap<Box<[u8]>, u64>,
    order: Arc<Mutex<Order>>,
}

impl Sink for InOrder {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        for (key, value) in events.keys().iter().zip(events.values().iter()) {
            let is = value.and_then(|value| value.try_into().ok()).map_or(0, u64::from_le_bytes);
            let key = key.unwrap_or_default();
            let Some(count) = self.counts.get_mut(key) else {
                self.note(is.saturating_sub(1), 0);
                self.counts.insert(key.into(), is);
                continue;
            };
            let before = std::mem::replace(count, is);
            match is.checked_sub(before + 1) {
                Some(0) => {}
                Some(missed) => self.note(missed, 0),
                None => self.note(0, 1),
            }
        }
        self.sink.write(events)
    }

    fn flush(&mut self) -> Result<(), PortError> {
        self.sink.flush()
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        self.sink.finish()
    }
}

impl InOrder {
    fn note(&self, lost: u64, duplicated: u64) {
        if lost + duplicated > 0 {
            let mut order = self.order.lock().expect("nobody panics with it");
            order.lost += lost;
            order.duplicated += duplicated;
        }
    }
}
