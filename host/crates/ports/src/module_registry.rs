//! What the rest of the host knows of Wasm: bytes go in, a report and a factory come out.

use std::sync::Arc;
use std::time::Duration;

use gristmill_types::{Descriptor, ModuleHash};
use serde::{Deserialize, Serialize};

use crate::operator::OperatorFactory;

/// Admits modules and prepares them for jobs.
pub trait ModuleRegistry: Send + Sync {
    /// Looks at uploaded bytes: compiles them, calls `describe` in a sandbox, and says what they are.
    ///
    /// Blocks for as long as compiling takes (seconds for a large component). The same bytes again are found in the
    /// cache of compiled code.
    ///
    /// # Errors
    /// Why the module cannot be admitted.
    fn admit(&self, bytes: &[u8]) -> Result<Admission, Refusal>;

    /// Prepares an admitted module for one operator of a job.
    ///
    /// # Errors
    /// If the parameters do not fit the module's schema, or its code cannot be compiled (any more).
    fn prepare(&self, bytes: &[u8], options: &PrepareOptions) -> Result<Prepared, Refusal>;

    /// Throws away what is kept on disk of a module that is deleted; whoever runs it still runs on. The default does
    /// nothing: not every registry keeps something.
    fn forget(&self, _module: ModuleHash) {}
}

/// A module ready to open instances.
#[derive(Clone)]
pub struct Prepared {
    /// Opens instances.
    pub factory: Arc<dyn OperatorFactory>,
    /// The parameters, checked and with the schema's defaults filled in, as JSON.
    pub parameters: String,
}

/// What a job grants an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct PrepareOptions {
    /// Parameters as the job gives them.
    pub parameters: Option<serde_json::Value>,
    /// Linear memory of an instance, in bytes.
    pub memory_bytes: u64,
    /// How long one call may take. A call is a batch, also where the guest takes one event at a time.
    pub call: Duration,
    /// Bytes that one call may return or hand to imports.
    pub output_bytes: u64,
    /// Bytes of log lines in one second.
    pub log_bytes: u64,
}

/// What an upload turned out to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Admission {
    /// BLAKE3 of the bytes uploaded.
    pub hash: ModuleHash,
    /// What came in.
    pub form: ModuleForm,
    /// Bytes uploaded.
    pub size_bytes: u64,
    /// Whether compiled code was at hand.
    pub cache: CacheUse,
    /// Milliseconds spent compiling; zero on a hit.
    pub compile_ms: u64,
    /// The interfaces through which the host will call, such as `gristmill:operator/processor@0.1.0`.
    pub exports: Vec<String>,
    /// The interfaces that it wants, each with what it gets.
    pub imports: Vec<ImportNote>,
    /// What it declares.
    pub descriptor: Descriptor,
    /// Things that work but deserve a look.
    pub warnings: Vec<String>,
}

/// One import and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportNote {
    /// The interface.
    pub interface: String,
    /// What it gets, in words: `granted`, or `an empty world: no files, no network, no environment`.
    pub given: String,
}

/// What form the bytes had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleForm {
    /// A component.
    Component,
    /// A core module that carries component types, made a component by the host.
    CoreModule,
    /// The same for `wasip1`, through the preview1 adapter.
    Wasip1Module,
}

/// Whether compiled code was found on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheUse {
    /// Nothing was compiled.
    Hit,
    /// It was compiled, and kept.
    Miss,
}

/// The code of a [`Refusal`] that is the job's to mend, not the module's: its parameters do not fit the schema.
pub const BAD_PARAMETERS: &str = "bad-parameters";

/// Why a module is not admitted: a code that stays, and a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{message}")]
pub struct Refusal {
    /// Such as `not-wasm`, `truncated`, `missing-interface`, `forbidden-import`, `bad-descriptor`, [`BAD_PARAMETERS`].
    pub code: String,
    /// What is wrong and what to do. Lower case, no full stop.
    pub message: String,
    /// All findings, where there are several.
    pub details: Vec<String>,
}
