//! A checkpoint and a savepoint of format version 1, kept as they were written: restored for ever.
//!
//! `UPDATE_GOLDEN=1 cargo test --release --workspace --test e2e -- golden` writes it anew; only for a new format version,
//! beside the old one.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use gristmill::clock::SystemClock;
use gristmill::wiring::{HostParts, modules};
use gristmill_catalog::FileCatalog;
use gristmill_dataflow::JobDocument;
use gristmill_ports::catalog::{JobState, Origin};
use gristmill_ports::sink::SinkSummary;
use gristmill_runtime::{JobHandle, JobSpec, ModuleBytes, prepare, start};
use gristmill_types::{ModuleHash, RunId};

use crate::guests::{odd, root};
use crate::host::eventually;

/// The run whose chain is kept.
const RUN: RunId = RunId(0x601d);
const EVENTS: u64 = 5000;

/// A count by key whose generator is held at `rate` events a second, if there is one.
fn spec(registry: &Path, rate: &str, backend: &str) -> JobSpec {
    let text = format!(
        "{{version: 1, job: golden, checkpoint: {{every: never, backend: {backend}}}, \
         sources: {{events: {{from: {{generator: {{seed: 7, events: {EVENTS}, keys: 50{rate}}}}}}}}}, \
         operators: {{op: {{module: ./x.wasm, inputs: {{in: {{from: events, key_by: key}}}}}}}}, \
         sinks: {{out: {{inputs: [op], to: {{blackhole: {{}}}}}}}}}}"
    );
    let bytes: Arc<[u8]> = std::fs::read(odd("count")).unwrap().into();
    let module = ModuleBytes { hash: ModuleHash(*blake3::hash(&bytes).as_bytes()), bytes };
    let bytes = HashMap::from([("op".parse().unwrap(), module)]);
    let mut spec = prepare(JobDocument::parse(&text).unwrap(), &bytes, &modules(registry).unwrap()).unwrap();
    (spec.run, spec.text) = (RUN, text);
    spec
}

fn begin(data: &Path, rate: &str) -> JobHandle {
    begin_from(data, rate, "memory", None)
}

fn begin_from(data: &Path, rate: &str, backend: &str, origin: Option<Origin>) -> JobHandle {
    let clock = Arc::new(SystemClock::default());
    let letters = Arc::new(FileCatalog::open(&data.join("catalog"), clock.clone()).unwrap());
    let parts = HostParts::new(data.to_owned(), data, None, letters, clock).unwrap();
    start(JobSpec { origin, ..spec(data, rate, backend) }, Arc::new(parts)).unwrap()
}

/// What the sink has taken in all lives of the job.
fn end(handle: &JobHandle) -> SinkSummary {
    eventually("the job is over", || handle.status().state.is_final().then_some(()));
    assert_eq!(handle.status().state, JobState::Finished, "{:?}", handle.status().cause);
    handle.report().nodes.iter().find_map(|node| node.total.sink).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_checkpoint_of_format_version_1_is_restored_for_ever() {
    let golden = root().join("tests/fixtures/checkpoints/v1-job");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let data = tempfile::tempdir().unwrap();
        let handle = begin(data.path(), ", rate: 5000");
        eventually("half of it is read", || (handle.report().events_read() > EVENTS / 2).then_some(()));
        handle.suspend();
        eventually("the job has left", || handle.gone().borrow().then_some(()));
        copy(&data.path().join("checkpoints/jobs"), &golden.join("jobs"));
    }
    let (restored, undisturbed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    copy(&golden.join("jobs"), &restored.path().join("checkpoints/jobs"));
    let handle = begin(restored.path(), "");
    let summary = end(&handle);
    assert!(handle.checkpoints().restored.is_some(), "it went on from the checkpoint");
    assert_eq!(summary, end(&begin(undisturbed.path(), "")), "as if nothing had happened");
    assert_eq!(summary.events, EVENTS);
}

#[test]
fn a_savepoint_of_format_version_1_is_begun_from_for_ever_by_either_backend() {
    let golden = root().join("tests/fixtures/savepoints/v1");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let data = tempfile::tempdir().unwrap();
        let handle = begin(data.path(), ", rate: 5000");
        eventually("half of it is read", || (handle.report().events_read() > EVENTS / 2).then_some(()));
        handle.savepoint("v1").unwrap().blocking_recv().unwrap().unwrap();
        handle.abandon();
        copy(&data.path().join("checkpoints/savepoints/golden/v1"), &golden);
    }
    let undisturbed = tempfile::tempdir().unwrap();
    let expected = end(&begin(undisturbed.path(), ""));
    for backend in ["memory", "rocksdb"] {
        let data = tempfile::tempdir().unwrap();
        copy(&golden, &data.path().join("checkpoints/savepoints/elsewhere/kept"));
        let (job, name) = ("elsewhere".parse().unwrap(), "kept".to_owned());
        let origin = Origin { job, name, dropped: std::collections::BTreeSet::new() };
        let handle = begin_from(data.path(), "", backend, Some(origin));
        let summary = end(&handle);
        assert_eq!(summary, expected, "as if nothing had happened, with state in {backend}");
        assert!(handle.report().events_read() < EVENTS, "it did not begin at the beginning");
    }
}
