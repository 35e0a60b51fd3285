//! The only file where traits meet concrete types: everything else of this crate is handed what is built here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use gristmill_catalog::FileCatalog;
use gristmill_connectors::Connectors;
use gristmill_dataflow::document::{KeyBy, SinkSpec, SourceSpec};
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_ports::format::KeySelector;
use gristmill_ports::parts::PartContext;
use gristmill_ports::state::Stateless;
use gristmill_ports::{Clock, Parts, PortError, Sink, SourceReader, StateBackend};
use gristmill_server::{Control, ControlParts};
use gristmill_state::MemoryBackend;
use gristmill_types::Descriptor;
use gristmill_wasm::{WasmModules, WasmOptions};

use crate::clock::SystemClock;

/// Under a data directory, or under a cache: the folder of compiled code.
const COMPILED: &str = "compiled";

/// A registry of modules that keeps compiled code under this directory.
///
/// # Errors
/// If the directory cannot be written, or this machine cannot run Wasm.
pub fn modules(root: &Path) -> anyhow::Result<WasmModules> {
    let options = WasmOptions { cache_dir: root.join(COMPILED) };
    WasmModules::new(&options).map_err(anyhow::Error::msg).context("preparing to run Wasm")
}

/// All that a host can be asked for, over what its data directory remembers. Blocks on files.
///
/// # Errors
/// If the data directory cannot be used, or this machine cannot run Wasm.
///
/// # Panics
/// Outside of a tokio runtime, which serves sockets and timers.
pub fn control(data_dir: &Path) -> anyhow::Result<Arc<Control>> {
    let clock = Arc::new(SystemClock::default());
    let catalog = Arc::new(FileCatalog::open(data_dir, clock.clone())?);
    let base = std::env::current_dir().context("asking for the working directory")?;
    let parts = HostParts::new(base, catalog.clone(), clock.clone());
    Ok(Control::new(ControlParts {
        catalog: catalog.clone(),
        registry: Arc::new(modules(data_dir)?),
        dead_letters: catalog,
        ingress: parts.connectors.ingress(),
        clock,
        parts_for: Arc::new(move |_| Arc::new(parts.clone()) as Arc<dyn Parts>),
        environment: Arc::new(|name| std::env::var(name).ok()),
    }))
}

/// The parts of the jobs of one host.
#[derive(Clone)]
pub struct HostParts {
    /// Opens sources and sinks.
    connectors: Arc<Connectors>,
    /// Relative paths in job documents begin here.
    base: PathBuf,
    dead_letters: Arc<dyn DeadLetterStore>,
    clock: Arc<dyn Clock>,
}

impl HostParts {
    /// The connectors of this program, state in memory, and what the host gives to every job.
    ///
    /// # Panics
    /// Outside of a tokio runtime, which serves sockets and timers.
    #[must_use]
    pub fn new(base: PathBuf, dead_letters: Arc<dyn DeadLetterStore>, clock: Arc<dyn Clock>) -> Self {
        let connectors = Arc::new(Connectors::new(tokio::runtime::Handle::current()));
        Self { connectors, base, dead_letters, clock }
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
