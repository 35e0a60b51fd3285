//! Bundles on disk: bounded in number and size, one for each fault, found again by the next host.

use std::num::NonZeroU32;
use std::time::Duration;

use gristmill_ports::crash::CallRecord;
use gristmill_ports::operator::{InstanceLimits, InstanceRecord};
use gristmill_types::failure::{FaultKind, GuestFault};
use gristmill_types::{
    Descriptor, EventBatch, InputIndex, MaxParallelism, ModuleHash, Parallelism, RunId, SubtaskIndex,
};

use super::*;

const LIMITS: CrashLimits = CrashLimits { bundles: 3, bytes: 2_000 };

fn job() -> JobId {
    "orders".parse().unwrap()
}

fn bundle(message: &str, at_ms: i64, value: &[u8]) -> CrashBundle {
    let mut events = EventBatch::default();
    events.push(1, Some(b"k"), Some(value));
    CrashBundle {
        job: job(),
        run: RunId(1),
        operator: "parse".parse().unwrap(),
        module: ModuleHash([1; 32]),
        at_ms,
        fault: GuestFault { kind: FaultKind::Trap, message: message.to_owned(), backtrace: Vec::new() },
        instance: InstanceRecord {
            subtask: SubtaskIndex(0),
            parallelism: Parallelism(NonZeroU32::MIN),
            max_parallelism: MaxParallelism::DEFAULT,
            keys_in_place: true,
            parameters: "{}".to_owned(),
            seed: 1,
            opened_ms: 0,
            calls: 0,
            limits: InstanceLimits { memory_bytes: 1, call: Duration::from_secs(1), output_bytes: 1, log_bytes: 1 },
            descriptor: Descriptor::default(),
        },
        call: CallRecord { watermark_ms: 0, processing_time_ms: 0, state_generation: 0 },
        input: InputIndex(0),
        events: events.hashed(),
        states: Vec::new(),
        left_out: Vec::new(),
        code: None,
    }
}

/// Messages of what is on disk, once all is written: a store that is dropped has written what it took.
fn kept(folder: &Path) -> Vec<String> {
    let files = CrashFiles::open(folder, LIMITS).unwrap();
    let kept = files.list(&job()).unwrap();
    kept.into_iter().map(|kept| kept.bundle.unwrap().fault.message).collect()
}

#[test]
fn one_bundle_of_each_fault_is_kept_and_found_by_the_next_host() {
    let folder = tempfile::tempdir().unwrap();
    let files = CrashFiles::open(folder.path(), LIMITS).unwrap();
    assert!(files.keep(bundle("a", 1, b"first")));
    assert!(!files.keep(bundle("a", 2, b"second")), "there is one");
    let name = bundle("a", 0, b"").name();
    assert!(files.has(&job(), &name) && files.room(&job(), &name, 2).is_none());
    drop(files);
    let files = CrashFiles::open(folder.path(), LIMITS).unwrap();
    let found = files.get(&job(), &name).unwrap().unwrap();
    assert_eq!(CrashBundle::decode(&found), Ok(bundle("a", 1, b"first")));
    assert!(files.delete(&job(), &name).unwrap() && !files.delete(&job(), &name).unwrap());
    assert_eq!(files.room(&job(), &name, 2), Some(LIMITS.bytes), "the next one is kept again");
}

#[test]
fn of_many_faults_the_newest_are_kept_and_a_flood_waits_a_minute() {
    let folder = tempfile::tempdir().unwrap();
    let files = CrashFiles::open(folder.path(), LIMITS).unwrap();
    let took: Vec<bool> = [("a", 1), ("b", 2), ("c", 3), ("d", 59_999), ("e", 60_001), ("f", 60_001)]
        .map(|(message, at_ms)| files.keep(bundle(message, at_ms, b"")))
        .into();
    assert_eq!(took, [true, true, true, false, true, false]);
    drop(files);
    let mut kept = kept(folder.path());
    kept.sort();
    assert_eq!(kept, ["b", "c", "e"]);
}

#[test]
fn a_bundle_that_cannot_be_written_is_given_up_and_harms_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = CrashFiles::open(folder.path(), LIMITS).unwrap();
    assert!(files.keep(bundle("large", 1, &[0; 3_000])), "nobody knows yet");
    // A file stands where the folder of the other job should.
    std::fs::write(folder.path().join("crashes/other"), "").unwrap();
    let of_other = CrashBundle { job: "other".parse().unwrap(), ..bundle("a", 2, b"") };
    assert!(files.keep(of_other));
    assert!(files.keep(bundle("small", 3, b"")));
    drop(files);
    std::fs::remove_file(folder.path().join("crashes/other")).unwrap();
    assert_eq!(kept(folder.path()), ["small"]);
}

#[test]
fn a_torn_bundle_is_listed_with_what_is_wrong_and_a_job_is_forgotten_whole() {
    let folder = tempfile::tempdir().unwrap();
    let files = CrashFiles::open(folder.path(), LIMITS).unwrap();
    files.keep(bundle("a", 1, b""));
    drop(files);
    let path = folder.path().join(format!("crashes/orders/{}.crash", bundle("a", 1, b"").name()));
    let file = std::fs::read(&path).unwrap();
    std::fs::write(&path, &file[..file.len() / 2]).unwrap();
    std::fs::write(folder.path().join("crashes/orders/.incoming-x"), "half").unwrap();
    let files = CrashFiles::open(folder.path(), LIMITS).unwrap();
    let [torn] = files.list(&job()).unwrap().try_into().unwrap();
    assert!(torn.bundle.unwrap_err().contains("cut off"));
    files.forget(&job()).unwrap();
    assert!(files.list(&job()).unwrap().is_empty() && !folder.path().join("crashes/orders").exists());
}
