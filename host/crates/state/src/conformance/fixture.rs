//! A module with one state of each kind, and short ways to speak to it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::file::Merger;
use gristmill_checkpoint::{FileHash, FileRef, StateFile};
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::state::{Drained, FrozenState, RestoredState, ScanPage, StateMerger, StateTime};
use gristmill_ports::{FileStore, PortError, StateBackend};
use gristmill_types::descriptor::{ClockKind, StateKind, StateScope, StateSpec};
use gristmill_types::{AttemptId, CheckpointId, Column, Descriptor, EventBatch, KeyGroupRange, StateIndex};
use tempfile::TempDir;

use crate::conformance::Open;

pub(crate) const ALL_GROUPS: KeyGroupRange = KeyGroupRange { start: 0, end: 128 };
pub(crate) const NOW: StateTime = at(0);

/// This time by both clocks.
pub(crate) const fn at(ms: i64) -> StateTime {
    StateTime { processing_ms: ms, event_ms: ms }
}

pub(crate) const VALUE: StateIndex = StateIndex(0);
pub(crate) const LIST: StateIndex = StateIndex(1);
pub(crate) const MAP: StateIndex = StateIndex(2);

pub(crate) fn descriptor() -> Descriptor {
    let state = |(name, kind): (&str, StateKind)| StateSpec {
        name: name.to_owned(),
        kind,
        scope: StateScope::Keyed,
        version: 1,
        ttl_ms: None,
        ttl_clock: ClockKind::EventTime,
    };
    let kinds = [("count", StateKind::Value), ("seen", StateKind::AppendList), ("sums", StateKind::OrderedMap)];
    Descriptor { states: kinds.into_iter().map(state).collect(), ..Descriptor::default() }
}

/// The states of the fixture, living for so long by this clock.
pub(crate) fn living(ttl_ms: Option<u64>, clock: ClockKind) -> Descriptor {
    let mut descriptor = descriptor();
    for state in &mut descriptor.states {
        state.ttl_ms = ttl_ms;
        state.ttl_clock = clock;
    }
    descriptor
}

/// A batch with these keys.
pub(crate) fn batch(keys: &[Option<&str>]) -> EventBatch {
    let mut batch = EventBatch::default();
    keys.iter().for_each(|key| batch.push(0, key.map(str::as_bytes), Some(b"value")));
    batch
}

/// A batch of keyed events.
pub(crate) fn keyed(keys: &[&str]) -> EventBatch {
    batch(&keys.iter().map(|&key| Some(key)).collect::<Vec<_>>())
}

pub(crate) fn column(values: &[Option<&str>]) -> Column {
    values.iter().map(|value| value.map(str::as_bytes)).collect()
}

pub(crate) fn texts(values: &[&str]) -> Column {
    values.iter().map(|value| Some(value.as_bytes())).collect()
}

/// A call of its own that writes one value.
pub(crate) fn set(backend: &mut dyn StateBackend, key: &str, value: Option<&str>) {
    backend.begin(&keyed(&[key]), NOW);
    backend.put(VALUE, &[0], &column(&[value])).unwrap();
    backend.commit().unwrap();
}

/// A call of its own that reads one value.
pub(crate) fn value_of(backend: &mut dyn StateBackend, key: &str) -> Option<String> {
    backend.begin(&keyed(&[key]), NOW);
    let read = backend.get(VALUE, &[0]).unwrap();
    backend.roll_back();
    strings(&read.values)[read.slots[0] as usize].clone()
}

pub(crate) fn strings(column: &Column) -> Vec<Option<String>> {
    column.iter().map(|value| value.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())).collect()
}

/// All values of a list, from pages of at most `max_bytes`.
pub(crate) fn whole_list(backend: &mut dyn StateBackend, row: u32, max_bytes: u32) -> Vec<Vec<u8>> {
    let pages = pages(|after| backend.list_scan(LIST, row, after, max_bytes).unwrap());
    pages.iter().flat_map(|page| page.values.iter().map(|value| value.unwrap().to_vec()).collect::<Vec<_>>()).collect()
}

/// All entries of a map under a prefix, from pages of at most `max_bytes`.
pub(crate) fn whole_map(
    backend: &mut dyn StateBackend,
    row: u32,
    prefix: &[u8],
    max_bytes: u32,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let owned = |value: Option<&[u8]>| value.unwrap().to_vec();
    let entries = |page: &ScanPage| page.keys.iter().map(owned).zip(page.values.iter().map(owned)).collect::<Vec<_>>();
    pages(|after| backend.map_scan(MAP, row, prefix, after, max_bytes).unwrap()).iter().flat_map(entries).collect()
}

fn pages(mut next: impl FnMut(Option<&[u8]>) -> ScanPage) -> Vec<ScanPage> {
    let mut pages = vec![next(None)];
    while let Some(after) = pages.last().and_then(|page| page.next.clone()) {
        assert!(pages.len() < 10_000, "the scan does not end");
        pages.push(next(Some(&after)));
    }
    pages
}

/// Drains the frozen generation in slices of `max`.
pub(crate) fn drain(backend: &mut dyn StateBackend, max: usize) -> Box<dyn FrozenState> {
    loop {
        match backend.drain_frozen(max) {
            Drained::More => {}
            Drained::All(frozen) => return frozen,
        }
    }
}

/// Files in a folder that is removed with it.
pub(crate) struct Folder {
    dir: TempDir,
    puts: AtomicU64,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), puts: AtomicU64::new(0) }
    }

    pub(crate) fn path_of(&self, file: &FileRef) -> PathBuf {
        self.dir.path().join(file.number.to_string())
    }
}

impl FileStore for Folder {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        let bytes = match content {
            Content::Bytes(bytes) => bytes.to_vec(),
            Content::File(path) => std::fs::read(path).unwrap(),
        };
        let number = self.puts.fetch_add(1, Ordering::Relaxed);
        let file = FileRef { attempt: AttemptId(1), number, hash: FileHash::of(&bytes), bytes: bytes.len() as u64 };
        std::fs::write(self.path_of(&file), bytes).unwrap();
        Ok(file)
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        Ok(self.path_of(file))
    }

    fn scratch(&self) -> &Path {
        self.dir.path()
    }
}

/// What checkpoints have stored of one backend.
pub(crate) struct History {
    pub(crate) folder: Folder,
    pub(crate) files: Vec<StateFile>,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { folder: Folder::new(), files: Vec::new() }
    }

    /// A backend with other states was restored: it tells everything anew, and what was stored before counts no more.
    pub(crate) fn begin_anew(&mut self) {
        self.files.clear();
    }

    /// Freezes and stores; tells how many entries there were.
    pub(crate) fn checkpoint(&mut self, backend: &mut dyn StateBackend) -> u64 {
        assert!(backend.freeze(CheckpointId(1)));
        self.store(&mut *drain(backend, 3))
    }

    pub(crate) fn store(&mut self, frozen: &mut dyn FrozenState) -> u64 {
        let stored = frozen.store(&self.folder).unwrap();
        assert_eq!(stored.iter().map(|file| file.entries).sum::<u64>(), frozen.entries());
        self.files.extend(stored);
        frozen.entries()
    }

    /// A new backend with what was stored.
    pub(crate) fn restored(&self, open: Open) -> Box<dyn StateBackend> {
        self.restored_as(open, &descriptor(), &descriptor(), NOW).unwrap()
    }

    pub(crate) fn restored_as(
        &self,
        open: Open,
        writer: &Descriptor,
        reader: &Descriptor,
        time: StateTime,
    ) -> Result<Box<dyn StateBackend>, PortError> {
        let mut backend = open(reader);
        let from = RestoredState { states: &writer.states, files: &self.files, groups: ALL_GROUPS, time };
        backend.restore(&from, &self.folder)?;
        Ok(backend)
    }

    /// Merges these neighbours.
    pub(crate) fn merge(&mut self, range: std::ops::Range<usize>, descriptor: &Descriptor, time: StateTime) {
        let neighbours = &self.files[range.clone()];
        let merged = Merger.merge(&descriptor.states, neighbours, range.start == 0, time, &self.folder).unwrap();
        self.files.splice(range, merged);
    }
}

/// What one key has: value, list, map.
pub(crate) type Contents = (Option<String>, Vec<String>, Vec<(String, String)>);

/// Everything that a backend has of these keys, read in one call.
pub(crate) fn contents(backend: &mut dyn StateBackend, keys: &[&str], time: StateTime) -> Vec<Contents> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    backend.begin(&keyed(keys), time);
    let row = |row: u32| {
        let read = backend.get(VALUE, &[row]).unwrap();
        let value = strings(&read.values)[0].clone();
        let list = whole_list(backend, row, 7).into_iter().map(text).collect();
        let map = whole_map(backend, row, b"", 7).into_iter().map(|(name, value)| (text(name), text(value)));
        (value, list, map.collect())
    };
    let contents = (0..keys.len() as u32).map(row).collect();
    backend.roll_back();
    contents
}
