//! Modules on the wire.

use gristmill_ports::catalog::ModuleRecord;
use gristmill_types::ModuleName;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{json, time};
use crate::control::{DeletedModule, PushResult, PushedModule};

/// A module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModuleView {
    /// BLAKE3 of its bytes, 64 hexadecimal digits.
    pub hash: String,
    /// Names that stand for it, as `name@version`.
    pub names: Vec<String>,
    /// When it was uploaded.
    pub created_at: String,
    /// What admission found: `form`, `size_bytes`, `cache`, `compile_ms`, `exports`, `imports`, `descriptor`, `warnings`.
    #[schema(value_type = Object)]
    pub admission: serde_json::Value,
}

impl From<ModuleRecord> for ModuleView {
    fn from(record: ModuleRecord) -> Self {
        Self {
            hash: record.admission.hash.to_string(),
            names: record.names.iter().map(ToString::to_string).collect(),
            created_at: time(record.created_ms),
            admission: json(&record.admission),
        }
    }
}

/// All modules, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ModuleList {
    /// The modules.
    pub modules: Vec<ModuleView>,
}

/// What an upload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PushOutcome {
    /// It is new.
    Created,
    /// It was there already.
    Unchanged,
    /// The bytes were there already; the name is new.
    Named,
    /// It would be admitted; nothing was kept.
    DryRun,
}

/// The answer to an upload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PushAnswer {
    /// What was done.
    pub outcome: PushOutcome,
    /// BLAKE3 of the bytes, 64 hexadecimal digits.
    pub hash: String,
    /// The name that it was pushed under.
    pub name: Option<String>,
    /// What admission found this time; `cache` says whether something was compiled.
    #[schema(value_type = Object)]
    pub admission: serde_json::Value,
}

impl From<PushedModule> for PushAnswer {
    fn from(pushed: PushedModule) -> Self {
        Self {
            outcome: match pushed.result {
                PushResult::Created => PushOutcome::Created,
                PushResult::Unchanged => PushOutcome::Unchanged,
                PushResult::Named => PushOutcome::Named,
                PushResult::DryRun => PushOutcome::DryRun,
            },
            hash: pushed.admission.hash.to_string(),
            name: pushed.name.map(|name| name.to_string()),
            admission: json(&pushed.admission),
        }
    }
}

/// The answer to a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ForgottenModule {
    /// BLAKE3 of the module's bytes, 64 hexadecimal digits.
    pub hash: String,
    /// Names that are forgotten.
    pub forgotten_names: Vec<String>,
    /// Names that still stand for the module.
    pub kept_names: Vec<String>,
    /// Whether the module itself is forgotten: it is, by its hash, or with the last of its names.
    pub module_forgotten: bool,
}

impl From<DeletedModule> for ForgottenModule {
    fn from(deleted: DeletedModule) -> Self {
        let texts = |names: Vec<ModuleName>| names.iter().map(ToString::to_string).collect();
        Self {
            hash: deleted.hash.to_string(),
            forgotten_names: texts(deleted.forgotten),
            kept_names: texts(deleted.kept),
            module_forgotten: deleted.gone,
        }
    }
}
