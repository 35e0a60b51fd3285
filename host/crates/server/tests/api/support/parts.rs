//! Parts of jobs: a source that is posted into, a sink that remembers, checkpoints in a folder.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use gristmill_checkpoint::{SavepointFolder, SplitPosition};
use gristmill_checkpoint_store::{LocalDir, RunFiles};
use gristmill_dataflow::document::{CheckpointSpec, KeyBy, SinkSpec, SourceSpec};
use gristmill_ports::clock::ManualClock;
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_ports::format::{KeySelector, SelectedKeys};
use gristmill_ports::ingress::{Ingress, IngressAnswer, Offer};
use gristmill_ports::parts::PartContext;
use gristmill_ports::sink::{RefusedRow, SinkSummary};
use gristmill_ports::source::ReadBounds;
use gristmill_ports::state::{StateMerger, StateReader};
use gristmill_ports::{
    CheckpointStore, Clock, Committer, FileStore, Parts, PortError, Sink, SourceBatch, SourceReader, StateBackend,
};
use gristmill_state::{EntryReader, MemoryBackend, Merger};
use gristmill_types::{AttemptId, Column, Descriptor, EventBatch, JobId, NodeId, RunId};
use tempfile::TempDir;

use super::MemoryCatalog;

/// Events that the source holds.
const ROOM: usize = 8;

pub(crate) struct MemoryParts {
    catalog: Arc<MemoryCatalog>,
    clock: Arc<ManualClock>,
    posted: Arc<Mutex<Posted>>,
    pub(crate) written: Arc<Mutex<Vec<String>>>,
    pub(crate) checkpoints: Arc<LocalDir>,
    /// What attempts have under way, beside the checkpoints.
    folder: Arc<TempDir>,
    /// Why the sink cannot be opened, if so.
    pub(crate) broken_sink: Mutex<Option<String>>,
    /// An operator with more subtasks cannot be opened; of all hosts that share the checkpoints.
    pub(crate) most_subtasks: Arc<AtomicU32>,
}

#[derive(Default)]
struct Posted {
    /// The job that reads, while it does.
    job: Option<JobId>,
    /// Nothing is read while this holds.
    held: bool,
    events: VecDeque<Vec<u8>>,
    waker: Option<Waker>,
    /// Keys that were used, and for which events.
    keys: HashMap<String, Vec<Vec<u8>>>,
    /// The disk takes nothing.
    full_disk: bool,
}

impl MemoryParts {
    pub(crate) fn new(catalog: Arc<MemoryCatalog>, clock: Arc<ManualClock>) -> Self {
        Self::over(catalog, clock, Arc::new(tempfile::tempdir().unwrap()))
    }

    /// Parts of the jobs of another host with the same checkpoints.
    pub(crate) fn after(&self, catalog: Arc<MemoryCatalog>, clock: Arc<ManualClock>) -> Self {
        Self { most_subtasks: Arc::clone(&self.most_subtasks), ..Self::over(catalog, clock, Arc::clone(&self.folder)) }
    }

    fn over(catalog: Arc<MemoryCatalog>, clock: Arc<ManualClock>, folder: Arc<TempDir>) -> Self {
        let checkpoints = Arc::new(LocalDir::open(&folder.path().join("checkpoints")).unwrap());
        Self {
            catalog,
            clock,
            posted: Arc::default(),
            written: Arc::default(),
            checkpoints,
            folder,
            broken_sink: Mutex::default(),
            most_subtasks: Arc::new(AtomicU32::new(u32::MAX)),
        }
    }

    /// Where checkpoints lie.
    pub(crate) fn storage(&self) -> std::path::PathBuf {
        self.folder.path().join("checkpoints")
    }

    /// The files of a savepoint, for people.
    pub(crate) fn look_at(&self, folder: &SavepointFolder) -> Result<Arc<dyn FileStore>, PortError> {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        self.savepoint_files(folder, AttemptId(LOOKS.fetch_add(1, Ordering::Relaxed)))
    }

    /// The files of a run, for people.
    pub(crate) fn look_at_run(&self, job: &JobId, run: RunId) -> Result<Arc<dyn FileStore>, PortError> {
        static LOOKS: AtomicU64 = AtomicU64::new(0);
        self.files(job, run, AttemptId(LOOKS.fetch_add(1, Ordering::Relaxed)))
    }

    /// The source reads nothing from now on.
    pub(crate) fn hold(&self) {
        self.posted.lock().unwrap().held = true;
    }

    /// Nothing can be made durable from now on.
    pub(crate) fn fill_disk(&self) {
        self.posted.lock().unwrap().full_disk = true;
    }
}

impl Ingress for MemoryParts {
    fn offer(&self, job: &JobId, source: &NodeId, offer: Offer) -> IngressAnswer {
        let Offer { events, idempotency_key, on_durable } = offer;
        let mut posted = self.posted.lock().unwrap();
        if source.as_str() != "in" || posted.job.as_ref() != Some(job) {
            return IngressAnswer::NoSuchSource;
        }
        if events.len() > ROOM {
            return IngressAnswer::TooLarge { buffer_bytes: ROOM as u64 };
        }
        if posted.events.len() + events.len() > ROOM {
            return IngressAnswer::Full { retry_after_ms: 1500 };
        }
        if posted.full_disk {
            on_durable(Err(PortError::retry("the log cannot be written: no space left on device")));
            return IngressAnswer::Taken;
        }
        on_durable(Ok(()));
        if let Some(key) = idempotency_key {
            match posted.keys.insert(key, events.clone()) {
                Some(used) if used != events => return IngressAnswer::KeyReused,
                Some(_) => return IngressAnswer::Taken,
                None => {}
            }
        }
        posted.events.extend(events);
        if let Some(waker) = posted.waker.take() {
            waker.wake();
        }
        IngressAnswer::Taken
    }
}

impl Parts for MemoryParts {
    fn source(
        &self,
        context: &PartContext,
        _: &SourceSpec,
        _: Option<&[SplitPosition]>,
    ) -> Result<Box<dyn SourceReader>, PortError> {
        self.posted.lock().unwrap().job = Some(context.job.clone());
        Ok(Box::new(Reader(Arc::clone(&self.posted))))
    }

    fn sink(&self, _: &PartContext, _: &SinkSpec, _: Option<&[u8]>) -> Result<Box<dyn Sink>, PortError> {
        match self.broken_sink.lock().unwrap().clone() {
            Some(why) => Err(PortError::fatal(why)),
            None => Ok(Box::new(Writer(Arc::clone(&self.written)))),
        }
    }

    fn committer(
        &self,
        _: &PartContext,
        _: &SinkSpec,
        _: &Arc<dyn FileStore>,
    ) -> Result<Option<Box<dyn Committer>>, PortError> {
        Ok(None)
    }

    fn key_selector(&self, _: &KeyBy) -> Result<Box<dyn KeySelector>, PortError> {
        Ok(Box::new(BeforeTheColon))
    }

    fn state(
        &self,
        context: &PartContext,
        descriptor: &Descriptor,
        _: &CheckpointSpec,
    ) -> Result<Box<dyn StateBackend>, PortError> {
        if context.parallelism.get() > self.most_subtasks.load(Ordering::SeqCst) {
            return Err(PortError::fatal("there is no room for so many"));
        }
        Ok(Box::new(MemoryBackend::new(descriptor, context.key_groups(), context.max_parallelism)))
    }

    fn state_reader(&self) -> Arc<dyn StateReader> {
        Arc::new(EntryReader)
    }

    fn state_merger(&self) -> Arc<dyn StateMerger> {
        Arc::new(Merger)
    }

    fn host(&self) -> String {
        "a host of these tests".to_owned()
    }

    fn checkpoint_store(&self) -> Arc<dyn CheckpointStore> {
        Arc::clone(&self.checkpoints) as _
    }

    fn files(&self, job: &JobId, run: RunId, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError> {
        let scratch = self.folder.path().join("scratch").join(attempt.to_string());
        RunFiles::open(self.checkpoint_store(), job, run, attempt, &scratch)
    }

    fn savepoint_files(&self, folder: &SavepointFolder, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError> {
        let scratch = self.folder.path().join("savepoints").join(attempt.to_string());
        RunFiles::of_savepoint(self.checkpoint_store(), folder, attempt, &scratch)
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetterStore> {
        Arc::clone(&self.catalog) as _
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as _
    }
}

/// The key of `key:text`.
struct BeforeTheColon;

impl KeySelector for BeforeTheColon {
    fn select(&mut self, events: &EventBatch) -> SelectedKeys {
        let key = |value: Option<&'_ [u8]>| value.and_then(|value| value.iter().position(|byte| *byte == b':'));
        let keys: Column =
            events.values().iter().map(|value| key(value).and_then(|end| value.map(|value| &value[..end]))).collect();
        let without_key = keys.nulls().iter().map(|row| (*row, "there is no colon".to_owned())).collect();
        SelectedKeys { keys, without_key }
    }
}

struct Reader(Arc<Mutex<Posted>>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.lock().unwrap().job = None;
    }
}

impl SourceReader for Reader {
    fn poll_next(&mut self, context: &mut Context<'_>, _: ReadBounds) -> Poll<Result<Option<SourceBatch>, PortError>> {
        let mut posted = self.0.lock().unwrap();
        if posted.held || posted.events.is_empty() {
            posted.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        let mut batch = SourceBatch::default();
        for event in posted.events.drain(..) {
            batch.events.push(0, None, Some(&event));
        }
        Poll::Ready(Ok(Some(batch)))
    }

    fn decode_again(&mut self, raw: &[u8], _: &str) -> SourceBatch {
        let mut batch = SourceBatch::default();
        batch.events.push(0, None, Some(raw));
        batch
    }
}

struct Writer(Arc<Mutex<Vec<String>>>);

impl Sink for Writer {
    fn write(&mut self, events: &EventBatch) -> Result<Vec<RefusedRow>, PortError> {
        let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        if events.values().iter().any(|value| value == Some(b"unwritable")) {
            return Err(PortError::retry("`hunter2` does not answer"));
        }
        self.0.lock().unwrap().extend(events.values().iter().map(text));
        Ok(Vec::new())
    }

    fn flush(&mut self) -> Result<(), PortError> {
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<SinkSummary>, PortError> {
        Ok(None)
    }
}
