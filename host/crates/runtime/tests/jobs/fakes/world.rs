//! The parts of one job, and the job once it runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gristmill_checkpoint::{RunFolder, SavepointFolder, SplitPosition};
use gristmill_dataflow::document::{CheckpointSpec, KeyBy, SinkSpec, SourceSpec};
use gristmill_dataflow::{JobDocument, plan};
use gristmill_ports::catalog::{Accepted, JobState, Origin};
use gristmill_ports::clock::ManualClock;
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_ports::format::{KeySelector, SelectedKeys};
use gristmill_ports::parts::PartContext;
use gristmill_ports::state::{StateMerger, StateReader};
use gristmill_ports::veil::NoSecrets;
use gristmill_ports::{
    CheckpointStore, Clock, Committer, FileStore, Parts, PortError, Sink, SourceReader, StateBackend,
};
use gristmill_runtime::{
    JobEvent, JobEventKind, JobHandle, JobSpec, JobStatus, OpenSwap, OperatorParts, StartError, resume, resume_open,
    start,
};
use gristmill_types::{AttemptId, CheckpointId, Column, Descriptor, EventBatch, JobId, ModuleHash, NodeId, RunId};
use tokio::sync::broadcast::error::TryRecvError;

use super::letters::Letters;
use super::state::{NaiveMerger, NaiveState};
use super::store::{MemoryFiles, MemoryStore};
use super::{Book, Feed, Native, PATIENCE, Shelf, Sluice, Tape};

type OpenSource =
    Box<dyn Fn(&PartContext, Option<&[SplitPosition]>) -> Result<Box<dyn SourceReader>, PortError> + Send + Sync>;

/// What a test gives a job before it starts. Sinks need not be named: each has a shelf under its id.
#[derive(Default)]
pub(crate) struct World {
    sources: HashMap<String, OpenSource>,
    operators: HashMap<NodeId, (ModuleHash, Native)>,
    shelves: HashMap<String, Shelf>,
    books: HashMap<String, Book>,
    letters: Arc<Letters>,
    state_breaks: bool,
    restore_takes_for_ever: bool,
    store: MemoryStore,
    sluice: Sluice,
    time_passes: bool,
    /// Which life of the job it is, and what it begins from.
    run: u64,
    origin: Option<Origin>,
}

/// A job that was started.
pub(crate) struct Running {
    pub(crate) handle: JobHandle,
    pub(crate) letters: Arc<Letters>,
    shelves: HashMap<String, Shelf>,
}

impl World {
    /// A source whose subtask 0 reads the feed; the others have nothing to read.
    pub(crate) fn feed(self, id: &str, feed: &Feed) -> Self {
        self.feeds(id, vec![feed.clone()])
    }

    /// A source whose subtask `i` reads feed `i`.
    pub(crate) fn feeds(self, id: &str, feeds: Vec<Feed>) -> Self {
        self.source(id, move |context| {
            let feed = feeds.get(context.subtask.at()).cloned();
            Ok(Box::new(feed.unwrap_or_else(|| Feed::bounded([]))))
        })
    }

    pub(crate) fn source(
        mut self,
        id: &str,
        open: impl Fn(&PartContext) -> Result<Box<dyn SourceReader>, PortError> + Send + Sync + 'static,
    ) -> Self {
        self.sources.insert(id.to_owned(), Box::new(move |context, _| open(context)));
        self
    }

    /// A source that can be read again, in one subtask.
    pub(crate) fn tape(mut self, id: &str, tape: &Tape) -> Self {
        let tape = tape.clone();
        self.sources.insert(id.to_owned(), Box::new(move |_, resume| tape.reader(resume)));
        self
    }

    /// A transactional sink.
    pub(crate) fn book(mut self, id: &str, book: &Book) -> Self {
        self.books.insert(id.to_owned(), book.clone());
        self
    }

    /// Time passes; otherwise it stands still.
    pub(crate) fn time_passes(self) -> Self {
        Self { time_passes: true, ..self }
    }

    /// Where checkpoints are kept, if several jobs share it.
    pub(crate) fn store(self, store: &MemoryStore) -> Self {
        Self { store: store.clone(), ..self }
    }

    /// What entries pass through that are read out of files of state.
    pub(crate) fn sluice(self, sluice: &Sluice) -> Self {
        Self { sluice: sluice.clone(), ..self }
    }

    /// Another life of the job, which begins from a savepoint.
    pub(crate) fn begins_from(self, run: u64, name: &str, dropped: &[&str]) -> Self {
        let dropped = dropped.iter().map(ToString::to_string).collect();
        let origin = Origin { job: "test".parse().unwrap(), name: name.to_owned(), dropped };
        Self { run, origin: Some(origin), ..self }
    }

    /// The same life, with what it began from forgotten.
    pub(crate) fn goes_on(self, run: u64) -> Self {
        Self { run, ..self }
    }

    pub(crate) fn operator(self, id: &str, native: Native) -> Self {
        self.operator_of(id, ModuleHash([1; 32]), native)
    }

    /// The same, of this module.
    pub(crate) fn operator_of(mut self, id: &str, module: ModuleHash, native: Native) -> Self {
        self.operators.insert(id.parse().unwrap(), (module, native));
        self
    }

    /// No state of the job can be committed.
    pub(crate) fn broken_state(self) -> Self {
        Self { state_breaks: true, ..self }
    }

    /// Every restore of a state lasts until it is interrupted.
    pub(crate) fn endless_restore(self) -> Self {
        Self { restore_takes_for_ever: true, ..self }
    }

    pub(crate) fn letters(mut self, letters: Letters) -> Self {
        self.letters = Arc::new(letters);
        self
    }

    /// The shelf of a sink, to prepare it.
    pub(crate) fn shelf(&mut self, id: &str) -> Shelf {
        self.shelves.entry(id.to_owned()).or_default().clone()
    }

    pub(crate) fn start(self, document: &str) -> Running {
        self.try_start(document).expect("the job starts")
    }

    /// Starts the job of this document; its first two lines are understood.
    pub(crate) fn try_start(self, document: &str) -> Result<Running, StartError> {
        self.try_start_from(document, None)
    }

    /// The same, going on from a checkpoint that somebody accepted.
    pub(crate) fn try_start_from(self, document: &str, accepted: Option<CheckpointId>) -> Result<Running, StartError> {
        self.launch(document, accepted, start)
    }

    /// Lets a job go on as a host does that is back: what does not work now is tried again.
    pub(crate) fn resume(self, document: &str) -> Running {
        self.resume_from(document, None)
    }

    /// The same, going on from a checkpoint that somebody accepted.
    pub(crate) fn resume_from(self, document: &str, accepted: Option<CheckpointId>) -> Running {
        self.launch(document, accepted, resume).expect("its thread starts")
    }

    /// The same, with a swap that was left open.
    pub(crate) fn resume_open(self, document: &str, open: Option<OpenSwap>) -> Running {
        let open = Mutex::new(open);
        let resume = |spec, parts| resume_open(spec, open.lock().unwrap().take(), parts);
        self.launch(document, None, resume).expect("its thread starts")
    }

    fn launch(
        mut self,
        document: &str,
        accepted: Option<CheckpointId>,
        start: impl Fn(JobSpec, Arc<dyn Parts>) -> Result<JobHandle, StartError>,
    ) -> Result<Running, StartError> {
        let document = JobDocument::parse(&format!("version: 1\njob: test\n{document}")).expect("a good document");
        let ids: Vec<_> = document.sinks.keys().map(ToString::to_string).collect();
        ids.iter().for_each(|id| drop(self.shelf(id)));
        let descriptors =
            self.operators.iter().map(|(id, (_, native))| (id.clone(), native.descriptor.clone())).collect();
        let plan = plan(&document, &descriptors).expect("a good job");
        let parts =
            |(module, native): (_, Native)| OperatorParts { prepared: native.prepared(), module, written: None };
        let operators = self.operators.into_iter().map(|(id, one)| (id, parts(one))).collect();
        let parts = GivenParts {
            sources: self.sources,
            shelves: self.shelves.clone(),
            books: self.books,
            letters: Arc::clone(&self.letters),
            state_breaks: self.state_breaks,
            restore_takes_for_ever: self.restore_takes_for_ever,
            store: self.store,
            sluice: self.sluice,
            clock: match self.time_passes {
                true => Arc::new(RealTime(Instant::now())),
                false => Arc::new(ManualClock::default()),
            },
        };
        let accepted = accepted.map(|checkpoint| Accepted { checkpoint, at_ms: i64::MAX });
        let spec = JobSpec {
            document,
            plan,
            operators,
            run: RunId(1 + self.run),
            goes_on: false,
            accepted,
            newest: None,
            origin: self.origin,
            paused: false,
            drains_into: None,
            text: String::new(),
            veil: Arc::new(NoSecrets),
        };
        let handle = start(spec, Arc::new(parts))?;
        Ok(Running { handle, letters: self.letters, shelves: self.shelves })
    }
}

impl Running {
    pub(crate) fn shelf(&self, id: &str) -> &Shelf {
        &self.shelves[id]
    }

    /// Waits for the end.
    pub(crate) fn end(&self) -> JobStatus {
        let mut status = self.handle.watch();
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let over = async { status.wait_for(|status| status.state.is_final()).await.expect("the job is there").clone() };
        let ended = waiting.block_on(async { tokio::time::timeout(PATIENCE, over).await });
        ended.unwrap_or_else(|_| panic!("the job does not end: {:#?}", self.handle.report()))
    }

    /// Waits for an end that must be this one.
    pub(crate) fn ends(&self, state: JobState) {
        assert_eq!(self.end(), JobStatus { state, cause: None });
    }

    /// Waits until nothing of it runs any more.
    pub(crate) fn is_gone(&self) {
        let mut gone = self.handle.gone();
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let waited =
            waiting.block_on(async { tokio::time::timeout(PATIENCE, gone.wait_for(|gone| *gone)).await.is_ok() });
        assert!(waited, "the job is still there: {:#?}", self.handle.report());
    }

    /// The newest checkpoint, once so many are decided; `None` if the job says nothing for a while.
    pub(crate) fn hears_checkpoint(&self, completed: u64) -> Option<CheckpointId> {
        let (_, mut live) = self.handle.events();
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        loop {
            let report = self.handle.checkpoints();
            if report.completed >= completed {
                return Some(report.recent[0].checkpoint);
            }
            let quiet = Duration::from_millis(100);
            waiting.block_on(async { tokio::time::timeout(quiet, live.recv()).await.ok() })?.ok()?;
        }
    }

    /// Waits until the job says something of this kind.
    pub(crate) fn hears(&self, kind: impl Fn(&JobEventKind) -> bool) -> JobEvent {
        let (recent, mut live) = self.handle.events();
        let recent = recent.into_iter().find(|event| kind(&event.kind));
        recent.unwrap_or_else(|| {
            loop {
                let status = self.handle.status();
                let heard = live.try_recv();
                match heard {
                    Ok(event) if kind(&event.kind) => return event,
                    Ok(_) => {}
                    Err(_) if status.state.is_final() => panic!("it never said so, and ended {status:?}"),
                    Err(TryRecvError::Empty) => std::thread::yield_now(),
                    Err(error) => panic!("the job says more than a listener can follow: {error}"),
                }
            }
        })
    }

    /// Waits for the job to fail, and gives the sentence.
    pub(crate) fn fails(&self) -> String {
        let JobStatus { state, cause } = self.end();
        assert_eq!(state, JobState::Failed);
        cause.expect("a job that failed says why")
    }
}

struct GivenParts {
    sources: HashMap<String, OpenSource>,
    shelves: HashMap<String, Shelf>,
    books: HashMap<String, Book>,
    letters: Arc<Letters>,
    state_breaks: bool,
    restore_takes_for_ever: bool,
    store: MemoryStore,
    sluice: Sluice,
    clock: Arc<dyn Clock>,
}

/// Time as it passes.
struct RealTime(Instant);

impl Clock for RealTime {
    fn now_ms(&self) -> i64 {
        self.monotonic().as_millis() as i64
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Parts for GivenParts {
    fn source(
        &self,
        context: &PartContext,
        _: &SourceSpec,
        resume: Option<&[SplitPosition]>,
    ) -> Result<Box<dyn SourceReader>, PortError> {
        self.sources[context.node.as_str()](context, resume)
    }

    fn sink(&self, context: &PartContext, _: &SinkSpec, _: Option<&[u8]>) -> Result<Box<dyn Sink>, PortError> {
        let id = context.node.as_str();
        Ok(self.books.get(id).map_or_else(|| self.shelves[id].writer(context.subtask), |book| book.writer(context)))
    }

    fn committer(
        &self,
        context: &PartContext,
        _: &SinkSpec,
        _: &Arc<dyn FileStore>,
    ) -> Result<Option<Box<dyn Committer>>, PortError> {
        Ok(self.books.get(context.node.as_str()).map(Book::committer))
    }

    fn key_selector(&self, _: &KeyBy) -> Result<Box<dyn KeySelector>, PortError> {
        Ok(Box::new(BeforeTheColon))
    }

    fn state(
        &self,
        _: &PartContext,
        descriptor: &Descriptor,
        _: &CheckpointSpec,
    ) -> Result<Box<dyn StateBackend>, PortError> {
        let state = NaiveState::of(&descriptor.states);
        let state = if self.state_breaks { NaiveState::that_breaks() } else { state };
        Ok(Box::new(if self.restore_takes_for_ever { state.restoring_for_ever() } else { state }))
    }

    fn state_merger(&self) -> Arc<dyn StateMerger> {
        Arc::new(NaiveMerger)
    }

    fn state_reader(&self) -> Arc<dyn StateReader> {
        Arc::new(self.sluice.clone())
    }

    fn host(&self) -> String {
        "test".to_owned()
    }

    fn checkpoint_store(&self) -> Arc<dyn CheckpointStore> {
        Arc::new(self.store.clone())
    }

    fn files(&self, job: &JobId, run: RunId, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError> {
        Ok(Arc::new(MemoryFiles::new(&self.store, RunFolder::new(job, run).files(), attempt)))
    }

    fn savepoint_files(&self, folder: &SavepointFolder, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError> {
        Ok(Arc::new(MemoryFiles::new(&self.store, folder.files(), attempt)))
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetterStore> {
        Arc::<Letters>::clone(&self.letters)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }
}

/// Every path leads to what stands before the colon of the value.
struct BeforeTheColon;

impl KeySelector for BeforeTheColon {
    fn select(&mut self, events: &EventBatch) -> SelectedKeys {
        let colon = |value: Option<&'_ [u8]>| value.and_then(|value| value.iter().position(|byte| *byte == b':'));
        let keys: Column =
            events.values().iter().map(|value| colon(value).and_then(|at| value.map(|value| &value[..at]))).collect();
        let without_key = keys.nulls().iter().map(|row| (*row, "there is no colon".to_owned())).collect();
        SelectedKeys { keys, without_key }
    }
}
