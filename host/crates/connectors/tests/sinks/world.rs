//! A host's surroundings for sinks: checkpoint storage, permits, attempts that come and go.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use fail::FailScenario;
use gristmill_checkpoint::coordinator::Staged;
use gristmill_checkpoint::{ChainEntry, CommitPermit, Committable, CommittableId, FileHash, FileRef, Manifest, chain};
use gristmill_connectors::Connectors;
use gristmill_dataflow::document::SinkSpec;
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::parts::PartContext;
use gristmill_ports::{Committer, FileStore, PortError, Signal, Sink, StagedOutput};
use gristmill_types::{
    AttemptId, CheckpointId, CheckpointKind, EventBatch, MaxParallelism, Parallelism, RunId, SubtaskIndex,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Fail points are the whole process's: who sets one is alone meanwhile.
static FAIL_POINTS: RwLock<()> = RwLock::new(());

#[expect(dead_code, reason = "a guard does its work by being held")]
enum Company {
    _Some(RwLockReadGuard<'static, ()>),
    /// `fail` has a lock of its own for who sets them: taken here and nowhere else, always the second of the two.
    _None(FailScenario<'static>, RwLockWriteGuard<'static, ()>),
}

pub(crate) struct World {
    /// Another for each: they share a database.
    pub(crate) run: RunId,
    pub(crate) directory: TempDir,
    pub(crate) files: Arc<dyn FileStore>,
    connectors: Connectors,
    _runtime: Runtime,
    _company: Company,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::among(Company::_Some(FAIL_POINTS.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// For tests that set fail points, which are gone with it.
    pub(crate) fn alone() -> Self {
        let alone = FAIL_POINTS.write().unwrap_or_else(PoisonError::into_inner);
        Self::among(Company::_None(FailScenario::setup(), alone))
    }

    fn among(company: Company) -> Self {
        let (directory, runtime) = (TempDir::new().unwrap(), Runtime::new().unwrap());
        let storage = directory.path().join("storage");
        std::fs::create_dir(&storage).unwrap();
        let connectors = Connectors::new(runtime.handle().clone(), &directory.path().join("data"));
        let files = Arc::new(Folder { path: storage, next: AtomicU64::new(0) });
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RunId(RUNS.fetch_add(1, Ordering::Relaxed));
        Self { run, directory, files, connectors, _runtime: runtime, _company: company }
    }

    /// Where relative paths begin.
    pub(crate) fn base(&self) -> PathBuf {
        self.directory.path().join("base")
    }

    pub(crate) fn context(&self, attempt: u64, subtask: u32, of: u32) -> PartContext {
        PartContext {
            job: "job".parse().unwrap(),
            run: self.run,
            attempt: AttemptId(attempt),
            node: "out".parse().unwrap(),
            subtask: SubtaskIndex(subtask),
            parallelism: Parallelism(NonZeroU32::new(of).unwrap()),
            max_parallelism: MaxParallelism::DEFAULT,
            layer: 0,
            cancelled: Signal::default(),
        }
    }

    pub(crate) fn open(
        &self,
        spec: &SinkSpec,
        context: &PartContext,
        resume: Option<&[u8]>,
    ) -> Result<Box<dyn Sink>, PortError> {
        self.connectors.sink(context, spec, &self.base(), resume)
    }

    pub(crate) fn committer(&self, spec: &SinkSpec, attempt: u64) -> Box<dyn Committer> {
        self.committer_of(spec, &self.context(attempt, 0, 1))
    }

    pub(crate) fn committer_of(&self, spec: &SinkSpec, context: &PartContext) -> Box<dyn Committer> {
        self.connectors.committer(context, spec, &self.base(), &self.files).unwrap().expect("it is transactional")
    }

    /// Commits as if this checkpoint were decided.
    pub(crate) fn commit(
        &self,
        committer: &mut dyn Committer,
        checkpoint: u64,
        committables: &[Committable],
    ) -> Result<(), PortError> {
        let permit = self.permit(checkpoint);
        committables.iter().try_for_each(|committable| committer.commit(&permit, committable))
    }

    pub(crate) fn permit(&self, checkpoint: u64) -> CommitPermit {
        let manifest = Manifest {
            job: "job".parse().unwrap(),
            run: self.run,
            attempt: AttemptId(1),
            checkpoint: CheckpointId(checkpoint),
            parent: None,
            kind: CheckpointKind::Checkpoint,
            is_final: false,
            started_ms: 0,
            completed_ms: 0,
            max_parallelism: MaxParallelism::DEFAULT,
            pages: Vec::new(),
            committables: Vec::new(),
            canaries: Vec::new(),
        };
        chain::read_back(&ChainEntry::Checkpoint(manifest).encode()).unwrap().permit.expect("it is no claim")
    }

    /// An attempt of one subtask that goes on from a checkpoint.
    pub(crate) fn attempt(&self, spec: &SinkSpec, number: u64, from: Option<&Checkpoint>) -> Attempt<'_> {
        self.subtask(spec, number, (0, 1), from)
    }

    pub(crate) fn subtask(
        &self,
        spec: &SinkSpec,
        number: u64,
        (subtask, of): (u32, u32),
        from: Option<&Checkpoint>,
    ) -> Attempt<'_> {
        let context = self.context(number, subtask, of);
        let sink = self.open(spec, &context, from.map(|checkpoint| checkpoint.position.as_slice())).unwrap();
        Attempt { world: self, context, sink, staged: u64::from(subtask) * 1000 }
    }

    /// An attempt of a sink of its own.
    pub(crate) fn attempt_of(&self, spec: &SinkSpec, context: PartContext) -> Attempt<'_> {
        let sink = self.open(spec, &context, None).unwrap();
        Attempt { world: self, context, sink, staged: 0 }
    }
}

pub(crate) struct Attempt<'w> {
    world: &'w World,
    context: PartContext,
    pub(crate) sink: Box<dyn Sink>,
    staged: u64,
}

/// One subtask's part of a checkpoint.
#[derive(Debug, Clone)]
pub(crate) struct Checkpoint {
    pub(crate) number: u64,
    pub(crate) position: Vec<u8>,
    pub(crate) committables: Vec<Committable>,
}

impl Attempt<'_> {
    /// Writes events whose values have these ids.
    pub(crate) fn write(&mut self, ids: impl IntoIterator<Item = u64>) {
        let refused = self.sink.write(&events(ids)).unwrap();
        assert!(refused.is_empty(), "{refused:?}");
    }

    /// Cuts, and makes what was cut off durable.
    pub(crate) fn checkpoint(&mut self, number: u64) -> Checkpoint {
        let cut = self.sink.pre_commit(CheckpointId(number)).unwrap();
        let position = self.sink.position();
        let committables = cut.map_or(Vec::new(), |mut cut| self.seal(&mut *cut, number));
        Checkpoint { number, position, committables }
    }

    pub(crate) fn seal(&mut self, cut: &mut dyn StagedOutput, number: u64) -> Vec<Committable> {
        let staged = cut.seal(&*self.world.files).unwrap();
        let committables = staged.into_iter().map(|Staged { sink, payload, files }| {
            let id = CommittableId { attempt: self.context.attempt, number: self.staged };
            self.staged += 1;
            Committable { id, sink, staged_for: CheckpointId(number), payload, files }
        });
        committables.collect()
    }
}

/// Events with such ids as `{"id":7}`.
pub(crate) fn events(ids: impl IntoIterator<Item = u64>) -> EventBatch {
    let values = ids.into_iter().map(|id| format!("{{\"id\":{id}}}"));
    values_of(&values.collect::<Vec<_>>())
}

pub(crate) fn values_of<S: AsRef<str>>(values: &[S]) -> EventBatch {
    let mut events = EventBatch::default();
    values.iter().for_each(|value| events.push(1500, Some(b"k"), Some(value.as_ref().as_bytes())));
    events
}

pub(crate) fn spec(json: serde_json::Value) -> SinkSpec {
    let mut sink = serde_json::json!({"inputs": ["in"]});
    sink["to"] = json;
    serde_json::from_value(sink).unwrap()
}

/// Checkpoint storage in a folder.
struct Folder {
    path: PathBuf,
    next: AtomicU64,
}

impl FileStore for Folder {
    fn put(&self, content: Content<'_>) -> Result<FileRef, PortError> {
        let bytes = match content {
            Content::Bytes(bytes) => bytes.to_owned(),
            Content::File(path) => std::fs::read(path).unwrap(),
        };
        let file = FileRef {
            attempt: AttemptId(1),
            number: self.next.fetch_add(1, Ordering::Relaxed),
            hash: FileHash::of(&bytes),
            bytes: bytes.len() as u64,
        };
        std::fs::write(self.path.join(file.number.to_string()), bytes).unwrap();
        Ok(file)
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        Ok(self.path.join(file.number.to_string()))
    }

    fn scratch(&self) -> &Path {
        &self.path
    }
}
