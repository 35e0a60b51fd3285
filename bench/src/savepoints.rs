//! What a savepoint costs: how long it takes beside a keyed count at a steady rate, and the longest time without an event at a
//! sink meanwhile. Beside it stands the longest such time of a stretch as long without a savepoint.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use gristmill_runtime::{JobHandle, start};
use serde_json::{Value, json};

use crate::checkpoints::{Counting, wait};
use crate::load::{Load, Pace};
use crate::order::{InOrder, Order};
use crate::parts::{Altered, host_parts};
use crate::watched::{Seen, eyed};

const LOAD: Load = Load { keys: 1_000_000, rate: 200_000, times: 5 };

/// Savepoints of a running job.
pub(crate) fn run() -> anyhow::Result<Value> {
    let load = LOAD.or_as_said("SAVEPOINTS")?;
    let (data, counting) = (tempfile::tempdir()?, Counting::new()?);
    let (order, seen) = (Arc::new(Mutex::new(Order::default())), Arc::new(Mutex::new(Seen::default())));
    let (order_eye, gap_eye) = (Arc::clone(&order), Arc::clone(&seen));
    let sink = Box::new(move |sink| eyed(Box::new(InOrder::new(sink, &order_eye)), &gap_eye));
    let parts = Altered { host: host_parts(data.path())?, source: None, sink };
    let handle = start(counting.spec(&load.source(), "1s")?, Arc::new(parts))?;
    wait("the state was filled", || (handle.report().events_written() >= load.fill()).then_some(()))?;

    let (mut walls_ms, mut pauses_ms, mut calm_pauses_ms) = (Vec::new(), Vec::new(), Vec::new());
    let pace = Pace::of(&handle);
    for number in 1..=load.times {
        longest_gap_ms(&seen);
        let took = take(&handle, &format!("sp-{number}"))?;
        pauses_ms.push(longest_gap_ms(&seen));
        walls_ms.push(took.as_secs_f64() * 1000.0);
        let calm = Instant::now();
        wait("a stretch as long had passed", || (calm.elapsed() >= took).then_some(()))?;
        calm_pauses_ms.push(longest_gap_ms(&seen));
    }
    let measured_rate = pace.per_s(&handle);
    handle.stop()?;
    wait("the job had stopped", || handle.status().state.is_final().then_some(()))?;
    let (read, order) = (handle.report().events_read(), *order.lock().expect("nobody panics with it"));
    let report = handle.checkpoints();
    walls_ms.sort_by(f64::total_cmp);
    Ok(json!({
        "bench": "savepoint",
        "keys": load.keys,
        "rate": load.rate,
        "measured_rate": measured_rate,
        "savepoints": load.times,
        "savepoint_wall_s": walls_ms.get(walls_ms.len() / 2).map(|ms| ms / 1000.0),
        "savepoint_wall_max_s": walls_ms.last().map(|ms| ms / 1000.0),
        "savepoint_walls_ms": walls_ms,
        "pause_max_ms": highest(&pauses_ms),
        "calm_pause_max_ms": highest(&calm_pauses_ms),
        "pauses_ms": pauses_ms,
        "calm_pauses_ms": calm_pauses_ms,
        "inline_max_us": report.inline_us.max,
        "events": read,
        "lost": order.lost(read),
        "duplicated": order.duplicated(read),
        "hash": counting.hash().to_string(),
        "other_operators_restarted": report.restarts,
    }))
}

/// Takes a savepoint; from asking to having it.
fn take(handle: &JobHandle, name: &str) -> anyhow::Result<Duration> {
    let asked = Instant::now();
    let mut told = handle.savepoint(name)?;
    let told = wait("the savepoint was there", || told.try_recv().ok())?;
    told.map_err(|cause| anyhow!("savepoint {name} was not taken: {cause}"))?;
    Ok(asked.elapsed())
}

/// The longest time without an event at a sink since the last call; zero where none was worth remembering.
fn longest_gap_ms(seen: &Mutex<Seen>) -> f64 {
    let gaps = std::mem::take(&mut seen.lock().expect("nobody panics with it").gaps);
    gaps.into_iter().max().unwrap_or_default().as_secs_f64() * 1000.0
}

fn highest(all: &[f64]) -> f64 {
    all.iter().copied().fold(0.0, f64::max)
}
