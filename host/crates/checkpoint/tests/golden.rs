//! The storage format as bytes under `tests/fixtures`: read for ever, and written as it was. Claims and savepoints are
//! written in version 2, manifests and pages in version 1; manifests that name a canary in version 3.
//!
//! A failure here means that checkpoints of hosts that are out there cannot be restored any more. Then the version goes up
//! and the old shape stays; the files of version 1 are never written again. `UPDATE_GOLDEN=1 cargo test -p
//! gristmill-checkpoint --test golden` writes those of a version that is not published yet.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use gristmill_checkpoint::savepoint::Tail;
use gristmill_checkpoint::snapshot::SubtaskSnapshot;
use gristmill_checkpoint::{
    Before, CanaryRef, ChainEntry, Claim, Committable, CommittableId, FileHash, FileRef, Manifest, NodeSnapshot,
    PageRef, Savepoint, Slot, SplitPosition, StateFile,
};
use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::{
    AttemptId, CheckpointId, CheckpointKind, KeyGroupRange, MaxParallelism, ModuleHash, RunId, SubtaskIndex, Watermark,
};

fn file(number: u64) -> FileRef {
    let hash = FileHash(std::array::from_fn(|at| at as u8 + number as u8));
    FileRef { attempt: AttemptId(0xfedc_ba98_7654_3210), number, hash, bytes: 300 * number }
}

/// Claims of version 1 do not say what stands before them.
fn claim(before: Option<Before>) -> ChainEntry {
    ChainEntry::Claim(Claim {
        job: "orders".parse().unwrap(),
        run: RunId(0x0123_4567_89ab_cdef),
        attempt: AttemptId(u64::MAX),
        host: "mill-1 (pid 77)".to_owned(),
        at_ms: 1_767_225_600_123,
        restored: Some(CheckpointId(41)),
        numbers_above: CheckpointId(70_000),
        before,
    })
}

fn before() -> Before {
    Before { checkpoints: vec![Slot(3), Slot(70_000)], attempts: vec![AttemptId(5), AttemptId(u64::MAX)] }
}

fn manifest(canaries: Vec<CanaryRef>) -> ChainEntry {
    let committable = |number, files| Committable {
        id: CommittableId { attempt: AttemptId(0xfedc_ba98_7654_3210), number },
        sink: "files".parse().unwrap(),
        staged_for: CheckpointId(40 + number),
        payload: if number == 0 { b"{\"v\":1}".to_vec() } else { vec![0, 255] },
        files,
    };
    ChainEntry::Checkpoint(Manifest {
        job: "orders".parse().unwrap(),
        run: RunId(0x0123_4567_89ab_cdef),
        attempt: AttemptId(0xfedc_ba98_7654_3210),
        checkpoint: CheckpointId(300),
        parent: Some(CheckpointId(41)),
        kind: CheckpointKind::Savepoint,
        is_final: true,
        started_ms: 1_767_225_600_123,
        completed_ms: -1,
        max_parallelism: MaxParallelism::try_from(32_768).unwrap(),
        pages: vec![PageRef { node: "count".parse().unwrap(), file: file(5) }],
        committables: vec![committable(0, vec![file(6), file(7)]), committable(1, Vec::new())],
        canaries,
    })
}

fn canary() -> Vec<CanaryRef> {
    let module = ModuleHash(std::array::from_fn(|at| 3 * at as u8));
    vec![CanaryRef { node: "count".parse().unwrap(), module, share: 5.try_into().unwrap() }]
}

fn page() -> NodeSnapshot {
    let state = |name: &str, kind, scope, ttl_clock| StateSpec {
        name: name.to_owned(),
        kind,
        scope,
        version: 3,
        ttl_ms: (kind != StateKind::Value).then_some(86_400_000),
        ttl_clock,
    };
    let groups = KeyGroupRange { start: 64, end: 32_768 };
    NodeSnapshot {
        node: "count".parse().unwrap(),
        module: Some(ModuleHash(std::array::from_fn(|at| 255 - at as u8))),
        states: vec![
            state("count", StateKind::Value, StateScope::Keyed, ClockKind::EventTime),
            state("seen", StateKind::AppendList, StateScope::Broadcast, ClockKind::ProcessingTime),
            state("by-day", StateKind::OrderedMap, StateScope::Keyed, ClockKind::EventTime),
            state("sum", StateKind::Accumulator, StateScope::Keyed, ClockKind::ProcessingTime),
        ],
        subtasks: vec![SubtaskSnapshot {
            subtask: SubtaskIndex(1),
            splits: vec![SplitPosition { split: "a.jsonl".to_owned(), position: vec![1, 0, 2, 0] }],
            ended: true,
            groups,
            watermark: Watermark(1_767_225_600_000),
            files: vec![StateFile { file: file(8), entries: 1_000_000, groups }],
            sink: b"part 7".to_vec(),
            counters: vec![("events_in".to_owned(), u64::MAX)],
        }],
    }
}

#[expect(clippy::disallowed_methods, reason = "golden files are files")]
fn golden(name: &str, written: &[u8]) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../../../tests/fixtures", name].iter().collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, written).unwrap();
    }
    std::fs::read(&path).unwrap()
}

#[test]
fn entries_of_the_chain_are_read_for_ever_and_written_as_they_were() {
    for (name, entry) in [
        ("checkpoints/v2/claim", claim(Some(before()))),
        ("checkpoints/v1/manifest", manifest(Vec::new())),
        ("checkpoints/v3/manifest", manifest(canary())),
    ] {
        let stored = golden(name, &entry.encode());
        assert_eq!(ChainEntry::decode(&stored).as_ref(), Ok(&entry), "{name}");
        assert_eq!(entry.encode(), stored, "{name}: the same value makes other bytes");
    }
}

#[test]
fn claims_of_version_1_are_read_for_ever() {
    assert_eq!(ChainEntry::decode(&golden("checkpoints/v1/claim", &[])), Ok(claim(None)));
}

#[test]
fn pages_are_read_for_ever_and_written_as_they_were() {
    let stored = golden("checkpoints/v1/page", &page().encode());
    assert_eq!(NodeSnapshot::decode(&stored), Ok(page()));
    assert_eq!(page().encode(), stored, "the same value makes other bytes");
}

fn savepoint() -> Savepoint {
    Savepoint {
        job: "orders".parse().unwrap(),
        run: RunId(0x0123_4567_89ab_cdef),
        attempt: AttemptId(0xfedc_ba98_7654_3210),
        checkpoint: CheckpointId(300),
        taken_ms: 1_767_225_600_123,
        document: "{job: orders}".to_owned(),
        max_parallelism: MaxParallelism::try_from(32_768).unwrap(),
        nodes: vec![page()],
        entries: Some([("count".parse().unwrap(), vec![1_000_000, 0, 300, 1])].into()),
        tails: vec![Tail { source: "in".parse().unwrap(), file: file(9), events: 70_000 }],
    }
}

#[test]
fn savepoints_are_read_for_ever_and_written_as_they_were() {
    let stored = golden("savepoints/v2-record", &savepoint().encode());
    assert_eq!(Savepoint::decode(&stored), Ok(savepoint()));
    assert_eq!(savepoint().encode(), stored, "the same value makes other bytes");
}

#[test]
fn savepoints_of_version_1_are_read_for_ever() {
    let savepoint = Savepoint::decode(&golden("savepoints/v1/savepoint", &[])).unwrap();
    let nodes: Vec<_> = savepoint.nodes.iter().map(|page| page.node.as_str()).collect();
    assert_eq!((savepoint.job.as_str(), nodes), ("golden", vec!["events", "op", "out"]));
    assert_eq!((savepoint.entries, savepoint.tails), (None, Vec::new()), "it does not say");
}

#[test]
fn a_claim_is_no_page() {
    assert!(NodeSnapshot::decode(&claim(None).encode()).is_err());
}

#[test]
fn a_checkpoint_can_be_read_by_people() {
    let text = [serde_json::to_string(&manifest(canary())).unwrap(), serde_json::to_string(&page()).unwrap()].concat();
    for part in [
        r#""run":"0123456789abcdef""#,
        r#""attempt":"fedcba9876543210""#,
        r#""hash":"05060708"#,
        r#""payload":"{\"v\":1}""#,
        r#""payload":"0x00ff""#,
        r#""sink":"part 7""#,
        r#""position":"0x01000200""#,
        r#""module":"fffefdfc"#,
        r#""share":5"#,
        r#""kind":"savepoint""#,
        r#""max_parallelism":32768"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    let hash: FileHash = serde_json::from_str(&serde_json::to_string(&file(5).hash).unwrap()).unwrap();
    assert_eq!(hash, file(5).hash);
}
