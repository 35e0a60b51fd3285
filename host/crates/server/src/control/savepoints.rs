//! Savepoints in storage: listed, looked at, verified, deleted, begun from. They belong to people, and outlive their jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use gristmill_checkpoint::savepoint::RECORD;
use gristmill_checkpoint::{NodeSnapshot, Savepoint, SavepointFolder, StateFile};
use gristmill_ports::catalog::{OperationRecord, Origin};
use gristmill_ports::{FileStore, PortError};
use gristmill_runtime::{fit_savepoint, read_savepoint, try_savepoint};
use gristmill_types::{JobId, NodeId};
use serde_json::{Value, json};

use super::assess::PreparedJob;
use super::names::is_savepoint_name;
use super::{Control, ControlError, Thing, blocking};

/// What is damaged of which a report tells.
const MOST_DAMAGED: usize = 100;

/// A savepoint in storage.
#[derive(Debug, Clone)]
pub struct FoundSavepoint {
    /// The job whose folder it is in.
    pub job: JobId,
    /// Its name.
    pub name: String,
    /// Its record, or why that cannot be read.
    pub record: Result<Savepoint, String>,
}

impl Control {
    /// All savepoints, or those of one job, by job and name.
    ///
    /// # Errors
    /// If checkpoint storage cannot be read.
    pub async fn savepoints(self: &Arc<Self>, of: Option<&JobId>) -> Result<Vec<FoundSavepoint>, ControlError> {
        let control = Arc::clone(self);
        let of = of.cloned();
        blocking(move || control.find_savepoints(of.as_ref())).await?.map_err(ControlError::Store)
    }

    fn find_savepoints(&self, of: Option<&JobId>) -> Result<Vec<FoundSavepoint>, PortError> {
        let store = &*self.parts.checkpoints;
        let mut found = Vec::new();
        for (job, name) in self.savepoint_names(of)? {
            let record = match read_savepoint(store, &SavepointFolder::new(&job, &name)) {
                Ok(Some(savepoint)) => Ok(savepoint),
                // Deleted since it was listed.
                Ok(None) => continue,
                Err(error) => Err(error.message),
            };
            found.push(FoundSavepoint { job, name, record });
        }
        Ok(found)
    }

    pub(super) fn savepoint_names(&self, of: Option<&JobId>) -> Result<Vec<(JobId, String)>, PortError> {
        let folder = of.map_or_else(|| "savepoints".to_owned(), SavepointFolder::of_job);
        let stored = self.parts.checkpoints.list(&folder)?;
        let named = |path: &str| {
            let parts: Vec<&str> = path.split('/').collect();
            let [_, job, name, RECORD] = parts[..] else { return None };
            Some((job.parse().ok()?, name.to_owned()))
        };
        Ok(stored.iter().filter_map(|stored| named(&stored.path)).collect())
    }

    /// The record of one savepoint. If that does not say how much there is of each state, this is counted in its files.
    ///
    /// # Errors
    /// If there is none of that name, or it cannot be read.
    pub async fn savepoint(self: &Arc<Self>, job: &JobId, name: &str) -> Result<Savepoint, ControlError> {
        let (control, job, name) = (Arc::clone(self), job.clone(), name.to_owned());
        blocking(move || {
            let mut savepoint = control.read_savepoint(&job, &name)?;
            if savepoint.entries.is_none() {
                let files = (control.parts.open_savepoint)(&SavepointFolder::new(&job, &name))?;
                savepoint.entries = Some(control.count_states(&savepoint, &*files)?);
            }
            Ok(savepoint)
        })
        .await?
    }

    /// Entries of each state of each node, counted in the files of a savepoint.
    fn count_states(
        &self,
        savepoint: &Savepoint,
        files: &dyn FileStore,
    ) -> Result<BTreeMap<NodeId, Vec<u64>>, PortError> {
        let stateful = savepoint.nodes.iter().filter(|node| !node.states.is_empty());
        let count = |node: &NodeSnapshot| {
            let list: Vec<StateFile> = node.subtasks.iter().flat_map(|part| part.files.iter().copied()).collect();
            Ok((node.node.clone(), self.parts.state_reader.count(node.states.len(), &list, files)?))
        };
        stateful.map(count).collect()
    }

    /// The same. Blocks.
    pub(super) fn read_savepoint(&self, job: &JobId, name: &str) -> Result<Savepoint, ControlError> {
        let place = format!("{job}/{name}");
        let found = match is_savepoint_name(name) {
            true => read_savepoint(&*self.parts.checkpoints, &SavepointFolder::new(job, name))?,
            false => None,
        };
        let Some(savepoint) = found else {
            let known = self.savepoint_names(None)?;
            let known: Vec<String> = known.iter().map(|(job, name)| format!("{job}/{name}")).collect();
            return Err(ControlError::missing(Thing::Savepoint, &place, known.iter().map(String::as_str)));
        };
        Ok(savepoint)
    }

    /// Lays the savepoint that a job is to begin from beside it. Blocks.
    ///
    /// # Errors
    /// If there is none of that name; all that does not fit.
    pub(super) fn lay_beside(
        &self,
        mut prepared: PreparedJob,
        origin: Option<Origin>,
    ) -> Result<PreparedJob, ControlError> {
        let Some(origin) = origin else { return Ok(prepared) };
        let savepoint = self.read_savepoint(&origin.job, &origin.name)?;
        let fits = fit_savepoint(&prepared.spec, &savepoint, &origin.dropped).map_err(ControlError::BadDocument)?;
        prepared.assessment.savepoint = Some(fits);
        prepared.spec.origin = Some(origin);
        Ok(prepared)
    }

    /// The same for a dry run: the modules rewrite what is in another schema, into nothing. Blocks.
    ///
    /// # Errors
    /// If there is none of that name or it is damaged; all that does not fit, or cannot be rewritten.
    pub(super) fn try_beside(
        &self,
        prepared: PreparedJob,
        origin: Option<Origin>,
    ) -> Result<PreparedJob, ControlError> {
        let mut prepared = self.lay_beside(prepared, origin)?;
        let (Some(fits), Some(origin)) = (&prepared.assessment.savepoint, &prepared.spec.origin) else {
            return Ok(prepared);
        };
        let savepoint = self.read_savepoint(&origin.job, &origin.name)?;
        let files = (self.parts.open_savepoint)(&SavepointFolder::new(&origin.job, &origin.name))?;
        let read = (&*self.parts.state_reader, &*files);
        let tried = try_savepoint(&prepared.spec, (&savepoint, fits), read, &self.parts.clock);
        prepared.assessment.migration = tried.map_err(ControlError::BadDocument)?;
        Ok(prepared)
    }

    /// Reads a savepoint whole: each file against its hash, each block of state against its checksum. The operation
    /// fails if something is damaged, and says what.
    ///
    /// # Errors
    /// If there is none of that name, or its record cannot be read.
    pub async fn verify_savepoint(self: &Arc<Self>, job: &JobId, name: &str) -> Result<OperationRecord, ControlError> {
        let savepoint = self.savepoint(job, name).await?;
        let operation = self.begin_with("verify-savepoint", job, json!({"savepoint": name})).await?;
        let (control, begun, name) = (Arc::clone(self), operation.clone(), name.to_owned());
        tokio::spawn(async move {
            let reading = Arc::clone(&control);
            let verified = blocking(move || reading.verify(&name, &savepoint)).await;
            let outcome = match verified {
                Ok(Ok(report)) if report["damaged"] == json!([]) => Ok(report),
                Ok(Ok(report)) => Err(report),
                Ok(Err(error)) => Err(json!({"message": error.message})),
                Err(error) => Err(json!({"message": error.to_string()})),
            };
            control.end(begun, outcome).await;
        });
        Ok(operation)
    }

    fn verify(&self, name: &str, savepoint: &Savepoint) -> Result<Value, PortError> {
        let files = (self.parts.open_savepoint)(&SavepointFolder::new(&savepoint.job, name))?;
        let (mut count, mut entries, mut damaged) = (0, 0, Vec::new());
        let mut note = |node: &NodeId, why: String| {
            if damaged.len() < MOST_DAMAGED {
                damaged.push(json!({"node": node, "why": why}));
            }
        };
        for node in &savepoint.nodes {
            let (mut counted, mut is_whole) = (vec![0; node.states.len()], true);
            for file in node.subtasks.iter().flat_map(|part| &part.files) {
                count += 1;
                let read = self.parts.state_reader.count(node.states.len(), &[*file], &*files);
                match read.map(|counts| (counts.iter().sum::<u64>(), counts)) {
                    Ok((read, counts)) if read == file.entries => {
                        entries += read;
                        counted.iter_mut().zip(counts).for_each(|(sum, one)| *sum += one);
                    }
                    Ok((read, _)) => {
                        is_whole = false;
                        note(&node.node, format!("`{}` has {read} entries, not {}", file.file, file.entries));
                    }
                    Err(error) => {
                        is_whole = false;
                        note(&node.node, error.message);
                    }
                }
            }
            let said = savepoint.entries.as_ref().and_then(|entries| entries.get(&node.node));
            if let Some(said) = said.filter(|said| is_whole && **said != counted) {
                note(&node.node, format!("its states have {counted:?} entries, not {said:?}"));
            }
        }
        for tail in &savepoint.tails {
            count += 1;
            if let Err(error) = files.open(&tail.file) {
                note(&tail.source, error.message);
            }
        }
        let bytes = savepoint.bytes();
        Ok(json!({"savepoint": name, "files": count, "entries": entries, "bytes": bytes, "damaged": damaged}))
    }

    /// Deletes a savepoint: its record first, without which it is none.
    ///
    /// # Errors
    /// If there is none of that name, a job may yet begin from it, or storage refuses.
    pub async fn delete_savepoint(self: &Arc<Self>, job: &JobId, name: &str) -> Result<(), ControlError> {
        let (control, job, name) = (Arc::clone(self), job.clone(), name.to_owned());
        blocking(move || {
            let folder = SavepointFolder::new(&job, &name);
            let store = &*control.parts.checkpoints;
            // One whose record is damaged can be deleted too.
            if !is_savepoint_name(&name) || store.get(&folder.record())?.is_none() {
                control.read_savepoint(&job, &name)?;
            }
            let begins_from = |origin: &Origin| origin.job == job && origin.name == name;
            let user = control
                .parts
                .catalog
                .jobs()?
                .into_iter()
                .find(|record| !record.state.is_final() && record.origin.as_ref().is_some_and(begins_from));
            if let Some(user) = user {
                return Err(ControlError::SavepointInUse { name: format!("{job}/{name}"), job: user.id });
            }
            store.delete(&folder.record())?;
            for stored in store.list(folder.prefix())? {
                store.delete(&stored.path)?;
            }
            Ok(())
        })
        .await?
    }
}
