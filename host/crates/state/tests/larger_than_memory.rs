//! State far larger than the memory that a backend is given: memory stays bounded, and every entry is found.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

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
    let states = [("value", StateKind::Value), ("map", StateKind::OrderedMap)];
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
