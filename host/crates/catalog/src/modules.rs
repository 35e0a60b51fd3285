//! Modules in the store: a record by hash, names that point at it.

use std::collections::{BTreeMap, BTreeSet};

use gristmill_ports::PortError;
use gristmill_ports::catalog::{ModuleRecord, PutModule};
use gristmill_ports::module_registry::Admission;
use gristmill_types::{ModuleHash, ModuleName};
use redb::{ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize};

use crate::record::encode;
use crate::store::{MODULES, NAMES, Store, decoded};

/// What is stored of a module; its names stand in a table of their own.
#[derive(Serialize, Deserialize)]
struct StoredModule {
    admission: Admission,
    created_ms: i64,
}

impl Store {
    /// Writes a module whose bytes are kept already.
    pub(crate) fn put_module(
        &self,
        name: Option<&ModuleName>,
        admission: &Admission,
        now_ms: i64,
    ) -> Result<PutModule, PortError> {
        let hash = &admission.hash.0;
        self.write(|transaction| {
            let (mut modules, mut names) = (transaction.open_table(MODULES)?, transaction.open_table(NAMES)?);
            let name = name.map(ToString::to_string);
            let named = match &name {
                Some(name) => names.get(name.as_str())?.map(|hash| ModuleHash(*hash.value())),
                None => None,
            };
            if let Some(other) = named.filter(|named| *named != admission.hash) {
                return Ok(PutModule::NameTaken(other));
            }
            let known = modules.get(hash)?.is_some();
            if !known {
                let module = StoredModule { admission: admission.clone(), created_ms: now_ms };
                modules.insert(hash, encode(&module).as_slice())?;
            }
            if let (Some(name), None) = (&name, named) {
                names.insert(name.as_str(), hash)?;
            }
            Ok(match (known, name.is_some() && named.is_none()) {
                (false, _) => PutModule::Created,
                (true, true) => PutModule::Named,
                (true, false) => PutModule::Unchanged,
            })
        })
    }

    pub(crate) fn resolve(&self, name: &ModuleName) -> Result<Option<ModuleHash>, PortError> {
        self.read(|transaction| {
            let names = transaction.open_table(NAMES)?;
            Ok(names.get(name.to_string().as_str())?.map(|hash| ModuleHash(*hash.value())))
        })
    }

    pub(crate) fn module(&self, hash: ModuleHash) -> Result<Option<ModuleRecord>, PortError> {
        self.read(|transaction| {
            let modules = transaction.open_table(MODULES)?;
            let Some(bytes) = modules.get(&hash.0)? else { return Ok(None) };
            let names = all_names(transaction)?.remove(&hash).unwrap_or_default();
            Ok(Some(record_of(hash, bytes.value(), names)?))
        })
    }

    /// All modules, newest first.
    pub(crate) fn modules(&self) -> Result<Vec<ModuleRecord>, PortError> {
        self.read(|transaction| {
            let mut names = all_names(transaction)?;
            let mut records = Vec::new();
            for entry in transaction.open_table(MODULES)?.iter()? {
                let (hash, bytes) = entry?;
                let hash = ModuleHash(*hash.value());
                records.push(record_of(hash, bytes.value(), names.remove(&hash).unwrap_or_default())?);
            }
            records.sort_by_key(|record| (std::cmp::Reverse(record.created_ms), record.admission.hash));
            Ok(records)
        })
    }

    /// The hashes of all modules.
    pub(crate) fn module_hashes(&self) -> Result<BTreeSet<ModuleHash>, PortError> {
        self.read(|transaction| {
            let modules = transaction.open_table(MODULES)?;
            let hashes = modules.iter()?.map(|entry| entry.map(|(hash, _)| ModuleHash(*hash.value())));
            Ok(hashes.collect::<Result<_, _>>()?)
        })
    }

    /// Forgets a name, and the module if that was its last; then gives the module's hash.
    pub(crate) fn delete_name(&self, name: &ModuleName) -> Result<Option<ModuleHash>, PortError> {
        self.write(|transaction| {
            let mut names = transaction.open_table(NAMES)?;
            let removed = names.remove(name.to_string().as_str())?.map(|hash| *hash.value());
            let Some(hash) = removed else { return Ok(None) };
            for entry in names.iter()? {
                if *entry?.1.value() == hash {
                    return Ok(None);
                }
            }
            transaction.open_table(MODULES)?.remove(&hash)?;
            Ok(Some(ModuleHash(hash)))
        })
    }

    pub(crate) fn delete_module(&self, hash: ModuleHash) -> Result<bool, PortError> {
        self.write(|transaction| {
            let existed = transaction.open_table(MODULES)?.remove(&hash.0)?.is_some();
            transaction.open_table(NAMES)?.retain(|_, named| *named != hash.0)?;
            Ok(existed)
        })
    }
}

fn all_names(transaction: &ReadTransaction) -> Result<BTreeMap<ModuleHash, Vec<ModuleName>>, redb::Error> {
    let mut names = BTreeMap::<_, Vec<_>>::new();
    for entry in transaction.open_table(NAMES)?.iter()? {
        let (name, hash) = entry?;
        let strange = |error| redb::Error::Corrupted(format!("a module name is damaged: {error}"));
        names.entry(ModuleHash(*hash.value())).or_default().push(name.value().parse().map_err(strange)?);
    }
    Ok(names)
}

fn record_of(hash: ModuleHash, bytes: &[u8], names: Vec<ModuleName>) -> Result<ModuleRecord, redb::Error> {
    let StoredModule { admission, created_ms } = decoded(&format!("module {hash}"), bytes)?;
    Ok(ModuleRecord { names, admission, created_ms })
}
