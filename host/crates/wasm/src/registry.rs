//! The front of this crate: admits modules and prepares them for jobs.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use gristmill_ports::module_registry::{Admission, ModuleRegistry, PrepareOptions, Prepared, Refusal};
use gristmill_ports::operator::{Operator, OperatorContext, OperatorFactory};
use gristmill_ports::{Inspector, Migrator};
use gristmill_types::{CallFailure, Descriptor, ModuleHash};
use wasmtime::component::Linker;

use crate::cache::CodeCache;
use crate::engine::GuestEngine;
use crate::event_operator::EventOperator;
use crate::guest_data::GuestData;
use crate::guest_inspector::GuestInspector;
use crate::guest_migrator::GuestMigrator;
use crate::guest_operator::GuestOperator;
use crate::limits::Limits;
use crate::module::{Compiled, Module};
use crate::parameters::Schema;
use crate::seat::Seat;
use crate::{describe, descriptor, imports};

/// How a host keeps its modules.
#[derive(Debug, Clone)]
pub struct WasmOptions {
    /// Directory of compiled code; made where needed. Whoever can write there can run code in the host.
    pub cache_dir: PathBuf,
}

/// All modules of a host. Cheap to share behind an `Arc`; compiling blocks only those who want the same module.
pub struct WasmModules {
    engine: Arc<GuestEngine>,
    linker: Linker<GuestData>,
    cache: CodeCache,
    /// What is in use at the moment, by hash. A slot's lock is held while its module is made.
    slots: Mutex<HashMap<ModuleHash, Arc<Slot>>>,
}

type Slot = Mutex<Weak<Module>>;

impl WasmModules {
    /// Starts the Wasm engine and opens the cache of compiled code.
    ///
    /// # Errors
    /// If the engine does not start on this machine, or the directory cannot be made; in words.
    pub fn new(options: &WasmOptions) -> Result<Self, String> {
        let engine = Arc::new(GuestEngine::new()?);
        let cache = CodeCache::open(&options.cache_dir, engine.compatibility_tag())?;
        let linker =
            imports::linker(&engine.wasm).map_err(|error| format!("the imports cannot be linked: {error:#}"))?;
        Ok(Self { engine, linker, cache, slots: Mutex::default() })
    }

    /// The module of these bytes: from memory, from the cache on disk, or compiled.
    fn module(&self, hash: ModuleHash, bytes: &[u8]) -> Result<(Arc<Module>, Compiled), Refusal> {
        let slot = self.slot(hash);
        let mut in_slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = in_slot.upgrade() {
            return Ok((module, Compiled::HIT));
        }
        let (module, effort) = Module::load(&self.engine, &self.linker, &self.cache, hash, bytes)?;
        let module = Arc::new(module);
        *in_slot = Arc::downgrade(&module);
        Ok((module, effort))
    }

    /// Keeps what was compiled of a module that has been found good.
    fn keep(&self, hash: ModuleHash, module: &Module, effort: Compiled) {
        if let Some(source) = effort.uncached {
            self.cache.store(hash, source, module.linked.component());
        }
    }

    fn slot(&self, hash: ModuleHash) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        // Slots that nobody waits at and whose module is gone make room.
        slots.retain(|_, slot| {
            Arc::strong_count(slot) > 1 || slot.try_lock().is_ok_and(|module| module.strong_count() > 0)
        });
        Arc::clone(slots.entry(hash).or_default())
    }
}

impl ModuleRegistry for WasmModules {
    fn admit(&self, bytes: &[u8]) -> Result<Admission, Refusal> {
        let hash = hash_of(bytes);
        let (module, effort) = self.module(hash, bytes)?;
        let descriptor = describe::describe(&module)?;
        let warnings = descriptor::check(&descriptor, &module.surface)?;
        self.keep(hash, &module, effort);
        Ok(Admission {
            hash,
            form: module.form,
            size_bytes: bytes.len() as u64,
            cache: effort.cache,
            compile_ms: effort.millis,
            exports: module.surface.called(),
            imports: module.surface.check_imports()?,
            descriptor,
            warnings,
        })
    }

    fn prepare(&self, bytes: &[u8], options: &PrepareOptions) -> Result<Prepared, Refusal> {
        let hash = hash_of(bytes);
        let (module, effort) = self.module(hash, bytes)?;
        let descriptor = describe::describe(&module)?;
        descriptor::check(&descriptor, &module.surface)?;
        self.keep(hash, &module, effort);
        let parameters = Schema::parse(&descriptor.parameters_schema)?.apply(options.parameters.as_ref())?;
        let factory = Factory { module, descriptor: Arc::new(descriptor), limits: options.into() };
        Ok(Prepared { factory: Arc::new(factory), parameters })
    }

    fn forget(&self, module: ModuleHash) {
        self.cache.forget(module);
    }
}

fn hash_of(bytes: &[u8]) -> ModuleHash {
    ModuleHash(*blake3::hash(bytes).as_bytes())
}

/// A module with the limits of one operator.
struct Factory {
    module: Arc<Module>,
    descriptor: Arc<Descriptor>,
    limits: Limits,
}

impl Factory {
    fn seat(&self, context: OperatorContext) -> Result<Seat, CallFailure> {
        Seat::filled(Arc::clone(&self.module), Arc::clone(&self.descriptor), context, self.limits)
    }
}

impl OperatorFactory for Factory {
    fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    fn open(&self, context: OperatorContext) -> Result<Box<dyn Operator>, CallFailure> {
        let seat = self.seat(context)?;
        Ok(if self.module.exports.guest.is_some() {
            Box::new(GuestOperator::new(seat))
        } else {
            Box::new(EventOperator::new(seat))
        })
    }

    fn migrates(&self) -> bool {
        self.module.exports.migration.is_some()
    }

    fn migrator(&self, context: OperatorContext) -> Result<Option<Box<dyn Migrator>>, CallFailure> {
        if !self.migrates() {
            return Ok(None);
        }
        Ok(Some(Box::new(GuestMigrator::new(self.seat(context)?))))
    }

    fn inspector(&self, context: OperatorContext) -> Result<Option<Box<dyn Inspector>>, CallFailure> {
        if self.module.exports.inspection.is_none() {
            return Ok(None);
        }
        Ok(Some(Box::new(GuestInspector::new(self.seat(context)?))))
    }
}
