//! Events a second through one operator, Wasm and native in turn.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use gristmill_dataflow::JobDocument;
use gristmill_dataflow::plan::NodeKind;
use gristmill_ports::catalog::JobState;
use gristmill_ports::module_registry::ModuleRegistry;
use gristmill_runtime::{JobReport, ModuleBytes, prepare, start};
use gristmill_types::{ModuleHash, NodeId};
use gristmill_wasm::{WasmModules, WasmOptions};
use serde_json::json;

use crate::parts;

/// One benchmark.
pub(crate) struct Bench {
    name: &'static str,
    /// The guest's file in the folder of built modules.
    guest: &'static str,
    twin: &'static str,
    /// The operator of the job, without its module.
    operator: &'static str,
    source: &'static str,
    events: u64,
}

/// Compares bytes at a fixed place.
pub(crate) const FILTER: Bench = Bench {
    name: "filter",
    guest: "guest-examples/target/modules/filter.wasm",
    twin: "filter",
    operator: "inputs: {in: {from: events}}, parameters: {offset: 34, letter: A}",
    source: "from: {generator: {seed: 7, events: EVENTS, bytes: 110}}",
    events: 40_000_000,
};

/// A validating parse of each event, its time and key found by path.
pub(crate) const JSON_FILTER: Bench = Bench {
    name: "json-filter",
    guest: "guest-examples/target/modules/filter.wasm",
    twin: "filter",
    operator: "inputs: {in: {from: events, key_by: $.key}}, parameters: {offset: 63, letter: A}",
    // Behind seven digits of `seq`, eight of the key and thirteen of the time, the letter of `kind` stands at byte 63.
    source: "from: {generator: {seed: 7, events: EVENTS, bytes: 110, values: json, keys: 10000, start_time: 1700000000000}}, \
             decode: json, event_time: {path: $.ts}",
    events: 6_000_000,
};

/// Counts by key: 10 000 keys, state in memory, every row answered.
pub(crate) const KEYED_COUNT: Bench = Bench {
    name: "keyed-count",
    guest: "tests/guests/target/modules/count.wasm",
    twin: "keyed-count",
    operator: "inputs: {in: {from: events, key_by: key}}",
    source: "from: {generator: {seed: 7, events: EVENTS, bytes: 110, keys: 10000}}",
    events: 16_000_000,
};

/// Pairs of rounds that count, by the median of each side; one pair before them warms caches and clocks.
const ROUNDS: usize = 5;
/// No run takes as long as this.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one run gave.
struct Round {
    events_per_s: f64,
    report: JobReport,
}

/// Runs a benchmark; gives its line of JSON.
pub(crate) fn run(bench: &Bench) -> anyhow::Result<serde_json::Value> {
    let guest = root().join(bench.guest);
    let bytes =
        std::fs::read(&guest).with_context(|| format!("reading {}; `make guests` builds it", guest.display()))?;
    let cache = tempfile::tempdir()?;
    let wasm =
        WasmModules::new(&WasmOptions { cache_dir: cache.path().to_owned() }).map_err(|error| anyhow!("{error}"))?;
    let (mut guests, mut natives) = (Vec::new(), Vec::new());
    for counts in std::iter::once(false).chain([true; ROUNDS]) {
        let guest = round(bench, &wasm, &bytes)?;
        let native = round(bench, &crate::twins::Twins, bench.twin.as_bytes())?;
        if counts {
            guests.push(guest);
            natives.push(native);
        }
    }
    let (guest, native) = (median(guests), median(natives));
    let operator = guest.report.nodes.iter().find(|node| node.kind == NodeKind::Operator).context("an operator")?;
    let (sink, native_sink) = (sink(&guest.report)?, sink(&native.report)?);
    Ok(json!({
        "bench": bench.name,
        "events": bench.events,
        "events_per_s": guest.events_per_s.round(),
        "native_events_per_s": native.events_per_s.round(),
        "ratio": (guest.events_per_s / native.events_per_s * 1000.0).round() / 1000.0,
        "guest_calls": operator.total.calls,
        "rows_out": sink.events,
        "checksum": format!("{:016x}", sink.checksum),
        "native_checksum": format!("{:016x}", native_sink.checksum),
    }))
}

fn sink(report: &JobReport) -> anyhow::Result<gristmill_ports::sink::SinkSummary> {
    report.nodes.iter().find_map(|node| node.total.sink).context("the blackhole's summary")
}

fn median(mut rounds: Vec<Round>) -> Round {
    rounds.sort_by(|one, two| one.events_per_s.total_cmp(&two.events_per_s));
    let middle = rounds.len() / 2;
    rounds.swap_remove(middle)
}

fn round(bench: &Bench, registry: &dyn ModuleRegistry, module: &[u8]) -> anyhow::Result<Round> {
    let text = format!(
        "{{version: 1, job: {}, parallelism: 2, sources: {{events: {{{}}}}}, operators: {{op: {{module: ./x.wasm, {}}}}}, \
         sinks: {{out: {{inputs: [op], to: {{blackhole: {{}}}}}}}}}}",
        bench.name,
        bench.source.replace("EVENTS", &bench.events.to_string()),
        bench.operator,
    );
    let document = JobDocument::parse(&text)?;
    let hash = ModuleHash(*blake3::hash(module).as_bytes());
    let id: NodeId = "op".parse().expect("an id");
    let modules = HashMap::from([(id, ModuleBytes { hash, bytes: Arc::from(module) })]);
    let spec = prepare(document, &modules, registry).map_err(|problems| anyhow!("{}", problems[0]))?;
    let data = tempfile::tempdir()?;
    let parts = Arc::new(parts::host_parts(data.path())?);
    let started = Instant::now();
    let handle = start(spec, parts)?;
    let mut status = handle.watch();
    let ended = tokio::runtime::Handle::current()
        .block_on(async { tokio::time::timeout(PATIENCE, status.wait_for(|status| status.state.is_final())).await });
    let status = ended.context("the run took too long")??.clone();
    if status.state != JobState::Finished {
        bail!("the run ended {}: {}", status.state, status.cause.unwrap_or_default());
    }
    Ok(Round { events_per_s: bench.events as f64 / started.elapsed().as_secs_f64(), report: handle.report() })
}

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
