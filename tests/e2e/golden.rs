//! Checkpoints and savepoints of each format version, kept as they were written: restored for ever.
//!
//! `UPDATE_GOLDEN=1 cargo test --release --workspace --test e2e -- every_format` writes savepoints that are not there, and
//! `-- a_checkpoint_of_format` checkpoints; only for a new format version, beside the old ones.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill::clock::SystemClock;
use gristmill::wiring::{HostParts, modules};
use gristmill_catalog::FileCatalog;
use gristmill_checkpoint::{FileHash, Savepoint, SplitPosition};
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

/// A count by key, with this module, whose generator is held at `rate` events a second, if there is one.
fn spec(registry: &Path, module: &str, rate: &str, backend: &str) -> JobSpec {
    let text = format!(
        "{{version: 1, job: golden, checkpoint: {{every: never, backend: {backend}}}, \
         sources: {{events: {{from: {{generator: {{seed: 7, events: {EVENTS}, keys: 50{rate}}}}}}}}}, \
         operators: {{op: {{module: ./x.wasm, inputs: {{in: {{from: events, key_by: key}}}}}}}}, \
         sinks: {{out: {{inputs: [op], to: {{blackhole: {{}}}}}}}}}}"
    );
    let bytes: Arc<[u8]> = std::fs::read(odd(module)).unwrap().into();
    let module = ModuleBytes { hash: ModuleHash(*blake3::hash(&bytes).as_bytes()), bytes };
    let bytes = HashMap::from([("op".parse().unwrap(), module)]);
    let mut spec = prepare(JobDocument::parse(&text).unwrap(), &bytes, &modules(registry).unwrap()).unwrap();
    (spec.run, spec.text) = (RUN, text);
    spec
}

fn begin(data: &Path, rate: &str) -> JobHandle {
    begin_with(data, |data| spec(data, "count", rate, "memory"))
}

/// Begins from the savepoint in this folder.
fn begin_from(golden: &Path, data: &Path, change: impl FnOnce(&Path) -> JobSpec) -> JobHandle {
    copy(golden, &data.join("checkpoints/savepoints/elsewhere/kept"));
    let (job, name) = ("elsewhere".parse().unwrap(), "kept".to_owned());
    let origin = Origin { job, name, dropped: std::collections::BTreeSet::new() };
    begin_with(data, |data| JobSpec { origin: Some(origin), ..change(data) })
}

fn begin_with(data: &Path, spec: impl FnOnce(&Path) -> JobSpec) -> JobHandle {
    let clock = Arc::new(SystemClock::default());
    let letters = Arc::new(FileCatalog::open(&data.join("catalog"), clock.clone()).unwrap());
    let parts = HostParts::new(data.to_owned(), data, None, letters, clock).unwrap();
    start(spec(data), Arc::new(parts)).unwrap()
}

/// What the sink has taken in all lives of the job.
fn end(handle: &JobHandle) -> SinkSummary {
    eventually("the job is over", || handle.status().state.is_final().then_some(()));
    assert_eq!(handle.status().state, JobState::Finished, "{:?}", handle.status().cause);
    handle.report().nodes.iter().find_map(|node| node.total.sink).unwrap()
}

pub(crate) fn copy(from: &Path, to: &Path) {
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
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !golden.exists() {
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

/// The savepoints that are kept: of a value by version 1 of the format, of a map by version 2. Each with the modules that
/// can begin from it, those that rewrite what is there among them.
const SAVEPOINTS: [(&str, &[&str]); 2] =
    [("v1", &["count", "migrate-count", "migrate-count-map"]), ("v2", &["migrate-count-map"])];

/// The folder of one; written now if it is of a version that is not published yet.
fn savepoint(name: &str, module: &str) -> PathBuf {
    let golden = root().join("tests/fixtures/savepoints").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !golden.exists() {
        let data = tempfile::tempdir().unwrap();
        let handle = begin_with(data.path(), |data| spec(data, module, ", rate: 5000", "memory"));
        eventually("half of it is read", || (handle.report().events_read() > EVENTS / 2).then_some(()));
        handle.savepoint(name).unwrap().blocking_recv().unwrap().unwrap();
        handle.abandon();
        copy(&data.path().join("checkpoints/savepoints/golden").join(name), &golden);
    }
    golden
}

#[test]
fn savepoints_of_every_format_version_are_begun_from_for_ever_by_either_backend() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    let undisturbed = tempfile::tempdir().unwrap();
    let expected = end(&begin(undisturbed.path(), ""));
    for (name, modules) in SAVEPOINTS {
        let golden = savepoint(name, modules[0]);
        for (module, backend) in modules.iter().flat_map(|module| [(module, "memory"), (module, "rocksdb")]) {
            let data = tempfile::tempdir().unwrap();
            let handle = begin_from(&golden, data.path(), |data| spec(data, module, "", backend));
            let summary = end(&handle);
            assert_eq!(summary, expected, "as if nothing had happened: {name} in {module}, state in {backend}");
            assert!(handle.report().events_read() < EVENTS, "it did not begin at the beginning");
        }
    }
}

#[test]
fn a_savepoint_that_is_taken_again_has_the_same_bytes_whichever_backend_held_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _entered = runtime.enter();
    for (name, modules) in SAVEPOINTS {
        let golden = savepoint(name, modules[0]);
        let written = Savepoint::decode(&std::fs::read(golden.join("savepoint")).unwrap()).unwrap();
        for backend in ["memory", "rocksdb"] {
            // Its source holds still, once it has heard so: an event may have come before.
            let again = (0..20).find_map(|_| {
                let data = tempfile::tempdir().unwrap();
                let still = |data: &Path| JobSpec { paused: true, ..spec(data, modules[0], ", rate: 1", backend) };
                let handle = begin_from(&golden, data.path(), still);
                let again = handle.savepoint("again").unwrap().blocking_recv().unwrap().unwrap();
                handle.abandon();
                (stands(&again) == stands(&written)).then(|| state_of(&again))
            });
            assert_eq!(again, Some(state_of(&written)), "{name}, state in {backend}");
        }
    }
}

/// Where its sources stand.
fn stands(savepoint: &Savepoint) -> Vec<SplitPosition> {
    savepoint.nodes.iter().flat_map(|node| &node.subtasks).flat_map(|part| part.splits.clone()).collect()
}

/// The content of each file of state.
fn state_of(savepoint: &Savepoint) -> Vec<FileHash> {
    savepoint.nodes.iter().flat_map(|node| node.files().map(|file| file.hash)).collect()
}
