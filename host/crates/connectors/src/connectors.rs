//! From what a job document asks for to the part that does it.

use std::path::Path;
use std::sync::Arc;

use gristmill_dataflow::document::{KeyBy, SinkKind, SinkSpec, SourceKind, SourceSpec};
use gristmill_ports::format::KeySelector;
use gristmill_ports::ingress::Ingress;
use gristmill_ports::parts::PartContext;
use gristmill_ports::{PortError, Sink, SourceReader};
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
    /// its own: sinks wait for it, so they must not be used on them.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self { runtime, open_sources: Arc::default() }
    }

    /// Opens the reader of one subtask of a source. Relative paths start from `base`.
    ///
    /// # Errors
    /// `Fatal` with a sentence if the source cannot be had as it is asked for.
    pub fn source(
        &self,
        context: &PartContext,
        spec: &SourceSpec,
        base: &Path,
    ) -> Result<Box<dyn SourceReader>, PortError> {
        let runtime = &self.runtime;
        match &spec.from {
            SourceKind::File(file) => source::file::open(context, spec, file, base, runtime.clone()),
            SourceKind::Http(http) => source::http::open(context, spec, http, &self.open_sources),
            SourceKind::Generator(generator) => source::generator::open(context, spec, generator, runtime.clone()),
            SourceKind::Socket(socket) => source::socket::open(context, spec, socket, runtime),
        }
    }

    /// Opens the writer of one subtask of a sink. Relative paths start from `base`.
    ///
    /// # Errors
    /// `Fatal` with a sentence if the sink cannot be had as it is asked for.
    pub fn sink(&self, context: &PartContext, spec: &SinkSpec, base: &Path) -> Result<Box<dyn Sink>, PortError> {
        match &spec.to {
            SinkKind::File(file) => sink::file::open(context, file, base, &self.runtime),
            SinkKind::Stdout(stdout) => sink::stdout::open(stdout),
            SinkKind::Http(http) => sink::http::open(context, http, self.runtime.clone()),
            SinkKind::Blackhole(blackhole) => Ok(sink::blackhole::open(blackhole)),
        }
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
