//! A catalog, and a store of dead letters, in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use gristmill_ports::PortError;
use gristmill_ports::catalog::{Catalog, JobRecord, ModuleRecord, OperationRecord, PutModule, RememberedAnswer};
use gristmill_ports::dead_letters::DeadLetterStore;
use gristmill_ports::module_registry::Admission;
use gristmill_types::{DeadLetter, JobId, ModuleHash, ModuleName};

#[derive(Default)]
pub(crate) struct MemoryCatalog(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    modules: BTreeMap<ModuleHash, (ModuleRecord, Vec<u8>)>,
    jobs: BTreeMap<JobId, JobRecord>,
    operations: BTreeMap<String, OperationRecord>,
    answers: BTreeMap<String, RememberedAnswer>,
    letters: BTreeMap<JobId, Vec<DeadLetter>>,
    replayed: BTreeSet<(JobId, u64)>,
}

impl MemoryCatalog {
    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> Result<T, PortError> {
        Ok(work(&mut self.0.lock().unwrap()))
    }
}

impl Catalog for MemoryCatalog {
    fn put_module(
        &self,
        name: Option<&ModuleName>,
        bytes: &[u8],
        admission: &Admission,
    ) -> Result<PutModule, PortError> {
        if let Some(other) = name.map(|name| self.resolve(name)).transpose()?.flatten()
            && other != admission.hash
        {
            return Ok(PutModule::NameTaken(other));
        }
        self.with(|kept| {
            let is_new = !kept.modules.contains_key(&admission.hash);
            let record = ModuleRecord { names: Vec::new(), admission: admission.clone(), created_ms: 0 };
            let (record, _) = kept.modules.entry(admission.hash).or_insert((record, bytes.to_vec()));
            let new_name = name.filter(|name| !record.names.contains(name));
            record.names.extend(new_name.cloned());
            match (is_new, new_name) {
                (true, _) => PutModule::Created,
                (false, Some(_)) => PutModule::Named,
                (false, None) => PutModule::Unchanged,
            }
        })
    }

    fn resolve(&self, name: &ModuleName) -> Result<Option<ModuleHash>, PortError> {
        self.with(|kept| {
            let found = kept.modules.values().find(|(record, _)| record.names.contains(name));
            found.map(|(record, _)| record.admission.hash)
        })
    }

    fn module(&self, hash: ModuleHash) -> Result<Option<ModuleRecord>, PortError> {
        self.with(|kept| kept.modules.get(&hash).map(|(record, _)| record.clone()))
    }

    fn module_bytes(&self, hash: ModuleHash) -> Result<Option<Vec<u8>>, PortError> {
        self.with(|kept| kept.modules.get(&hash).map(|(_, bytes)| bytes.clone()))
    }

    fn modules(&self) -> Result<Vec<ModuleRecord>, PortError> {
        self.with(|kept| kept.modules.values().map(|(record, _)| record.clone()).collect())
    }

    fn delete_name(&self, name: &ModuleName) -> Result<bool, PortError> {
        let Some(hash) = self.resolve(name)? else { return Ok(false) };
        self.with(|kept| {
            let (record, _) = kept.modules.get_mut(&hash).unwrap();
            record.names.retain(|other| other != name);
            record.names.is_empty() && kept.modules.remove(&hash).is_some()
        })
    }

    fn delete_module(&self, hash: ModuleHash) -> Result<bool, PortError> {
        self.with(|kept| kept.modules.remove(&hash).is_some())
    }

    fn put_job(&self, job: &JobRecord) -> Result<(), PortError> {
        self.with(|kept| drop(kept.jobs.insert(job.id.clone(), job.clone())))
    }

    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        self.with(|kept| kept.jobs.get(id).cloned())
    }

    fn jobs(&self) -> Result<Vec<JobRecord>, PortError> {
        self.with(|kept| kept.jobs.values().cloned().collect())
    }

    fn delete_job(&self, id: &JobId) -> Result<bool, PortError> {
        self.with(|kept| kept.jobs.remove(id).is_some())
    }

    fn put_operation(&self, operation: &OperationRecord) -> Result<(), PortError> {
        self.with(|kept| drop(kept.operations.insert(operation.id.clone(), operation.clone())))
    }

    fn operation(&self, id: &str) -> Result<Option<OperationRecord>, PortError> {
        self.with(|kept| kept.operations.get(id).cloned())
    }

    fn operations(&self, limit: usize) -> Result<Vec<OperationRecord>, PortError> {
        self.with(|kept| kept.operations.values().rev().take(limit).cloned().collect())
    }

    fn remember_answer(&self, key: &str, answer: &RememberedAnswer) -> Result<Option<RememberedAnswer>, PortError> {
        self.with(|kept| match kept.answers.get(key) {
            Some(before) => Some(before.clone()),
            None => {
                kept.answers.insert(key.to_owned(), answer.clone());
                None
            }
        })
    }

    fn answer(&self, key: &str) -> Result<Option<RememberedAnswer>, PortError> {
        self.with(|kept| kept.answers.get(key).cloned())
    }
}

impl DeadLetterStore for MemoryCatalog {
    fn append(&self, job: &JobId, letters: &[DeadLetter]) -> Result<(), PortError> {
        self.with(|kept| kept.letters.entry(job.clone()).or_default().extend_from_slice(letters))
    }

    fn page(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<(u64, DeadLetter)>, PortError> {
        self.with(|kept| {
            let letters = kept.letters.get(job).into_iter().flatten().cloned();
            (0..).zip(letters).skip(from as usize).take(limit).collect()
        })
    }

    fn count(&self, job: &JobId) -> Result<u64, PortError> {
        self.with(|kept| kept.letters.get(job).map_or(0, Vec::len) as u64)
    }

    fn mark_replayed(&self, job: &JobId, numbers: &[u64]) -> Result<(), PortError> {
        self.with(|kept| kept.replayed.extend(numbers.iter().map(|number| (job.clone(), *number))))
    }

    fn is_replayed(&self, job: &JobId, number: u64) -> Result<bool, PortError> {
        self.with(|kept| kept.replayed.contains(&(job.clone(), number)))
    }

    fn delete(&self, job: &JobId) -> Result<(), PortError> {
        self.with(|kept| drop(kept.letters.remove(job)))
    }
}
