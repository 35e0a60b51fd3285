//! The only file where traits meet concrete types.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gristmill_connectors::Connectors;
use gristmill_dataflow::document::{KeyBy, SinkSpec, SourceSpec};
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_ports::format::KeySelector;
use gristmill_ports::parts::PartContext;
use gristmill_ports::state::Stateless;
use gristmill_ports::{Clock, Parts, PortError, Sink, SourceReader, StateBackend};
use gristmill_state::MemoryBackend;
use gristmill_types::Descriptor;

/// The parts of the jobs of one host.
#[derive(Clone)]
pub struct HostParts {
    /// Opens sources and sinks.
    pub connectors: Arc<Connectors>,
    /// Relative paths in job documents begin here.
    pub base: PathBuf,
    /// Keeps dead letters.
    pub dead_letters: Arc<dyn DeadLetterStore>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl HostParts {
    /// The same parts with relative paths beginning elsewhere.
    #[must_use]
    pub fn based_at(&self, base: &Path) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }
}

impl Parts for HostParts {
    fn source(&self, context: &PartContext, spec: &SourceSpec) -> Result<Box<dyn SourceReader>, PortError> {
        self.connectors.source(context, spec, &self.base)
    }

    fn sink(&self, context: &PartContext, spec: &SinkSpec) -> Result<Box<dyn Sink>, PortError> {
        self.connectors.sink(context, spec, &self.base)
    }

    fn key_selector(&self, key_by: &KeyBy) -> Result<Box<dyn KeySelector>, PortError> {
        self.connectors.key_selector(key_by)
    }

    fn state(&self, _: &PartContext, descriptor: &Descriptor) -> Result<Box<dyn StateBackend>, PortError> {
        Ok(if descriptor.is_stateful() { Box::new(MemoryBackend::new(descriptor)) } else { Box::new(Stateless) })
    }

    fn dead_letters(&self) -> Arc<dyn DeadLetterStore> {
        Arc::clone(&self.dead_letters)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }
}
