//! The heart of the API, free of HTTP: modules, jobs, dead letters and operations, and the jobs that run.
//!
//! Everything that may block (the catalog, the registry, opening a job) happens on tokio's blocking threads, so that a
//! busy host still answers. A function that changes something is to be run to its end: spawn it if its caller may leave.

mod names;
mod error;
mod secrets;
mod live;
mod operations;
mod storage;
mod modules;
mod assess;
mod recording;
mod reserved;
mod saving;
mod submit;
mod jobs;
mod checkpoints;
mod savepoints;
mod state_diff;
mod state_codec;
mod state_query;
mod state_scan;
mod streams;
mod crashes;
mod letters;
mod ingest;
mod answers;
mod audit;
mod changeover;
mod swap_end;
mod swaps;
mod rescale;
mod shadows;
mod canaries;
mod restore;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gristmill_checkpoint::SavepointFolder;
use gristmill_ports::audit::AuditLog;
use gristmill_ports::catalog::{Catalog, JobRecord};
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_ports::ingress::Ingress;
use gristmill_ports::module_registry::ModuleRegistry;
use gristmill_ports::state::StateReader;
use gristmill_ports::{CheckpointStore, Clock, CrashStore, FileStore, Parts, PortError};
use gristmill_types::{JobId, ModuleHash, RunId};
use tokio::sync::{Mutex, Semaphore, watch};

pub use assess::{Assessment, OperatorAssessment};
pub use canaries::CanaryWish;
pub use error::{ControlError, Thing};
pub use jobs::JobView;
pub use letters::{LetterPage, NumberedLetter, Selection};
pub use live::LiveJob;
pub use modules::{DeletedModule, PushResult, PushedModule};
pub use names::{ModuleRef, NotAModuleRef};
pub use savepoints::FoundSavepoint;
pub use shadows::ShadowWish;
pub use state_codec::{ShownBytes, ShownStateEntry, Written};
pub use state_diff::{DiffedEntry, EntryDiff, OperatorDiff, StateAt, StateDiff};
pub(crate) use state_query::EDIT;
pub use state_query::{EditWish, KeyLook, KeyState, OperatorStates, StateOf};
pub use state_scan::{ReadFrom, ScannedEntry, ScannedPage, StateCount};
pub use submit::Submitted;
pub use swaps::{SwapMode, SwapWish};

use live::LiveJobs;
use reserved::ReservedNames;

/// Modules that are compiled at one time: compiling takes all cores that it can get.
const COMPILING: usize = 2;
/// Live streams (events, taps) that are open at one time.
const STREAMS: usize = 256;

/// The parts of one job, made by the host's wiring.
pub type PartsFor = Arc<dyn Fn(&JobRecord) -> Arc<dyn Parts> + Send + Sync>;

/// The files of a savepoint, to be looked at: fetched anew each time, and held against their hashes.
pub type OpenSavepoint = Arc<dyn Fn(&SavepointFolder) -> Result<Arc<dyn FileStore>, PortError> + Send + Sync>;

/// The files of a run, to be looked at as those of a savepoint are.
pub type OpenRun = Arc<dyn Fn(&JobId, RunId) -> Result<Arc<dyn FileStore>, PortError> + Send + Sync>;

/// Forgets what a job left.
pub type ForgetJob = Arc<dyn Fn(&JobId) -> Result<(), PortError> + Send + Sync>;

/// What `${env:X}` stands for; `None` if there is no such variable.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What the control is made of.
pub struct ControlParts {
    /// Remembers modules, jobs and operations.
    pub catalog: Arc<dyn Catalog>,
    /// Knows Wasm.
    pub registry: Arc<dyn ModuleRegistry>,
    /// Keeps dead letters.
    pub dead_letters: Arc<dyn DeadLetterStore>,
    /// Keeps calls that ended in a fault.
    pub crashes: Arc<dyn CrashStore>,
    /// Remembers who changed what.
    pub audit: Arc<dyn AuditLog>,
    /// Takes posted events.
    pub ingress: Arc<dyn Ingress>,
    /// Where checkpoints are kept.
    pub checkpoints: Arc<dyn CheckpointStore>,
    /// Opens the files of savepoints.
    pub open_savepoint: OpenSavepoint,
    /// Opens the files of runs.
    pub open_run: OpenRun,
    /// Reads files of state.
    pub state_reader: Arc<dyn StateReader>,
    /// Forgets what else a job left on this host, such as logs of posted events.
    pub forget_job: ForgetJob,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where relative paths of jobs that are submitted from now on begin, absolute.
    pub base: String,
    /// Makes the parts of a job, whose relative paths begin where its record says.
    pub parts_for: PartsFor,
    /// Resolves placeholders.
    pub environment: Environment,
}

/// All that the host can be asked for.
pub struct Control {
    parts: ControlParts,
    live: LiveJobs,
    /// Submissions under way, with the modules that they are about to use. Held while modules and jobs come and go, so
    /// that no module vanishes under a submission and no two jobs get one name; never while something is compiled.
    gate: Mutex<HashMap<JobId, Vec<ModuleHash>>>,
    /// Names of savepoints that are being taken.
    names: ReservedNames,
    compiling: Semaphore,
    streams: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    ready: AtomicBool,
}

impl Control {
    /// A control that knows nothing yet; call [`Control::restore`] before it serves.
    #[must_use]
    pub fn new(parts: ControlParts) -> Arc<Self> {
        Arc::new(Self {
            parts,
            live: LiveJobs::default(),
            gate: Mutex::default(),
            names: ReservedNames::default(),
            compiling: Semaphore::new(COMPILING),
            streams: Arc::new(Semaphore::new(STREAMS)),
            closing: watch::Sender::new(false),
            ready: AtomicBool::new(false),
        })
    }

    fn now_ms(&self) -> i64 {
        self.parts.clock.now_ms()
    }

    /// Asks the catalog something, on a blocking thread.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&dyn Catalog) -> Result<T, PortError> + Send + 'static,
    ) -> Result<T, ControlError> {
        let catalog = Arc::clone(&self.parts.catalog);
        Ok(blocking(move || question(&*catalog)).await??)
    }
}

/// Does something that blocks on a thread made for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ControlError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ControlError::Bug(error.to_string()))
}
