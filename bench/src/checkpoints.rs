//! What checkpoints cost: throughput with one each second, the pause at the barrier, a restart, an idle one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use gristmill_dataflow::JobDocument;
use gristmill_ports::catalog::JobState;
use gristmill_runtime::{CheckpointsReport, JobHandle, JobSpec, ModuleBytes, prepare, start};
use gristmill_types::{CheckpointKind, ModuleHash, NodeId};
use gristmill_wasm::{WasmModules, WasmOptions};
use serde_json::{Value, json};

use crate::parts::host_parts;
use crate::throughput::root;
use crate::watched::{Seen, watched};

/// Keys of the two rows of each table.
const FEW: u64 = 10_000;
const MANY: u64 = 10_000_000;
/// Events a second of the row that is paced.
const PACE: u64 = 1_200_000;
/// No run takes as long as this.
const PATIENCE: Duration = Duration::from_secs(300);

/// The count guest behind a source, with state in RocksDB.
pub(crate) struct Counting {
    wasm: Arc<WasmModules>,
    guest: Arc<[u8]>,
    cache: Arc<tempfile::TempDir>,
}

impl Counting {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let path = root().join("tests/guests/target/modules/count.wasm");
        let guest =
            std::fs::read(&path).with_context(|| format!("reading {}; `make guests` builds it", path.display()))?;
        let cache = tempfile::tempdir()?;
        let wasm = WasmModules::new(&WasmOptions { cache_dir: cache.path().to_owned() }).map_err(anyhow::Error::msg)?;
        Ok(Self { wasm: Arc::new(wasm), guest: guest.into(), cache: Arc::new(cache) })
    }

    /// The same guest as other bytes: a custom section is added, which means nothing.
    pub(crate) fn in_other_bytes(&self) -> Self {
        const SECTION: &[u8] = &[0, 6, 5, b'o', b't', b'h', b'e', b'r'];
        let guest = [&*self.guest, SECTION].concat().into();
        Self { wasm: Arc::clone(&self.wasm), guest, cache: Arc::clone(&self.cache) }
    }

    /// Which module it is.
    pub(crate) fn hash(&self) -> ModuleHash {
        ModuleHash(*blake3::hash(&self.guest).as_bytes())
    }

    /// `every` is the time between checkpoints.
    pub(crate) fn spec(&self, from: &str, every: &str) -> anyhow::Result<JobSpec> {
        let text = format!(
            "{{version: 1, job: count, parallelism: 2, checkpoint: {{every: {every}, backend: rocksdb, memory: 2GiB}}, \
             sources: {{events: {{from: {from}}}}}, \
             operators: {{op: {{module: ./x.wasm, inputs: {{in: {{from: events, key_by: key}}}}}}}}, \
             sinks: {{out: {{inputs: [op], to: {{blackhole: {{}}}}}}}}}}"
        );
        let hash = self.hash();
        let id: NodeId = "op".parse().expect("an id");
        let modules = HashMap::from([(id, ModuleBytes { hash, bytes: Arc::clone(&self.guest) })]);
        prepare(JobDocument::parse(&text)?, &modules, &*self.wasm).map_err(|problems| anyhow!("{}", problems[0]))
    }
}

/// A job with an eye on its sinks.
fn begin(spec: JobSpec, data: &Path) -> anyhow::Result<(JobHandle, Arc<Mutex<Seen>>)> {
    let (parts, seen) = watched(host_parts(data)?);
    Ok((start(spec, Arc::new(parts))?, seen))
}

pub(crate) fn wait<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > deadline {
            bail!("it took too long until {what}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn finished(handle: &JobHandle) -> anyhow::Result<()> {
    let status = wait("the job ended", || Some(handle.status()).filter(|status| status.state.is_final()))?;
    if status.state == JobState::Finished {
        return Ok(());
    }
    bail!("the job ended {}: {}", status.state, status.cause.unwrap_or_default())
}

/// A bounded run with a checkpoint each second.
struct Run {
    keys: u64,
    events: u64,
    /// Events a second that the source gives at most; `None`: as fast as it can.
    rate: Option<u64>,
    took: Duration,
    report: CheckpointsReport,
    gaps: Vec<Duration>,
}

fn run(counting: &Counting, keys: u64, events: u64, rate: Option<u64>) -> anyhow::Result<Run> {
    let data = tempfile::tempdir()?;
    let paced = rate.map(|rate| format!(", rate: {rate}")).unwrap_or_default();
    let from = format!("{{generator: {{seed: 7, events: {events}, bytes: 110, keys: {keys}{paced}}}}}");
    let spec = counting.spec(&from, "1s")?;
    let started = Instant::now();
    let (handle, seen) = begin(spec, data.path())?;
    finished(&handle)?;
    let took = started.elapsed();
    let mut gaps = std::mem::take(&mut seen.lock().expect("nobody panics with it").gaps);
    gaps.sort_unstable();
    Ok(Run { keys, events, rate, took, report: handle.checkpoints(), gaps })
}

/// Three rows: few keys and many at full speed, and many at the rate that a checkpoint each second can keep up with.
fn rows(row: impl Fn(&Run) -> Value) -> anyhow::Result<Vec<Value>> {
    let counting = Counting::new()?;
    let runs = [(FEW, 60_000_000, None), (MANY, 40_000_000, None), (MANY, 25_000_000, Some(PACE))];
    runs.iter().map(|(keys, events, rate)| Ok(row(&run(&counting, *keys, *events, *rate)?))).collect()
}

/// Events a second, a checkpoint each second.
pub(crate) fn keyed_count() -> anyhow::Result<Value> {
    let row = |run: &Run| {
        json!({
            "keys": run.keys,
            "rate": run.rate,
            "events": run.events,
            "events_per_s": (run.events as f64 / run.took.as_secs_f64()).round(),
            "checkpoints": run.report.completed,
            "failed": run.report.failed,
            "duration_p50_ms": run.report.duration_ms.p50,
            "duration_p99_ms": run.report.duration_ms.p99,
            "uploaded_p50_bytes": run.report.uploaded_bytes.p50,
        })
    };
    Ok(json!({"bench": "keyed-count-rocksdb", "rows": rows(row)?}))
}

/// Work done inline at a barrier, and beside it the times in which no event came to a sink.
pub(crate) fn pause() -> anyhow::Result<Value> {
    let row = |run: &Run| {
        json!({
            "keys": run.keys,
            "rate": run.rate,
            "checkpoints": run.report.completed,
            "inline_p50_us": run.report.inline_us.p50,
            "inline_p99_us": run.report.inline_us.p99,
            "inline_max_us": run.report.inline_us.max,
            "gaps_over_2_ms": run.gaps.len(),
            "longest_gap_ms": run.gaps.last().map_or(0, Duration::as_millis),
        })
    };
    Ok(json!({"bench": "checkpoint-pause", "rows": rows(row)?}))
}

/// From the start of a job with a million keys of state to its first event.
pub(crate) fn restart() -> anyhow::Result<Value> {
    const KEYS: u64 = 1_000_000;
    let (counting, data) = (Counting::new()?, tempfile::tempdir()?);
    let from = format!("{{generator: {{seed: 7, bytes: 110, keys: {KEYS}}}}}");
    let spec = counting.spec(&from, "never")?;
    let run = spec.run;
    let (handle, _) = begin(spec, data.path())?;
    wait("the state was filled", || (handle.report().events_written() > 20 * KEYS).then_some(()))?;
    handle.suspend();
    wait("the job had left", || handle.gone().borrow().then_some(()))?;
    let mut took_ms = Vec::new();
    for _ in 0..5 {
        let mut spec = counting.spec(&from, "never")?;
        spec.run = run;
        let started = Instant::now();
        let (handle, seen) = begin(spec, data.path())?;
        let first = wait("the first event came", || seen.lock().expect("nobody panics with it").first)?;
        took_ms.push((first - started).as_secs_f64() * 1000.0);
        handle.abandon();
        wait("the job had left", || handle.gone().borrow().then_some(()))?;
    }
    took_ms.sort_by(f64::total_cmp);
    Ok(json!({"bench": "restart", "keys": KEYS, "first_event_p50_ms": took_ms[2], "first_event_max_ms": took_ms[4]}))
}

/// What a checkpoint writes while nothing happens.
pub(crate) fn idle() -> anyhow::Result<Value> {
    let (counting, data) = (Counting::new()?, tempfile::tempdir()?);
    let from = format!("{{generator: {{seed: 7, events: 200000, bytes: 110, keys: {FEW}, rate: 100000}}}}");
    let (handle, _) = begin(counting.spec(&from, "never")?, data.path())?;
    wait("some state was there", || (handle.report().events_written() > 2 * FEW).then_some(()))?;
    handle.pause()?;
    let mut uploaded = Vec::new();
    // The first one after the pause still has something to write.
    for _ in 0..6 {
        let before = handle.checkpoints().completed;
        handle.checkpoint(CheckpointKind::Checkpoint)?;
        wait("a checkpoint was made", || (handle.checkpoints().completed > before).then_some(()))?;
        let report = handle.checkpoints();
        uploaded.push(report.recent.first().map(|newest| match &newest.outcome {
            gristmill_runtime::CheckpointOutcome::Completed { uploaded_bytes, .. } => *uploaded_bytes,
            gristmill_runtime::CheckpointOutcome::Failed { .. } => 0,
        }));
    }
    handle.cancel()?;
    Ok(json!({"bench": "idle-checkpoint", "uploaded_bytes": uploaded.last(), "first_uploaded_bytes": uploaded.first()}))
}
