//! The catalog of a data directory: every port function, sent to the file that it concerns.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gristmill_ports::audit::{AuditLog, AuditRecord, NumberedRecord};
use gristmill_ports::catalog::{Catalog, JobRecord, ModuleRecord, OperationRecord, PutModule, RememberedAnswer};
use gristmill_ports::dead_letters::{DeadLetterStore, Epoch, KeptLetter};
use gristmill_ports::module_registry::Admission;
use gristmill_ports::{Clock, PortError};
use gristmill_types::{CheckpointId, DeadLetter, JobId, ModuleHash, ModuleName, RunId};

use crate::audit_file::AuditFile;
use crate::data_dir::DataDir;
use crate::dead_letters::DeadLetterFiles;
use crate::module_files::ModuleFiles;
use crate::store::Store;

/// Bytes on disk that the dead letters of one job may take.
const DEAD_LETTER_BYTES: u64 = 1 << 30;

/// What a host remembers, in one directory that it has to itself.
///
/// ```text
/// FORMAT                      the version of the directory
/// LOCK                        held by the host, with its process number
/// catalog.redb                modules, names, jobs, operations, answers; of dead letters, which were replayed, which
///                             belong to decided checkpoints, which are forgotten
/// modules/<hash>.wasm         module bytes
/// dead-letters/<job>/*.log    dead letters, in segments named by their first number
/// audit.log                   who changed what, a line each
/// crashes/<job>/*.crash       calls that ended in a fault; see [`crate::CrashFiles`]
/// ```
pub struct FileCatalog {
    store: Arc<Store>,
    modules: ModuleFiles,
    letters: DeadLetterFiles,
    audit: AuditFile,
    clock: Arc<dyn Clock>,
    /// Held while bytes and record of a module change together.
    changing_modules: Mutex<()>,
    /// Last, so that the lock is given back after everything else is closed.
    _dir: DataDir,
}

impl FileCatalog {
    /// Opens a data directory, making it if there is none. `clock` dates what is put there.
    ///
    /// # Errors
    /// If the directory cannot be written, is of another version, is damaged, or is in use by another host.
    pub fn open(data_dir: &Path, clock: Arc<dyn Clock>) -> Result<Self, PortError> {
        let dir = DataDir::open(data_dir)?;
        let store = Arc::new(Store::open(dir.path())?);
        let modules = ModuleFiles::open(dir.path(), &store.module_hashes()?)?;
        let letters = DeadLetterFiles::open(dir.path(), Arc::clone(&store), DEAD_LETTER_BYTES)?;
        let audit = AuditFile::open(dir.path())?;
        Ok(Self { store, modules, letters, audit, clock, changing_modules: Mutex::new(()), _dir: dir })
    }
}

impl Catalog for FileCatalog {
    fn heal(&self) -> Result<(), PortError> {
        self.store.heal()
    }

    fn put_module(
        &self,
        name: Option<&ModuleName>,
        bytes: &[u8],
        admission: &Admission,
    ) -> Result<PutModule, PortError> {
        let _changing = self.changing_modules.lock().unwrap_or_else(PoisonError::into_inner);
        // Bytes first: a record never points at nothing. Bytes without a record are removed at the next start.
        if let Some(other) = name.map(|name| self.store.resolve(name)).transpose()?.flatten()
            && other != admission.hash
        {
            return Ok(PutModule::NameTaken(other));
        }
        self.modules.put(admission.hash, bytes)?;
        self.store.put_module(name, admission, self.clock.now_ms())
    }

    fn resolve(&self, name: &ModuleName) -> Result<Option<ModuleHash>, PortError> {
        self.store.resolve(name)
    }

    fn module(&self, hash: ModuleHash) -> Result<Option<ModuleRecord>, PortError> {
        self.store.module(hash)
    }

    fn module_bytes(&self, hash: ModuleHash) -> Result<Option<Vec<u8>>, PortError> {
        self.modules.get(hash)
    }

    fn modules(&self) -> Result<Vec<ModuleRecord>, PortError> {
        self.store.modules()
    }

    fn delete_name(&self, name: &ModuleName) -> Result<bool, PortError> {
        let _changing = self.changing_modules.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(gone) = self.store.delete_name(name)? else { return Ok(false) };
        self.modules.delete(gone)?;
        Ok(true)
    }

    fn delete_module(&self, hash: ModuleHash) -> Result<bool, PortError> {
        let _changing = self.changing_modules.lock().unwrap_or_else(PoisonError::into_inner);
        let existed = self.store.delete_module(hash)?;
        self.modules.delete(hash)?;
        Ok(existed)
    }

    fn put_job(&self, job: &JobRecord) -> Result<(), PortError> {
        self.store.put_job(job)
    }

    fn job(&self, id: &JobId) -> Result<Option<JobRecord>, PortError> {
        self.store.job(id)
    }

    fn jobs(&self) -> Result<Vec<JobRecord>, PortError> {
        self.store.jobs()
    }

    fn delete_job(&self, id: &JobId) -> Result<bool, PortError> {
        self.store.delete_job(id)
    }

    fn put_operation(&self, operation: &OperationRecord) -> Result<(), PortError> {
        self.store.put_operation(operation)
    }

    fn operation(&self, id: &str) -> Result<Option<OperationRecord>, PortError> {
        self.store.operation(id)
    }

    fn operations(&self, limit: usize) -> Result<Vec<OperationRecord>, PortError> {
        self.store.operations(limit)
    }

    fn remember_answer(&self, key: &str, answer: &RememberedAnswer) -> Result<Option<RememberedAnswer>, PortError> {
        self.store.remember_answer(key, answer)
    }

    fn answer(&self, key: &str) -> Result<Option<RememberedAnswer>, PortError> {
        self.store.answer(key, self.clock.now_ms())
    }
}

/// Of a run that ended without deciding, because it was cancelled or its host was killed for good, letters stay as they
/// are: kept, and not decided.
impl DeadLetterStore for FileCatalog {
    fn append(&self, job: &JobId, epoch: Epoch, letters: &[DeadLetter]) -> Result<(), PortError> {
        self.letters.append(job, epoch, letters)
    }

    fn decided(&self, job: &JobId, run: RunId, checkpoint: CheckpointId) -> Result<(), PortError> {
        self.letters.with(job, |letters| letters.decided(run, checkpoint))
    }

    fn abort_behind(&self, job: &JobId, run: RunId, restored: Option<CheckpointId>) -> Result<(), PortError> {
        self.letters.with(job, |letters| letters.go_back(run, restored))
    }

    fn page(&self, job: &JobId, from: u64, limit: usize) -> Result<Vec<KeptLetter>, PortError> {
        self.letters.with(job, |letters| letters.page(from, limit))
    }

    fn count(&self, job: &JobId) -> Result<u64, PortError> {
        self.letters.with(job, |letters| Ok(letters.count()))
    }

    fn mark_replayed(&self, job: &JobId, epoch: Epoch, numbers: &[u64]) -> Result<(), PortError> {
        self.letters.with(job, |letters| letters.mark_replayed(epoch, numbers))
    }

    fn is_replayed(&self, job: &JobId, number: u64) -> Result<bool, PortError> {
        self.letters.with(job, |letters| letters.is_replayed(number))
    }

    fn delete(&self, job: &JobId) -> Result<(), PortError> {
        self.letters.delete(job)
    }
}

impl AuditLog for FileCatalog {
    fn append(&self, record: &AuditRecord) -> Result<u64, PortError> {
        self.audit.append(record)
    }

    fn page(&self, after: u64, limit: usize) -> Result<Vec<NumberedRecord>, PortError> {
        self.audit.page(after, limit)
    }
}
