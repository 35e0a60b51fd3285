//! A backend and the model go through the same random calls, freezes, restores and merges, and must never differ.
//!
//! For the freeze the property is: the files stored so far, restored, are the model as it was at the freeze, whatever
//! was written, and expired, between the freeze and the last slice, and however neighbours were merged meanwhile. A
//! restore goes back to the time of the freeze, as event time does.

use gristmill_ports::StateBackend;
use gristmill_ports::state::{Drained, WriteMark};
use gristmill_types::descriptor::ClockKind;
use gristmill_types::{CheckpointId, Column, Descriptor, EventBatch};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::conformance::Open;
use crate::conformance::fixture::*;
use crate::conformance::model::Model;
use crate::conformance::moody;

/// Short, so that keys and entries meet often; some longer than what lies inline.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => prop::collection::vec(b'a'..=b'c', 0..3),
        1 => (b'a'..=b'b').prop_map(|byte| vec![byte; 40]),
    ]
}

fn nullable() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::weighted(0.7, bytes())
}

#[derive(Debug, Clone)]
enum Access {
    Get(Vec<usize>),
    Put(Vec<(usize, Option<Vec<u8>>)>),
    Append(Vec<(usize, Vec<u8>)>),
    ClearLists(Vec<usize>),
    ScanList(usize, u32),
    MapGet(Vec<(usize, Vec<u8>)>),
    MapPut(Vec<(usize, Vec<u8>, Option<Vec<u8>>)>),
    ClearMaps(Vec<usize>),
    ScanMap(usize, Vec<u8>, u32),
    Mark,
    RollBackTo(usize),
}

fn access() -> impl Strategy<Value = Access> {
    let row = || 0..1000_usize;
    let some = 1..5;
    prop_oneof![
        1 => prop::collection::vec(row(), some.clone()).prop_map(Access::Get),
        4 => prop::collection::vec((row(), nullable()), some.clone()).prop_map(Access::Put),
        2 => prop::collection::vec((row(), bytes()), some.clone()).prop_map(Access::Append),
        1 => prop::collection::vec(row(), 1..3).prop_map(Access::ClearLists),
        1 => (row(), 0..40_u32).prop_map(|(row, max)| Access::ScanList(row, max)),
        1 => prop::collection::vec((row(), bytes()), some.clone()).prop_map(Access::MapGet),
        4 => prop::collection::vec((row(), bytes(), nullable()), some).prop_map(Access::MapPut),
        1 => prop::collection::vec(row(), 1..3).prop_map(Access::ClearMaps),
        1 => (row(), bytes(), 0..40_u32).prop_map(|(row, prefix, max)| Access::ScanMap(row, prefix, max)),
        1 => Just(Access::Mark),
        1 => row().prop_map(Access::RollBackTo),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Call {
        keys: Vec<Vec<u8>>,
        hashed: bool,
        accesses: Vec<Access>,
        commit: bool,
        /// Milliseconds since the last call.
        later: i64,
    },
    Freeze,
    Drain(usize),
    /// The attempt ends, another begins from what is stored.
    Restore,
    /// Merges some neighbours, if there are any.
    Merge(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let keys = prop::collection::vec(bytes(), 1..6);
    let accesses = prop::collection::vec(access(), 0..8);
    let call = (keys, any::<bool>(), accesses, prop::bool::weighted(0.8), 0..4_i64);
    let call =
        call.prop_map(|(keys, hashed, accesses, commit, later)| Step::Call { keys, hashed, accesses, commit, later });
    prop_oneof![
        6 => call,
        1 => Just(Step::Freeze),
        2 => (1..4_usize).prop_map(Step::Drain),
        1 => Just(Step::Restore),
        1 => (0..9_usize, 2..5_usize).prop_map(|(start, width)| Step::Merge(start, width)),
    ]
}

pub(crate) fn random_calls_do_what_the_model_does(open: Open, cases: u32, sizes_are_exact: bool) {
    let steps = prop::collection::vec(step(), 1..60);
    let ttl = prop_oneof![Just(None), (1..30_u64).prop_map(Some)];
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(steps, ttl, any::<u64>()), |(steps, ttl, mood)| {
            moody::seed(mood);
            // With a time to live, sizes count what is not swept yet.
            let mut run = Run::new(open, ttl, sizes_are_exact && ttl.is_none());
            steps.iter().for_each(|step| run.step(step));
            run.end();
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}

struct Run {
    open: Open,
    descriptor: Descriptor,
    ttl: Option<i64>,
    sizes_are_exact: bool,
    backend: Box<dyn StateBackend>,
    model: Model,
    /// What is stored, and the model that it must add up to.
    history: History,
    stored: Model,
    /// The model at the freeze that is being drained.
    frozen: Option<Model>,
}

impl Run {
    fn new(open: Open, ttl: Option<u64>, sizes_are_exact: bool) -> Self {
        let (descriptor, ttl) = (living(ttl, ClockKind::EventTime), ttl.map(|ttl| ttl as i64));
        let (backend, history) = (open(&descriptor), History::new());
        let (model, stored) = (Model::default(), Model::default());
        Self { open, descriptor, ttl, sizes_are_exact, backend, model, history, stored, frozen: None }
    }

    fn compare_sizes(&self) {
        if self.sizes_are_exact {
            assert_eq!(self.backend.size(), self.model.size());
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Call { keys, hashed, accesses, commit, later } => {
                self.model.set_time(self.model.now() + later, self.ttl);
                self.call(keys, *hashed, accesses, *commit);
            }
            Step::Freeze => self.freeze(),
            Step::Drain(max) => self.drain(*max),
            Step::Restore => self.restore(),
            Step::Merge(start, width) => self.merge(*start, *width),
        }
        self.compare_sizes();
    }

    fn call(&mut self, keys: &[Vec<u8>], hashed: bool, accesses: &[Access], commit: bool) {
        let mut events = EventBatch::default();
        keys.iter().for_each(|key| events.push(0, Some(key), None));
        self.backend.begin(&if hashed { events.hashed() } else { events }, at(self.model.now()));
        let mut call = Call { keys, backend: &mut *self.backend, model: self.model.clone(), marks: Vec::new() };
        accesses.iter().for_each(|access| call.access(access));
        let after = call.model;
        if commit {
            self.backend.commit().unwrap();
            self.model = after;
        } else {
            self.backend.roll_back();
        }
    }

    fn freeze(&mut self) {
        if self.backend.freeze(CheckpointId(1)) {
            assert!(self.frozen.is_none(), "two frozen generations");
            self.frozen = Some(self.model.clone());
        } else {
            assert!(self.frozen.is_some(), "refused without an earlier freeze");
        }
    }

    fn drain(&mut self, max: usize) {
        let Some(model) = self.frozen.take() else { return };
        match self.backend.drain_frozen(max) {
            Drained::More => self.frozen = Some(model),
            Drained::All(mut frozen) => {
                self.history.store(&mut *frozen);
                self.stored = model;
            }
        }
    }

    fn restore(&mut self) {
        let (states, then) = (&self.descriptor, at(self.stored.now()));
        self.backend = self.history.restored_as(self.open, states, states, then).unwrap();
        self.model = self.stored.clone();
        self.frozen = None;
        self.compare();
    }

    fn merge(&mut self, start: usize, width: usize) {
        let files = self.history.files.len();
        if files >= 2 {
            let start = start % (files - 1);
            self.history.merge(start..(start + width).min(files), &self.descriptor, at(self.stored.now()));
        }
    }

    /// Reads everything.
    fn compare(&mut self) {
        let keys: Vec<Vec<u8>> = self.model.keys().cloned().collect();
        if !keys.is_empty() {
            let rows: Vec<usize> = (0..keys.len()).collect();
            let scans = rows.iter().flat_map(|&row| [Access::ScanList(row, 9), Access::ScanMap(row, Vec::new(), 9)]);
            let accesses: Vec<Access> = scans.chain([Access::Get(rows.clone())]).collect();
            self.call(&keys, false, &accesses, false);
        }
        self.compare_sizes();
    }

    /// Stores what is left, and compares the whole.
    fn end(&mut self) {
        for _ in 0..2 {
            self.freeze();
            while self.frozen.is_some() {
                self.drain(3);
            }
        }
        self.restore();
    }
}

/// One call, made to the backend and to a copy of the model.
struct Call<'r> {
    keys: &'r [Vec<u8>],
    backend: &'r mut dyn StateBackend,
    model: Model,
    marks: Vec<(WriteMark, Model)>,
}

impl Call<'_> {
    fn row(&self, row: usize) -> u32 {
        (row % self.keys.len()) as u32
    }

    fn key(&self, row: usize) -> Vec<u8> {
        self.keys[row % self.keys.len()].clone()
    }

    fn rows(&self, rows: impl Iterator<Item = usize>) -> Vec<u32> {
        rows.map(|row| self.row(row)).collect()
    }

    fn access(&mut self, access: &Access) {
        match access {
            Access::Get(_) | Access::ScanList(..) | Access::MapGet(_) | Access::ScanMap(..) => self.read(access),
            Access::Put(_) | Access::Append(_) | Access::ClearLists(_) | Access::MapPut(_) | Access::ClearMaps(_) => {
                self.write(access);
            }
            Access::Mark => self.marks.push((self.backend.mark(), self.model.clone())),
            Access::RollBackTo(mark) => {
                if !self.marks.is_empty() {
                    self.marks.truncate(mark % self.marks.len() + 1);
                    let (mark, model) = self.marks.last().cloned().expect("one is left");
                    self.backend.roll_back_to(mark);
                    self.model = model;
                }
            }
        }
    }

    fn read(&mut self, access: &Access) {
        match access {
            Access::Get(rows) => {
                let read = self.backend.get(VALUE, &self.rows(rows.iter().copied())).unwrap();
                for (&row, &slot) in rows.iter().zip(&read.slots) {
                    let key = self.key(row);
                    assert_eq!(read.values.get(slot as usize), self.model.value(&key));
                }
            }
            Access::ScanList(row, max) => {
                let place = self.row(*row);
                let list = whole_list(self.backend, place, *max);
                assert_eq!(list, self.model.list(&self.key(*row)));
            }
            Access::MapGet(entries) => {
                let rows = self.rows(entries.iter().map(|(row, _)| *row));
                let names: Column = entries.iter().map(|(_, name)| Some(name.as_slice())).collect();
                let got = self.backend.map_get(MAP, &rows, &names).unwrap();
                for (at, (row, name)) in entries.iter().enumerate() {
                    let key = self.key(*row);
                    assert_eq!(got.get(at), self.model.entry(&key, name));
                }
            }
            Access::ScanMap(row, prefix, max) => {
                let place = self.row(*row);
                let entries = whole_map(self.backend, place, prefix, *max);
                assert_eq!(entries, self.model.entries(&self.key(*row), prefix));
            }
            other => panic!("{other:?} is no read"),
        }
    }

    fn write(&mut self, access: &Access) {
        match access {
            Access::Put(writes) => {
                let rows = self.rows(writes.iter().map(|(row, _)| *row));
                let values: Column = writes.iter().map(|(_, value)| value.as_deref()).collect();
                self.backend.put(VALUE, &rows, &values).unwrap();
                writes.iter().for_each(|(row, value)| {
                    let key = self.key(*row);
                    self.model.put(&key, value.as_deref());
                });
            }
            Access::Append(writes) => {
                let rows = self.rows(writes.iter().map(|(row, _)| *row));
                let items: Column = writes.iter().map(|(_, item)| Some(item.as_slice())).collect();
                self.backend.list_append(LIST, &rows, &items).unwrap();
                writes.iter().for_each(|(row, item)| {
                    let key = self.key(*row);
                    self.model.append(&key, item);
                });
            }
            Access::ClearLists(rows) => {
                self.backend.list_clear(LIST, &self.rows(rows.iter().copied())).unwrap();
                for &row in rows {
                    let key = self.key(row);
                    self.model.clear_list(&key);
                }
            }
            Access::MapPut(writes) => {
                let rows = self.rows(writes.iter().map(|(row, ..)| *row));
                let names: Column = writes.iter().map(|(_, name, _)| Some(name.as_slice())).collect();
                let values: Column = writes.iter().map(|(.., value)| value.as_deref()).collect();
                self.backend.map_put(MAP, &rows, &names, &values).unwrap();
                for (row, name, value) in writes {
                    let key = self.key(*row);
                    self.model.put_entry(&key, name, value.as_deref());
                }
            }
            Access::ClearMaps(rows) => {
                self.backend.map_clear(MAP, &self.rows(rows.iter().copied())).unwrap();
                for &row in rows {
                    let key = self.key(row);
                    self.model.clear_map(&key);
                }
            }
            other => panic!("{other:?} is no write"),
        }
    }
}
