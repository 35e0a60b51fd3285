//! Events posted to the host's REST API: the other end of [`Ingress`].
//!
//! An offer is acknowledged when it is in the source's log, which is on the host's disk and outlives the host; then the
//! reader has it. A source that goes on from a checkpoint reads from the log what came behind it. A position is the number
//! of the next event; what stands before the oldest position that anybody may go on from is removed from the log.
//!
//! The log belongs to one run: `ingest/{job}/{run}/{source}/` under the host's data directory. A source has one subtask,
//! and is known by its job and its id for as long as the reader lives. Knows nothing of requests.

mod keys;
mod drain_rate;
mod log;
mod passage;
mod queue;
mod intake;
mod writer;
mod reader;
mod tail;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use gristmill_checkpoint::SplitPosition;
use gristmill_dataflow::document::{HttpSource, SourceSpec};
use gristmill_ports::ingress::{Ingress, IngressAnswer, Offer};
use gristmill_ports::parts::PartContext;
use gristmill_ports::{PortError, SourceReader};
use gristmill_types::{JobId, NodeId, RunId};

use self::intake::Intake;
use self::log::Log;
use self::reader::{Earlier, HttpReader, of_source, resumed_at};
use crate::format::event_reader::EventReader;

/// Under the data directory.
const FOLDER: &str = "ingest";

type SourceId = (JobId, NodeId);

/// The open `http` sources of a host, and where their logs are.
pub(crate) struct OpenSources {
    /// `None` while one is being opened.
    sources: Mutex<HashMap<SourceId, Option<Arc<Intake>>>>,
    data_dir: PathBuf,
}

impl OpenSources {
    pub(crate) fn new(data_dir: &Path) -> Self {
        Self { sources: Mutex::default(), data_dir: data_dir.to_owned() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SourceId, Option<Arc<Intake>>>> {
        self.sources.lock().expect("nothing panics while it holds this lock")
    }

    /// The log of one source of one run.
    fn folder_of_log(&self, job: &JobId, run: RunId, source: &NodeId) -> PathBuf {
        self.folder_of(job).join(run.to_string()).join(source.as_str())
    }

    /// The folder of all logs of a job.
    fn folder_of(&self, job: &JobId) -> PathBuf {
        self.data_dir.join(FOLDER).join(job.as_str())
    }

    /// Removes the logs of a job, which is not running.
    ///
    /// # Errors
    /// `Retry` if the disk refuses.
    pub(crate) fn forget_job(&self, job: &JobId) -> Result<(), PortError> {
        remove(&self.folder_of(job))
    }

    /// Removes the logs that other runs of a job have left.
    fn forget_runs_but(&self, job: &JobId, run: RunId) -> Result<(), PortError> {
        let runs = match self.folder_of(job).read_dir() {
            Ok(runs) => runs,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(refused(&self.folder_of(job), &error)),
        };
        let run = run.to_string();
        let others = runs.filter_map(Result::ok).filter(|other| other.file_name() != run.as_str());
        others.map(|other| other.path()).try_for_each(|other| remove(&other))
    }
}

fn remove(folder: &Path) -> Result<(), PortError> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(refused(folder, &error)),
        _ => Ok(()),
    }
}

fn refused(folder: &Path, error: &std::io::Error) -> PortError {
    PortError::retry(format!("cannot clear away the log of posted events in `{}`: {error}", folder.display()))
}

impl Ingress for OpenSources {
    fn offer(&self, job: &JobId, source: &NodeId, offer: Offer) -> IngressAnswer {
        let intake = self.lock().get(&(job.clone(), source.clone())).cloned().flatten();
        intake.map_or(IngressAnswer::NoSuchSource, |intake| intake.offer(offer))
    }
}

/// Opens the reader of a source.
///
/// # Errors
/// `Fatal` for paths that are none, and for a log that is damaged or does not have what was not read yet; `Retry` if the
/// disk refuses, and while the reader of an earlier attempt still lives.
pub(crate) fn open(
    context: &PartContext,
    spec: &SourceSpec,
    http: &HttpSource,
    resume: Option<&[SplitPosition]>,
    sources: &Arc<OpenSources>,
) -> Result<Box<dyn SourceReader>, PortError> {
    let node = &context.node;
    let fatal = |reason: String| PortError::fatal(format!("source `{node}`: {reason}"));
    if context.parallelism.get() != 1 {
        return Err(fatal("posted events come in one order, so the source has one subtask".to_owned()));
    }
    let events = EventReader::new(spec)?;
    let resumed_at = resumed_at(node, resume)?;
    sources.forget_runs_but(&context.job, context.run)?;
    let folder = sources.folder_of_log(&context.job, context.run, node);
    let mut open = OpenSource::claim(sources, context)?;
    let opened = Log::open(&folder, &sources.data_dir, http.log.as_u64());
    let (log, keys) = opened.map_err(|error| of_source(node, &error))?;
    let next = resumed_at.unwrap_or_else(|| log.first());
    check(&log, next).map_err(fatal)?;
    let earlier = log.read_from(next).map(Earlier::new);
    let intake = Arc::new(Intake::new(http.buffer.as_u64(), http.log.as_u64(), (log.bytes(), log.next()), keys));
    open.begin(&intake, writer::spawn(node.as_str(), log, Arc::clone(&intake))?);
    Ok(Box::new(HttpReader { node: node.clone(), intake, earlier, events, next, now_ms: 0, _open: open }))
}

/// Whether the log has the events from this number on.
fn check(log: &Log, next: u64) -> Result<(), String> {
    let place = log.folder().display();
    let advice = "put back the folder as it was, or run the job anew without what is missing";
    if next > log.next() {
        return Err(format!(
            "{next} posted events were read, and the log in `{place}` has only {}: it was removed, or belongs to another \
             host; {advice}",
            log.next()
        ));
    }
    if next < log.first() {
        return Err(format!(
            "the log in `{place}` begins with event {}, and the job goes on with event {next}; {advice}",
            log.first()
        ));
    }
    Ok(())
}

/// Keeps a source known while its reader lives.
struct OpenSource {
    sources: Arc<OpenSources>,
    id: SourceId,
    writing: Option<(Arc<Intake>, JoinHandle<()>)>,
}

impl OpenSource {
    /// Takes the place of the source; nothing can be offered to it yet.
    fn claim(sources: &Arc<OpenSources>, context: &PartContext) -> Result<Self, PortError> {
        let id = (context.job.clone(), context.node.clone());
        match sources.lock().entry(id.clone()) {
            Entry::Vacant(place) => place.insert(None),
            Entry::Occupied(_) => {
                let message = format!("source `{}`: an earlier attempt of the job still reads its log", context.node);
                return Err(PortError::retry(message));
            }
        };
        Ok(Self { sources: Arc::clone(sources), id, writing: None })
    }

    /// Offers are taken from now on.
    fn begin(&mut self, intake: &Arc<Intake>, writer: JoinHandle<()>) {
        self.sources.lock().insert(self.id.clone(), Some(Arc::clone(intake)));
        self.writing = Some((Arc::clone(intake), writer));
    }
}

impl Drop for OpenSource {
    /// Waits for the writer, since another may open the log right after.
    fn drop(&mut self) {
        if let Some((intake, writer)) = self.writing.take() {
            intake.leave();
            // One that panicked writes no more either.
            writer.join().ok();
        }
        self.sources.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests;
