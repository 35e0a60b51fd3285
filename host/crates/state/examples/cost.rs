//! What state costs: a keyed count in batches of 1024 rows, in nanoseconds per event, and its way to storage and back.
//!
//! Of each part the median batch is told, and of whole calls also the 99.9th percentile and the longest, so that a
//! machine that does other things beside does not blur the picture.
//!
//! At last both backends count for some seconds with a checkpoint each second, stored by another thread: RocksDB once
//! with room for everything, and once with room for a third of it.
//!
//! `cargo run --release -p gristmill-state --example cost [keys…]`

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gristmill_checkpoint::{FileHash, FileRef};
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::state::{Drained, FrozenState, RestoredState, StateMerger, StateTime};
use gristmill_ports::{FileStore, PortError, StateBackend};
use gristmill_state::{MemoryBackend, Merger, RocksDbBackend};
use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::{
    AttemptId, CheckpointId, Column, Descriptor, EventBatch, KeyGroupRange, MaxParallelism, StateIndex,
};
use tempfile::TempDir;

const ROWS: usize = 1024;
/// So many files say what has changed since the first one.
const DELTAS: usize = 12;
/// So often they are merged.
const MERGES: usize = 9;
const COUNT: StateIndex = StateIndex(0);
const GROUPS: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };
const NOW: StateTime = StateTime { processing_ms: 0, event_ms: 0 };

fn main() {
    let asked: Vec<u64> = std::env::args().skip(1).filter_map(|keys| keys.parse().ok()).collect();
    for keys in if asked.is_empty() { vec![10_000, 1_000_000] } else { asked } {
        cost_of(keys);
    }
}

fn cost_of(keys: u64) {
    let batches = batches(keys, (2 * keys as usize).max(2_000_000));
    parts(keys, &batches);
    println!("{keys} keys, memory: {}", sustained(&mut memory(), &batches));
    let dir = tempfile::tempdir().expect("a folder");
    for (name, room) in [("with room", 4 << 30), ("with room for a third", 60 * keys as usize)] {
        let open = RocksDbBackend::open(&descriptor(), GROUPS, MaxParallelism::DEFAULT, &dir.path().join("db"), room);
        println!("{keys} keys, RocksDB {name}: {}", sustained(&mut open.expect("a database"), &batches));
    }
}

fn memory() -> MemoryBackend {
    MemoryBackend::new(&descriptor(), GROUPS, MaxParallelism::DEFAULT)
}

fn parts(keys: u64, batches: &[EventBatch]) {
    let mut backend = memory();
    let filling = run(&mut backend, batches);
    println!("{keys} keys, filling: {filling}");
    println!("{keys} keys, counting: {}", run(&mut backend, batches));
    let begun = Instant::now();
    assert!(backend.freeze(CheckpointId(1)));
    println!("{keys} keys, freeze: {:?}", begun.elapsed());
    println!("{keys} keys, counting above a frozen generation: {}", run(&mut backend, &batches[..64]));
    let (told, mut frozen) = drain(&mut backend);
    println!("{keys} keys, draining: {told}");

    let folder = Folder { dir: tempfile::tempdir().expect("a folder"), puts: AtomicU64::new(0) };
    let begun = Instant::now();
    let files = frozen.store(&folder).expect("room for a file");
    let (took, bytes) = (begun.elapsed(), files.iter().map(|file| file.file.bytes).sum::<u64>());
    let each = took.as_nanos() as f64 / frozen.entries() as f64;
    println!("{keys} keys, storing: {took:?}, {each:.0} ns an entry, {bytes} bytes");
    let begun = Instant::now();
    let mut restored = memory();
    let states = descriptor().states;
    let from = RestoredState { states: &states, files: &files, groups: GROUPS, time: NOW };
    restored.restore(&from, &folder).expect("a good file");
    println!("{keys} keys, restoring: {:?} for {} keys", begun.elapsed(), restored.size().keys);

    let mut list = files;
    for some in batches.chunks(batches.len() / DELTAS) {
        run(&mut backend, some);
        assert!(backend.freeze(CheckpointId(1)));
        list.extend(drain(&mut backend).1.store(&folder).expect("room for a file"));
    }
    let merge = || {
        let begun = Instant::now();
        Merger.merge(&states, &list, true, NOW, &folder).expect("good files");
        begun.elapsed()
    };
    let took = (0..MERGES).map(|_| merge()).min().unwrap_or_default();
    let (count, read) = (list.len(), list.iter().map(|file| file.entries).sum::<u64>());
    let each = took.as_nanos() as f64 / read as f64;
    println!("{keys} keys, merging {count} files: {took:?} at best, {each:.0} ns for each of {read} entries");
}

/// Files in a folder, named by their numbers.
struct Folder {
    dir: TempDir,
    puts: AtomicU64,
}

impl Folder {
    fn path_of(&self, number: u64) -> PathBuf {
        self.dir.path().join(number.to_string())
    }
}

impl FileStore for Folder {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        let number = self.puts.fetch_add(1, Ordering::Relaxed);
        let path = self.path_of(number);
        let failed = |error: std::io::Error| PortError::retry(error.to_string());
        match content {
            Content::Bytes(bytes) => std::fs::write(&path, bytes),
            Content::File(from) => std::fs::rename(from, &path),
        }
        .map_err(failed)?;
        let bytes = std::fs::metadata(path).map_err(failed)?.len();
        Ok(FileRef { attempt: AttemptId(1), number, hash: FileHash([0; 32]), bytes })
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        Ok(self.path_of(file.number))
    }

    fn scratch(&self) -> &Path {
        self.dir.path()
    }
}

fn descriptor() -> Descriptor {
    let count = StateSpec {
        name: "count".to_owned(),
        kind: StateKind::Value,
        scope: StateScope::Keyed,
        version: 1,
        ttl_ms: None,
        ttl_clock: ClockKind::EventTime,
    };
    Descriptor { states: vec![count], ..Descriptor::default() }
}

/// Batches of hashed events whose keys are drawn by a fixed sequence.
fn batches(keys: u64, events: usize) -> Vec<EventBatch> {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % keys
    };
    let batch = |_| {
        let mut batch = EventBatch::default();
        (0..ROWS).for_each(|_| batch.push(0, Some(format!("customer-{:07}", draw()).as_bytes()), Some(b"value")));
        batch.hashed()
    };
    (0..events / ROWS).map(batch).collect()
}

struct Cost {
    /// Time of each batch in `begin`, `get`, `put`, `commit` and all of them.
    batches: [Vec<Duration>; 5],
}

impl std::fmt::Display for Cost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |part: usize, share: f64| {
            let mut sorted = self.batches[part].clone();
            sorted.sort_unstable();
            sorted[((sorted.len() - 1) as f64 * share) as usize]
        };
        let each = |part| at(part, 0.5).as_nanos() as f64 / ROWS as f64;
        let [begin, get, put, commit, all] = [0, 1, 2, 3, 4].map(each);
        write!(f, "{all:.1} ns/event (begin {begin:.1}, get {get:.1}, put {put:.1}, commit {commit:.1}); ")?;
        write!(f, "a call of 1024: median {:?}, p99.9 {:?}, longest {:?}", at(4, 0.5), at(4, 0.999), at(4, 1.0))
    }
}

fn run(backend: &mut dyn StateBackend, batches: &[EventBatch]) -> Cost {
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    let mut cost = Cost { batches: Default::default() };
    for batch in batches {
        let parts = count(backend, batch, &rows);
        cost.batches.iter_mut().zip(parts).for_each(|(times, part)| times.push(part));
    }
    cost
}

/// One call; what its parts took.
fn count(backend: &mut dyn StateBackend, batch: &EventBatch, rows: &[u32]) -> [Duration; 5] {
    let t0 = Instant::now();
    backend.begin(batch, NOW);
    let t1 = Instant::now();
    let read = backend.get(COUNT, rows).expect("a good read");
    let t2 = Instant::now();
    let counts = counted(&read.slots, &read.values);
    let t3 = Instant::now();
    backend.put(COUNT, rows, &counts).expect("a good write");
    let t4 = Instant::now();
    backend.commit().expect("a good disk");
    let t5 = Instant::now();
    [t1 - t0, t2 - t1, t4 - t3, t5 - t4, (t2 - t0) + (t5 - t3)]
}

/// Counts for ten seconds after all keys are there, with a checkpoint each second; tells events per second.
fn sustained(backend: &mut dyn StateBackend, batches: &[EventBatch]) -> String {
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    let (to_store, storing) = std::sync::mpsc::channel::<Box<dyn FrozenState>>();
    let storer = std::thread::spawn(move || {
        let folder = Folder { dir: tempfile::tempdir().expect("a folder"), puts: AtomicU64::new(0) };
        let store = |mut frozen: Box<dyn FrozenState>| frozen.store(&folder).expect("room for a file").len();
        storing.into_iter().map(store).sum::<usize>()
    });
    let (mut freezes, mut draining, mut last) = (Vec::new(), false, Instant::now());
    let (mut events, mut began, mut calls) = (0_u64, Instant::now(), Vec::new());
    for (number, batch) in batches.iter().cycle().enumerate() {
        if number == batches.len() {
            (events, began, calls) = (0, Instant::now(), Vec::new());
        } else if number > batches.len() && began.elapsed() > Duration::from_secs(10) {
            break;
        }
        let begun = Instant::now();
        count(backend, batch, &rows);
        events += ROWS as u64;
        if draining && let Drained::All(frozen) = backend.drain_frozen(4096) {
            draining = false;
            to_store.send(frozen).expect("the storer runs");
        }
        calls.push(begun.elapsed());
        if !draining && last.elapsed() > Duration::from_secs(1) {
            last = Instant::now();
            draining = backend.freeze(CheckpointId(1));
            freezes.push(last.elapsed());
        }
    }
    let rate = events as f64 / began.elapsed().as_secs_f64() / 1e6;
    drop(to_store);
    let files = storer.join().expect("a good storer");
    calls.sort_unstable();
    let at = |share: f64| calls[((calls.len() - 1) as f64 * share) as usize];
    let (p99, longest, freeze) = (at(0.99), at(1.0), freezes.iter().max());
    format!("{rate:.2} M events/s, {files} files stored; a call: p99 {p99:?}, longest {longest:?}; freeze {freeze:?}")
}

/// What a guest does: counts each row up, rows of one key one after the other.
fn counted(slots: &[u32], values: &Column) -> Column {
    let mut counts: Vec<u64> = values
        .iter()
        .map(|count| count.map_or(0, |count| u64::from_le_bytes(count.try_into().expect("eight bytes"))))
        .collect();
    let mut out = Column::with_capacity(slots.len(), 8 * slots.len());
    for &slot in slots {
        counts[slot as usize] += 1;
        out.push(Some(&counts[slot as usize].to_le_bytes()));
    }
    out
}

fn drain(backend: &mut MemoryBackend) -> (String, Box<dyn FrozenState>) {
    let mut slices = Vec::new();
    let frozen = loop {
        let begun = Instant::now();
        let drained = backend.drain_frozen(4096);
        slices.push(begun.elapsed());
        if let Drained::All(frozen) = drained {
            break frozen;
        }
    };
    let each = slices.iter().sum::<Duration>().as_nanos() as f64 / frozen.entries() as f64;
    slices.sort_unstable();
    let (median, longest) = (slices[slices.len() / 2], slices[slices.len() - 1]);
    let entries = frozen.entries();
    (
        format!("{entries} entries, {each:.0} ns an entry; a slice of 4096: median {median:?}, longest {longest:?}"),
        frozen,
    )
}
