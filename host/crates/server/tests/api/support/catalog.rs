//! A catalog, and a store of dead letters, in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use gristmill_ports::PortError;
use gristmill_ports::audit::{AuditLog, AuditRecord, NumberedRecord};
use gristmill_ports::catalog::{
    Catalog, JobRecord, ModuleRecord, OperationRecord, OperationStatus, PutModule, RememberedAnswer,
};
use gristmill_ports::dead_letters::{DeadLetterStore, Epoch, KeptLetter};
use gristmill_ports::module_registry::Admission;
use gristmill_types::{CheckpointId, DeadLetter, JobId, ModuleHash, ModuleName, RunId};

#[derive(Default)]
pub(crate) struct MemoryCatalog(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    modules: BTreeMap<ModuleHash, (ModuleRecord, Vec<u8>)>,
    jobs: BTreeMap<JobId, JobRecord>,
    operations: BTreeMap<String, OperationRecord>,
    answers: BTreeMap<String, RememberedAnswer>,
    /// `None` where one was forgotten.
    letters: BTreeMap<JobId, Vec<Option<(Epoch, DeadLetter)>>>,
    replayed: BTreeMap<(JobId, u64), Epoch>,
    decided: BTreeMap<(JobId, RunId), CheckpointId>,
    audit: Vec<AuditRecord>,
    trouble: Option<String>,
    /// So often jobs are not found once one is noted with another document.
    refuses_behind_note: usize,
    refusals: usize,
}

impl Kept {
    fn letters<'a>(&'a self, job: &'a JobId) -> impl Iterator<Item = KeptLetter> + 'a {
        let letters = self.letters.get(job).into_iter().flatten();
        (0..).zip(letters).filter_map(|(number, kept)| {
            let (epoch, letter) = kept.clone()?;
            let decided = self.decided.get(&(job.clone(), epoch.run));
            Some(KeptLetter { number, letter, is_decided: decided.is_some_and(|decided| epoch.after < *decided) })
        })
    }
}

impl MemoryCatalog {
    /// Has all letters decided that there are; those that come later are not.
    pub(crate) fn decide_letters(&self) {
        let earlier = Epoch { run: RunId(0), after: CheckpointId(0) };
        let mut kept = self.0.lock().unwrap();
        let Kept { letters, decided, .. } = &mut *kept;
        for (job, letters) in letters {
            letters.iter_mut().flatten().for_each(|(epoch, _)| *epoch = earlier);
            decided.insert((job.clone(), earlier.run), CheckpointId(1));
        }
    }

    /// Has a letter of every job gone, as when the job goes back.
    pub(crate) fn forget_letter(&self, number: usize) {
        self.0.lock().unwrap().letters.values_mut().for_each(|letters| letters[number] = None);
    }

    /// Leaves an operation as a host that dies leaves it.
    pub(crate) fn leave_running(&self, id: &str, kind: &str, job: &str, detail: serde_json::Value) {
        let operation = OperationRecord {
            id: id.to_owned(),
            kind: kind.to_owned(),
            job: Some(job.parse().unwrap()),
            status: OperationStatus::Running,
            detail,
            created_ms: 0,
            changed_ms: 0,
        };
        self.0.lock().unwrap().operations.insert(id.to_owned(), operation);
    }

    /// Has it say from now on that it cannot be written, or that it can.
    pub(crate) fn set_trouble(&self, trouble: Option<&str>) {
        self.0.lock().unwrap().trouble = trouble.map(str::to_owned);
    }

    /// Has it refuse to read jobs, so often, once a job has another document.
    pub(crate) fn refuse_behind_note(&self, times: usize) {
        self.0.lock().unwrap().refuses_behind_note = times;
    }

    fn with<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> Result<T, PortError> {
        Ok(work(&mut self.0.lock().unwrap()))
    }
}

impl Catalog for MemoryCatalog {
    fn heal(&self) -> Result<(), PortError> {
        self.with(|kept| kept.trouble.clone())?.map_or(Ok(()), |trouble| Err(PortError::fatal(trouble)))
    }

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
        self.with(|kept| {
            if job.pending.is_some() {
                kept.refusals += std::mem::take(&mut kept.refuses_behind_note);
            }
            drop(kept.jobs.insert(job.id.clone(), job.clone()));
        })
    }

    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        self.with(|kept| match kept.refusals.checked_sub(1) {
            Some(left) => {
                kept.refusals = left;
                Err(PortError::retry("the disk has hiccups"))
            }
            None => Ok(kept.jobs.get(id).cloned()),
        })?
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
    fn append(&self, job: &JobId, epoch: Epoch, letters: &[DeadLetter]) -> Result<(), PortError> {
        let letters = letters.iter().map(|letter| Some((epoch, letter.clone())));
        self.with(|kept| kept.letters.entry(job.clone()).or_default().extend(letters))
    }

    fn decided(&self, job: &JobId, run: RunId, checkpoint: CheckpointId) -> Result<(), PortError> {
        self.with(|kept| {
            let decided = kept.decided.entry((job.clone(), run)).or_insert(checkpoint);
            *decided = checkpoint.max(*decided);
        })
    }

    fn abort_behind(&self, job: &JobId, run: RunId, restored: Option<CheckpointId>) -> Result<(), PortError> {
        let to = restored.unwrap_or(CheckpointId(0));
        let is_gone = |epoch: &Epoch| epoch.run == run && epoch.after >= to;
        self.with(|kept| {
            let letters = kept.letters.get_mut(job).into_iter().flatten();
            letters.for_each(|kept| drop(kept.take_if(|(epoch, _)| is_gone(epoch))));
            kept.replayed.retain(|(of, _), epoch| of != job || !is_gone(epoch));
            kept.decided.insert((job.clone(), run), to);
        })
    }

    fn page(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<KeptLetter>, PortError> {
        self.with(|kept| kept.letters(job).filter(|letter| letter.number >= from).take(limit).collect())
    }

    fn count(&self, job: &JobId) -> Result<u64, PortError> {
        self.with(|kept| kept.letters(job).count() as u64)
    }

    fn mark_replayed(&self, job: &JobId, epoch: Epoch, numbers: &[u64]) -> Result<(), PortError> {
        self.with(|kept| kept.replayed.extend(numbers.iter().map(|number| ((job.clone(), *number), epoch))))
    }

    fn is_replayed(&self, job: &JobId, number: u64) -> Result<bool, PortError> {
        self.with(|kept| kept.replayed.contains_key(&(job.clone(), number)))
    }

    fn delete(&self, job: &JobId) -> Result<(), PortError> {
        self.with(|kept| {
            kept.letters.remove(job);
            kept.replayed.retain(|(of, _), _| of != job);
        })
    }
}

impl AuditLog for MemoryCatalog {
    fn append(&self, record: &AuditRecord) -> Result<u64, PortError> {
        Catalog::heal(self)?;
        self.with(|kept| {
            kept.audit.push(record.clone());
            kept.audit.len() as u64
        })
    }

    fn page(&self, after: u64, limit: usize) -> Result<Vec<NumberedRecord>, PortError> {
        let numbered = |(number, record): (u64, &AuditRecord)| NumberedRecord { number, record: record.clone() };
        self.with(|kept| (1..).zip(&kept.audit).skip(after as usize).take(limit).map(numbered).collect())
    }
}
