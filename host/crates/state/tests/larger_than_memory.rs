//! State far larger than the memory that a backend is given: memory stays bounded, and every entry is found.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use gristmill_checkpoint::{FileHash, FileRef, StateFile};
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::state::{Drained, RestoredState, StateTime};
use gristmill_ports::{FileStore, PortError, StateBackend};
use gristmill_state::RocksDbBackend;
use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::{
    AttemptId, CheckpointId, Column, Descriptor, EventBatch, KeyGroupRange, MaxParallelism, StateIndex,
};
use tempfile::TempDir;

const BUDGET: usize = 8 << 20;
const KEYS: u64 = 600_000;
const ROWS: u64 = 1000;
const VALUE_BYTES: usize = 100;
const VALUE: StateIndex = StateIndex(0);
const MAP: StateIndex = StateIndex(1);
const LIST: StateIndex = StateIndex(2);
const GROUPS: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };
const NOW: StateTime = StateTime { processing_ms: 0, event_ms: 0 };

/// Bytes beside the budget: the program, the database's buffers, a batch being sorted, what the allocator keeps.
const BESIDE_THE_BUDGET: usize = 96 << 20;

struct Folder {
    dir: TempDir,
    puts: AtomicU64,
}

impl FileStore for Folder {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        let Content::File(from) = content else { panic!("state is stored as files") };
        let number = self.puts.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.path().join(number.to_string());
        std::fs::rename(from, &path).unwrap();
        let bytes = std::fs::metadata(path).unwrap().len();
        Ok(FileRef { attempt: AttemptId(1), number, hash: FileHash([0; 32]), bytes })
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        Ok(self.dir.path().join(file.number.to_string()))
    }

    fn scratch(&self) -> &Path {
        self.dir.path()
    }
}

fn descriptor() -> Descriptor {
    let state = |(name, kind): (&str, StateKind)| StateSpec {
        name: name.to_owned(),
        kind,
        scope: StateScope::Keyed,
        version: 1,
        ttl_ms: None,
        ttl_clock: ClockKind::EventTime,
    };
    let states = [("value", StateKind::Value), ("map", StateKind::OrderedMap), ("list", StateKind::AppendList)];
    Descriptor { states: states.into_iter().map(state).collect(), ..Descriptor::default() }
}

fn open(dir: &Path) -> RocksDbBackend {
    RocksDbBackend::open(&descriptor(), GROUPS, MaxParallelism::DEFAULT, dir, BUDGET).unwrap()
}

/// Bytes of this process that lie in memory.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn batch(keys: impl Iterator<Item = u64>) -> EventBatch {
    let mut batch = EventBatch::default();
    keys.for_each(|key| batch.push(0, Some(format!("customer-{key:08}").as_bytes()), None));
    batch.hashed()
}

fn value(key: u64, round: u64) -> Vec<u8> {
    let mut value = vec![b'v'; VALUE_BYTES];
    value[..8].copy_from_slice(&(key * 7 + round).to_le_bytes());
    value
}

fn checkpoint(backend: &mut dyn StateBackend, folder: &Folder) -> Vec<StateFile> {
    assert!(backend.freeze(CheckpointId(1)));
    loop {
        if let Drained::All(mut frozen) = backend.drain_frozen(4096) {
            return frozen.store(folder).unwrap();
        }
    }
}

/// Writes to every key, with a checkpoint now and then.
fn write_all(backend: &mut dyn StateBackend, folder: &Folder, round: u64) -> Vec<StateFile> {
    let (rows, mut files): (Vec<u32>, _) = ((0..ROWS as u32).collect(), Vec::new());
    for (call, first) in (0..KEYS).step_by(ROWS as usize).enumerate() {
        backend.begin(&batch(first..first + ROWS), NOW);
        let values: Column =
            (first..first + ROWS).map(|key| value(key, round)).fold(Column::default(), |mut all, one| {
                all.push(Some(&one));
                all
            });
        backend.put(VALUE, &rows, &values).unwrap();
        backend.commit().unwrap();
        if call % 20 == 19 {
            files.extend(checkpoint(backend, folder));
        }
    }
    files.extend(checkpoint(backend, folder));
    files
}

/// Every 37th key has the value of this round.
fn check(backend: &mut dyn StateBackend, round: u64) {
    let keys: Vec<u64> = (0..KEYS).step_by(37).collect();
    for keys in keys.chunks(ROWS as usize) {
        backend.begin(&batch(keys.iter().copied()), NOW);
        let rows: Vec<u32> = (0..keys.len() as u32).collect();
        let read = backend.get(VALUE, &rows).unwrap();
        for (&key, &slot) in keys.iter().zip(&read.slots) {
            assert_eq!(read.values.get(slot as usize), Some(value(key, round).as_slice()), "key {key}");
        }
        backend.roll_back();
    }
}

#[test]
fn memory_stays_within_the_budget_though_the_state_does_not() {
    let (dir, folder) =
        (tempfile::tempdir().unwrap(), Folder { dir: tempfile::tempdir().unwrap(), puts: AtomicU64::new(0) });
    let bound = resident() + BUDGET + BESIDE_THE_BUDGET;
    let mut backend = open(&dir.path().join("first"));
    let mut files = Vec::new();
    for round in 0..2 {
        files.extend(write_all(&mut backend, &folder, round));
        check(&mut backend, round);
        let now = resident();
        assert!(now < bound, "{now} bytes are resident, of at most {bound}");
    }
    assert_eq!(backend.size().keys, KEYS);
    drop(backend);

    let mut restored = open(&dir.path().join("second"));
    let (states, groups) = (descriptor().states, GROUPS);
    restored.restore(&RestoredState { states: &states, files: &files, groups, time: NOW }, &folder).unwrap();
    check(&mut restored, 1);
    let now = resident();
    assert!(now < bound, "{now} bytes are resident after a restore, of at most {bound}");
}

/// Without checkpoints everything that was ever written is a change; memory must not follow the number of writes.
#[test]
fn memory_stays_within_the_budget_though_nothing_is_frozen() {
    let (dir, folder) =
        (tempfile::tempdir().unwrap(), Folder { dir: tempfile::tempdir().unwrap(), puts: AtomicU64::new(0) });
    let bound = resident() + BUDGET + BESIDE_THE_BUDGET;
    let mut backend = open(&dir.path().join("first"));
    const KEYS: u64 = 100_000;
    const ROUNDS: u64 = 12;
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    for round in 0..ROUNDS {
        for first in (0..KEYS).step_by(ROWS as usize) {
            backend.begin(&batch(first..first + ROWS), NOW);
            let values: Vec<Vec<u8>> = (first..first + ROWS).map(|key| value(key, round)).collect();
            backend.put(VALUE, &rows, &values.iter().map(|value| Some(value.as_slice())).collect()).unwrap();
            backend.commit().unwrap();
        }
        let now = resident();
        assert!(now < bound, "{now} bytes are resident in round {round}, of at most {bound}");
    }
    let files = checkpoint(&mut backend, &folder);
    let told: u64 = files.iter().map(|file| file.entries).sum();
    assert!(told < KEYS * ROUNDS / 2, "{told} entries tell of {KEYS} keys: what is drained ahead is merged");
    let mut restored = open(&dir.path().join("second"));
    let states = descriptor().states;
    restored.restore(&RestoredState { states: &states, files: &files, groups: GROUPS, time: NOW }, &folder).unwrap();
    backend.begin(&batch(0..ROWS), NOW);
    restored.begin(&batch(0..ROWS), NOW);
    for backend in [&mut backend, &mut restored] {
        let read = backend.get(VALUE, &rows).unwrap();
        for (&slot, key) in read.slots.iter().zip(0..) {
            assert_eq!(read.values.get(slot as usize), Some(value(key, ROUNDS - 1).as_slice()), "key {key}");
        }
    }
}

#[test]
fn a_map_larger_than_memory_is_scanned_in_pages() {
    let (dir, folder) =
        (tempfile::tempdir().unwrap(), Folder { dir: tempfile::tempdir().unwrap(), puts: AtomicU64::new(0) });
    let mut backend = open(&dir.path().join("only"));
    let name = |number: u64| format!("entry-{number:08}");
    const ENTRIES: u64 = 200_000;
    for first in (0..ENTRIES).step_by(ROWS as usize) {
        backend.begin(&batch(std::iter::once(1)), NOW);
        let (mut names, mut values) = (Column::default(), Column::default());
        for number in first..first + ROWS {
            names.push(Some(name(number).as_bytes()));
            values.push(Some(&value(number, 0)));
        }
        backend.map_put(MAP, &[0; ROWS as usize], &names, &values).unwrap();
        backend.commit().unwrap();
        checkpoint(&mut backend, &folder);
    }
    backend.begin(&batch(std::iter::once(1)), NOW);
    let deleted: Column = [Some(name(7))].iter().map(|name| name.as_ref().map(String::as_bytes)).collect();
    backend.map_put(MAP, &[0], &deleted, &Column::all_null(1)).unwrap();
    let (mut after, mut found) = (None::<Vec<u8>>, 0);
    loop {
        let page = backend.map_scan(MAP, 0, b"entry-", after.as_deref(), 100_000).unwrap();
        found += page.keys.len() as u64;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, ENTRIES - 1);
    backend.map_clear(MAP, &[0]).unwrap();
    backend.commit().unwrap();
    backend.begin(&batch(std::iter::once(1)), NOW);
    assert!(backend.map_scan(MAP, 0, b"", None, 100).unwrap().keys.is_empty());
}

/// Also as the first state of a module that declares it otherwise: all of it is told anew then.
#[test]
fn a_map_larger_than_memory_is_restored_by_halves() {
    let folder = Folder { dir: tempfile::tempdir().unwrap(), puts: AtomicU64::new(0) };
    let dir = tempfile::tempdir().unwrap();
    const ENTRIES: u64 = 200_000;
    let name = |number: u64| format!("entry-{number:08}");
    let wide = |number: u64| [value(number, 0), vec![b'w'; 900]].concat();
    let files = {
        let (mut backend, mut files) = (open(&dir.path().join("first")), Vec::new());
        for first in (0..ENTRIES).step_by(ROWS as usize) {
            backend.begin(&batch(std::iter::once(1)), NOW);
            let (mut names, mut values) = (Column::default(), Column::default());
            for number in first..first + ROWS {
                names.push(Some(name(number).as_bytes()));
                values.push(Some(&wide(number)));
            }
            backend.map_put(MAP, &[0; ROWS as usize], &names, &values).unwrap();
            backend.commit().unwrap();
            if first % 8000 == 0 {
                files.extend(checkpoint(&mut backend, &folder));
            }
        }
        files.extend(checkpoint(&mut backend, &folder));
        files
    };
    let bound = resident() + BUDGET + BESIDE_THE_BUDGET;
    let mut others = descriptor().states;
    others.swap(0, 2);
    for (number, states) in [descriptor().states, others].into_iter().enumerate() {
        let reader = Descriptor { states, ..Descriptor::default() };
        let map = StateIndex(reader.states.iter().position(|spec| spec.name == "map").unwrap() as u32);
        let dir = dir.path().join(format!("restored-{number}"));
        let mut restored = RocksDbBackend::open(&reader, GROUPS, MaxParallelism::DEFAULT, &dir, BUDGET).unwrap();
        let states = descriptor().states;
        restored
            .restore(&RestoredState { states: &states, files: &files, groups: GROUPS, time: NOW }, &folder)
            .unwrap();
        let now = resident();
        assert!(now < bound, "{now} bytes are resident after a restore, of at most {bound}");
        assert_eq!(restored.size().keys, 1);
        restored.begin(&batch(std::iter::once(1)), NOW);
        let names: Vec<String> = (0..ENTRIES).step_by(97).map(name).collect();
        let column: Column = names.iter().map(|name| Some(name.as_bytes())).collect();
        let found = restored.map_get(map, &vec![0; names.len()], &column).unwrap();
        for (at, number) in (0..ENTRIES).step_by(97).enumerate() {
            assert_eq!(found.get(at), Some(wide(number).as_slice()), "entry {number}");
        }
        restored.roll_back();
        let told: u64 = checkpoint(&mut restored, &folder).iter().map(|file| file.entries).sum();
        assert_eq!(told, if number == 0 { 0 } else { ENTRIES });
    }
}

/// Numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// What was written last, of each key: in the value and in one entry of the map, and in the list.
#[derive(Default)]
struct Known {
    values: HashMap<u64, Vec<u8>>,
    lists: HashMap<u64, Vec<Vec<u8>>>,
}

/// One call on some keys: compares what it reads with what was written last, and writes or deletes each of them.
fn read_and_write(backend: &mut dyn StateBackend, known: &mut Known, dice: &mut Dice, call: u64) {
    const KEYS: u64 = 4000;
    // Half of the keys are one tenth of all, so that some change again and again while others leave.
    let key = |dice: &mut Dice| if dice.below(2) == 0 { dice.below(KEYS / 10) } else { dice.below(KEYS) };
    let keys: BTreeSet<u64> = (0..64).map(|_| key(dice)).collect();
    let rows: Vec<u32> = (0..keys.len() as u32).collect();
    backend.begin(&batch(keys.iter().copied()), NOW);
    let read = backend.get(VALUE, &rows).unwrap();
    let names: Column = keys.iter().map(|_| Some(&b"name"[..])).collect();
    let entries = backend.map_get(MAP, &rows, &names).unwrap();
    let mut written = Column::default();
    for (row, key) in keys.iter().enumerate() {
        let expected = known.values.get(key).map(Vec::as_slice);
        assert_eq!(read.values.get(read.slots[row] as usize), expected, "key {key} in call {call}");
        assert_eq!(entries.get(row), expected, "the entry of key {key} in call {call}");
        let page = backend.list_scan(LIST, row as u32, None, 1 << 20).unwrap();
        let items: Vec<&[u8]> = page.values.iter().flatten().collect();
        assert_eq!(&items, known.lists.entry(*key).or_default(), "the list of key {key} in call {call}");
        let next = (dice.below(3) > 0).then(|| value(*key, call));
        written.push(next.as_deref());
        match next {
            Some(next) => known.values.insert(*key, next),
            None => known.values.remove(key),
        };
    }
    backend.put(VALUE, &rows, &written).unwrap();
    let some = |dice: &mut Dice, rows: &[u32]| rows.iter().copied().filter(|_| dice.below(8) == 0).collect::<Vec<_>>();
    backend.map_clear(MAP, &some(dice, &rows)).unwrap();
    backend.map_put(MAP, &rows, &names, &written).unwrap();
    let keys: Vec<u64> = keys.into_iter().collect();
    let emptied = some(dice, &rows);
    backend.list_clear(LIST, &emptied).unwrap();
    emptied.iter().for_each(|&row| drop(known.lists.remove(&keys[row as usize])));
    let longer = some(dice, &rows);
    let item = call.to_le_bytes();
    backend.list_append(LIST, &longer, &longer.iter().map(|_| Some(&item[..])).collect()).unwrap();
    longer.iter().for_each(|&row| known.lists.entry(keys[row as usize]).or_default().push(item.to_vec()));
    backend.commit().unwrap();
}

/// Many rounds of leaving, coming back, changing and being frozen, with batches that fill slowly: an entry may have
/// changed and be clean again before the batch with which it was to leave is full.
#[test]
fn what_changes_while_it_leaves_memory_comes_back_as_it_is() {
    for (seed, budget) in [(1, 400 << 10), (2, 960 << 10), (3, 1000 << 10), (4, 1040 << 10)] {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("database");
        let mut backend = RocksDbBackend::open(&descriptor(), GROUPS, MaxParallelism::DEFAULT, &dir, budget).unwrap();
        let (mut known, mut dice, mut draining) = (Known::default(), Dice(seed), false);
        for call in 0..1200 {
            read_and_write(&mut backend, &mut known, &mut dice, call);
            if draining && let Drained::All(_) = backend.drain_frozen(200) {
                draining = false;
            }
            if !draining && dice.below(8) == 0 {
                draining = backend.freeze(CheckpointId(1));
            }
        }
    }
}
