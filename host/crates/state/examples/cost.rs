//! What the memory backend costs: a keyed count in batches of 1024 rows, in nanoseconds per event.
//!
//! Of each part the median batch is told, and of whole calls also the 99.9th percentile and the longest, so that a
//! machine that does other things beside does not blur the picture.
//!
//! `cargo run --release -p gristmill-state --example cost`

#![expect(clippy::print_stdout, reason = "a program for people")]

use std::time::{Duration, Instant};

use gristmill_ports::StateBackend;
use gristmill_state::MemoryBackend;
use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::{Column, Descriptor, EventBatch, StateIndex};

const ROWS: usize = 1024;
const COUNT: StateIndex = StateIndex(0);

fn main() {
    for keys in [10_000, 1_000_000] {
        let mut backend = MemoryBackend::new(&descriptor());
        let batches = batches(keys, 2_000_000);
        let filling = run(&mut backend, &batches);
        println!("{keys} keys, filling: {filling}");
        println!("{keys} keys, counting: {}", run(&mut backend, &batches));
        let begun = Instant::now();
        assert!(backend.freeze());
        println!("{keys} keys, freeze: {:?}", begun.elapsed());
        println!("{keys} keys, counting above a frozen generation: {}", run(&mut backend, &batches[..64]));
        println!("{keys} keys, draining: {}", drain(&mut backend));
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

fn run(backend: &mut MemoryBackend, batches: &[EventBatch]) -> Cost {
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    let mut cost = Cost { batches: Default::default() };
    for batch in batches {
        let t0 = Instant::now();
        backend.begin(batch);
        let t1 = Instant::now();
        let read = backend.get(COUNT, &rows).expect("a good read");
        let t2 = Instant::now();
        let counts = counted(&read.slots, &read.values);
        let t3 = Instant::now();
        backend.put(COUNT, &rows, &counts).expect("a good write");
        let t4 = Instant::now();
        backend.commit().expect("memory does not fail");
        let t5 = Instant::now();
        let parts = [t1 - t0, t2 - t1, t4 - t3, t5 - t4, (t2 - t0) + (t5 - t3)];
        cost.batches.iter_mut().zip(parts).for_each(|(times, part)| times.push(part));
    }
    cost
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

fn drain(backend: &mut MemoryBackend) -> String {
    let (mut entries, mut slices) = (0, Vec::new());
    loop {
        let begun = Instant::now();
        let changes = backend.drain_frozen(4096);
        if changes.is_empty() {
            break;
        }
        slices.push(begun.elapsed());
        entries += changes.len();
    }
    slices.sort_unstable();
    format!(
        "{entries} entries; a slice of 4096: median {:?}, longest {:?}",
        slices[slices.len() / 2],
        slices[slices.len() - 1]
    )
}
