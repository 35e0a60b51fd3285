//! The only file where traits meet concrete types: everything else of this crate is handed what is built here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use gristmill_catalog::{CrashFiles, CrashLimits, FileCatalog};
use gristmill_checkpoint::{FileRef, SavepointFolder, SplitPosition};
use gristmill_checkpoint_store::{LocalDir, RunFiles};
use gristmill_connectors::Connectors;
use gristmill_dataflow::document::{Backend, CheckpointSpec, KeyBy, SinkSpec, SourceSpec};
use gristmill_ports::catalog::{Catalog, JobRecord, JobState};
use gristmill_ports::checkpoint_store::Content;
use gristmill_ports::crash::NoCrashes;
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_ports::format::KeySelector;
use gristmill_ports::parts::{PartContext, StoredTail, Urgency};
use gristmill_ports::state::{StateMerger, StateReader};
use gristmill_ports::{
    CheckpointStore, Clock, Committer, CrashStore, FileStore, Parts, PortError, Sink, SourceReader, StateBackend,
    Stateless,
};
use gristmill_runtime::new_run;
use gristmill_server::control::{OpenRun, OpenSavepoint};
use gristmill_server::{Control, ControlParts};
use gristmill_state::{EntryReader, MemoryBackend, Merger, RocksDbBackend, stand_back, worked};
use gristmill_types::{AttemptId, Descriptor, JobId, KeyGroupRange, MaxParallelism, NodeId, RunId};
use gristmill_wasm::{WasmModules, WasmOptions};

use crate::clock::SystemClock;
use crate::memory::let_go_of_code;

/// Under a data directory, or under a cache: the folder of compiled code.
const COMPILED: &str = "compiled";
/// Under a data directory: checkpoints, unless they are kept elsewhere.
const CHECKPOINTS: &str = "checkpoints";
/// Under a data directory: what running jobs have on disk, worth nothing without its checkpoint.
const SCRATCH: &str = "scratch";

/// Under the scratch folder: savepoints under way. No job has such a name.
const SAVEPOINTS: &str = ".savepoints";

/// A registry of modules that keeps compiled code under this directory.
///
/// # Errors
/// If the directory cannot be written, or this machine cannot run Wasm.
pub fn modules(root: &Path) -> anyhow::Result<WasmModules> {
    let options = WasmOptions { cache_dir: root.join(COMPILED) };
    WasmModules::new(&options).map_err(anyhow::Error::msg).context("preparing to run Wasm")
}

/// A state of its own for one call, in memory.
pub(crate) fn state_in_memory(
    descriptor: &Descriptor,
    groups: KeyGroupRange,
    max: MaxParallelism,
) -> Box<dyn StateBackend> {
    if descriptor.is_stateful() { Box::new(MemoryBackend::new(descriptor, groups, max)) } else { Box::new(Stateless) }
}

/// All that a host can be asked for, over what its data directory remembers. Checkpoints are kept at `storage`: a folder,
/// or a URL such as `s3://bucket/prefix`. Blocks on files.
///
/// # Errors
/// If the data directory or the storage cannot be used, or this machine cannot run Wasm.
///
/// # Panics
/// Outside of a tokio runtime, which serves sockets and timers.
pub fn control(data_dir: &Path, storage: Option<&str>, crashes: CrashLimits) -> anyhow::Result<Arc<Control>> {
    let clock = Arc::new(SystemClock::default());
    let catalog = Arc::new(FileCatalog::open(data_dir, clock.clone())?);
    let base = working_directory()?;
    refuse_missing_folder(data_dir, storage, &*catalog)?;
    let mut parts = HostParts::new(PathBuf::from(&base), data_dir, storage, catalog.clone(), clock.clone())?;
    parts.crashes = Arc::new(CrashFiles::open(data_dir, crashes)?);
    let connectors = Arc::clone(&parts.connectors);
    Ok(Control::new(ControlParts {
        catalog: catalog.clone(),
        registry: Arc::new(modules(data_dir)?),
        dead_letters: catalog.clone(),
        audit: catalog,
        crashes: Arc::clone(&parts.crashes),
        ingress: parts.connectors.ingress(),
        checkpoints: Arc::clone(&parts.checkpoints),
        open_savepoint: looked_at(Arc::clone(&parts.checkpoints), parts.scratch.join(SAVEPOINTS)),
        open_run: run_looked_at(Arc::clone(&parts.checkpoints), parts.scratch.join(SAVEPOINTS)),
        state_reader: Arc::new(EntryReader),
        forget_job: Arc::new(move |job| connectors.forget_job(job)),
        clock,
        base,
        parts_for: Arc::new(move |job| {
            // A job is about to start: its modules are compiled.
            let_go_of_code();
            // Where it began, wherever the host was started this time: its staged output lies there.
            let base = job.base.as_ref().map_or_else(|| parts.base.clone(), PathBuf::from);
            Arc::new(HostParts { base, ..parts.clone() }) as Arc<dyn Parts>
        }),
        environment: Arc::new(|name| std::env::var(name).ok()),
    }))
}

/// A folder that is gone, though jobs have checkpoints in it, may not be mounted yet: an empty one in its place would hide
/// that, and take what belongs into the other.
fn refuse_missing_folder(data_dir: &Path, storage: Option<&str>, catalog: &dyn Catalog) -> anyhow::Result<()> {
    let own = data_dir.join(CHECKPOINTS);
    let missing = match storage {
        Some(storage) => gristmill_checkpoint_store::missing_folder(storage)?,
        None => matches!(own.try_exists(), Ok(false)).then_some(own),
    };
    let Some(folder) = missing else { return Ok(()) };
    // One that has begun, and may go on: its first attempt has left a claim.
    let has_begun =
        |job: &JobRecord| job.run.is_some() && !matches!(job.state, JobState::Starting | JobState::Finished);
    let jobs: Vec<_> = catalog.jobs()?.iter().filter(|job| has_begun(job)).map(|job| format!("`{}`", job.id)).collect();
    anyhow::ensure!(
        jobs.is_empty(),
        "there is no folder `{}`, where checkpoints were kept of {}: mount it, or name the right one with --checkpoints; if \
         it is lost for good, make it by hand, and each of these jobs will say how it can begin anew",
        folder.display(),
        jobs.join(", ")
    );
    Ok(())
}

/// Opens the files of savepoints for whoever looks at them: each time with a folder of its own, so that what is fetched
/// is what is stored now, not what was fetched before.
fn looked_at(store: Arc<dyn CheckpointStore>, scratch: PathBuf) -> OpenSavepoint {
    Arc::new(move |folder| {
        let own = scratch.join(format!("look-{}", new_run()));
        let files = RunFiles::of_savepoint(Arc::clone(&store), folder, AttemptId(0), &own.join("scratch"))?;
        Ok(Arc::new(Looked { files, own }))
    })
}

/// The same of a run.
fn run_looked_at(store: Arc<dyn CheckpointStore>, scratch: PathBuf) -> OpenRun {
    Arc::new(move |job, run| {
        let own = scratch.join(format!("look-{}", new_run()));
        let files = RunFiles::open(Arc::clone(&store), job, run, AttemptId(0), &own.join("scratch"))?;
        Ok(Arc::new(Looked { files, own }))
    })
}

/// Files that are looked at; what was fetched goes with the looking.
struct Looked {
    files: Arc<dyn FileStore>,
    own: PathBuf,
}

impl FileStore for Looked {
    fn put(&self, _: Content<'_>) -> Result<FileRef, PortError> {
        Err(PortError::fatal("what is looked at is not changed"))
    }

    fn open(&self, file: &FileRef) -> Result<PathBuf, PortError> {
        self.files.open(file)
    }

    fn scratch(&self) -> &Path {
        self.files.scratch()
    }
}

impl Drop for Looked {
    fn drop(&mut self) {
        // If it stays, it takes room, and nothing else.
        let _ = std::fs::remove_dir_all(&self.own);
    }
}

/// Where relative paths of the jobs that are submitted now begin. It is kept with each of them, as text.
fn working_directory() -> anyhow::Result<String> {
    let directory = std::env::current_dir().context("asking for the working directory")?;
    directory.into_os_string().into_string().map_err(|name| {
        anyhow::anyhow!(
            "the working directory {} has a name that is not utf-8; start the host in another",
            name.display()
        )
    })
}

/// The parts of the jobs of one host.
#[derive(Clone)]
pub struct HostParts {
    /// Opens sources and sinks.
    connectors: Arc<Connectors>,
    /// Relative paths in job documents begin here.
    base: PathBuf,
    /// What is under way, and local copies of what is kept elsewhere.
    scratch: PathBuf,
    checkpoints: Arc<dyn CheckpointStore>,
    merger: Arc<Merger>,
    dead_letters: Arc<dyn DeadLetterStore>,
    crashes: Arc<dyn CrashStore>,
    clock: Arc<dyn Clock>,
}

impl HostParts {
    /// The connectors of this program, its state backends, and what the host gives to every job. Checkpoints are kept in
    /// the data directory, unless a storage is named. Crash bundles are not kept.
    ///
    /// # Errors
    /// If the storage cannot be used.
    ///
    /// # Panics
    /// Outside of a tokio runtime, which serves sockets and timers.
    pub fn new(
        base: PathBuf,
        data_dir: &Path,
        storage: Option<&str>,
        dead_letters: Arc<dyn DeadLetterStore>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        let own = data_dir.join(CHECKPOINTS);
        let checkpoints = match storage {
            Some(storage) => gristmill_checkpoint_store::open(storage, &runtime)?,
            None => Arc::new(LocalDir::open(&own)?),
        };
        let connectors = Arc::new(Connectors::new(runtime, data_dir));
        let scratch = data_dir.join(SCRATCH);
        let (merger, crashes) = (Arc::default(), Arc::new(NoCrashes));
        Ok(Self { connectors, base, scratch, checkpoints, merger, dead_letters, crashes, clock })
    }

    /// The folder of one attempt's part, for what is of use only while it runs.
    fn local(&self, context: &PartContext) -> PathBuf {
        let PartContext { node, subtask, layer, .. } = context;
        let part = if *layer == 0 { format!("{node}-{subtask}") } else { format!("{node}-{subtask}-{layer}") };
        self.run_folder(&context.job, context.run).join("state").join(part)
    }

    fn run_folder(&self, job: &JobId, run: RunId) -> PathBuf {
        self.scratch.join(job.as_str()).join(run.to_string())
    }
}

impl Parts for HostParts {
    fn source(
        &self,
        context: &PartContext,
        spec: &SourceSpec,
        resume: Option<&[SplitPosition]>,
    ) -> Result<Box<dyn SourceReader>, PortError> {
        self.connectors.source(context, spec, resume, &self.base)
    }

    fn tail(
        &self,
        job: &JobId,
        run: RunId,
        source: &NodeId,
        spec: &SourceSpec,
        stands: &[SplitPosition],
        to: &dyn FileStore,
    ) -> Result<Option<StoredTail>, PortError> {
        self.connectors.tail((job, run, source), spec, stands, to)
    }

    fn adopt_tail(&self, job: &JobId, run: RunId, source: &NodeId, tail: &Path) -> Result<(), PortError> {
        self.connectors.adopt_tail(job, run, source, tail)
    }

    fn sink(&self, context: &PartContext, spec: &SinkSpec, resume: Option<&[u8]>) -> Result<Box<dyn Sink>, PortError> {
        self.connectors.sink(context, spec, &self.base, resume)
    }

    fn committer(
        &self,
        context: &PartContext,
        spec: &SinkSpec,
        files: &Arc<dyn FileStore>,
    ) -> Result<Option<Box<dyn Committer>>, PortError> {
        self.connectors.committer(context, spec, &self.base, files)
    }

    fn key_selector(&self, key_by: &KeyBy) -> Result<Box<dyn KeySelector>, PortError> {
        self.connectors.key_selector(key_by)
    }

    fn state(
        &self,
        context: &PartContext,
        descriptor: &Descriptor,
        spec: &CheckpointSpec,
    ) -> Result<Box<dyn StateBackend>, PortError> {
        if !descriptor.is_stateful() {
            return Ok(Box::new(Stateless));
        }
        let (groups, max) = (context.key_groups(), context.max_parallelism);
        Ok(match spec.backend {
            Backend::Memory => Box::new(MemoryBackend::new(descriptor, groups, max)),
            Backend::Rocksdb => {
                let bytes = usize::try_from(spec.memory.as_u64()).unwrap_or(usize::MAX);
                Box::new(RocksDbBackend::open(descriptor, groups, max, &self.local(context), bytes)?)
            }
        })
    }

    fn state_reader(&self) -> Arc<dyn StateReader> {
        Arc::new(EntryReader)
    }

    fn state_merger(&self) -> Arc<dyn StateMerger> {
        Arc::<Merger>::clone(&self.merger)
    }

    fn host(&self) -> String {
        let name = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
        format!("{} (process {})", name.trim(), std::process::id())
    }

    fn checkpoint_store(&self) -> Arc<dyn CheckpointStore> {
        Arc::clone(&self.checkpoints)
    }

    fn files(&self, job: &JobId, run: RunId, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError> {
        let scratch = self.run_folder(job, run).join("scratch");
        RunFiles::open(Arc::clone(&self.checkpoints), job, run, attempt, &scratch)
    }

    fn savepoint_files(&self, folder: &SavepointFolder, attempt: AttemptId) -> Result<Arc<dyn FileStore>, PortError> {
        let scratch = self.scratch.join(SAVEPOINTS).join(attempt.to_string());
        RunFiles::of_savepoint(Arc::clone(&self.checkpoints), folder, attempt, &scratch)
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetterStore> {
        Arc::clone(&self.dead_letters)
    }

    fn crashes(&self) -> Arc<dyn CrashStore> {
        Arc::clone(&self.crashes)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn stand_back(&self, urgency: Urgency) {
        stand_back(urgency);
    }

    fn worked(&self) -> Option<Duration> {
        worked()
    }
}
