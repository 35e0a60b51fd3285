//! Crash bundles of a job: listed, given away with the module in them, deleted.

use std::sync::Arc;

use gristmill_ports::crash::{CrashBundle, CrashName, KeptCrash};
use gristmill_types::{DeadLetter, JobId};

use super::{Control, ControlError, Thing, blocking};

impl Control {
    /// The bundles of a job, oldest first.
    ///
    /// # Errors
    /// If there is no such job, or they cannot be read.
    pub async fn crashes(&self, id: &JobId) -> Result<Vec<KeptCrash>, ControlError> {
        self.job(id).await?;
        let (store, id) = (Arc::clone(&self.parts.crashes), id.clone());
        Ok(blocking(move || store.list(&id)).await??)
    }

    /// The file of a bundle, with the module in it if the host still has it. One that is damaged is given as it is.
    ///
    /// # Errors
    /// If there is none of that name, or it cannot be read.
    pub async fn crash(self: &Arc<Self>, id: &JobId, name: &str) -> Result<Vec<u8>, ControlError> {
        self.job(id).await?;
        let (control, id, name) = (Arc::clone(self), id.clone(), name.to_owned());
        blocking(move || {
            let parts = &control.parts;
            let kept = match name.parse::<CrashName>() {
                Ok(name) => parts.crashes.get(&id, &name)?,
                Err(_) => None,
            };
            let Some(file) = kept else { return Err(control.no_crash(&id, &name)) };
            let Ok(bundle) = CrashBundle::decode(&file) else { return Ok(file) };
            let code = parts.catalog.module_bytes(bundle.module)?;
            Ok(CrashBundle { code, ..bundle }.encode())
        })
        .await?
    }

    /// Deletes a bundle; the next fault of its kind is kept again.
    ///
    /// # Errors
    /// If there is none of that name, or it cannot be deleted.
    pub async fn delete_crash(self: &Arc<Self>, id: &JobId, name: &str) -> Result<(), ControlError> {
        self.job(id).await?;
        let (control, id, name) = (Arc::clone(self), id.clone(), name.to_owned());
        blocking(move || {
            let was_there = match name.parse::<CrashName>() {
                Ok(name) => control.parts.crashes.delete(&id, &name)?,
                Err(_) => false,
            };
            if was_there { Ok(()) } else { Err(control.no_crash(&id, &name)) }
        })
        .await?
    }

    fn no_crash(&self, id: &JobId, name: &str) -> ControlError {
        let kept = self.parts.crashes.list(id).unwrap_or_default();
        let known: Vec<String> = kept.iter().map(|kept| kept.name.to_string()).collect();
        ControlError::missing_in(id, Thing::Crash, name, known.iter().map(String::as_str))
    }

    /// The bundle of the fault that a letter tells of, if one is kept.
    pub(super) fn crash_of(&self, job: &JobId, letter: &DeadLetter) -> Option<CrashName> {
        let reason = &letter.reason;
        let name = CrashName::of(&letter.operator, letter.module?, &reason.kind, &reason.message, &letter.backtrace);
        self.parts.crashes.has(job, &name).then_some(name)
    }
}
