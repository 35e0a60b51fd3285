//! From what a job document asks for to the part that does it.

use std::path::Path;
use std::sync::Arc;

use gristmill_checkpoint::SplitPosition;
use gristmill_dataflow::document::{KeyBy, SinkKind, SinkSpec, SourceKind, SourceSpec};
use gristmill_ports::format::KeySelector;
use gristmill_ports::ingress::Ingress;
use gristmill_ports::parts::{PartContext, StoredTail};
use gristmill_ports::{Committer, FileStore, PortError, Sink, SourceReader};
use gristmill_types::{JobId, NodeId, RunId};
use tokio::runtime::Handle;

use crate::format::key::key_selector;
use crate::source::http::OpenSources;
use crate::{sink, source};

/// Makes sources, sinks and key selectors. One for a host; cheap to share.
pub struct Connectors {
    runtime: Handle,
    /// Where posted events find their source.
    open_sources: Arc<OpenSources>,
}

impl Connectors {
    /// Connectors whose sockets and timers are served by this runtime. It has its time and I/O drivers, and threads of
    /// its own: sinks wait for it, so they must not be used on them. What posted events are logged in lies under
    /// `data_dir`, which is made when it is needed; no other host uses it meanwhile.
    #[must_use]
    pub fn new(runtime: Handle, data_dir: &Path) -> Self {
        Self { runtime, open_sources: Arc::new(OpenSources::new(data_dir)) }
    }

    /// Opens the reader of one subtask of a source, which goes on from these positions, if any: those of all subtasks.
    /// Relative paths start from `base`.
    ///
    /// # Errors
    /// `Fatal` with a sentence if the source cannot be had as it is asked for, or cannot go on from there.
    pub fn source(
        &self,
        context: &PartContext,
        spec: &SourceSpec,
        resume: Option<&[SplitPosition]>,
        base: &Path,
    ) -> Result<Box<dyn SourceReader>, PortError> {
        let runtime = &self.runtime;
        match &spec.from {
            SourceKind::File(file) => source::file::open(context, spec, file, base, resume, runtime.clone()),
            SourceKind::Http(http) => source::http::open(context, spec, http, resume, &self.open_sources),
            SourceKind::Generator(generator) => {
                source::generator::open(context, spec, generator, resume, runtime.clone())
            }
            // Nothing that was read can be read again.
            SourceKind::Socket(socket) => source::socket::open(context, spec, socket, runtime),
        }
    }

    /// Stores what a source has taken in and nobody has read behind these positions, if that is kept nowhere else. Blocks.
    ///
    /// # Errors
    /// `Retry` if the disk or the store refuses, or the source is not open just now; `Fatal` if what it keeps is damaged.
    pub fn tail(
        &self,
        of: (&JobId, RunId, &NodeId),
        spec: &SourceSpec,
        stands: &[SplitPosition],
        to: &dyn FileStore,
    ) -> Result<Option<StoredTail>, PortError> {
        match &spec.from {
            SourceKind::Http(_) => self.open_sources.tail(of, stands, to),
            // These are read again elsewhere, or cannot be read again at all.
            SourceKind::File(_) | SourceKind::Generator(_) | SourceKind::Socket(_) => Ok(None),
        }
    }

    /// Lays such a file where the source of another run finds it, if that was never opened. Blocks.
    ///
    /// # Errors
    /// `Retry` if the disk refuses; `Fatal` if the file is none.
    pub fn adopt_tail(&self, job: &JobId, run: RunId, source: &NodeId, tail: &Path) -> Result<(), PortError> {
        self.open_sources.adopt_tail(job, run, source, tail)
    }

    /// Removes what was kept for the sources of a job that is deleted. Blocks on files.
    ///
    /// # Errors
    /// `Retry` if the disk refuses.
    pub fn forget_job(&self, job: &JobId) -> Result<(), PortError> {
        self.open_sources.forget_job(job)
    }

    /// Opens the writer of one subtask of a sink, to go on from its position if there is one. Relative paths start from
    /// `base`.
    ///
    /// # Errors
    /// `Fatal` with a sentence if the sink cannot be had as it is asked for; `Retry` if it cannot be reached now.
    pub fn sink(
        &self,
        context: &PartContext,
        spec: &SinkSpec,
        base: &Path,
        resume: Option<&[u8]>,
    ) -> Result<Box<dyn Sink>, PortError> {
        // What a sink without anything to remember says is nothing to go on from.
        let resume = resume.filter(|position| !position.is_empty());
        match &spec.to {
            SinkKind::File(file) => sink::file::open(context, file, base, resume, &self.runtime),
            SinkKind::Postgres(postgres) => sink::postgres::open(context, postgres, resume, self.runtime.clone()),
            SinkKind::Stdout(stdout) => sink::stdout::open(context, stdout, resume),
            SinkKind::Http(http) => sink::http::open(context, http, resume, self.runtime.clone()),
            SinkKind::Blackhole(blackhole) => sink::blackhole::open(context, blackhole, resume),
        }
    }

    /// What commits the output of a sink, for all its subtasks; `None` if the sink is not transactional.
    ///
    /// # Errors
    /// `Fatal` with a sentence if it cannot be had as it is asked for.
    pub fn committer(
        &self,
        context: &PartContext,
        spec: &SinkSpec,
        base: &Path,
        files: &Arc<dyn FileStore>,
    ) -> Result<Option<Box<dyn Committer>>, PortError> {
        Ok(match &spec.to {
            SinkKind::File(file) => Some(sink::file::committer(context, file, base)),
            SinkKind::Postgres(postgres) => {
                Some(sink::postgres::committer(context, postgres, Arc::clone(files), self.runtime.clone())?)
            }
            SinkKind::Stdout(_) | SinkKind::Http(_) | SinkKind::Blackhole(_) => None,
        })
    }

    /// Makes the finder of keys that a `key_by` asks for.
    ///
    /// # Errors
    /// `Fatal` with a sentence for a path that is none, or that may match many places.
    pub fn key_selector(&self, key_by: &KeyBy) -> Result<Box<dyn KeySelector>, PortError> {
        key_selector(key_by)
    }

    /// The way of posted events into `http` sources.
    #[must_use]
    pub fn ingress(&self) -> Arc<dyn Ingress> {
        Arc::clone(&self.open_sources) as Arc<dyn Ingress>
    }
}
