//! Modules: uploaded, listed, deleted when no job needs them.

use std::collections::HashMap;
use std::sync::Arc;

use gristmill_ports::PortError;
use gristmill_ports::catalog::{Catalog, JobState, ModuleRecord, PutModule};
use gristmill_ports::module_registry::Admission;
use gristmill_types::{JobId, ModuleHash, ModuleName};

use super::storage::newest_with;
use super::{Control, ControlError, JobView, ModuleRef, Thing, blocking};

/// What became of an upload.
#[derive(Debug, Clone, PartialEq)]
pub struct PushedModule {
    /// What the module is.
    pub admission: Admission,
    /// The name that it was pushed under.
    pub name: Option<ModuleName>,
    /// What was done.
    pub result: PushResult,
}

/// What an upload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushResult {
    /// It is new.
    Created,
    /// It was there already.
    Unchanged,
    /// The bytes were there already; the name is new.
    Named,
    /// It would be admitted; nothing was kept.
    DryRun,
}

/// What a deletion took away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedModule {
    /// The module.
    pub hash: ModuleHash,
    /// Names that are forgotten.
    pub forgotten: Vec<ModuleName>,
    /// Names that still stand for it.
    pub kept: Vec<ModuleName>,
    /// Whether the module itself is forgotten.
    pub gone: bool,
}

impl Control {
    /// Takes in a module, or only says whether it would be taken in. May compile for seconds.
    ///
    /// # Errors
    /// If the bytes are not admitted, or the name stands for other bytes.
    pub async fn push_module(
        &self,
        name: Option<ModuleName>,
        bytes: impl AsRef<[u8]> + Send + 'static,
        dry_run: bool,
    ) -> Result<PushedModule, ControlError> {
        let permit = self.compiling.acquire().await.expect("the semaphore is never closed");
        let registry = Arc::clone(&self.parts.registry);
        let catalog = Arc::clone(&self.parts.catalog);
        let pushed = blocking(move || {
            let bytes = bytes.as_ref();
            if let Some(name) = &name {
                // Asked before seconds of compiling; asked again by `put_module`, which decides.
                let hash = ModuleHash(blake3::hash(bytes).into());
                match catalog.resolve(name)? {
                    Some(other) if other != hash => return Err(taken(name, other)),
                    Some(_) | None => {}
                }
            }
            let admission = registry.admit(bytes)?;
            if dry_run {
                // Nothing is kept of a module that nobody has uploaded, its compiled code neither.
                if catalog.module(admission.hash)?.is_none() {
                    registry.forget(admission.hash);
                }
                return Ok(PushedModule { admission, name, result: PushResult::DryRun });
            }
            let result = match (catalog.put_module(name.as_ref(), bytes, &admission)?, &name) {
                (PutModule::Created, _) => PushResult::Created,
                (PutModule::Named, _) => PushResult::Named,
                (PutModule::NameTaken(other), Some(name)) => return Err(taken(name, other)),
                (PutModule::Unchanged | PutModule::NameTaken(_), _) => PushResult::Unchanged,
            };
            Ok(PushedModule { admission, name, result })
        })
        .await?;
        drop(permit);
        pushed
    }

    /// All modules, newest first.
    ///
    /// # Errors
    /// If the catalog cannot be read.
    pub async fn modules(&self) -> Result<Vec<ModuleRecord>, ControlError> {
        self.ask(|catalog| catalog.modules()).await
    }

    /// One module.
    ///
    /// # Errors
    /// If there is none of that name or hash.
    pub async fn module(&self, module: &ModuleRef) -> Result<ModuleRecord, ControlError> {
        let wanted = module.clone();
        let (mut found, known) = self
            .ask(move |catalog| {
                let found = find(&wanted, catalog)?;
                let known = if found.is_empty() { known_names(&catalog.modules()?) } else { Vec::new() };
                Ok((found, known))
            })
            .await?;
        match found.pop() {
            Some(only) if found.is_empty() => Ok(only),
            Some(one) => {
                let hashes = found.iter().chain([&one]).map(|module| module.admission.hash).collect();
                Err(ControlError::Ambiguous { prefix: module.to_string(), hashes })
            }
            None => {
                let known = known.iter().map(String::as_str);
                Err(ControlError::missing(Thing::Module, &module.to_string(), known))
            }
        }
    }

    /// Forgets a name, and the module with the last of its names; or, by hash, a module and all its names.
    ///
    /// # Errors
    /// If there is none of that name or hash, or the module would go and a job that is not over uses it, or has a checkpoint that names it.
    pub async fn delete_module(&self, module: &ModuleRef) -> Result<DeletedModule, ControlError> {
        let gate = self.gate.lock().await;
        let ModuleRecord { names, admission, .. } = self.module(module).await?;
        let hash = admission.hash;
        let (forgotten, kept) = match module {
            ModuleRef::Name(wanted) => names.into_iter().partition(|name| name == wanted),
            ModuleRef::Hash(_) | ModuleRef::Prefix(_) => (names, Vec::new()),
        };
        if kept.is_empty() {
            self.refuse_if_used(module, hash, &gate).await?;
        }
        let (wanted, registry) = (module.clone(), Arc::clone(&self.parts.registry));
        let gone = self
            .ask(move |catalog| {
                let gone = match &wanted {
                    ModuleRef::Name(name) => catalog.delete_name(name)?,
                    ModuleRef::Hash(_) | ModuleRef::Prefix(_) => catalog.delete_module(hash)?,
                };
                if gone {
                    registry.forget(hash);
                }
                Ok(gone)
            })
            .await?;
        drop(gate);
        Ok(DeletedModule { hash, forgotten, kept, gone })
    }

    /// Refuses if a job that is not over, or is about to start, runs the module or keeps a checkpoint of when it did. (A job
    /// holds on to bytes, not to names.)
    async fn refuse_if_used(
        &self,
        module: &ModuleRef,
        hash: ModuleHash,
        starting: &HashMap<JobId, Vec<ModuleHash>>,
    ) -> Result<(), ControlError> {
        let in_use = |job, state| ControlError::ModuleInUse { module: module.to_string(), job, state };
        if let Some((job, _)) = starting.iter().find(|(_, modules)| modules.contains(&hash)) {
            return Err(in_use(job.clone(), JobState::Starting));
        }
        let mut active = self.jobs().await?;
        active.retain(JobView::is_active);
        if let Some(job) = active.iter().find(|job| job.uses(hash)) {
            return Err(in_use(job.record.id.clone(), job.status().state));
        }
        for job in active {
            let (id, run) = (job.record.id, job.record.run);
            let (store, of) = (Arc::clone(&self.parts.checkpoints), id.clone());
            let named = blocking(move || run.map_or(Ok(None), |run| newest_with(&*store, &of, run, hash))).await??;
            if let Some(checkpoint) = named {
                return Err(ControlError::ModuleKept { module: module.to_string(), job: id, checkpoint });
            }
        }
        Ok(())
    }
}

/// The modules that are meant: one or none, or several that begin with the same digits.
fn find(wanted: &ModuleRef, catalog: &dyn Catalog) -> Result<Vec<ModuleRecord>, PortError> {
    let hash = match wanted {
        ModuleRef::Hash(hash) => Some(*hash),
        ModuleRef::Name(name) => catalog.resolve(name)?,
        ModuleRef::Prefix(digits) => {
            let mut modules = catalog.modules()?;
            modules.retain(|module| module.admission.hash.to_string().starts_with(digits));
            return Ok(modules);
        }
    };
    Ok(hash.map(|hash| catalog.module(hash)).transpose()?.flatten().into_iter().collect())
}

fn taken(name: &ModuleName, hash: ModuleHash) -> ControlError {
    ControlError::NameTaken { name: name.clone(), hash }
}

/// All names of modules, as text.
pub(super) fn known_names(modules: &[ModuleRecord]) -> Vec<String> {
    modules.iter().flat_map(|module| &module.names).map(ToString::to_string).collect()
}
