//! What a call costs, in nanoseconds an event:
//! `cargo run --release -p gristmill-wasm --example call_cost -- GUEST.wasm[=PARAMETERS]…`
//!
//! Events are 110 bytes under 10 000 keys. A guest that declares a state gets a plain hash table for it, so that what
//! is measured is the contract and not a backend. Knows the public face of the crate only.

#![expect(clippy::print_stdout, reason = "a program that prints its measurements")]

use std::collections::HashMap;
use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gristmill_ports::clock::ManualClock;
use gristmill_ports::module_registry::{ModuleRegistry, PrepareOptions};
use gristmill_ports::operator::{Call, Operator, OperatorContext};
use gristmill_ports::state::*;
use gristmill_ports::telemetry::Silent;
use gristmill_ports::{FileStore, PortError, Stateless};
use gristmill_types::*;
use gristmill_wasm::{WasmModules, WasmOptions};

const KEYS: u64 = 10_000;
const EVENTS: usize = 2_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let modules = WasmModules::new(&WasmOptions { cache_dir: std::env::temp_dir().join("gristmill-call-cost") })?;
    for argument in std::env::args().skip(1) {
        let (path, parameters) =
            argument.split_once('=').map_or((argument.as_str(), None), |(path, json)| (path, Some(json)));
        let bytes = std::fs::read(path)?;
        let options = PrepareOptions {
            parameters: parameters.map(serde_json::from_str).transpose()?,
            memory_bytes: 64 << 20,
            call: Duration::from_secs(1),
            output_bytes: 16 << 20,
            log_bytes: 64 << 10,
        };
        let prepared = modules.prepare(&bytes, &options)?;
        print!("{path:>60}");
        for rows in [1, 16, 256, 1024, 4096] {
            let mut operator = prepared.factory.open(context(&prepared.parameters)?)?;
            print!("  {rows}: {:.1} ns", measure(operator.as_mut(), rows)?);
        }
        println!();
    }
    Ok(())
}

fn measure(operator: &mut dyn Operator, rows: usize) -> Result<f64, Box<dyn Error>> {
    let batches: Vec<EventBatch> = (0..64).map(|number| batch(number * rows as u64, rows)).collect();
    let mut state: Box<dyn StateBackend> = Box::new(Table::default());
    let call = Call { watermark: Watermark::START, processing_time_ms: 0, state_generation: 0 };
    let calls = (EVENTS / rows).min(300_000);
    let mut best = f64::MAX;
    for _ in 0..3 {
        let begun = Instant::now();
        for number in 0..calls {
            let events = &batches[number % batches.len()];
            state.begin(events, StateTime { processing_ms: 0, event_ms: i64::MIN });
            std::hint::black_box(operator.process(&call, InputIndex(0), events, &mut state)?);
            state.commit()?;
        }
        best = best.min(begun.elapsed().as_nanos() as f64 / (calls * rows) as f64);
    }
    Ok(best)
}

/// Rows whose byte 34 is `A` to `D` in turn.
fn batch(first: u64, rows: usize) -> EventBatch {
    let mut batch = EventBatch::default();
    for number in first..first + rows as u64 {
        let key = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % KEYS;
        let mut value = [b'.'; 110];
        value[34] = b'A' + (number % 4) as u8;
        batch.push(number as i64, Some(format!("key-{key:05}").as_bytes()), Some(&value));
    }
    batch.hashed()
}

fn context(parameters: &str) -> Result<OperatorContext, Box<dyn Error>> {
    Ok(OperatorContext {
        job: "cost".parse()?,
        operator: "guest".parse()?,
        subtask: SubtaskIndex(0),
        parallelism: Parallelism(NonZeroU32::MIN),
        max_parallelism: MaxParallelism::DEFAULT,
        key_groups: KeyGroupRange { start: 0, end: 128 },
        keys_in_place: true,
        parameters: parameters.to_owned(),
        written_parameters: None,
        log: Arc::new(Silent),
        clock: Arc::new(ManualClock::default()),
        seed: 1,
        interrupt: gristmill_ports::Signal::default(),
    })
}

/// One value state of up to eight bytes a key, found by the hash of the key; its write set is a list.
#[derive(Default)]
struct Table {
    hashes: Vec<u64>,
    values: HashMap<u64, Small, std::hash::BuildHasherDefault<Identity>>,
    slots: HashMap<u64, u32, std::hash::BuildHasherDefault<Identity>>,
    writes: Vec<(u64, Small)>,
}

/// Up to eight bytes: SDKs write small numbers in fewer.
#[derive(Default)]
struct Small {
    bytes: [u8; 8],
    length: usize,
}

impl Small {
    fn of(value: &[u8]) -> Self {
        let mut bytes = [0; 8];
        bytes[..value.len()].copy_from_slice(value);
        Self { bytes, length: value.len() }
    }
}

#[derive(Default)]
struct Identity(u64);

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, _: &[u8]) {
        unreachable!("only whole hashes are looked up");
    }
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

impl StateBackend for Table {
    fn begin(&mut self, events: &EventBatch, _: StateTime) {
        self.hashes.clear();
        self.hashes.extend_from_slice(events.key_hashes());
    }
    fn commit(&mut self) -> Result<(), StateError> {
        self.values.extend(self.writes.drain(..));
        Ok(())
    }
    fn roll_back(&mut self) {
        self.writes.clear();
    }
    fn mark(&self) -> WriteMark {
        WriteMark(self.writes.len())
    }
    fn roll_back_to(&mut self, mark: WriteMark) {
        self.writes.truncate(mark.0);
    }
    fn get(&mut self, _: StateIndex, rows: &[u32]) -> Result<SlotRead, StateError> {
        self.slots.clear();
        let mut read = SlotRead {
            slots: Vec::with_capacity(rows.len()),
            values: Column::with_capacity(rows.len(), 8 * rows.len()),
        };
        for row in rows {
            let hash = self.hashes[*row as usize];
            let slot = *self.slots.entry(hash).or_insert_with(|| {
                read.values.push(self.values.get(&hash).map(|value| &value.bytes[..value.length]));
                read.values.len() as u32 - 1
            });
            read.slots.push(slot);
        }
        Ok(read)
    }
    fn put(&mut self, _: StateIndex, rows: &[u32], values: &Column) -> Result<(), StateError> {
        for (row, value) in rows.iter().zip(values.iter()) {
            self.writes.push((self.hashes[*row as usize], Small::of(value.unwrap_or_default())));
        }
        Ok(())
    }
    fn list_append(&mut self, state: StateIndex, _: &[u32], _: &Column) -> Result<(), StateError> {
        none(state)
    }
    fn list_clear(&mut self, state: StateIndex, _: &[u32]) -> Result<(), StateError> {
        none(state)
    }
    fn list_scan(&mut self, state: StateIndex, _: u32, _: Option<&[u8]>, _: u32) -> Result<ScanPage, StateError> {
        none(state)
    }
    fn map_get(&mut self, state: StateIndex, _: &[u32], _: &Column) -> Result<Column, StateError> {
        none(state)
    }
    fn map_put(&mut self, state: StateIndex, _: &[u32], _: &Column, _: &Column) -> Result<(), StateError> {
        none(state)
    }
    fn map_clear(&mut self, state: StateIndex, _: &[u32]) -> Result<(), StateError> {
        none(state)
    }
    fn map_scan(
        &mut self,
        state: StateIndex,
        _: u32,
        _: &[u8],
        _: Option<&[u8]>,
        _: u32,
    ) -> Result<ScanPage, StateError> {
        none(state)
    }
    fn freeze(&mut self, _: CheckpointId) -> bool {
        true
    }
    fn drain_frozen(&mut self, _: usize) -> Drained {
        Drained::All(Box::new(Stateless))
    }
    fn restore(&mut self, _: &RestoredState<'_>, _: &dyn FileStore) -> Result<(), PortError> {
        Ok(())
    }
    fn size(&self) -> StateSize {
        StateSize::default()
    }
}

fn none<T>(state: StateIndex) -> Result<T, StateError> {
    Err(StateError::UnknownState { index: state.0, declared: 1 })
}
