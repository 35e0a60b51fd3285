//! Why the host does not do what it was asked for: one type, told apart by what the asker can do about it.

use gristmill_dataflow::{Problem as DocumentProblem, nearest};
use gristmill_ports::PortError;
use gristmill_ports::catalog::JobState;
use gristmill_ports::module_registry::Refusal;
use gristmill_runtime::SwapReport;
use gristmill_types::{CheckpointId, JobId, ModuleHash, ModuleName, NodeId};

/// Names that a sentence lists at most.
const LISTED: usize = 10;

/// The sorts of things that can be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing {
    /// A module.
    Module,
    /// A job.
    Job,
    /// A source, operator or sink of a job.
    Node,
    /// An output port of an operator.
    Port,
    /// A source that takes posted events.
    HttpSource,
    /// A savepoint, as `job/name`.
    Savepoint,
    /// A crash bundle of a job.
    Crash,
    /// A checkpoint of a job.
    Checkpoint,
    /// A state of an operator.
    State,
    /// An operation.
    Operation,
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Module => "module",
            Self::Job => "job",
            Self::Node => "source, operator or sink",
            Self::Port => "output port",
            Self::HttpSource => "http source",
            Self::Savepoint => "savepoint",
            Self::Crash => "crash bundle",
            Self::Checkpoint => "checkpoint",
            Self::State => "state",
            Self::Operation => "operation",
        })
    }
}

/// Why something was not done. Nothing has changed then, unless a variant says otherwise.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ControlError {
    /// A name in a path or a query is not one.
    #[error("{0}")]
    BadName(String),
    /// There is no such thing.
    #[error("there is no {what} `{name}`{}", in_job(.within.as_ref()))]
    NotFound {
        /// What was looked for.
        what: Thing,
        /// Under which name.
        name: String,
        /// In which job, where it belongs to one.
        within: Option<JobId>,
        /// The name that was most likely meant.
        nearest: Option<String>,
        /// The names that there are in the job, where it belongs to one.
        known: Vec<String>,
    },
    /// The first digits of a hash are those of several modules.
    #[error("{} modules begin with `{prefix}`: {}", .hashes.len(), listed(.hashes))]
    Ambiguous {
        /// The digits.
        prefix: String,
        /// Their hashes.
        hashes: Vec<ModuleHash>,
    },
    /// A node without output ports cannot be tapped.
    #[error("nothing leaves `{node}` of job `{job}`: it has no output port to tap")]
    NothingLeaves {
        /// The job.
        job: JobId,
        /// The node.
        node: NodeId,
        /// Those whose events enter it.
        feeders: Vec<String>,
    },
    /// The registry does not admit the bytes.
    #[error("{0}")]
    ModuleRefused(Refusal),
    /// A version is never changed.
    #[error("`{name}` already stands for other bytes (module {hash})")]
    NameTaken {
        /// The name.
        name: ModuleName,
        /// What it stands for.
        hash: ModuleHash,
    },
    /// A checkpoint that a job may have to go on from names it.
    #[error("module {module} is named by checkpoint {checkpoint} of job `{job}`, which is kept")]
    ModuleKept {
        /// The module, as the asker named it.
        module: String,
        /// The job.
        job: JobId,
        /// The newest of its checkpoints that name it.
        checkpoint: CheckpointId,
    },
    /// A job needs it.
    #[error("module {module} is used by job `{job}`, which is {state}")]
    ModuleInUse {
        /// The module, as the asker named it.
        module: String,
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
    },
    /// The document cannot run as it stands.
    #[error("{}", count_problems(.0))]
    BadDocument(Vec<DocumentProblem>),
    /// A job of that name is not over.
    #[error("job `{job}` exists already and is {state}")]
    JobExists {
        /// The name.
        job: JobId,
        /// The state of its bearer.
        state: JobState,
    },
    /// The name of a savepoint is given once.
    #[error("there is a savepoint `{name}` of job `{job}` already")]
    SavepointExists {
        /// The job.
        job: JobId,
        /// The name.
        name: String,
    },
    /// A job may yet begin from it.
    #[error("savepoint `{name}` is what job `{job}` begins from, which has no checkpoint of its own yet")]
    SavepointInUse {
        /// Its job and its name.
        name: String,
        /// The job that begins from it.
        job: JobId,
    },
    /// A job's parts could not be opened.
    #[error("job `{job}` could not be started: {message}")]
    CannotStart {
        /// The job.
        job: JobId,
        /// Why.
        message: String,
    },
    /// The job is not in a state in which this can be done.
    #[error("job `{job}` is {state}: it cannot be {action}")]
    WrongState {
        /// The job.
        job: JobId,
        /// Its state.
        state: JobState,
        /// What was asked for, as a participle: `paused`.
        action: &'static str,
    },
    /// Another swap of the job is not over.
    #[error("{0}")]
    SwapUnderWay(String),
    /// The job cannot have these subtasks.
    #[error("{0}")]
    RescaleRefused(String),
    /// A shadow runs beside an operator of the job.
    #[error("{0}")]
    ShadowUnderWay(String),
    /// A canary serves some of an operator's keys.
    #[error("{0}")]
    CanaryUnderWay(String),
    /// No canary serves, or served, the operator.
    #[error("no canary {verb} operator `{operator}` of job `{job}`")]
    NoCanary {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// `serves` or `served`.
        verb: &'static str,
    },
    /// No shadow runs, or ran, beside the operator.
    #[error("no shadow {verb} beside operator `{operator}` of job `{job}`")]
    NoShadow {
        /// The job.
        job: JobId,
        /// The operator.
        operator: NodeId,
        /// `runs` or `ran`.
        verb: &'static str,
    },
    /// A swap cannot be made.
    #[error("{0}")]
    SwapRefused(String),
    /// State is not there, or of another kind, or not to be written so.
    #[error("{0}")]
    StateRefused(String),
    /// A part of a job does not answer now.
    #[error("{0}")]
    NoAnswer(String),
    /// The source's buffer has no room; the job is slower than its input.
    #[error("source `{source_id}` of job `{job}` has no room for these events: the job is slower than its input")]
    Full {
        /// The job.
        job: JobId,
        /// The source.
        source_id: NodeId,
        /// A guess at when there will be room.
        retry_after_ms: u64,
    },
    /// The source's log has no room before a checkpoint.
    #[error(
        "source `{source_id}` of job `{job}` has no room for these events: its log is full, and no checkpoint has what is in \
         it yet"
    )]
    LogFull {
        /// The job.
        job: JobId,
        /// The source.
        source_id: NodeId,
        /// A guess at when there will be room.
        retry_after_ms: u64,
    },
    /// More bytes than the source can ever hold.
    #[error("these events have more bytes than source `{source_id}` can hold ({buffer_bytes})")]
    EventsTooLarge {
        /// The source.
        source_id: NodeId,
        /// Bytes of its buffer.
        buffer_bytes: u64,
    },
    /// The idempotency key stands for other events.
    #[error("the idempotency key was used for other events of source `{source_id}`")]
    KeyReused {
        /// The source.
        source_id: NodeId,
    },
    /// Events could not be made durable, so they were not taken.
    #[error("source `{source_id}`: {why}")]
    NotDurable {
        /// The source.
        source_id: NodeId,
        /// What the source said.
        why: PortError,
    },
    /// Too much is under way: what the host is doing, as in `the host is …`.
    #[error("the host is {0}")]
    Busy(String),
    /// The host's own memory failed.
    #[error("{0}")]
    Store(PortError),
    /// A bug: work of the host panicked.
    #[error("the host met a bug: {0}")]
    Bug(String),
}

/// Names in a sentence; not more of them than one can read.
fn listed(names: &[impl std::fmt::Display]) -> String {
    let shown = names.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    if names.len() > LISTED { format!("{shown} and {} more", names.len() - LISTED) } else { shown }
}

fn in_job(job: Option<&JobId>) -> String {
    job.map(|job| format!(" in job `{job}`")).unwrap_or_default()
}

fn count_problems(problems: &[DocumentProblem]) -> String {
    match problems {
        [one] => DocumentProblem { hint: None, ..one.clone() }.to_string(),
        many => format!("the job document has {} problems", many.len()),
    }
}

impl From<PortError> for ControlError {
    fn from(error: PortError) -> Self {
        Self::Store(error)
    }
}

impl From<Refusal> for ControlError {
    fn from(refusal: Refusal) -> Self {
        Self::ModuleRefused(refusal)
    }
}

/// The job is not where this can be done.
pub(super) fn wrong_state(job: &JobId, state: JobState, action: &'static str) -> ControlError {
    ControlError::WrongState { job: job.clone(), state, action }
}

impl ControlError {
    /// A missing thing that belongs to no job.
    pub(crate) fn missing<'a>(what: Thing, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let nearest = nearest(name, known).map(str::to_owned);
        Self::NotFound { what, name: name.to_owned(), within: None, nearest, known: Vec::new() }
    }

    /// A missing part of a job.
    pub(crate) fn missing_in<'a>(
        job: &JobId,
        what: Thing,
        name: &str,
        known: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let nearest = nearest(name, known.iter().copied()).map(str::to_owned);
        let known = known.into_iter().map(str::to_owned).collect();
        Self::NotFound { what, name: name.to_owned(), within: Some(job.clone()), nearest, known }
    }

    /// What the asker can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::NotFound { what: Thing::Crash, within: Some(job), known, .. } if known.is_empty() => {
                format!("none is kept of job `{job}`: no call of it ended in a fault, or the host keeps none")
            }
            Self::NotFound { what: Thing::Checkpoint, within: Some(job), .. } => {
                format!("GET /v1/jobs/{job}/checkpoints lists those that are kept")
            }
            Self::NotFound { within: Some(_), known, .. } if !known.is_empty() => format!("there is {}", listed(known)),
            Self::NotFound { within: Some(job), .. } => format!("GET /v1/jobs/{job} shows the job's parts"),
            Self::NotFound { what, within: None, .. } => return listing_of(*what).map(str::to_owned),
            Self::Ambiguous { .. } => "write more digits of the hash".to_owned(),
            Self::NothingLeaves { feeders, .. } if !feeders.is_empty() => {
                format!("tap what enters it: {}", listed(feeders))
            }
            Self::NothingLeaves { job, .. } => format!("GET /v1/jobs/{job} shows the job's parts"),
            Self::NameTaken { name, .. } => {
                format!(
                    "a version is never changed: upload these bytes under another one, such as {}@next",
                    name.name()
                )
            }
            Self::ModuleInUse { job, .. } => format!("stop or cancel job `{job}` first"),
            Self::ModuleKept { job, .. } => {
                format!("it can go once newer checkpoints have taken the place of that one, or job `{job}` is over")
            }
            Self::BadDocument(problems) => match problems.as_slice() {
                [DocumentProblem { hint: Some(hint), .. }] => hint.clone(),
                [_] => return None,
                _ => "see `problems` for each of them".to_owned(),
            },
            Self::JobExists { job, .. } => {
                format!("stop or cancel job `{job}` first, or give the new one another name under `job:`")
            }
            Self::SavepointExists { .. } => "give this one another name, or delete that one first".to_owned(),
            Self::SavepointInUse { job, .. } => format!("delete it once job `{job}` has made a checkpoint"),
            Self::WrongState { state: JobState::Finished, .. } => "submit the job again to run it once more".to_owned(),
            Self::WrongState { job, state, .. } if state.is_final() => {
                format!("`gristmill job restart {job}` lets it go on; submitted again, it begins anew")
            }
            Self::WrongState { job, .. } => format!("look at its state with GET /v1/jobs/{job}"),
            Self::Full { retry_after_ms, .. } => format!("send the same events again in {retry_after_ms} ms"),
            Self::LogFull { retry_after_ms, .. } => format!(
                "send the same events again in {retry_after_ms} ms; let checkpoints come more often, or give the source a \
                 larger `log`"
            ),
            Self::EventsTooLarge { .. } => {
                "send fewer events in a request, or give the source a larger `buffer` in the job document".to_owned()
            }
            Self::KeyReused { .. } => "make a new key for each post".to_owned(),
            Self::NotDurable { .. } => "look at the host's disk, then send the same events again".to_owned(),
            Self::Busy(_) | Self::NoAnswer(_) => "try again in a moment".to_owned(),
            Self::Store(_) => "look at the host's disk and at its log".to_owned(),
            Self::Bug(_) => "please report it, with the host's log".to_owned(),
            Self::SwapUnderWay(_) => {
                "wait until its operation has ended, roll it back, or say `\"supersede\": true`".to_owned()
            }
            Self::ShadowUnderWay(_) => {
                "`gristmill operator shadow-discard` ends it, `shadow-promote` swaps to its module".to_owned()
            }
            Self::CanaryUnderWay(_) => {
                "`gristmill operator canary-withdraw` ends it, `canary-promote` lets its module take over; or say `\"supersede\": true`".to_owned()
            }
            Self::NoShadow { .. } | Self::NoCanary { .. } => "POST to the same path begins one".to_owned(),
            Self::BadName(_)
            | Self::SwapRefused(_)
            | Self::RescaleRefused(_)
            | Self::StateRefused(_)
            | Self::ModuleRefused(_)
            | Self::CannotStart { .. } => return None,
        })
    }
}

/// A swap that is not over is in the way of something.
pub(super) fn in_the_way(report: &SwapReport, why: &str) -> ControlError {
    let SwapReport { swap, operator, new, share, .. } = report;
    match share {
        None => ControlError::SwapUnderWay(format!("swap {swap} of operator `{operator}` is under way{why}")),
        Some(share) => ControlError::CanaryUnderWay(format!(
            "a canary with module {new} serves {share} of operator `{operator}`{why}"
        )),
    }
}

fn listing_of(what: Thing) -> Option<&'static str> {
    Some(match what {
        Thing::Module => "GET /v1/modules lists the modules that there are; POST /v1/modules uploads one",
        Thing::Job => "GET /v1/jobs lists the jobs that there are",
        Thing::Node | Thing::Port | Thing::HttpSource | Thing::Crash | Thing::Checkpoint | Thing::State => return None,
        Thing::Savepoint => "GET /v1/savepoints lists the savepoints that there are",
        Thing::Operation => "GET /v1/operations lists the newest ones",
    })
}
