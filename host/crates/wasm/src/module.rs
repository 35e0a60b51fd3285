//! A module ready to be instantiated: compiled, linked, its exports looked up.

use std::sync::Arc;

use gristmill_ports::module_registry::{CacheUse, ModuleForm, Refusal};
use gristmill_types::ModuleHash;
use wasmtime::component::{Component, InstancePre, Linker};

use crate::bindings::{event_handler, guest, inspection, migration, processor};
use crate::cache::CodeCache;
use crate::engine::GuestEngine;
use crate::guest_data::GuestData;
use crate::refusal::{INVALID_WASM, WRONG_TYPES, refuse};
use crate::surface::Surface;
use crate::{bulk, encode, fault};

/// Compiled code with all that is needed to make instances of it. Shared by all operators that run the module.
pub(crate) struct Module {
    pub(crate) form: ModuleForm,
    pub(crate) surface: Surface,
    pub(crate) engine: Arc<GuestEngine>,
    pub(crate) linked: InstancePre<GuestData>,
    pub(crate) exports: Exports,
}

/// Where the exports of the contract are. An interface that the module does not have is absent.
#[derive(Clone)]
pub(crate) struct Exports {
    pub(crate) guest: Option<guest::GuestIndices>,
    pub(crate) processor: Option<processor::GuestIndices>,
    pub(crate) event_handler: Option<event_handler::GuestIndices>,
    pub(crate) migration: Option<migration::GuestIndices>,
    pub(crate) inspection: Option<inspection::GuestIndices>,
}

/// Whether there was anything to compile, and how long that took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Compiled {
    pub(crate) cache: CacheUse,
    pub(crate) millis: u64,
    /// Hash of the component that was compiled, if there is code that the cache does not have.
    pub(crate) uncached: Option<blake3::Hash>,
}

impl Compiled {
    pub(crate) const HIT: Self = Self { cache: CacheUse::Hit, millis: 0, uncached: None };
}

impl Module {
    /// Makes a module of uploaded bytes; looks at its imports, exports and weight before compiling anything. What was
    /// compiled is not kept in the cache yet: the module may be refused still.
    ///
    /// # Errors
    /// Why the bytes cannot be a module of this host.
    pub(crate) fn load(
        engine: &Arc<GuestEngine>,
        linker: &Linker<GuestData>,
        cache: &CodeCache,
        hash: ModuleHash,
        bytes: &[u8],
    ) -> Result<(Self, Compiled), Refusal> {
        let (component, form) = encode::component(bytes)?;
        let surface = Surface::of(&component)?;
        surface.check_imports()?;
        surface.check_exports()?;
        bulk::check(&component)?;
        let (compiled, effort) = compiled(engine, cache, hash, &component)?;
        let linked = linker.instantiate_pre(&compiled).map_err(|error| wrong_types(&error))?;
        let exports = Exports::of(&linked, &surface)?;
        Ok((Self { form, surface, engine: Arc::clone(engine), linked, exports }, effort))
    }
}

fn compiled(
    engine: &GuestEngine,
    cache: &CodeCache,
    hash: ModuleHash,
    component: &[u8],
) -> Result<(Component, Compiled), Refusal> {
    if let Some(component) = cache.load(&engine.wasm, hash, component) {
        return Ok((component, Compiled::HIT));
    }
    let begun = std::time::Instant::now();
    let compiled = Component::from_binary(&engine.wasm, component)
        .map_err(|error| refuse(INVALID_WASM, format!("the component does not compile: {error:#}")))?;
    let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(module = %hash, size = %fault::in_words(component.len()), millis, "compiled a module");
    Ok((compiled, Compiled { cache: CacheUse::Miss, millis, uncached: Some(blake3::hash(component)) }))
}

impl Exports {
    fn of(linked: &InstancePre<GuestData>, surface: &Surface) -> Result<Self, Refusal> {
        Ok(Self {
            guest: looked_up(surface, "guest", || guest::GuestIndices::new(linked))?,
            processor: looked_up(surface, "processor", || processor::GuestIndices::new(linked))?,
            event_handler: looked_up(surface, "event-handler", || event_handler::GuestIndices::new(linked))?,
            migration: looked_up(surface, "migration", || migration::GuestIndices::new(linked))?,
            inspection: looked_up(surface, "inspection", || inspection::GuestIndices::new(linked))?,
        })
    }
}

fn looked_up<I>(
    surface: &Surface,
    interface: &str,
    look: impl FnOnce() -> wasmtime::Result<I>,
) -> Result<Option<I>, Refusal> {
    if !surface.exports(interface) {
        return Ok(None);
    }
    look().map(Some).map_err(|error| wrong_types(&error))
}

fn wrong_types(error: &wasmtime::Error) -> Refusal {
    refuse(
        WRONG_TYPES,
        format!(
            "an interface of the module is not the one of the contract; build it against this host's wit/: {error:#}"
        ),
    )
}
