//! The parts of one job, and the job once it runs.

use std::collections::HashMap;
use std::sync::Arc;

use gristmill_dataflow::document::{KeyBy, SinkSpec, SourceSpec};
use gristmill_dataflow::{JobDocument, plan};
use gristmill_ports::catalog::JobState;
use gristmill_ports::clock::ManualClock;
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_ports::format::{KeySelector, SelectedKeys};
use gristmill_ports::parts::PartContext;
use gristmill_ports::{Clock, Parts, PortError, Sink, SourceReader, StateBackend};
use gristmill_runtime::{JobEvent, JobEventKind, JobHandle, JobSpec, JobStatus, OperatorParts, StartError, start};
use gristmill_types::{Column, Descriptor, EventBatch, ModuleHash, NodeId};

use super::letters::Letters;
use super::state::NaiveState;
use super::{Feed, Native, PATIENCE, Shelf};

type OpenSource = Box<dyn Fn(&PartContext) -> Result<Box<dyn SourceReader>, PortError> + Send + Sync>;

/// What a test gives a job before it starts. Sinks need not be named: each has a shelf under its id.
#[derive(Default)]
pub(crate) struct World {
    sources: HashMap<String, OpenSource>,
    operators: HashMap<NodeId, Native>,
    shelves: HashMap<String, Shelf>,
    letters: Arc<Letters>,
    state_breaks: bool,
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
        self.sources.insert(id.to_owned(), Box::new(open));
        self
    }

    pub(crate) fn operator(mut self, id: &str, native: Native) -> Self {
        self.operators.insert(id.parse().unwrap(), native);
        self
    }

    /// No state of the job can be committed.
    pub(crate) fn broken_state(self) -> Self {
        Self { state_breaks: true, ..self }
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
    pub(crate) fn try_start(mut self, document: &str) -> Result<Running, StartError> {
        let document = JobDocument::parse(&format!("version: 1\njob: test\n{document}")).expect("a good document");
        let ids: Vec<_> = document.sinks.keys().map(ToString::to_string).collect();
        ids.iter().for_each(|id| drop(self.shelf(id)));
        let descriptors = self.operators.iter().map(|(id, native)| (id.clone(), native.descriptor.clone())).collect();
        let plan = plan(&document, &descriptors).expect("a good job");
        let parts = |native: Native| OperatorParts { prepared: native.prepared(), module: ModuleHash([1; 32]) };
        let operators = self.operators.into_iter().map(|(id, native)| (id, parts(native))).collect();
        let parts = GivenParts {
            sources: self.sources,
            shelves: self.shelves.clone(),
            letters: Arc::clone(&self.letters),
            state_breaks: self.state_breaks,
        };
        let handle = start(JobSpec { document, plan, operators }, Arc::new(parts))?;
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

    /// Waits until the job says something of this kind.
    pub(crate) fn hears(&self, kind: impl Fn(&JobEventKind) -> bool) -> JobEvent {
        let (recent, mut live) = self.handle.events();
        let recent = recent.into_iter().find(|event| kind(&event.kind));
        recent.unwrap_or_else(|| {
            loop {
                let event = live.blocking_recv().expect("the job goes on and says less than a listener can lag");
                if kind(&event.kind) {
                    return event;
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
    letters: Arc<Letters>,
    state_breaks: bool,
}

impl Parts for GivenParts {
    fn source(&self, context: &PartContext, _: &SourceSpec) -> Result<Box<dyn SourceReader>, PortError> {
        self.sources[context.node.as_str()](context)
    }

    fn sink(&self, context: &PartContext, _: &SinkSpec) -> Result<Box<dyn Sink>, PortError> {
        Ok(self.shelves[context.node.as_str()].writer(context.subtask))
    }

    fn key_selector(&self, _: &KeyBy) -> Result<Box<dyn KeySelector>, PortError> {
        Ok(Box::new(BeforeTheColon))
    }

    fn state(&self, _: &PartContext, _: &Descriptor) -> Result<Box<dyn StateBackend>, PortError> {
        Ok(Box::new(if self.state_breaks { NaiveState::that_breaks() } else { NaiveState::default() }))
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetterStore> {
        Arc::<Letters>::clone(&self.letters)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(ManualClock::default())
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
