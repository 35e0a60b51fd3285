//! Modules: uploaded, listed, deleted when no job needs them.

use std::sync::Arc;

use gristmill_ports::catalog::{ModuleRecord, PutModule};
use gristmill_ports::module_registry::Admission;
use gristmill_types::{ModuleHash, ModuleName};

use super::{Control, ControlError, ModuleRef, Thing, blocking};

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
        let (found, known) = self
            .ask(move |catalog| {
                let hash = match &wanted {
                    ModuleRef::Hash(hash) => Some(*hash),
                    ModuleRef::Name(name) => catalog.resolve(name)?,
                };
                let found = hash.map(|hash| catalog.module(hash)).transpose()?.flatten();
                let known = if found.is_some() { Vec::new() } else { known_names(&catalog.modules()?) };
                Ok((found, known))
            })
            .await?;
        found.ok_or_else(|| ControlError::missing(Thing::Module, &module.to_string(), known.iter().map(String::as_str)))
    }

    /// Forgets a module and all its names; gives what it was.
    ///
    /// # Errors
    /// If there is none of that name or hash, or a job that is not over uses it.
    pub async fn delete_module(&self, module: &ModuleRef) -> Result<ModuleRecord, ControlError> {
        let gate = self.gate.lock().await;
        let record = self.module(module).await?;
        let hash = record.admission.hash;
        let in_use = |job, state| ControlError::ModuleInUse { module: module.to_string(), job, state };
        if let Some((job, _)) = gate.iter().find(|(_, modules)| modules.contains(&hash)) {
            return Err(in_use(job.clone(), gristmill_ports::catalog::JobState::Starting));
        }
        let user = self.jobs().await?.into_iter().find(|job| job.is_active() && job.uses(hash));
        if let Some(job) = user {
            return Err(in_use(job.record.id.clone(), job.status().state));
        }
        self.ask(move |catalog| catalog.delete_module(hash)).await?;
        drop(gate);
        Ok(record)
    }
}

fn taken(name: &ModuleName, hash: ModuleHash) -> ControlError {
    ControlError::NameTaken { name: name.clone(), hash }
}

/// All names of modules, as text.
pub(super) fn known_names(modules: &[ModuleRecord]) -> Vec<String> {
    modules.iter().flat_map(|module| &module.names).map(ToString::to_string).collect()
}
