use std::fs;

use gristmill_checkpoint::committable::CommittableId;
use gristmill_checkpoint::snapshot::SubtaskSnapshot;
use gristmill_checkpoint::{Claim, Committable, FileRef, Manifest, PageRef, SplitPosition, StateFile};
use gristmill_types::{
    AttemptId, CheckpointId, CheckpointKind, KeyGroupRange, MaxParallelism, NodeId, Parallelism, RunId, SubtaskIndex,
    Watermark,
};
use tempfile::TempDir;

use super::*;

const ATTEMPT: AttemptId = AttemptId(7);

/// A storage with one run: a claim, then a checkpoint of a node with state and of output that is staged.
struct Storage {
    root: TempDir,
    folder: RunFolder,
    page: FileRef,
    state: FileRef,
}

impl Storage {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a folder");
        let folder = RunFolder::new(&"orders".parse().expect("an id"), RunId(0x2a));
        let put = |number, bytes: &[u8]| {
            let file = FileRef { attempt: ATTEMPT, number, hash: FileHash::of(bytes), bytes: bytes.len() as u64 };
            write(&root.path().join(folder.file(&file)), bytes);
            file
        };
        let state = put(0, b"GMST\x01\0\0\0 and what follows");
        let staged = put(1, b"rows");
        let page = put(2, &snapshot(state).encode());
        put(3, b"named by nothing");
        let storage = Self { folder, page, state, root };
        storage.put_entry(0, &claim());
        storage.put_entry(1, &ChainEntry::Checkpoint(manifest(page, staged)));
        storage
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    fn put_entry(&self, slot: u64, entry: &ChainEntry) {
        write(&self.path(&self.folder.slot(Slot(slot))), &entry.encode());
    }

    fn inspected(&self) -> Inspection {
        inspect(self.root.path()).expect("a storage")
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().expect("it lies in a folder")).expect("a folder");
    fs::write(path, bytes).expect("a file");
}

fn node(id: &str) -> NodeId {
    id.parse().expect("an id")
}

fn claim() -> ChainEntry {
    ChainEntry::Claim(Claim {
        job: "orders".parse().expect("an id"),
        run: RunId(0x2a),
        attempt: ATTEMPT,
        host: "mill".to_owned(),
        at_ms: 0,
        restored: None,
        numbers_above: CheckpointId(0),
        before: None,
    })
}

fn groups() -> KeyGroupRange {
    MaxParallelism::DEFAULT.owned_by(SubtaskIndex(0), Parallelism::ONE)
}

fn snapshot(state: FileRef) -> NodeSnapshot {
    let subtask = SubtaskSnapshot {
        subtask: SubtaskIndex(0),
        splits: vec![SplitPosition { split: "a.csv".to_owned(), position: b"1:512".to_vec() }],
        ended: false,
        groups: groups(),
        watermark: Watermark::START,
        files: vec![StateFile { file: state, entries: 3, groups: groups() }],
        sink: Vec::new(),
        counters: Vec::new(),
    };
    NodeSnapshot { node: node("count"), module: None, states: Vec::new(), subtasks: vec![subtask] }
}

fn manifest(page: FileRef, staged: FileRef) -> Manifest {
    Manifest {
        job: "orders".parse().expect("an id"),
        run: RunId(0x2a),
        attempt: ATTEMPT,
        checkpoint: CheckpointId(1),
        parent: None,
        kind: CheckpointKind::Checkpoint,
        is_final: false,
        started_ms: 0,
        completed_ms: 5,
        max_parallelism: MaxParallelism::DEFAULT,
        pages: vec![PageRef { node: node("count"), file: page }],
        committables: vec![Committable {
            id: CommittableId { attempt: ATTEMPT, number: 0 },
            sink: node("out"),
            staged_for: CheckpointId(1),
            payload: b"out.csv".to_vec(),
            files: vec![staged],
        }],
        canaries: Vec::new(),
    }
}

#[test]
fn a_storage_is_told_down_to_positions_files_and_staged_output() {
    let storage = Storage::new();
    let found = storage.inspected();
    assert_eq!(found.damaged, []);
    let shown = serde_json::to_value(&found).expect("JSON");
    let run = &shown["runs"][0];
    assert_eq!((&run["job"], &run["run"]), (&"orders".into(), &"000000000000002a".into()), "{shown:#}");
    assert_eq!((&run["files"]["count"], &run["unnamed"]["count"]), (&4.into(), &1.into()));
    assert_eq!((&run["chain"][0]["kind"], &run["chain"][0]["host"]), (&"claim".into(), &"mill".into()));
    let checkpoint = &run["chain"][1];
    let part = &checkpoint["nodes"][0]["snapshot"]["subtasks"][0];
    assert_eq!((&part["splits"][0]["position"], &part["files"][0]["entries"]), (&"1:512".into(), &3.into()));
    assert_eq!(checkpoint["committables"][0]["payload"], "out.csv");
}

#[test]
fn what_is_damaged_or_missing_is_named_by_its_path() {
    let storage = Storage::new();
    let page = storage.path(&storage.folder.file(&storage.page));
    let state = storage.path(&storage.folder.file(&storage.state));
    let slot = storage.path(&storage.folder.slot(Slot(1)));
    let whole = [&page, &state, &slot].map(|path| (path, fs::read(path).expect("a file")));
    let damage = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
        for (path, bytes) in &whole {
            fs::write(path, bytes).expect("a file");
        }
        let mut bytes = fs::read(path).expect("a file");
        change(&mut bytes);
        fs::write(path, bytes).expect("a file");
        let damaged = storage.inspected().damaged;
        assert_eq!(damaged.len(), 1, "{damaged:?}");
        assert_eq!(damaged[0].path, path.display().to_string());
        damaged.into_iter().next().expect("one").why
    };
    let flip = |bytes: &mut Vec<u8>| bytes[20] ^= 1;
    let cut = |bytes: &mut Vec<u8>| bytes.truncate(20);
    for path in [&page, &state] {
        assert!(damage(path, &flip).contains("a bit has flipped"));
        assert!(damage(path, &cut).contains("it was cut off"));
    }
    assert!(damage(&slot, &flip).contains("checksum"));
    assert!(damage(&slot, &cut).contains("cut off"));

    fs::write(&slot, &whole[2].1).expect("a file");
    fs::remove_file(&state).expect("it was there");
    let missing = Damage { path: state.display().to_string(), why: "it is missing".to_owned() };
    assert_eq!(storage.inspected().damaged, [missing]);
}

#[test]
fn a_folder_in_the_place_of_a_record_is_named_and_the_rest_is_told() {
    let storage = Storage::new();
    let stray = storage.path(&storage.folder.slot(Slot(9)));
    fs::create_dir(&stray).expect("a folder");
    let found = storage.inspected();
    assert_eq!(found.damaged.len(), 1, "{found:?}");
    assert_eq!(found.damaged[0].path, stray.display().to_string());
    let Found::Runs { runs } = found.found else { panic!("it is a storage") };
    assert_eq!(runs[0].chain.len(), 3);
}

#[test]
fn a_chain_that_was_taken_away_is_missed() {
    let storage = Storage::new();
    let chain = storage.path(&storage.folder.chain());
    for slot in [Slot(0), Slot(1)] {
        fs::remove_file(storage.path(&storage.folder.slot(slot))).expect("it was there");
    }
    let check = || {
        let found = storage.inspected();
        assert_eq!(found.damaged.len(), 1, "{found:?}");
        assert_eq!(found.damaged[0].path, chain.display().to_string());
        let Found::Runs { runs } = found.found else { panic!("it is a storage") };
        assert_eq!((runs[0].job.clone(), runs[0].run), ("orders".parse().ok(), Some(RunId(0x2a))), "as the path says");
    };
    check();
    fs::remove_dir(&chain).expect("it is empty");
    check();
}

#[test]
fn a_record_in_anothers_place_is_named() {
    let storage = Storage::new();
    let slots = [Slot(1), Slot(2)].map(|slot| storage.path(&storage.folder.slot(slot)));
    fs::copy(&slots[0], &slots[1]).expect("a copy");
    let damaged = storage.inspected().damaged;
    assert_eq!((damaged.len(), &damaged[0].path), (1, &slots[1].display().to_string()), "{damaged:?}");
    assert!(damaged[0].why.contains("it is checkpoint 1, and stands behind checkpoint 1 in slot"), "{damaged:?}");

    let ChainEntry::Claim(claim) = claim() else { panic!("it is a claim") };
    storage.put_entry(2, &ChainEntry::Claim(Claim { run: RunId(7), ..claim }));
    let damaged = storage.inspected().damaged;
    assert_eq!(damaged.len(), 1, "{damaged:?}");
    assert!(damaged[0].why.contains("it is of run 0000000000000007 of job `orders`"), "{damaged:?}");
}

#[test]
fn a_single_file_says_what_it_is() {
    let storage = Storage::new();
    let single = |path: &str| inspect(&storage.path(path)).expect("a file of a checkpoint");
    let slot = single(&storage.folder.slot(Slot(1)));
    assert!(matches!(&slot.found, Found::ChainEntry { entry: Entry::Checkpoint(one) } if one.nodes.len() == 1));
    let page = single(&storage.folder.file(&storage.page));
    assert!(matches!(&page.found, Found::Page { snapshot: Some(snapshot) } if snapshot.node == node("count")));
    let state = single(&storage.folder.file(&storage.state));
    assert!(matches!(state.found, Found::StateFile { bytes: 25, version: 1 }), "{state:?}");

    let path = storage.path(&storage.folder.file(&storage.state));
    fs::write(&path, b"GMST\x01\0\0\0 and what was edited").expect("a file");
    assert!(inspect(&path).expect("a file of state").damaged[0].why.contains("not that of its name"));
}

#[test]
fn what_is_no_part_of_a_storage_is_refused_in_a_sentence() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = folder.path().join("text");
    fs::write(&text, "hello").expect("a file");
    let empty = folder.path().join("empty");
    fs::write(&empty, "").expect("a file");
    for (path, words) in [
        (folder.path(), "holds no checkpoints: give a checkpoint storage"),
        (&text, "is no file of a checkpoint"),
        (&empty, "is no file of a checkpoint"),
        (&folder.path().join("nothing"), "there is no file"),
    ] {
        let error = format!("{:#}", inspect(path).expect_err("no checkpoint"));
        assert!(error.contains(words) && error.contains(&path.display().to_string()), "{error}");
    }
}
