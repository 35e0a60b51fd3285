//! From what a job document asks for to the part that does it.

use std::path::Path;

use gristmill_dataflow::document::{KeyBy, SinkKind, SinkSpec, SourceKind, SourceSpec};
use gristmill_ports::format::KeySelector;
use gristmill_ports::parts::PartContext;
use gristmill_ports::{PortError, Sink, SourceReader};
use tokio::runtime::Handle;

use crate::format::key::key_selector;
use crate::{sink, source};

/// Makes sources, sinks and key selectors. One for a host; cheap to share.
pub struct Connectors {
    runtime: Handle,
}

impl Connectors {
    /// Connectors whose sockets and timers are served by this runtime. It must have its time and I/O drivers, and
    /// threads of its own: sinks wait for it.
    #[must_use]
    pub fn new(runtime: Handle) -> Self {
        Self { runtime }
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
        let runtime = self.runtime.clone();
        match &spec.from {
            SourceKind::Generator(generator) => source::generator::open(context, spec, generator, runtime),
            SourceKind::File(_) | SourceKind::Http(_) | SourceKind::Socket(_) => {
                Err(PortError::fatal(format!("source `{}`: this connector is not part of the host yet ({})", context.node, base.display())))
            }
        }
    }

    /// Opens the writer of one subtask of a sink. Relative paths start from `base`.
    ///
    /// # Errors
    /// `Fatal` with a sentence if the sink cannot be had as it is asked for.
    pub fn sink(&self, context: &PartContext, spec: &SinkSpec, base: &Path) -> Result<Box<dyn Sink>, PortError> {
        match &spec.to {
            SinkKind::Blackhole(blackhole) => Ok(sink::blackhole::open(blackhole)),
            SinkKind::File(_) | SinkKind::Stdout(_) | SinkKind::Http(_) => {
                Err(PortError::fatal(format!("sink `{}`: this connector is not part of the host yet ({})", context.node, base.display())))
            }
        }
    }

    /// Makes the finder of keys that a `key_by` asks for.
    ///
    /// # Errors
    /// `Fatal` with a sentence for a path that is none, or that may match many places.
    pub fn key_selector(&self, key_by: &KeyBy) -> Result<Box<dyn KeySelector>, PortError> {
        key_selector(key_by)
    }
}
