//! From the moment an event is due to the moment the sink has it, at 100 000 events a second.
//!
//! An event is stamped with the moment it was due, not with the moment it was read, so that a stalled pipeline counts
//! as late events and not as fewer of them (coordinated omission).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use gristmill_dataflow::JobDocument;
use gristmill_dataflow::plan::NodeKind;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::source::ReadBounds;
use gristmill_ports::{PortError, Sink, SourceBatch, SourceReader};
use gristmill_runtime::{ModuleBytes, prepare, start};
use gristmill_types::{EventBatch, ModuleHash, NodeId};
use gristmill_wasm::{WasmModules, WasmOptions};
use serde_json::json;

use crate::parts::{Altered, host_parts};
use crate::throughput::root;

const RATE: u64 = 100_000;
const SECONDS: u64 = 10;
const VALUE_BYTES: usize = 110;

/// Runs the benchmark; gives its line of JSON.
pub(crate) fn run() -> anyhow::Result<serde_json::Value> {
    let guest = root().join("tests/guests/target/modules/echo.wasm");
    let bytes =
        std::fs::read(&guest).with_context(|| format!("reading {}; `make guests` builds it", guest.display()))?;
    let cache = tempfile::tempdir()?;
    let wasm =
        WasmModules::new(&WasmOptions { cache_dir: cache.path().to_owned() }).map_err(|error| anyhow!("{error}"))?;
    let document = JobDocument::parse(
        "{version: 1, job: latency, sources: {in: {from: {generator: {keys: 1000}}, parallelism: 1}}, \
         operators: {echo: {module: ./x.wasm, parallelism: 2, inputs: {in: {from: in, key_by: key}}}}, \
         sinks: {out: {inputs: [echo], parallelism: 2, to: {blackhole: {}}}}}",
    )?;
    let id: NodeId = "echo".parse().expect("an id");
    let hash = ModuleHash(*blake3::hash(&bytes).as_bytes());
    let modules = HashMap::from([(id, ModuleBytes { hash, bytes: Arc::from(bytes) })]);
    let spec = prepare(document, &modules, &wasm).map_err(|problems| anyhow!("{}", problems[0]))?;
    let late_us = Arc::new(Mutex::new(Vec::new()));
    let (data, began, late) = (tempfile::tempdir()?, Instant::now(), Arc::clone(&late_us));
    let parts = Altered {
        host: host_parts(data.path())?,
        source: Some(Box::new(move || Box::new(StampedSource { start: began, sent: 0, alarmed: false }))),
        sink: Box::new(move |_| Box::new(StampedSink { start: began, late_us: Arc::clone(&late) })),
    };
    let handle = start(spec, Arc::new(parts))?;
    let mut status = handle.watch();
    tokio::runtime::Handle::current().block_on(status.wait_for(|status| status.state.is_final()))?;
    let mut late_us = std::mem::take(&mut *late_us.lock().unwrap_or_else(PoisonError::into_inner));
    late_us.sort_unstable();
    let quantile = |share: f64| f64::from(late_us[((late_us.len() - 1) as f64 * share) as usize]) / 1000.0;
    let report = handle.report();
    let calls = report.nodes.iter().find(|node| node.kind == NodeKind::Operator).map_or(0, |node| node.total.calls);
    Ok(json!({
        "bench": "latency", "rate": RATE, "events": late_us.len(), "guest_calls": calls,
        "p50_ms": quantile(0.5), "p99_ms": quantile(0.99), "p999_ms": quantile(0.999), "max_ms": quantile(1.0),
    }))
}

struct StampedSource {
    start: Instant,
    sent: u64,
    alarmed: bool,
}

/// How often the source looks what is due.
const TICK: Duration = Duration::from_micros(200);

impl SourceReader for StampedSource {
    fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        bounds: ReadBounds,
    ) -> Poll<Result<Option<SourceBatch>, PortError>> {
        if !std::mem::replace(&mut self.alarmed, true) {
            let waker = context.waker().clone();
            let ticks = Duration::from_secs(SECONDS + 1).as_micros() / TICK.as_micros();
            std::thread::spawn(move || {
                (0..ticks).for_each(|_| {
                    std::thread::sleep(TICK);
                    waker.wake_by_ref();
                });
            });
        }
        if self.sent == RATE * SECONDS {
            return Poll::Ready(Ok(None));
        }
        let due = (self.start.elapsed().as_nanos() as u64 * RATE / 1_000_000_000).min(RATE * SECONDS);
        let count = (due - self.sent).min(bounds.max_rows as u64);
        if count == 0 {
            return Poll::Pending;
        }
        let mut events = EventBatch::default();
        for number in self.sent..self.sent + count {
            let mut value = [b'.'; VALUE_BYTES];
            value[..8].copy_from_slice(&(number * (1_000_000_000 / RATE)).to_le_bytes());
            events.push(0, Some(&(number % 1000).to_le_bytes()), Some(&value));
        }
        self.sent += count;
        Poll::Ready(Ok(Some(SourceBatch { events, undecodable: Vec::new() })))
    }

    fn decode_again(&mut self, _: &[u8], _: &str) -> SourceBatch {
        SourceBatch::default()
    }
}

struct StampedSink {
    start: Instant,
    late_us: Arc<Mutex<Vec<u32>>>,
}

impl Sink for StampedSink {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        let now = self.start.elapsed().as_nanos() as u64;
        let stamp = |value: &[u8]| u64::from_le_bytes(value[..8].try_into().expect("eight bytes"));
        let late = events.values().iter().flatten().map(|value| (now.saturating_sub(stamp(value)) / 1000) as u32);
        self.late_us.lock().unwrap_or_else(PoisonError::into_inner).extend(late);
        Ok(Vec::new())
    }
    fn flush(&mut self) -> Result<(), PortError> {
        Ok(())
    }
    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        Ok(None)
    }
}
